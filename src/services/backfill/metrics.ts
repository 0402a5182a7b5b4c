// What the backfill workers tell about themselves (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

export function backfillMetrics(metrics: Metrics) {
  return {
    jobs: metrics.counter(
      'backfill_jobs_total', 'Jobs by queue and how they ended (done, dead), or went back: again (an attempt less), waits (for an exchange or for us)',
      ['queue', 'outcome']),
    pages: metrics.counter('backfill_pages_total', 'REST pages fetched, by market and kind', ['market_id', 'kind']),
    rows: metrics.counter('backfill_rows_total', 'Rows stored, by table', ['table']),
    duplicates: metrics.counter('backfill_duplicates_total', 'Fetched trades that were stored already'),
    conflicts: metrics.counter('backfill_conflicts_total', 'Fetched trades that differ from the stored ones'),
    gaps: metrics.counter('backfill_gaps_total', 'Gaps settled, by how (closed, unfillable)', ['status']),
    paused: metrics.gauge('backfill_paused', '1 while no jobs are taken because Redis is nearly full'),
    waiting: metrics.gauge('backfill_queue_jobs', 'Jobs by queue and place (waiting, leased, dead)', ['queue', 'place']),
    unanswered: metrics.gauge('backfill_unanswered_seconds', 'How long an exchange has not answered jobs of a queue; 0: it does', ['queue', 'market_id']),
    reaped: metrics.counter('backfill_reaped_jobs_total', 'Jobs of dead workers that were returned to their queue', ['queue']),
  };
}

export type BackfillMetrics = ReturnType<typeof backfillMetrics>;
