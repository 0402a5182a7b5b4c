import { expect, it } from 'vitest';
import type { EventDraft } from '../../bus/events.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { backfillMetrics } from './metrics.ts';
import { Upstreams } from './upstreams.ts';

function upstreams() {
  let now = 0;
  const told: unknown[] = [];
  const all = new Upstreams({
    queue: 'q', clock: { monotonicMs: () => now }, random: () => 0.999, metrics: backfillMetrics(createMetrics('backfill')),
    events: { emit: ({ type, market_id: marketId, data }: EventDraft) => told.push([type, marketId, data]) },
  });
  return { all, told, pass: (ms: number) => (now += ms) };
}

it('leaves a silent market alone, longer each time up to ten seconds, and no other', () => {
  const { all, pass } = upstreams();
  const waits = Array.from({ length: 6 }, () => {
    all.failed('a', 'HTTP 500');
    const wait = all.waitMs('a');
    pass(wait);
    return Math.round(wait / 100) / 10;
  });
  expect(waits).toEqual([1, 2, 4, 8, 10, 10]);
  expect([all.waitMs('a'), all.waitMs('b')]).toEqual([0, 0]);
  all.answered('a');
  all.failed('a', 'HTTP 500');
  expect(Math.round(all.waitMs('a') / 100) / 10).toBe(1);
});

it('tells once that a market has been silent for a while, and when it is back', () => {
  const { all, told, pass } = upstreams();
  all.failed('a', 'HTTP 500');
  all.answered('a');
  for (let i = 0; i < 5; i++) {
    all.failed('a', 'HTTP 502');
    pass(6_000);
  }
  all.answered('a');
  all.answered('a');
  expect(told).toEqual([
    ['backfill.waiting', 'a', { queue: 'q', reason: 'HTTP 502' }], ['backfill.resumed', 'a', { queue: 'q', seconds: 30 }]]);
});
