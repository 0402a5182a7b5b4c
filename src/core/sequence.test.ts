import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeSet, SymbolSequence, type Gap } from './sequence.ts';

const WINDOW = 1000;
const plain = (gaps: Gap[]): [number, number][] => gaps.map((gap) => [gap.from, gap.to]);

describe('SymbolSequence', () => {
  it('starts a brand-new symbol without a gap', () => {
    const seq = new SymbolSequence(null);
    expect(seq.accept(500, 500, 0)).toBe('new');
    expect(seq.position).toBe(500);
    expect(seq.expire(1e9, WINDOW)).toEqual([]);
  });

  it('lets trades change places inside the window', () => {
    const seq = new SymbolSequence(100);
    for (const n of [103, 101, 105, 102]) seq.accept(n, n, 0);
    expect([seq.position, seq.highest]).toEqual([103, 105]);
    expect(seq.expire(WINDOW - 1, WINDOW)).toEqual([]);
    seq.accept(104, 104, WINDOW - 1);
    expect(seq.position).toBe(105);
    expect(seq.waiting).toBe(false);
    expect(seq.expire(1e9, WINDOW)).toEqual([]);
  });

  it('declares what stays missing, in order, and goes on behind it', () => {
    const seq = new SymbolSequence(100);
    seq.accept(103, 103, 0);
    seq.accept(107, 107, 500);
    expect(seq.position).toBe(100);
    expect(plain(seq.expire(1000, WINDOW))).toEqual([[101, 102]]);
    expect(seq.position).toBe(103);
    expect(plain(seq.expire(1500, WINDOW))).toEqual([[104, 106]]);
    expect(seq.position).toBe(107);
  });

  it('takes what has come elsewhere for no hole, up to there and no further than it has seen itself', () => {
    const seq = new SymbolSequence(100);
    seq.accept(105, 106, 0);
    seq.accept(109, 109, 0);
    seq.settled(90);
    expect(seq.position).toBe(100);
    seq.settled(102);
    expect([seq.position, seq.waiting]).toEqual([102, true]);
    seq.settled(104);
    expect(seq.position).toBe(106);
    expect([seq.overdue(WINDOW - 1, WINDOW), seq.overdue(WINDOW, WINDOW)]).toEqual([false, true]);
    expect(plain(seq.expire(WINDOW, WINDOW))).toEqual([[107, 108]]);
    seq.accept(115, 115, WINDOW);
    seq.settled(1_000_000);
    expect([seq.position, seq.waiting]).toEqual([115, false]);
    expect(seq.accept(116, 116, WINDOW)).toBe('new');
  });

  it('keeps a hole as old as it was when a late trade splits it', () => {
    const seq = new SymbolSequence(100);
    seq.accept(110, 110, 0);
    seq.accept(105, 105, 900);
    expect(plain(seq.expire(1000, WINDOW))).toEqual([
      [101, 104],
      [106, 109],
    ]);
  });

  it('counts aggregates by their whole run, also partly known ones', () => {
    const seq = new SymbolSequence(100);
    expect(seq.accept(101, 105, 0)).toBe('new');
    expect(seq.accept(103, 105, 0)).toBe('duplicate');
    expect(seq.accept(104, 108, 0)).toBe('new');
    expect(seq.position).toBe(108);
  });

  it('says why the feed was interrupted, once', () => {
    const seq = new SymbolSequence(100, 'restart');
    seq.accept(105, 105, 0);
    seq.accept(107, 107, 0);
    expect(seq.expire(WINDOW, WINDOW)).toEqual([
      { from: 101, to: 104, reason: 'restart' },
      { from: 106, to: 106, reason: 'missing in the stream' },
    ]);
    seq.paused('unsubscribed');
    seq.accept(108, 108, 0);
    seq.accept(110, 110, 0);
    expect(seq.expire(WINDOW, WINDOW)[0]?.reason).toBe('missing in the stream');
  });

  it('believes a counter that went back for good, but not a replay', () => {
    const seq = new SymbolSequence(1_000_000);
    for (let n = 0; n < 5000; n++) expect(seq.accept(10 + n, 10 + n, n)).toBe('duplicate');
    expect(seq.accept(1_000_001, 1_000_001, 5000)).toBe('new');
    let verdict = '';
    for (let n = 0; n < 500 && verdict !== 'rebased'; n++) verdict = seq.accept(10 + n, 10 + n, 5000 + n * 1000);
    expect(verdict).toBe('rebased');
    expect(seq.position).toBeLessThan(1000);
  });

  it('holds a bounded number of holes', () => {
    const seq = new SymbolSequence(0);
    for (let n = 2; n < 2000; n += 2) seq.accept(n, n, 0);
    expect(seq.expire(0, WINDOW).length).toBeGreaterThan(700);
    expect(seq.waiting).toBe(true);
  });

  /** Trades 1..n in order, some dropped, some doubled, each delayed by up to `window`, with time going on. */
  const arrivals = fc.array(
    fc.record({ drop: fc.boolean(), twice: fc.boolean(), delay: fc.nat(30), run: fc.integer({ min: 1, max: 4 }) }),
    { minLength: 1, maxLength: 80 },
  );

  it('loses nothing: what the position covers has come or was declared, and never both when it came in time', () => {
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 31, max: 60 }), (steps, window) => {
        let next = 1;
        const sent = steps.flatMap((step, at) => {
          const trade = { from: next, to: next + step.run - 1, at: at + step.delay };
          next = trade.to + 1;
          return step.drop ? [] : step.twice ? [trade, { ...trade, at: trade.at + 3 }] : [trade];
        });
        sent.sort((a, b) => a.at - b.at);
        const seq = new SymbolSequence(0);
        const come = new Set<number>();
        const declared = new Set<number>();
        for (const { from, to, at } of sent) {
          for (const gap of seq.expire(at, window)) for (let n = gap.from; n <= gap.to; n++) declared.add(n);
          const isNew = Array.from({ length: to - from + 1 }, (_, i) => from + i).some(
            (n) => !come.has(n) && !declared.has(n),
          );
          expect(seq.accept(from, to, at)).toBe(isNew ? 'new' : 'duplicate');
          for (let n = from; n <= to; n++) come.add(n);
          for (let n = 1; n <= (seq.position ?? 0); n++) expect(come.has(n) || declared.has(n)).toBe(true);
          expect(come.has((seq.position ?? 0) + 1)).toBe(false);
        }
        for (const gap of seq.expire(1e9, window)) for (let n = gap.from; n <= gap.to; n++) declared.add(n);
        expect(seq.position).toBe(Math.max(0, ...come));
        // No trade was later than the window, so nothing that came may have been declared missing.
        expect([...declared].filter((n) => come.has(n))).toEqual([]);
      }),
    );
  });
});

describe('RangeSet', () => {
  it('holds exactly what was added while it has room', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(200), fc.nat(5)), { maxLength: 60 }), (adds) => {
        const set = new RangeSet(1000);
        const model = new Set<number>();
        for (const [from, more] of adds) {
          set.add(from, from + more);
          for (let n = from; n <= from + more; n++) model.add(n);
        }
        const told = set.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
        expect(told).toEqual([...model].sort((a, b) => a - b));
      }),
    );
  });

  it('stays bounded by joining neighbours, never by forgetting', () => {
    const set = new RangeSet(3);
    for (const n of [1, 10, 12, 30, 50]) set.add(n, n);
    expect(set.ranges).toEqual([
      { from: 1, to: 12 },
      { from: 30, to: 30 },
      { from: 50, to: 50 },
    ]);
  });
});
