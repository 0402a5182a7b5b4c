// The keys as a whole: leftovers of instruments that are gone, and what takes up the memory. SCAN only: KEYS would stop the
// fleet for as long as it runs.
import type { Redis } from 'ioredis';
import { heartbeatKey, tickerKey } from '../contracts/index.ts';

const SCAN_COUNT = 500;
/** Nodes of a big value that Redis looks at to estimate its size. */
const SAMPLES = 100;

export interface SymbolKey {
  readonly marketId: string;
  readonly symbol: string;
}

/** The instruments that have a ticker hash, some at a time; one that is written meanwhile may come twice, or not at all. */
export async function* scanTickers(redis: Redis): AsyncGenerator<SymbolKey[]> {
  for await (const keys of scan(redis, tickerKey('*', '*'))) {
    yield keys.flatMap((key) => {
      const [, marketId, symbol] = /^[^:]+:([^:]+):(.+)$/s.exec(key) ?? [];
      return marketId === undefined || symbol === undefined ? [] : [{ marketId, symbol }];
    });
  }
}

/** Those of `tickers` whose hash was not written with a quote since `sinceMicros`. */
export async function silentTickers(redis: Redis, tickers: readonly SymbolKey[], sinceMicros: number): Promise<SymbolKey[]> {
  const received = await Promise.all(tickers.map(({ marketId, symbol }) => redis.hget(tickerKey(marketId, symbol), 'received_ts')));
  return tickers.filter((_ticker, n) => Number(received[n] ?? 0) < sinceMicros);
}

/** Removes ticker hashes; returns how many were there. */
export const removeTickers = async (redis: Redis, tickers: readonly SymbolKey[]): Promise<number> =>
  tickers.length === 0 ? 0 : redis.unlink(...tickers.map(({ marketId, symbol }) => tickerKey(marketId, symbol)));

/** How many instances of each service beat. Rejects when Redis does not answer. */
export async function countHeartbeats(redis: Redis): Promise<Map<string, number>> {
  const beating = new Map<string, Set<string>>();
  for await (const keys of scan(redis, heartbeatKey('*', '*'))) {
    for (const key of keys) {
      const service = key.split(':', 2)[1] ?? '';
      beating.set(service, (beating.get(service) ?? new Set()).add(key));
    }
  }
  return new Map([...beating].map(([service, keys]) => [service, keys.size]));
}

export interface RedisMemory {
  usedBytes: number;
  peakBytes: number;
  /** 0: no limit. */
  maxBytes: number;
  /** Buffers of the log and of replicas, which do not count against the limit. */
  uncountedBytes: number;
  keys: number;
}

export async function memoryOf(redis: Redis): Promise<RedisMemory> {
  const [info, keys] = await Promise.all([redis.info('memory'), redis.dbsize()]);
  const figure = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  return {
    usedBytes: figure('used_memory'), peakBytes: figure('used_memory_peak'), maxBytes: figure('maxmemory'),
    uncountedBytes: figure('mem_not_counted_for_evict'), keys,
  };
}

export interface StreamSize {
  stream: string;
  entries: number;
  bytes: number;
}

/** Length and estimated size of streams; those that do not exist are left out. */
export async function streamSizes(redis: Redis, streams: readonly string[]): Promise<StreamSize[]> {
  const sizes = await Promise.all(streams.map(async (stream) => {
    const [entries, bytes] = await Promise.all([redis.xlen(stream), redis.memory('USAGE', stream, 'SAMPLES', SAMPLES)]);
    return { stream, entries, bytes };
  }));
  return sizes.flatMap(({ bytes, ...rest }) => (bytes === null ? [] : [{ ...rest, bytes }]));
}

export interface PrefixSize {
  prefix: string;
  /** Keys of the sample. */
  keys: number;
  bytes: number;
}

/** The first `sample` keys that SCAN meets, by what stands before their first colon; biggest first. */
export async function prefixSizes(redis: Redis, sample: number): Promise<PrefixSize[]> {
  const found = new Map<string, PrefixSize>();
  let seen = 0;
  for await (const keys of scan(redis, '*')) {
    const bytes = await Promise.all(keys.map((key) => redis.memory('USAGE', key, 'SAMPLES', SAMPLES)));
    keys.forEach((key, n) => {
      const prefix = key.split(':', 1)[0] ?? key;
      const size = found.get(prefix) ?? { prefix, keys: 0, bytes: 0 };
      size.keys++;
      size.bytes += bytes[n] ?? 0;
      found.set(prefix, size);
    });
    seen += keys.length;
    if (seen >= sample) break;
  }
  return [...found.values()].sort((a, b) => b.bytes - a.bytes);
}

async function* scan(redis: Redis, pattern: string): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
    cursor = next;
    if (keys.length > 0) yield keys;
  } while (cursor !== '0');
}
