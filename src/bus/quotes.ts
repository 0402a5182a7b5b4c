// What the ticker hashes say now: reference prices for checks before an order.
import type { Redis } from 'ioredis';
import { tickerKey } from '../contracts/index.ts';

export interface Quote {
  mark: string | null;
  last: string | null;
  index: string | null;
  /** The feed's own word: fresh, stale, disconnected; null: none. */
  feedStatus: string | null;
  /** µs; null: never. */
  receivedTs: number | null;
}

const FIELDS = ['mark_price', 'last_price', 'index_price', 'feed_status', 'received_ts'] as const;

/** The whole hash, as text; null when there is none. Rejects when Redis does not answer. */
export async function readTicker(redis: Redis, marketId: string, symbol: string): Promise<Readonly<Record<string, string>> | null> {
  const fields = await redis.hgetall(tickerKey(marketId, symbol));
  return Object.keys(fields).length === 0 ? null : fields;
}

/** One answer per symbol, in their order. Rejects when Redis does not answer. */
export async function readQuotes(redis: Redis, marketId: string, symbols: readonly string[]): Promise<Quote[]> {
  const pipeline = redis.pipeline();
  for (const symbol of symbols) pipeline.hmget(tickerKey(marketId, symbol), ...FIELDS);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, values]) => {
    if (error !== null) throw error;
    const [mark = null, last = null, index = null, feedStatus = null, received = null] = values as (string | null)[];
    return { mark, last, index, feedStatus, receivedTs: received === null ? null : Number(received) };
  });
}
