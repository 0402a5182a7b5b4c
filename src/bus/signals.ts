// stream:signals as its one reader takes it: what a dead executor left first, then new entries, one at a time. Whoever reads is the
// leader, so everything pending is its own to take. Delivery is at least once; errors of Redis are waited out here.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { streamSignalsKey } from '../contracts/index.ts';
import { Backoff } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { closeRedis, connectRedis, whenReady } from './connect.ts';
import { fieldsOf } from './stream_id.ts';

export interface SignalEntry {
  id: string;
  /** null: the entry has no such field. */
  payload: string | null;
  mac: string | null;
  /** It was delivered before. */
  again: boolean;
}

export interface SignalReaderOptions {
  /** For commands; must not be a blocking connection. */
  redis: Redis;
  url: string;
  consumer: string;
  clock: Clock;
  random: () => number;
  log: Pick<Logger, 'info' | 'warn'>;
}

export const SIGNAL_GROUP = 'executor';
const BLOCK_MS = 1_000;
/** Beyond the block time: a server that is silent for so long is gone (redis/ioredis#1888). */
const SILENT_MS = 5_000;
const COUNT = 32;
/** What failed, or was left, is taken up again after this long. */
const AGAIN_MS = 5_000;
const CLAIM_PAGE = 100;
const RETRY = { baseMs: 50, maxMs: 2_000 };

type RawEntry = [id: string, fields: string[] | null];

export class SignalReader {
  readonly #options: SignalReaderOptions;
  /** Entries whose handling has not come to its end. */
  readonly #held = new Set<string>();

  constructor(options: SignalReaderOptions) {
    this.#options = options;
  }

  /**
   * Hands entries to `take` until `signal` aborts; the next one comes when it has resolved. Each entry is to be ended by `done` or by
   * `left`. Never rejects.
   */
  async run(take: (entry: SignalEntry) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { redis, random, log } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      try {
        await whenReady(redis, signal);
        await this.#createGroup();
        await this.#session(take, signal, () => backoff.reset());
      } catch (error) {
        if (ended()) return;
        if (backoff.attempts === 0) log.warn({ err: toError(error) }, 'no signals are read, trying again');
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** The entry's outcome is committed. A rejection means that it will be delivered again. */
  async done(id: string): Promise<void> {
    try {
      await this.#options.redis.xack(streamSignalsKey, SIGNAL_GROUP, id);
    } finally {
      this.#held.delete(id);
    }
  }

  /** The entry could not be handled now: it stays pending and comes again. */
  left(id: string): void {
    this.#held.delete(id);
  }

  /** From the beginning: a signal that came before its first reader is late, which is for the gate to say. */
  async #createGroup(): Promise<void> {
    try {
      await this.#options.redis.xgroup('CREATE', streamSignalsKey, SIGNAL_GROUP, '0', 'MKSTREAM');
    } catch (error) {
      if (!toError(error).message.startsWith('BUSYGROUP')) throw error;
    }
  }

  async #session(take: (entry: SignalEntry) => Promise<void>, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { url, consumer, log, clock } = this.#options;
    const blocking = connectRedis(url, { name: `${consumer}-signals`, log, blocking: true });
    const end = (): void => blocking.disconnect();
    signal.addEventListener('abort', end, { once: true });
    try {
      await this.#claim(take, signal, 0);
      let nextClaim = clock.monotonicMs() + AGAIN_MS;
      while (!signal.aborted) {
        if (clock.monotonicMs() >= nextClaim) {
          await this.#claim(take, signal, AGAIN_MS);
          nextClaim = clock.monotonicMs() + AGAIN_MS;
        }
        const page = await within(
          blocking.xreadgroup('GROUP', SIGNAL_GROUP, consumer, 'COUNT', COUNT, 'BLOCK', BLOCK_MS, 'STREAMS', streamSignalsKey, '>'), BLOCK_MS + SILENT_MS);
        healthy();
        const [stream] = (page as [string, RawEntry[]][] | null) ?? [];
        for (const raw of stream?.[1] ?? []) await this.#hand(raw, false, take, signal);
      }
    } finally {
      signal.removeEventListener('abort', end);
      await closeRedis(blocking);
    }
  }

  /** Everything pending, whoever had it, that has been idle for `idleMs`. */
  async #claim(take: (entry: SignalEntry) => Promise<void>, signal: AbortSignal, idleMs: number): Promise<void> {
    const { redis, consumer } = this.#options;
    for (let cursor = '0-0', first = true; (first || cursor !== '0-0') && !signal.aborted; first = false) {
      const reply = (await redis.xautoclaim(streamSignalsKey, SIGNAL_GROUP, consumer, idleMs, cursor, 'COUNT', CLAIM_PAGE)) as [string, RawEntry[]];
      cursor = reply[0];
      for (const raw of reply[1]) await this.#hand(raw, true, take, signal);
    }
  }

  async #hand([id, fields]: RawEntry, again: boolean, take: (entry: SignalEntry) => Promise<void>, signal: AbortSignal): Promise<void> {
    // After the end, what is left stays pending for the next leader.
    if (signal.aborted || this.#held.has(id)) return;
    this.#held.add(id);
    const { payload, mac } = fieldsOf(fields ?? []);
    await take({ id, payload: typeof payload === 'string' ? payload : null, mac: typeof mac === 'string' ? mac : null, again });
  }
}

/** Rejects when `work` takes longer; what it brings later stays pending and is claimed. */
async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(() => timeout.reject(new Error('blocking read timed out')), ms);
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
