// The ticker:<market_id>:<symbol> hashes: the latest state, for readers that want no stream. Many updates of one symbol
// while a write is under way become one.
import type { ChainableCommander, Redis } from 'ioredis';
import { tickerKey } from '../contracts/index.ts';

/** A field's text, or null where there is no value: the field is then removed, so that nobody can read it as zero. */
export type HashFields = ReadonlyMap<string, string | null>;

const MAX_PER_PIPELINE = 500;

/**
 * Writes hashes of one market, one pipeline at a time. What Redis refuses is kept, merged with what comes, and tried
 * again.
 */
export class TickerHashes {
  readonly #redis: Redis;
  readonly #marketId: string;
  readonly #dirty = new Map<string, Map<string, string | null>>();
  #writing: Promise<void> | null = null;

  constructor(redis: Redis, marketId: string) {
    this.#redis = redis;
    this.#marketId = marketId;
  }

  set(symbol: string, fields: HashFields): void {
    const waiting = this.#dirty.get(symbol);
    if (waiting === undefined) this.#dirty.set(symbol, new Map(fields));
    else for (const [field, value] of fields) waiting.set(field, value);
  }

  get waiting(): number {
    return this.#dirty.size;
  }

  /**
   * Writes what is waiting, unless the connection is down; waits for a write that is under way instead. Never throws.
   */
  flush(): Promise<void> {
    if (this.#dirty.size === 0 || this.#redis.status !== 'ready') return Promise.resolve();
    this.#writing ??= this.#writeSome().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #writeSome(): Promise<void> {
    const taken = [...this.#dirty].slice(0, MAX_PER_PIPELINE);
    for (const [symbol] of taken) this.#dirty.delete(symbol);
    if (!(await this.#write(taken))) this.#putBack(taken);
  }

  /** Writes everything that waits, for as long as Redis takes it. */
  async drain(): Promise<void> {
    await this.#writing;
    for (let before = Infinity; this.waiting > 0 && this.waiting < before;) {
      before = this.waiting;
      await this.flush();
    }
  }

  async #write(taken: readonly (readonly [string, HashFields])[]): Promise<boolean> {
    const pipeline = this.#redis.pipeline();
    for (const [symbol, fields] of taken) writeHash(pipeline, tickerKey(this.#marketId, symbol), fields);
    try {
      const replies = await pipeline.exec();
      return replies !== null && replies.every(([error]) => error === null);
    } catch {
      return false;
    }
  }

  #putBack(taken: readonly (readonly [string, HashFields])[]): void {
    for (const [symbol, fields] of taken) {
      const newer = this.#dirty.get(symbol);
      this.#dirty.set(symbol, new Map([...fields, ...(newer ?? [])]));
    }
  }
}

/** Removal first: a reader in between misses a field rather than seeing an old quote as current. */
function writeHash(pipeline: ChainableCommander, key: string, fields: HashFields): void {
  const absent = [...fields].filter(([, value]) => value === null).map(([field]) => field);
  const present = [...fields].flatMap(([field, value]) => (value === null ? [] : [field, value]));
  if (absent.length > 0) pipeline.hdel(key, ...absent);
  if (present.length > 0) pipeline.hset(key, ...present);
}
