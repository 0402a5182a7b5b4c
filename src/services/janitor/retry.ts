// Bounded retries: a bootstrap that cannot do its work says why and ends; its supervisor decides what then.
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../core/backoff.ts';
import { toError } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';

export interface RetryOptions {
  /** Names the work in log lines and in the final error. */
  what: string;
  attempts: number;
  /** No other attempt after this long, ms: those that hang until their deadline count for more. */
  forMs?: number;
  /** False ends the retries at once. */
  worthRepeating: (error: Error) => boolean;
  /** What the other side asked for, ms; null when it said nothing. */
  waitMs?: (error: Error) => number | null;
}

const BASE_MS = 250;
const MAX_MS = 5_000;
/** A longer ban than this is not worth a waiting container. */
const LONGEST_WAIT_MS = 30_000;

/** Runs `work` until it succeeds; after the last attempt the error names the work and keeps its cause. */
export async function retry<T>(ctx: ServiceContext, options: RetryOptions, work: () => Promise<T>): Promise<T> {
  const startedMs = ctx.clock.monotonicMs();
  const backoff = new Backoff({ baseMs: BASE_MS, maxMs: MAX_MS, random: ctx.random });
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      const error = toError(thrown);
      const asked = options.waitMs?.(error) ?? null;
      const late = ctx.clock.monotonicMs() - startedMs > (options.forMs ?? Infinity);
      const final = late || attempt >= options.attempts || !options.worthRepeating(error) || (asked ?? 0) > LONGEST_WAIT_MS;
      if (final || ctx.signal.aborted) throw new Error(`${options.what}: ${error.message}`, { cause: error });
      const waitMs = Math.max(asked ?? 0, backoff.next());
      ctx.log.warn({ attempt, reason: error.message, wait_ms: waitMs }, `${options.what} failed, trying again`);
      await pause(waitMs, ctx.signal, options.what);
    }
  }
}

/** An interrupted bootstrap is not a finished one: what waits for its exit code 0 must not start. */
export async function pause(ms: number, signal: AbortSignal, what: string): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    throw new Error(`interrupted before it was done: ${what}`, { cause: error });
  }
}
