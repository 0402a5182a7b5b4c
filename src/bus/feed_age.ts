// When data of a market came last: ticker hashes, else the end of the stream.
import type { Redis } from 'ioredis';
import { streamMarketDataKey, subscriptionsKey, tickerKey } from '../contracts/index.ts';

export interface FeedAge {
  /** How many `channel:symbol` members are wanted. */
  wanted: number;
  /** When the newest message was received, µs; 0: none is known. */
  newestMicros: number;
}

const TAIL = 2_000;
const TICKERS = 200;

/**
 * By market. The end of the stream is read only when the tickers of some market are all older than `enoughMicros`. Rejects when
 * Redis does not answer.
 */
export async function feedAges(redis: Redis, stream: Redis, marketIds: readonly string[], enoughMicros = Infinity): Promise<Map<string, FeedAge>> {
  const ages = new Map<string, FeedAge>();
  for (const marketId of marketIds) {
    const wanted = await redis.smembers(subscriptionsKey(marketId));
    const symbols = wanted.filter((member) => member.startsWith('ticker:')).map((member) => member.slice('ticker:'.length));
    const times = await Promise.all(symbols.slice(0, TICKERS).map((symbol) => redis.hget(tickerKey(marketId, symbol), 'received_ts')));
    ages.set(marketId, { wanted: wanted.length, newestMicros: Math.max(0, ...times.map(Number)) });
  }
  const old = [...ages].filter(([, { newestMicros }]) => newestMicros < enoughMicros);
  const tail = old.length === 0 ? new Map<string, number>() : await newestInStream(stream);
  for (const [marketId, feed] of old) feed.newestMicros = Math.max(feed.newestMicros, tail.get(marketId) ?? 0);
  return ages;
}

/** By market; our own feed_status does not count: a silent market has those too. */
async function newestInStream(stream: Redis): Promise<Map<string, number>> {
  const newest = new Map<string, number>();
  for (const [, fields] of await stream.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', TAIL)) {
    const payload = fields[fields.indexOf('payload') + 1] ?? '';
    if (!/"type":"(?:trade|ticker|ohlc)"/.test(payload)) continue;
    const market = /"market_id":"([a-z0-9_]+)"/.exec(payload)?.[1];
    const received = Number(/"received_ts":(\d+)/.exec(payload)?.[1] ?? 0);
    if (market !== undefined) newest.set(market, Math.max(newest.get(market) ?? 0, received));
  }
  return newest;
}
