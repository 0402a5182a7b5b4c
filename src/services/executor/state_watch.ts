// What the system's state allows: read every half second, and at once when an event hints at a change. What cannot be read, or was
// read too long ago, is LOCKED.
import type { Redis } from 'ioredis';
import { channelSystemEventsKey, systemStateSimpleKey } from '../../contracts/index.ts';
import { listen } from '../../bus/pubsub.ts';
import { readState } from '../../bus/state.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';

const STALE_MS = 5_000;

export class StateWatch {
  readonly #redis: Redis;
  readonly #exchange: string;
  readonly #clock: Clock;
  #seen: { simple: string | null; own: string; atMs: number } | null = null;

  constructor(redis: Redis, exchange: string, clock: Clock) {
    this.#redis = redis;
    this.#exchange = exchange;
    this.#clock = clock;
  }

  /** Reads it. Rejects when Redis does not answer. */
  async look(): Promise<void> {
    const [simple, own] = await Promise.all([this.#redis.get(systemStateSimpleKey), readState(this.#redis, this.#exchange)]);
    this.#seen = { simple, own, atMs: this.#clock.monotonicMs() };
  }

  /** Looks again whenever somebody tells of a change; `subscriber` does nothing else. */
  hear(subscriber: Redis, log: Pick<Logger, 'warn'>): void {
    listen(subscriber, new Map([[channelSystemEventsKey, (text) => {
      if (text.includes('state.changed')) this.look().catch(() => undefined);
    }]]), log);
  }

  /** Why only reducing orders are sent, or null: everything may be. */
  get why(): string | null {
    const seen = this.#seen;
    if (seen === null) return 'LOCKED: the state is not known yet';
    const ageMs = this.#clock.monotonicMs() - seen.atMs;
    if (ageMs > STALE_MS) return `LOCKED: the state is not known since ${Math.round(ageMs / 1000)} s`;
    if (seen.own !== 'HEALTHY') return `${this.#exchange} is ${seen.own}`;
    return seen.simple === 'HEALTHY' ? null : `the fleet is ${seen.simple ?? 'without a state'}`;
  }
}
