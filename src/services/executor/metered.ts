// A venue whose order requests are timed.
import type { Clock } from '../../core/clock.ts';
import type { OrderRequest, SubmitOutcome, TradingVenue } from '../../exchanges/trading.ts';
import type { ExecutorMetrics } from './metrics.ts';

/** The same venue; `passedAt` holds, by label, when the gate let an order through (monotonic ms), and forgets it here. */
export function metered(venue: TradingVenue, metrics: ExecutorMetrics, clock: Clock, passedAt: Map<string, number>): TradingVenue {
  const submit = async (request: OrderRequest): Promise<SubmitOutcome> => {
    const sentMs = clock.monotonicMs();
    const passed = passedAt.get(request.label);
    passedAt.delete(request.label);
    const answer = venue.submit(request);
    if (passed !== undefined) metrics.wireSeconds.observe((sentMs - passed) / 1000);
    const outcome = await answer;
    metrics.requestSeconds.observe({ outcome: outcome.kind }, (clock.monotonicMs() - sentMs) / 1000);
    return outcome;
  };
  // Its methods hold private state: they are called on the venue itself.
  return new Proxy(venue, {
    get(target, name) {
      if (name === 'submit') return submit;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
    },
  });
}
