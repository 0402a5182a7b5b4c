// System events: a hint on channel:system_events and its durable copy in stream:system_events.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { channelSystemEventsKey, streamSystemEventsKey, type SystemEvent } from '../contracts/index.ts';
import { Backoff } from '../core/backoff.ts';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { whenReady } from './connect.ts';
import { loadScript, runScript } from './script.ts';

const script = loadScript('event');
/** About how many events stream:system_events keeps. */
export const EVENTS_KEPT = 10_000;

/** Publishes one event and keeps it in the stream; works when Redis is full. Rejects when Redis does not answer. */
export async function emitEvent(redis: Redis, event: SystemEvent): Promise<void> {
  await runScript(redis, script, [streamSystemEventsKey], [channelSystemEventsKey, JSON.stringify(event), EVENTS_KEPT]);
}

export type EventDraft = Pick<SystemEvent, 'type' | 'severity' | 'data'> &
  Partial<Pick<SystemEvent, 'market_id' | 'symbol'>>;

export interface EventSinkOptions {
  /** Begins every event id: unique to this process. */
  source: string;
  nowMicros: () => number;
  random: () => number;
  log: Pick<Logger, 'warn'>;
}

const QUEUE_LIMIT = 10_000;
const SENDING_LIMIT = 64;

/**
 * Events in order, without ever holding up or failing the data path: they queue while Redis is away. Beyond ten
 * thousand the oldest are dropped with a log line.
 */
export class EventSink {
  readonly #redis: Redis;
  readonly #options: EventSinkOptions;
  readonly #queue: SystemEvent[] = [];
  readonly #backoff: Backoff;
  readonly #stopped = new AbortController();
  #numbers = 0;
  #dropped = 0;
  #sending: Promise<void> | null = null;

  constructor(redis: Redis, options: EventSinkOptions) {
    this.#redis = redis;
    this.#options = options;
    this.#backoff = new Backoff({ baseMs: 50, maxMs: 2_000, random: options.random });
  }

  /** Never throws. */
  emit(draft: EventDraft): void {
    const { source, nowMicros } = this.#options;
    this.#queue.push({ event_id: `${source}-${++this.#numbers}`, ts: nowMicros(), ...draft });
    if (this.#queue.length > QUEUE_LIMIT) {
      this.#queue.shift();
      this.#dropped++;
    }
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = null;
    });
  }

  /** Waits until everything emitted so far is out, then stops; gives up after `deadlineMs`. */
  async close(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => this.#stopped.abort(), deadlineMs);
    await this.#sending;
    clearTimeout(timer);
    this.#stopped.abort();
  }

  async #drain(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#queue.length > 0 && !signal.aborted) {
      const batch = this.#queue.splice(0, SENDING_LIMIT);
      try {
        await whenReady(this.#redis, signal);
        await Promise.all(batch.map((event) => emitEvent(this.#redis, event)));
        this.#backoff.reset();
      } catch (error) {
        // Repeating one that was stored is harmless: its id says so.
        this.#queue.unshift(...batch);
        // Closed for good, and so is the process about to be.
        if (this.#redis.status === 'end') break;
        if (this.#backoff.attempts === 0) this.#options.log.warn({ err: toError(error) }, 'events wait for redis');
        await sleep(this.#backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
    if (this.#dropped > 0)
      this.#options.log.warn({ dropped: this.#dropped }, 'events were dropped while redis was away');
    this.#dropped = 0;
  }
}
