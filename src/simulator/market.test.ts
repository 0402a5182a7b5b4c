// The generator: same seed, same trades; ticks, lots and numbers as promised; candles that are the sum of their trades.
import { describe, expect, it } from 'vitest';
import { spotSpecs, usdmSpecs } from './binance/catalogue.ts';
import { turnoverOf } from './candles.ts';
import { deribitSpecs } from './deribit/catalogue.ts';
import { floatText } from './deribit/numbers.ts';
import { optionFigures } from './deribit/options.ts';
import { Market } from './market.ts';
import { Prng } from './prng.ts';
import { decimalsOf, parseScaled, scaledBigText, scaledText, type Spec } from './spec.ts';

const NOW = 1_795_492_830_000;
const SPECS = [...deribitSpecs(NOW), ...spotSpecs(), ...usdmSpecs(NOW)];
const market = (spec: Spec, seed = 1, keep = 100_000): Market => new Market(spec, { seed, keep, startMs: NOW, liquidations: true });

function tradesOf({ history: h }: Market): unknown[] {
  return Array.from({ length: h.size }, (_row, i) => h.first + i).map((seq) => [
    seq,
    h.ts(seq),
    h.price(seq),
    h.lots(seq),
    h.flags(seq),
    h.group(seq),
  ]);
}

describe('a generated market', () => {
  it.each(SPECS.map((spec) => [spec.symbol, spec] as const))('%s trades on tick and lot, contiguously, in time order', (_symbol, spec) => {
    const m = market(spec);
    m.generate(3_000, NOW * 1000, NOW * 1000 + 60_000_000);
    const { history: h } = m;
    expect(h.last - h.first + 1).toBe(h.size);
    expect(h.size).toBeGreaterThanOrEqual(3_000);
    for (let seq = h.first; seq <= h.last; seq++) {
      expect(Math.abs(h.price(seq) % spec.tick)).toBe(0);
      if (spec.kind !== 'combo') expect(h.price(seq)).toBeGreaterThan(0);
      expect(Number.isInteger(h.lots(seq)) && h.lots(seq) > 0).toBe(true);
      if (seq === h.first) continue;
      expect(h.ts(seq)).toBeGreaterThanOrEqual(h.ts(seq - 1));
      if (h.group(seq) !== h.group(seq - 1)) continue;
      expect([h.price(seq), h.isSell(seq), h.ts(seq)]).toEqual([h.price(seq - 1), h.isSell(seq - 1), h.ts(seq - 1)]);
    }
  });

  it('makes the same trades of the same seed, however the ticks fall, and others of another', () => {
    for (const spec of SPECS.slice(0, 3)) {
      const [a, b, c] = [market(spec), market(spec), market(spec, 2)];
      a.generate(500, NOW * 1000, NOW * 1000);
      for (let i = 0; i < 500; i++) {
        b.generate(1, NOW * 1000, NOW * 1000);
        b.jitter();
      }
      c.generate(500, NOW * 1000, NOW * 1000);
      expect(tradesOf(b).slice(0, 500)).toEqual(tradesOf(a).slice(0, 500));
      expect(tradesOf(c).slice(0, 500)).not.toEqual(tradesOf(a).slice(0, 500));
    }
  });

  it('numbers USD-M runs f..l without a hole and makes some of several trades', () => {
    const [spec] = usdmSpecs(NOW);
    const m = market(spec as Spec);
    const made = m.generate(1_000, NOW * 1000, NOW * 1000 + 1);
    expect(made).toBe(1_000);
    const groups = new Set(tradesOf(m).map((row) => (row as number[])[5]));
    expect(groups.size).toBe(1_000);
    expect(m.history.size).toBeGreaterThan(1_100);
    expect(Math.max(...(groups as Set<number>)) - Math.min(...(groups as Set<number>))).toBe(999);
  });

  it('keeps the newest trades when the ring is full', () => {
    const m = market(SPECS[0] as Spec, 1, 512);
    m.generate(2_000, NOW * 1000, NOW * 1000 + 1_000);
    const all = market(SPECS[0] as Spec, 1, 4_096);
    all.generate(2_000, NOW * 1000, NOW * 1000 + 1_000);
    expect(m.history.size).toBe(512);
    expect(tradesOf(m)).toEqual(tradesOf(all).slice(-512));
  });
});

describe('ids', () => {
  it('are never given twice, however often the exchange starts again', () => {
    const spec = SPECS[0] as Spec;
    const first = market(spec);
    first.generate(5_000, NOW * 1000, NOW * 1000 + 10_000_000);
    const again = new Market(spec, { seed: 1, keep: 1_000, startMs: NOW + 10_000, liquidations: true });
    expect(again.history.first).toBeGreaterThan(first.history.last);
  });
});

describe('candles', () => {
  it('are the sums of their trades, exactly, at every interval', () => {
    const m = market(spotSpecs()[0] as Spec);
    const start = Math.floor(NOW / 3_600_000) * 3_600_000;
    for (let minute = 0; minute < 130; minute++) m.generate(40, (start + minute * 60_000) * 1000, (start + minute * 60_000 + 59_000) * 1000);
    const { history: h } = m;
    const now = start + 131 * 60_000;
    for (const [interval, width] of [
      ['1s', 1_000],
      ['1m', 60_000],
      ['5m', 300_000],
      ['1h', 3_600_000],
    ] as const) {
      for (const bar of m.candles.range(interval, start, start + 7_200_000 - 1, 300, now)) {
        const seqs = Array.from({ length: h.size }, (_row, i) => h.first + i).filter(
          (seq) => h.ts(seq) >= bar.openMs * 1000 && h.ts(seq) < (bar.openMs + width) * 1000,
        );
        expect(bar.count).toBe(seqs.length);
        if (seqs.length === 0) continue;
        const prices = seqs.map((seq) => h.price(seq));
        expect([bar.open, bar.high, bar.low, bar.close]).toEqual([prices[0], Math.max(...prices), Math.min(...prices), prices.at(-1)]);
        expect(bar.lots).toBe(seqs.reduce((sum, seq) => sum + h.lots(seq), 0));
        const turnover = seqs.reduce((sum, seq) => sum + BigInt(h.price(seq)) * BigInt(h.lots(seq)), 0n);
        expect(turnoverOf(bar.turnover, bar.turnoverHigh)).toBe(turnover);
        expect([bar.firstSeq, bar.lastSeq]).toEqual([seqs[0], seqs.at(-1)]);
      }
    }
  });

  it('has a past that stays the same and joins the present', () => {
    const m = market(spotSpecs()[0] as Spec);
    m.generate(10, NOW * 1000, NOW * 1000);
    const past = m.candles.range('1h', NOW - 86_400_000, NOW - 3_600_000, 24, NOW);
    expect(past).toHaveLength(23);
    expect(m.candles.range('1h', NOW - 86_400_000, NOW - 3_600_000, 24, NOW + 60_000)).toEqual(past);
    const before = m.candles.minute(Math.floor(NOW / 60_000) * 60_000 - 60_000);
    expect(Math.abs(before.close / m.spec.startPrice - 1)).toBeLessThan(0.001);
  });

  it('is flat at the last close where nobody traded', () => {
    const m = market(spotSpecs()[0] as Spec);
    m.generate(5, NOW * 1000, NOW * 1000);
    const next = Math.floor(NOW / 60_000) * 60_000 + 120_000;
    expect(m.candles.minute(next)).toMatchObject({ count: 0, lots: 0, open: m.lastPrice, close: m.lastPrice });
  });
});

describe('numbers', () => {
  it('writes scaled integers exactly and reads them back', () => {
    expect([scaledText(8_550_050, 2), scaledText(5, 3), scaledText(-130, 1), scaledText(7, 0)]).toEqual(['85500.50', '0.005', '-13.0', '7']);
    expect(scaledBigText(-12_345_678_901_234_567_890n, 8)).toBe('-123456789012.34567890');
    expect([parseScaled('0.35210000', 4), decimalsOf('0.00010000'), decimalsOf('12')]).toEqual([3521, 4, 0]);
  });

  it('uses the exponent where Deribit does: when it is strictly shorter', () => {
    expect(
      ['85500.0', '74000', '83216.0', '1000.0', '100.0', '0.00002', '-0.00021714', '0.0001', '0.0639', '0.0', '10.50', '1000200.0'].map(floatText),
    ).toEqual(['8.55e4', '7.4e4', '83216.0', '1.0e3', '100.0', '2.0e-5', '-2.1714e-4', '0.0001', '0.0639', '0.0', '10.5', '1.0002e6']);
    const random = new Prng(3);
    for (let i = 0; i < 2_000; i++) {
      const plain = scaledText(random.u32() % 10_000_000, random.u32() % 9);
      expect(Number(floatText(plain))).toBe(Number(plain));
    }
  });

  it('prices options between their bounds, with put-call parity', () => {
    const call = optionFigures('call', 86_000, 80_000, 0.5, 30 * 86_400_000);
    const put = optionFigures('put', 86_000, 80_000, 0.5, 30 * 86_400_000);
    expect((call.price - put.price) * 86_000).toBeCloseTo(6_000, 1);
    expect(call.delta - put.delta).toBeCloseTo(1, 5);
  });
});
