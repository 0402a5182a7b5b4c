// The only place that reads the machine's clocks.
import type { Clock } from '../core/clock.ts';

/** A wall clock that was stepped further than this from our running estimate is believed at once. */
const REANCHOR_AFTER_MS = 5;

/**
 * Wall time in whole microseconds. `Date.now` has milliseconds only, so the monotonic clock supplies the rest from an
 * anchor, which moves when the wall clock was stepped or slewed away from it.
 */
export function systemClock(): Clock {
  let anchorMs = Date.now() - performance.now();
  return {
    nowMicros(): number {
      const wallMs = Date.now();
      const estimateMs = anchorMs + performance.now();
      if (Math.abs(estimateMs - wallMs) <= REANCHOR_AFTER_MS) return Math.round(estimateMs * 1000);
      anchorMs = wallMs - performance.now();
      return wallMs * 1000;
    },
    monotonicMs: () => performance.now(),
  };
}
