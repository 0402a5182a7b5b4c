// The incremental figures against the definitions, computed anew from the whole history each time.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { divergence, lead } from './cross_market.ts';
import { Levels } from './levels.ts';
import { Moments } from './moments.ts';
import { SymbolStats } from './symbol_stats.ts';
import { FAST, MIN_WINDOWS, OUTLIER, SLOW, WINDOWS, type WindowKind } from './window.ts';

interface Trade {
  ts: number;
  price: number;
  amount: number;
  isBuy: boolean;
  isLiquidation: boolean;
}

const START = 1_790_000_000_000_000;

/** Weights by the definition: the n-th value gets max(1/n, 1 − 2^(−1/H)), all before it are scaled by the rest. */
function weightedMean(values: readonly number[], halfLife: number): number {
  const weights: number[] = [];
  for (let n = 1; n <= values.length; n++) {
    const alpha = Math.max(1 / n, 1 - 2 ** (-1 / halfLife));
    for (let i = 0; i < weights.length; i++) weights[i]! *= 1 - alpha;
    weights.push(alpha);
  }
  return values.reduce((sum, value, i) => sum + value * weights[i]!, 0);
}
const rms = (values: readonly number[], halfLife: number): number => Math.sqrt(weightedMean(values.map((v) => v * v), halfLife));
const deviation = (values: readonly number[], halfLife: number): number =>
  Math.sqrt(Math.max(0, weightedMean(values.map((v) => v * v), halfLife) - weightedMean(values, halfLife) ** 2));

/** Each value cut to OUTLIER deviations of those before it. */
function cut(values: readonly number[], halfLife: number): number[] {
  const out: number[] = [];
  for (const value of values) {
    const [mean, reach] = [weightedMean(out, halfLife), OUTLIER * deviation(out, halfLife)];
    out.push(out.length < 20 ? value : Math.min(Math.max(value, mean - reach), mean + reach));
  }
  return out;
}

/** The figures of one kind of window, from all trades. */
function naive(trades: readonly Trade[], kind: WindowKind) {
  const windowOf = (trade: Trade): number => Math.floor(trade.ts / kind.micros);
  const byWindow = [...Map.groupBy(trades, windowOf)].sort((a, b) => a[0] - b[0]);
  const [openIndex, open] = byWindow.at(-1)!;
  const closed = byWindow.slice(0, -1);
  const close = (list: readonly Trade[]): number => list.at(-1)!.price;
  const returns = closed.slice(1).map(([, list], n) => Math.log(close(list) / close(closed[n]![1])));
  const cutReturns = cut(returns, kind.halfLife);
  /** With a zero for each window without a trade. */
  const withEmpty = (values: readonly number[]): number[] =>
    values.flatMap((value, n) => [value, ...Array<number>(byWindow[n + 2]![0] - closed[n + 1]![0] - 1).fill(0)]);
  const counts = closed.flatMap(([index, list], n) => [list.length, ...Array<number>(byWindow[n + 1]![0] - index - 1).fill(0)]);
  const volumeOf = (list: readonly Trade[]): number => list.reduce((sum, trade) => sum + trade.amount, 0);
  const volume = volumeOf(open);
  const volumes = cut(closed.map(([, list]) => volumeOf(list)), kind.halfLife);
  const moved = closed.length === 0 ? Number.NaN : Math.log(close(open) / close(closed.at(-1)![1]));
  return {
    start: openIndex * kind.micros, trades: open.length, volume, return: moved,
    returnZ: returns.length < MIN_WINDOWS ? Number.NaN : moved / rms(cutReturns, kind.halfLife),
    volumeZ: closed.length < MIN_WINDOWS ? Number.NaN : (volume - weightedMean(volumes, kind.halfLife)) / deviation(volumes, kind.halfLife),
    volatility: rms(withEmpty(returns), kind.halfLife), fast: rms(withEmpty(cutReturns), kind.halfLife / FAST),
    slow: rms(withEmpty(cutReturns), kind.halfLife * SLOW), rate: weightedMean(counts, kind.halfLife),
    imbalance: open.reduce((sum, t) => sum + (t.isBuy ? t.amount : -t.amount), 0) / volume,
    vwap: open.reduce((sum, t) => sum + t.price * t.amount, 0) / volume,
    liquidated: volumeOf(open.filter((trade) => trade.isLiquidation)),
  };
}

const close = (actual: number, expected: number, what: string): void => {
  if (!Number.isFinite(expected)) return expect([what, Number.isFinite(actual)]).toEqual([what, false]);
  expect(Math.abs(actual - expected), `${what}: ${actual}, by definition ${expected}`).toBeLessThanOrEqual(1e-7 * Math.max(1, Math.abs(expected)));
};

/** Prices walk and never stand still for long, so that a deviation of zero does not make a score of rounding errors. */
const history = fc.array(
  fc.record({
    step: fc.oneof(fc.integer({ min: 0, max: 2_000_000 }), fc.integer({ min: 0, max: 90_000_000 })),
    move: fc.integer({ min: -40, max: 40 }), amount: fc.integer({ min: 1, max: 5_000 }), isBuy: fc.boolean(), isLiquidation: fc.boolean(),
  }),
  { minLength: 1, maxLength: 160 },
).map((steps) => {
  let [ts, price] = [START, 50_000];
  return steps.map(({ step, move, amount, isBuy, isLiquidation }): Trade => {
    ts += step;
    price *= 1 + move / 10_000;
    return { ts, price, amount: amount / 7, isBuy, isLiquidation };
  });
});

describe('windows', () => {
  it('tell what the definitions say of the whole history', () => {
    fc.assert(fc.property(history, (trades) => {
      const stats = new SymbolStats(START);
      for (const { ts, price, amount, isBuy, isLiquidation } of trades) stats.trade(ts, price, amount, isBuy, isLiquidation);
      for (const [n, kind] of WINDOWS.entries()) {
        const window = stats.windows[n]!;
        const expected = naive(trades, kind);
        expect([window.start, window.trades]).toEqual([expected.start, expected.trades]);
        close(window.volume, expected.volume, 'volume');
        close(window.return, expected.return, 'return');
        close(window.returnZ, expected.returnZ, 'return z');
        close(window.volumeZ, expected.volumeZ, 'volume z');
        close(window.volatility.rms, expected.volatility, 'volatility');
        close(window.fastVolatility.rms, expected.fast, 'fast volatility');
        close(window.slowVolatility.rms, expected.slow, 'slow volatility');
        close(window.counts.mean, expected.rate, 'rate');
        close(window.signed / window.volume, expected.imbalance, 'imbalance');
        close(window.notional / window.volume, expected.vwap, 'vwap');
        close(window.liquidated, expected.liquidated, 'liquidated');
      }
    }), { numRuns: 60 });
  });

  it('counts a trade that comes late as of now, and does not go back', () => {
    const stats = new SymbolStats(START);
    stats.trade(START + 5_000_000, 100, 1, true, false);
    stats.trade(START, 101, 1, true, false);
    expect([stats.ts, stats.windows[0]!.trades]).toEqual([START + 5_000_000, 2]);
  });

  it('tells a large trade by the logarithm of its size', () => {
    const stats = new SymbolStats(START);
    for (let i = 0; i < 150; i++) stats.trade(START + i * 1_000, 100, 1 + (i % 7), i % 2 === 0, false);
    stats.trade(START + 200_000, 100, 5_000, true, false);
    expect(stats.windows[0]!.largeTrades).toBe(1);
  });

  it('has no return for prices of either sign', () => {
    const stats = new SymbolStats(START);
    for (const [n, price] of [1, -1, 2, 0].entries()) stats.trade(START + n * 1_000_000, price, 1, true, false);
    expect([stats.windows[0]!.returns.count, stats.figures().windows[0]!.return]).toEqual([0, null]);
  });
});

describe('moments', () => {
  it('add many zeros at once as one by one', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.float({ min: -5, max: 5, noNaN: true }), fc.constant(null)), { maxLength: 60 }), fc.integer({ min: 1, max: 40 }),
      (values, halfLife) => {
        const [one, many] = [new Moments(halfLife), new Moments(halfLife)];
        let zeros = 0;
        for (const value of values) {
          one.add(value ?? 0);
          if (value === null) zeros++;
          else {
            many.zeros(zeros);
            zeros = 0;
            many.add(value);
          }
        }
        many.zeros(zeros);
        expect(many.count).toBe(one.count);
        close(many.mean, one.mean, 'mean');
        close(many.square, one.square, 'square');
      }));
  });
});

describe('quotes and levels', () => {
  it('tells the spread in basis points of the mid, and compares with the quotes before', () => {
    const stats = new SymbolStats(START);
    stats.quote(START, 99, 101);
    expect([stats.spread, stats.mid, stats.spreads.count]).toEqual([200, 100, 0]);
    stats.quote(START + 1, 101, 99);
    expect([stats.spread, stats.spreads.mean]).toEqual([-200, 200]);
    stats.quote(START + 2, Number.NaN, 99);
    expect(stats.spread).toBeNaN();
  });

  it('tells changes against the last value before the open window', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 100_000_000 }), fc.integer({ min: 1, max: 1_000 })), { minLength: 1, maxLength: 50 });
    fc.assert(fc.property(steps, (some) => {
      const levels = new Levels();
      const told: [number, number][] = [];
      let ts = START;
      for (const [step, value] of some) {
        ts += step;
        told.push([ts, value]);
        levels.set(ts, value, Number.NaN, value / 10);
      }
      for (const [w, { micros }] of WINDOWS.entries()) {
        const start = Math.floor(ts / micros) * micros;
        const before = told.findLast(([at]) => at < start)?.[1] ?? Number.NaN;
        expect(levels.change('open_interest', w)).toEqual(told.at(-1)![1] - before);
        expect(levels.change('funding_rate', w)).toBeNaN();
      }
    }));
  });
});

describe('markets of one symbol', () => {
  it('tells the divergence in basis points and who led', () => {
    expect(divergence(100.1, 100)).toBeCloseTo(9.995, 3);
    expect(lead({ moveAt: 1_000_000, moveUp: true }, { moveAt: 1_250_000, moveUp: true })).toBe(250);
    expect(lead({ moveAt: 1_000_000, moveUp: true }, { moveAt: 1_250_000, moveUp: false })).toBeNull();
    expect(lead({ moveAt: 1_000_000, moveUp: true }, { moveAt: 21_250_000, moveUp: true })).toBeNull();
  });
});
