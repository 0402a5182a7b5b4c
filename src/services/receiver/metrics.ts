// The receiver's figures, one set of series per market.
import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../../runtime/metrics.ts';

const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600];

export interface ReceiverMetrics {
  frames: Counter;
  messages: Counter;
  badFrames: Counter;
  duplicates: Counter;
  gaps: Counter;
  missing: Counter;
  dropped: Counter;
  shed: Counter;
  connects: Counter;
  disconnects: Counter;
  probes: Counter;
  feedAge: Gauge;
  buffered: Gauge;
  subscriptions: Gauge;
  withheld: Gauge;
  batchSeconds: Histogram;
  publishLatency: Histogram;
  publishFailures: Counter;
}

/** Registers everything once per process; series are told apart by label `market`. */
export function receiverMetrics(metrics: Metrics): ReceiverMetrics {
  const market = ['market'];
  return {
    frames: metrics.counter('receiver_frames_total', 'Text frames read, by what they were', ['market', 'class']),
    messages: metrics.counter('receiver_messages_total', 'Messages put into the buffer', ['market', 'type']),
    badFrames: metrics.counter('receiver_bad_frames_total', 'Frames that are no text within limits', [
      'market',
      'kind',
    ]),
    duplicates: metrics.counter('receiver_duplicate_trades_total', 'Trades that had come before', market),
    gaps: metrics.counter('receiver_gaps_total', 'Gaps reported', ['market', 'cause']),
    missing: metrics.counter('receiver_missing_trades_total', 'Sequence numbers inside reported gaps', market),
    dropped: metrics.counter(
      'receiver_dropped_messages_total',
      'Messages the full buffer could not take; trades are reported as gaps',
      ['market', 'type'],
    ),
    shed: metrics.counter('receiver_shed_tickers_total', 'Tickers kept out of the stream while Redis was nearly full', market),
    connects: metrics.counter('receiver_connects_total', 'Connections opened', ['market', 'cause']),
    disconnects: metrics.counter('receiver_disconnects_total', 'Connections lost', market),
    probes: metrics.counter('receiver_probes_total', 'REST probes of a silence, by their outcome', [
      'market',
      'outcome',
    ]),
    feedAge: metrics.gauge('receiver_feed_age_seconds', 'Time since the last data frame', market),
    buffered: metrics.gauge('receiver_buffer_messages', 'Messages waiting for Redis', market),
    subscriptions: metrics.gauge('receiver_subscriptions', 'Subscriptions by state', ['market', 'state']),
    withheld: metrics.gauge('receiver_withheld_subscriptions', 'Wanted, but not subscribed while Redis is nearly full', market),
    batchSeconds: metrics.histogram(
      'receiver_publish_batch_seconds',
      'One batch, from its sending to its reply',
      LATENCY_BUCKETS,
      market,
    ),
    publishLatency: metrics.histogram(
      'receiver_publish_latency_seconds',
      'Socket to Redis, of the oldest trade of each batch',
      LATENCY_BUCKETS,
      market,
    ),
    publishFailures: metrics.counter(
      'receiver_publish_failures_total',
      'Publish calls that failed and were repeated',
      market,
    ),
  };
}
