// Fills a Redis that has little memory up to where the test wants it, and makes room again.
import type { Redis } from 'ioredis';
import { fullness } from '../bus/memory.ts';

const BYTES = 100_000;

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

  /** Everything that it filled in. */
  async empty(): Promise<void> {
    while (this.#count > 0) await this.#redis.del(`filler:${--this.#count}`);
  }
}
