// Whether the market's feed is there, and who hears of it. `connected` goes out before the first data. `disconnected` only
// when no other receiver carries the market: its data would contradict the news. Silence must be proven: where Redis does
// not say that another one is there, it is told.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { CARRY_RENEW_MS, carry, leave } from '../../bus/carriers.ts';
import type { Clock } from '../../core/clock.ts';
import type { FeedStatusReporter } from './status.ts';

export interface PresenceOptions {
  redis: Redis;
  marketId: string;
  /** Names this receiver among the carriers of the market. */
  writer: string;
  clock: Clock;
  status: FeedStatusReporter;
  /** Whose ticker hashes must not look current when nobody carries the market. */
  symbols: () => Iterable<string>;
}

/** A disconnection that is not told: whether somebody else carries the market is being asked, or somebody does. */
interface Untold {
  readonly reason: string;
  state: 'asking' | 'withheld';
}

/** At the end of the process nobody waits longer for an answer. */
const LAST_ANSWER_MS = 500;

export class Presence {
  readonly #o: PresenceOptions;
  /** flowing: data comes, but not everything is acknowledged. */
  #state: 'down' | 'flowing' | 'up' = 'down';
  #untold: Untold | null = null;
  #renewedMs = -Infinity;

  constructor(options: PresenceOptions) {
    this.#o = options;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** The market's first data is about to come. */
  flowing(cause: string): void {
    if (this.#state === 'down') this.#begin(cause, 'flowing');
  }

  /** Everything is acknowledged. Returns whether that is news: after a planned change the feed never was down. */
  allUp(cause: string): boolean {
    const wasUp = this.up;
    if (this.#state === 'down') this.#begin(cause, 'up');
    this.#state = 'up';
    return !wasUp;
  }

  /** Something of the market is missing. */
  down(reason: string): void {
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#untold = { reason, state: 'asking' };
    void this.#ask(this.#untold);
  }

  /** Called once per second: renews the claim, or looks whether the one that had the market is still there. */
  tick(): void {
    const { clock, redis } = this.#o;
    const nowMs = clock.monotonicMs();
    // What is asked while Redis is away would pile up in the client.
    if (nowMs - this.#renewedMs < CARRY_RENEW_MS || redis.status !== 'ready') return;
    this.#renewedMs = nowMs;
    if (this.#state !== 'down') this.#carry();
    else if (this.#untold?.state === 'withheld') void this.#ask(this.#untold);
  }

  /** The last word, when all data has been read: resolves when it is on its way or not needed, within half a second. */
  async close(reason: string): Promise<void> {
    if (this.#state !== 'down') this.#untold = { reason, state: 'asking' };
    this.#state = 'down';
    const untold = this.#untold;
    if (untold === null) return;
    await Promise.race([this.#ask(untold), sleep(LAST_ANSWER_MS, undefined, { ref: false })]);
    if (this.#untold === untold && untold.state === 'asking') this.#tell(untold);
  }

  #begin(cause: string, state: 'flowing' | 'up'): void {
    this.#state = state;
    // In order: what is not proven to be needless goes first.
    if (this.#untold?.state === 'asking') this.#tell(this.#untold);
    this.#untold = null;
    this.#o.status.connected(cause);
    this.#renewedMs = this.#o.clock.monotonicMs();
    this.#carry();
  }

  #carry(): void {
    const { redis, marketId, writer } = this.#o;
    // Without a claim the others tell more than they need.
    carry(redis, marketId, writer).catch(() => undefined);
  }

  async #ask(untold: Untold): Promise<void> {
    const { redis, marketId, writer, status } = this.#o;
    const others = redis.status === 'ready' ? await leave(redis, marketId, writer).catch(() => 0) : 0;
    if (this.#untold !== untold) return;
    if (others === 0) {
      this.#tell(untold);
      return;
    }
    if (untold.state === 'asking') status.carriedByOthers(untold.reason);
    untold.state = 'withheld';
  }

  #tell(untold: Untold): void {
    this.#untold = null;
    this.#o.status.disconnected(untold.reason, this.#o.symbols());
  }
}
