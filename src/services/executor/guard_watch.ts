// Is there a guard that would cancel our orders if this process died? It must say so itself, of this account and of this very process.
import type { Redis } from 'ioredis';
import { readHeartbeats } from '../../bus/heartbeats.ts';
import type { Clock } from '../../core/clock.ts';

const STALE_MS = 5_000;

export class GuardWatch {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #me: { account: string; boot: string };
  #seen: { why: string | null; atMs: number } | null = null;

  constructor(redis: Redis, clock: Clock, me: { account: string; boot: string }) {
    this.#redis = redis;
    this.#clock = clock;
    this.#me = me;
  }

  /** Reads what guards say. Rejects when Redis does not answer. */
  async look(): Promise<void> {
    const guards = await readHeartbeats(this.#redis, 'guard');
    const reasons = guards.map(({ instance, says }) => {
      if (says['armed'] !== true) return `guard ${instance} is not armed: ${JSON.stringify(says['reason'] ?? 'it does not say why')}`;
      if (says['account'] !== this.#me.account) return `guard ${instance} is armed for another account`;
      const watching = says['watching'];
      return Array.isArray(watching) && watching.includes(this.#me.boot) ? null : `guard ${instance} has not tested itself for this process yet`;
    });
    const why = reasons.includes(null) ? null : (reasons[0] ?? 'no guard is alive');
    this.#seen = { why, atMs: this.#clock.monotonicMs() };
  }

  /** Why there is none, or null. */
  get why(): string | null {
    if (this.#seen === null) return 'not looked yet';
    return this.#clock.monotonicMs() - this.#seen.atMs > STALE_MS ? 'its heartbeat cannot be read' : this.#seen.why;
  }
}
