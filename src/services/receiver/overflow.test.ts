import { expect, it } from 'vitest';
import { createMetrics } from '../../runtime/metrics.ts';
import { MarketFigures } from './figures.ts';
import { receiverMetrics } from './metrics.ts';
import { Overflow } from './overflow.ts';
import type { FeedStatusReporter } from './status.ts';
import { SymbolFeed } from './symbol_feed.ts';

function stage(): { overflow: Overflow; gaps: [number, number, number][]; told: string[]; report: () => void } {
  const gaps: [number, number, number][] = [];
  const told: string[] = [];
  const status = {
    quietGap: (_symbol: string, gap: { from: number; to: number }, position: number) =>
      gaps.push([gap.from, gap.to, position]),
    unnumberedGap: (symbol: string, fromTs: number, reason: string) => told.push(`${symbol} ${fromTs} ${reason}`),
    event: (type: string, _severity: string, _symbol: string | null, data: unknown) =>
      told.push(`${type} ${JSON.stringify(data)}`),
  } as unknown as FeedStatusReporter;
  const overflow = new Overflow(new MarketFigures('m', receiverMetrics(createMetrics('test'))));
  return { overflow, gaps, told, report: () => overflow.report(status) };
}

it('reports what was dropped, and never promises a position before everything below it is told', () => {
  const { overflow, gaps, told, report } = stage();
  const feed = new SymbolFeed('S', 100);
  // 103 is late: a hole is pending when the buffer fills up.
  for (const seq of [101, 102]) feed.sequence.accept(seq, seq, 0);
  for (const seq of [104, 105, 108, 109]) {
    feed.sequence.accept(seq, seq, 0);
    overflow.trade(feed, seq, seq, false);
  }
  overflow.trade(feed, 101, 101, true);
  report();
  expect(gaps).toEqual([
    [104, 105, 102],
    [108, 109, 102],
  ]);
  expect(told).toEqual(['feed.overflow {"symbols":1,"trades":4,"missing":4,"unnumbered":{"trade":0,"ohlc":0}}']);
  report();
  expect(gaps).toHaveLength(2);
});

it('moves the position with the last range alone', () => {
  const { overflow, gaps, report } = stage();
  const feed = new SymbolFeed('S', 100);
  for (let seq = 101; seq <= 120; seq++) {
    feed.sequence.accept(seq, seq, 0);
    // What Redis took in between left room for a few.
    if (seq <= 105 || seq >= 116) overflow.trade(feed, seq, seq, false);
  }
  report();
  expect(gaps).toEqual([
    [101, 105, 100],
    [116, 120, 120],
  ]);
});

it('counts what has no number', () => {
  const { overflow, told, report } = stage();
  overflow.unnumbered('ohlc', 'A', 70);
  overflow.unnumbered('ohlc', 'A', 60);
  overflow.unnumbered('trade', 'B', 80);
  report();
  expect(told[0]).toMatch(/^A 60 .*: 0 trades without number, 2 closed candles$/);
  expect(told[1]).toMatch(/^B 80 .*: 1 trades without number, 0 closed candles$/);
  expect(told[2]).toContain('"symbols":2');
  expect(told).toHaveLength(3);
});
