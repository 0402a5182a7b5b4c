// What the distributor tells about itself (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

export function distributorMetrics(metrics: Metrics) {
  return {
    entries: metrics.counter('distributor_entries_total', 'Stream entries taken in'),
    rows: metrics.counter('distributor_rows_total', 'Rows committed, by table', ['table']),
    duplicates: metrics.counter('distributor_duplicates_total', 'Trades that were stored already with the same content'),
    conflicts: metrics.counter('distributor_conflicts_total', 'Trades that were stored already with other content'),
    letters: metrics.counter('distributor_dead_letters_total', 'Entries moved to the dead-letter stream, by class', ['error_class']),
    stubs: metrics.counter('distributor_stub_instruments_total', 'Instruments met before any list told of them'),
    retries: metrics.counter('distributor_retries_total', 'Transactions repeated, by class of the error', ['error_class']),
    bisections: metrics.counter('distributor_bisections_total', 'Batches split to find a bad row'),
    claimed: metrics.counter('distributor_claimed_entries_total', 'Entries taken over from dead consumers'),
    lost: metrics.counter('distributor_lost_entries_total', 'Pending entries whose content was deleted from the stream'),
    batchRows: metrics.histogram('distributor_batch_entries', 'Entries per batch', [1, 10, 100, 500, 1000, 2000, 5000, 10_000, 50_000]),
    batchSeconds: metrics.histogram('distributor_batch_seconds', 'Time from a batch in hand to its commit', SECONDS),
    oldestSeconds: metrics.histogram('distributor_oldest_seconds', 'Age (since received_ts) of the oldest trade of a batch at its commit', SECONDS),
    lagEntries: metrics.gauge('distributor_lag_entries', 'Entries not yet delivered to the group'),
    pendingEntries: metrics.gauge('distributor_pending_entries', 'Entries delivered and not acknowledged, all consumers'),
    lagSeconds: metrics.gauge('distributor_lag_seconds', 'Newest entry against last delivered entry, by their ids'),
    dlqEntries: metrics.gauge('distributor_dlq_entries', 'Dead letters waiting for somebody'),
    defaultRows: metrics.gauge('distributor_default_partition_rows', 'Rows that wait in a default partition', ['table']),
  };
}

export type DistributorMetrics = ReturnType<typeof distributorMetrics>;
