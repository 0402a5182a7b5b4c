// What the maintenance tells about itself (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

export function maintenanceMetrics(metrics: Metrics) {
  return {
    instances: metrics.gauge('maintenance_instances', 'Instances that are alive, by the service they are of', ['of']),
    runs: metrics.counter('maintenance_runs_total', 'Runs of tasks, by how they ended (done, failed)', ['task', 'outcome']),
    lastSuccess: metrics.gauge('maintenance_last_success_seconds', 'When each task succeeded last, seconds since the epoch', ['task']),
    memoryRatio: metrics.gauge('maintenance_memory_ratio', 'Used memory of Redis as a part of maxmemory'),
    memoryLevel: metrics.gauge('maintenance_memory_level', 'Level of the memory ladder: 0 normal to 5 locked'),
    streamEntries: metrics.gauge('maintenance_stream_entries', 'Entries of each stream after it was trimmed', ['stream']),
    trimmed: metrics.counter('maintenance_trimmed_entries_total', 'Entries removed, by stream', ['stream']),
    removedKeys: metrics.counter('maintenance_removed_keys_total', 'Ticker hashes of instruments that are gone, removed'),
    expired: metrics.counter('maintenance_expired_instruments_total', 'Instruments marked as expired'),
    dropped: metrics.counter('maintenance_dropped_partitions_total', 'Day partitions dropped, by table', ['table']),
    heldDays: metrics.gauge('maintenance_held_partitions', 'Day partitions past their retention that unsettled gaps hold back', ['table']),
  };
}

export type MaintenanceMetrics = ReturnType<typeof maintenanceMetrics>;
