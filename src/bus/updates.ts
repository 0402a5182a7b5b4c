// stream:order_updates: every change of an order, fill, position and case, and each refusal, in order. A hint: the tables are the truth.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { streamOrderUpdatesKey, type OrderUpdate } from '../contracts/index.ts';
import { Backoff } from '../core/backoff.ts';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { whenReady } from './connect.ts';
import { loadScript, runScript } from './script.ts';

const script = loadScript('order_updates');
/** About how many updates the stream keeps. */
export const UPDATES_KEPT = 100_000;
const QUEUE_LIMIT = 50_000;
const BATCH = 200;

/** Queues while Redis is away, and never holds up an order. Beyond fifty thousand the oldest are dropped with a log line. */
export class UpdateSink {
  readonly #redis: Redis;
  readonly #log: Pick<Logger, 'warn'>;
  readonly #backoff: Backoff;
  readonly #queue: string[] = [];
  readonly #stopped = new AbortController();
  #dropped = 0;
  #sending: Promise<void> | null = null;

  constructor(redis: Redis, options: { log: Pick<Logger, 'warn'>; random: () => number }) {
    this.#redis = redis;
    this.#log = options.log;
    this.#backoff = new Backoff({ baseMs: 50, maxMs: 2_000, random: options.random });
  }

  /** Never throws. */
  push(update: OrderUpdate): void {
    this.#queue.push(JSON.stringify(update));
    if (this.#queue.length > QUEUE_LIMIT) {
      this.#queue.shift();
      this.#dropped++;
    }
    this.#sending ??= this.#drain();
  }

  /** Resolves when everything so far is out, or after `deadlineMs`. */
  async flushed(deadlineMs: number): Promise<void> {
    await Promise.race([this.#sending, sleep(deadlineMs, undefined, { ref: false })]);
  }

  /** Waits until everything so far is out, at most `deadlineMs`; then stops. */
  async close(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stopped.abort(), deadlineMs);
    await this.#sending;
    clearTimeout(timer);
    this.#stopped.abort();
  }

  async #drain(): Promise<void> {
    const { signal } = this.#stopped;
    const ended = (): boolean => signal.aborted || this.#redis.status === 'end';
    // What this turn of the event loop has to tell goes out at once, and after what is more urgent than news.
    await nextTurn();
    while (this.#queue.length > 0 && !ended()) {
      const batch = this.#queue.splice(0, BATCH);
      try {
        await whenReady(this.#redis, signal);
        await runScript(this.#redis, script, [streamOrderUpdatesKey], [UPDATES_KEPT, ...batch]);
        this.#backoff.reset();
      } catch (error) {
        this.#queue.unshift(...batch);
        if (ended()) break;
        if (this.#backoff.attempts === 0) this.#log.warn({ err: toError(error) }, 'order updates wait for redis');
        await sleep(this.#backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
    if (this.#dropped > 0) this.#log.warn({ dropped: this.#dropped }, 'order updates were dropped while redis was away');
    this.#dropped = 0;
    // Here and not in a turn of its own: what is pushed in between would wait for the next push.
    this.#sending = null;
  }
}
