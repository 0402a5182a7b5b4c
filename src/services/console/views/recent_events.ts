// The newest events, read anew only when there is another one: several views look at them, twice a second.
import type { Redis } from 'ioredis';
import { newestEvents, type LoggedEvent } from '../../../bus/event_log.ts';

const KEPT = 2_000;

export class RecentEvents {
  readonly #redis: Redis;
  #events: readonly LoggedEvent[] = [];
  #reading: Promise<readonly LoggedEvent[]> | null = null;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Newest first, at most two thousand. Rejects when Redis does not answer. */
  read(): Promise<readonly LoggedEvent[]> {
    this.#reading ??= this.#look().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #look(): Promise<readonly LoggedEvent[]> {
    const [newest] = await newestEvents(this.#redis, 1);
    if (newest === undefined || newest.id !== this.#events[0]?.id) this.#events = await newestEvents(this.#redis, KEPT);
    return this.#events;
  }
}
