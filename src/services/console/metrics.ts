// What the console tells about itself (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function consoleMetrics(metrics: Metrics, open: { readonly streams: () => number; readonly views: () => number }) {
  metrics.gauge('console_event_streams', 'Pages that are being sent what changes', [], function () {
    this.set(open.streams());
  });
  metrics.gauge('console_open_views', 'Views with their parameters that are kept, looked at or not', [], function () {
    this.set(open.views());
  });
  return {
    /** kind: page, asset, view, live, other. status: the number. */
    requests: metrics.counter('console_requests_total', 'Requests over HTTP, by what was asked for and the status of the answer', ['kind', 'status']),
    latency: metrics.histogram('console_request_seconds', 'From a request to its answer, without event streams', SECONDS, ['kind']),
    updates: metrics.counter('console_updates_total', 'Messages sent to pages that watch'),
    bytes: metrics.counter('console_update_bytes_total', 'Bytes sent to pages that watch'),
    late: metrics.counter('console_late_updates_total', 'Times that a message waited because its page did not keep up'),
    reads: metrics.counter('console_reads_total', 'Times that a view was read from Redis or PostgreSQL', ['view']),
    failures: metrics.counter('console_read_failures_total', 'Times that a view could not be read', ['view']),
  };
}

export type ConsoleMetrics = ReturnType<typeof consoleMetrics>;
