// What the analyzer tells about itself (docs/metrics.md explains each).
import type { Analysis } from '../../core/analysis/analysis.ts';
import type { Metrics } from '../../runtime/metrics.ts';

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

export function analyzerMetrics(metrics: Metrics, analysis: Pick<Analysis, 'symbols' | 'quarantined'>) {
  metrics.gauge('analyzer_symbols', 'Symbols whose state is kept', [], function () {
    this.set(analysis.symbols);
  });
  metrics.gauge('analyzer_quarantined_symbols', 'Symbols set aside after a malformed or absurd message', [], function () {
    this.set(analysis.quarantined);
  });
  return {
    messages: metrics.counter('analyzer_messages_total', 'Stream entries taken in'),
    rebuilt: metrics.counter('analyzer_rebuilt_entries_total', 'Stream entries read again at the start, to rebuild the state'),
    malformed: metrics.counter('analyzer_malformed_messages_total', 'Entries that are no message of the contract'),
    quarantines: metrics.counter('analyzer_quarantines_total', 'Times that a symbol was set aside'),
    events: metrics.counter('analyzer_events_total', 'Events published, by type', ['type']),
    repeated: metrics.counter('analyzer_repeated_events_total', 'Events that had been published before, and were not again'),
    failures: metrics.counter('analyzer_publish_failures_total', 'Attempts to publish or acknowledge that Redis did not answer'),
    latency: metrics.histogram('analyzer_event_latency_seconds', 'From the socket (received_ts) to the published event', SECONDS),
    lost: metrics.counter('analyzer_lost_entries_total', 'Pending entries whose content was deleted from the stream'),
    lagEntries: metrics.gauge('analyzer_lag_entries', 'Entries not yet delivered to the group'),
    lagSeconds: metrics.gauge('analyzer_lag_seconds', 'Newest entry against last delivered entry, by their ids'),
  };
}

export type AnalyzerMetrics = ReturnType<typeof analyzerMetrics>;
