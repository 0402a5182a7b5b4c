// What the notifier tells about itself (docs/metrics.md explains each).
import type { Metrics } from '../../runtime/metrics.ts';

export function notifierMetrics(metrics: Metrics) {
  return {
    told: metrics.counter('notifier_told_events_total', 'Events that a target took', ['target']),
    leftOut: metrics.counter('notifier_left_out_events_total', 'Events left out: the same kind had been told shortly before', ['target']),
    refused: metrics.counter('notifier_refused_messages_total', 'Messages that a target will never take', ['target']),
    failures: metrics.counter('notifier_failures_total', 'Attempts that a target did not take', ['target']),
    lost: metrics.counter('notifier_lost_events_total', 'Events that were trimmed from the stream before they could be told', ['target']),
    waiting: metrics.gauge('notifier_waiting_events', 'Events in hand that wait to be told', ['target']),
  };
}

export type NotifierMetrics = ReturnType<typeof notifierMetrics>;
