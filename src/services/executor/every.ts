// Repeated tasks of the executor: a failure is told in health and log, concludes nothing, and is tried again.
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../core/backoff.ts';
import { toError } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';

const RETRY = { baseMs: 500, maxMs: 10_000 };

/** Repeats `task` every `ms` until the process shall end; never rejects. */
export async function every(ctx: ServiceContext, ms: number, name: string, task: () => Promise<unknown>): Promise<void> {
  const { signal, health, log, random } = ctx;
  const backoff = new Backoff({ ...RETRY, random });
  while (!signal.aborted) {
    try {
      await task();
      health.set(name, true, '');
      backoff.reset();
      await pause(ctx, ms);
    } catch (error) {
      health.set(name, false, toError(error).message);
      if (backoff.attempts === 0 && !ctx.signal.aborted) log.warn({ err: toError(error), task: name }, 'a task of the executor failed, trying again');
      await pause(ctx, Math.min(Math.max(ms, 100), backoff.next()));
    }
  }
}

/** Waits `ms`, or until the process shall end. */
export async function pause({ signal }: ServiceContext, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
