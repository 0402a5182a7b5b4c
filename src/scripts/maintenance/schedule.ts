// When tasks run, and the loop that runs one of them at its times. Time is injected: a test lives through a day in a moment.
import { toError } from '../../core/errors.ts';

/** Wall times in ms since the epoch. */
export interface Timing {
  /** The first run of a process that starts at `nowMs`. */
  first(nowMs: number): number;
  /** The run after one that ended at `endedMs`. */
  next(endedMs: number): number;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** A machine that slept, or a clock that was set, is noticed within this. */
const LONGEST_PAUSE_MS = 60_000;

/** At once, and then again this long after each end. */
export const every = (ms: number): Timing => ({ first: (now) => now, next: (ended) => ended + ms });

/** Each day at this hour, UTC. */
export function dailyAt(hour: number): Timing {
  const after = (now: number): number => {
    const today = Math.floor(now / DAY_MS) * DAY_MS + hour * HOUR_MS;
    return today > now ? today : today + DAY_MS;
  };
  return { first: after, next: after };
}

export interface LoopOptions {
  timing: Timing;
  nowMs: () => number;
  /** Resolves after `ms`, or earlier when `signal` aborts. */
  pause: (ms: number, signal: AbortSignal) => Promise<void>;
  signal: AbortSignal;
  run: () => Promise<void>;
  /** Told of every failure; the task is tried again at its next time. */
  onFailure: (error: Error) => void;
}

/** Runs a task at its times until `signal` aborts; never rejects. */
export async function runAtTimes({ timing, nowMs, pause, signal, run, onFailure }: LoopOptions): Promise<void> {
  const ended = (): boolean => signal.aborted;
  for (let due = timing.first(nowMs()); !ended(); due = timing.next(nowMs())) {
    for (let left = due - nowMs(); left > 0 && !ended(); left = due - nowMs()) await pause(Math.min(left, LONGEST_PAUSE_MS), signal);
    if (ended()) return;
    try {
      await run();
    } catch (error) {
      if (!ended()) onFailure(toError(error));
    }
  }
}
