// The only place that reads the machine's clocks.
import type { Clock } from '../core/clock.ts';

/** A wall clock that was stepped further than this from our running estimate is believed. */
const REANCHOR_AFTER_MS = 5;
/** How often the wall clock is asked at most: reading both clocks for each frame was a tenth of a small frame's whole cost. */
const WALL_EVERY_MS = 1;

/**
 * Wall time in whole microseconds. `Date.now` has milliseconds only, so the monotonic clock supplies the rest from an
 * anchor, which moves when the wall clock was stepped or slewed away from it.
 */
export function systemClock(): Clock {
  let anchorMs = Date.now() - performance.now();
  let checkAtMs = 0;
  return {
    nowMicros(): number {
      const monotonicMs = performance.now();
      if (monotonicMs >= checkAtMs) {
        checkAtMs = monotonicMs + WALL_EVERY_MS;
        const wallMs = Date.now();
        if (Math.abs(anchorMs + monotonicMs - wallMs) > REANCHOR_AFTER_MS) anchorMs = wallMs - monotonicMs;
      }
      return Math.round((anchorMs + monotonicMs) * 1000);
    },
    monotonicMs: () => performance.now(),
  };
}
