// The fleet at a glance, for those who only look: reading commands and nothing else, no scripts. Every function rejects when Redis
// does not answer.
import type { Redis } from 'ioredis';
import { banKey, budgetKey, feedSeqKey, heartbeatKey, streamMarketDataKey, subscriptionsKey, tickerKey } from '../contracts/index.ts';
import { parsePlain } from '../core/json.ts';
import type { RestLimit } from '../net/rate_budget.ts';
import { fieldsOf, millisecondsOf } from './stream_id.ts';

export interface GroupFigures {
  readonly name: string;
  /** Entries not given to the group yet; null: nobody knows. */
  readonly lag: number | null;
  /** Given, and not acknowledged. */
  readonly pending: number;
  /** Newest entry against the last one given, by their ids. */
  readonly lagMs: number;
}

export interface StreamFigures {
  readonly length: number;
  /** Ever; its growth is the rate. */
  readonly added: number;
  readonly groups: readonly GroupFigures[];
}

/** stream:market_data and its consumer groups; all zero while there is none. */
export async function streamFigures(stream: Redis): Promise<StreamFigures> {
  if ((await stream.exists(streamMarketDataKey)) === 0) return { length: 0, added: 0, groups: [] };
  const answers = await Promise.all([stream.xinfo('STREAM', streamMarketDataKey), stream.xinfo('GROUPS', streamMarketDataKey)]);
  const [flat, groups] = answers as [unknown[], unknown[][]];
  const info = fieldsOf(flat);
  const newest = millisecondsOf(info['last-generated-id']);
  return {
    length: Number(info['length']), added: Number(info['entries-added'] ?? 0),
    groups: groups.map(fieldsOf).map((group) => ({
      name: String(group['name']), lag: typeof group['lag'] === 'number' ? group['lag'] : null, pending: Number(group['pending']),
      lagMs: Math.max(0, newest - millisecondsOf(group['last-delivered-id'])),
    })),
  };
}

/** Last published trade number of each symbol of a market. */
export async function feedPositions(redis: Redis, marketId: string): Promise<Map<string, number>> {
  return new Map(Object.entries(await redis.hgetall(feedSeqKey(marketId))).map(([symbol, seq]) => [symbol, Number(seq)]));
}

/** The wanted channels of each symbol of a market, by symbol. */
export async function wantedChannels(redis: Redis, marketId: string): Promise<Map<string, string[]>> {
  const wanted = new Map<string, string[]>();
  for (const member of (await redis.smembers(subscriptionsKey(marketId))).sort()) {
    const colon = member.indexOf(':');
    const symbol = member.slice(colon + 1);
    wanted.set(symbol, [...(wanted.get(symbol) ?? []), member.slice(0, colon)]);
  }
  return new Map([...wanted].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Fields of ticker hashes, one list per symbol, in their orders; null where there is none. */
export async function tickerFields(redis: Redis, marketId: string, symbols: readonly string[], fields: readonly string[]): Promise<(string | null)[][]> {
  const pipeline = redis.pipeline();
  for (const symbol of symbols) pipeline.hmget(tickerKey(marketId, symbol), ...fields);
  return ((await pipeline.exec()) ?? []).map(([error, values]) => {
    if (error !== null) throw error;
    return values as (string | null)[];
  });
}

export interface Beat {
  readonly service: string;
  readonly instance: string;
  readonly says: Readonly<Record<string, unknown>>;
}

const SCAN_PAGE = 1_000;

/** Everybody who is alive, by service and instance. */
export async function allHeartbeats(redis: Redis): Promise<Beat[]> {
  const keys = new Set<string>();
  for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
    const [next, page] = await redis.scan(cursor, 'MATCH', heartbeatKey('*', '*'), 'COUNT', SCAN_PAGE);
    cursor = next;
    for (const key of page) keys.add(key);
  }
  if (keys.size === 0) return [];
  const sorted = [...keys].sort();
  const values = await redis.mget(...sorted);
  return sorted.flatMap((key, n) => {
    const [, service = '', instance = ''] = /^heartbeat:([^:]+):(.+)$/.exec(key) ?? [];
    const says = objectOf(values[n] ?? null);
    return says === null ? [] : [{ service, instance, says }];
  });
}

function objectOf(text: string | null): Record<string, unknown> | null {
  const value = parsePlain(text ?? 'null');
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

export interface BudgetFigures {
  readonly pool: string;
  readonly exchange: string;
  readonly left: number;
  readonly capacity: number;
  readonly refillPerSecond: number;
  /** ms until the exchange may be asked again; 0: it may. */
  readonly bannedMs: number;
  readonly banReason: string | null;
}

/** What is left of a rate limit at `nowMs`, by the same arithmetic as the script that spends it. */
export async function budgetFigures(redis: Redis, exchange: string, limit: RestLimit, nowMs: number): Promise<BudgetFigures> {
  const [[level = null, at = null], reason, ttl] = await Promise.all([
    redis.hmget(budgetKey(limit.pool), 'level', 'at'), redis.get(banKey(exchange)), redis.pttl(banKey(exchange)),
  ]);
  const { pool, capacity, refillPerSecond } = limit;
  const spent = level === null || at === null ? capacity : Number(level) + (Math.max(0, nowMs - Number(at)) * refillPerSecond) / 1000;
  return { pool, exchange, left: Math.floor(Math.min(capacity, spent)), capacity, refillPerSecond, bannedMs: Math.max(0, ttl), banReason: reason };
}
