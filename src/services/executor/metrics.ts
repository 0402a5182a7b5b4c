// What the executor shows of itself.
import type { Counter, Gauge, Histogram } from 'prom-client';
import type { Metrics } from '../../runtime/metrics.ts';
import { REFUSALS } from './risk/codes.ts';

export interface ExecutorMetrics {
  readonly signals: Counter;
  readonly refusals: Counter;
  readonly updates: Counter;
  readonly leader: Gauge;
  readonly locked: Gauge;
  readonly killed: Gauge;
  readonly liveOrders: Gauge;
  readonly equityDifference: Gauge;
  readonly requestSeconds: Histogram;
  readonly wireSeconds: Histogram;
}

const SECONDS = [0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5];

export function executorMetrics(metrics: Metrics): ExecutorMetrics {
  const refusals = metrics.counter('executor_refusals_total', 'Signals refused, by code', ['code']);
  // From zero on, so that alerts see the first one.
  for (const code of Object.keys(REFUSALS)) refusals.inc({ code }, 0);
  return {
    refusals,
    signals: metrics.counter('executor_signals_total', 'Signals handled, by outcome', ['outcome']),
    updates: metrics.counter('executor_order_updates_total', 'Updates told, by kind', ['kind']),
    leader: metrics.gauge('executor_leader', '1 while this executor is the one that trades'),
    locked: metrics.gauge('executor_locked', '1 while the executor has locked itself'),
    killed: metrics.gauge('executor_kill_switch', '1 while the kill switch is on'),
    liveOrders: metrics.gauge('executor_live_orders', 'Orders that may still work at the exchange'),
    equityDifference: metrics.gauge(
      'executor_equity_difference_coins', "Coins of equity at the exchange minus those of fills and log; the running session's funding is in it", ['currency']),
    requestSeconds: metrics.histogram('executor_request_seconds', 'An order request, from the wire to its outcome', SECONDS, ['outcome']),
    wireSeconds: metrics.histogram('executor_wire_seconds', 'From the gate to the request on the wire', SECONDS),
  };
}
