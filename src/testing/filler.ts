// Fills a Redis that has little memory up to where the test wants it, and makes room again.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { fullness } from '../bus/memory.ts';

const BYTES = 100_000;
const HOLD_MS = 5;

export class Filler {
  readonly #redis: Redis;
  #count = 0;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Up or down to a part of maxmemory; what others write meanwhile comes on top. */
  async to(ratio: number): Promise<void> {
    while (await fullness(this.#redis) < ratio) await this.#redis.set(`filler:${this.#count++}`, 'x'.repeat(BYTES));
    while (this.#count > 0 && await fullness(this.#redis) > ratio + 0.005) await this.#redis.del(`filler:${--this.#count}`);
  }

  /** Until Redis refuses writes, small ones too. */
  async full(): Promise<void> {
    for (const size of [BYTES, 1_000, 1]) {
      for (let refused = false; !refused;) {
        refused = await this.#redis.set(`filler:${this.#count}`, 'x'.repeat(size)).then(() => false, () => true);
        if (!refused) this.#count++;
      }
    }
  }

  /** As `full`, and keeps it so, whatever others give back, until what it returns is called. */
  async hold(): Promise<() => Promise<void>> {
    const stop = new AbortController();
    const ended = (): boolean => stop.signal.aborted;
    await this.full();
    const holding = (async (): Promise<void> => {
      while (!ended()) {
        await this.full();
        await sleep(HOLD_MS, undefined, { signal: stop.signal }).catch(() => undefined);
      }
    })();
    return async () => {
      stop.abort();
      await holding;
    };
  }

  /** Everything that it filled in. */
  async empty(): Promise<void> {
    while (this.#count > 0) await this.#redis.del(`filler:${--this.#count}`);
  }
}
