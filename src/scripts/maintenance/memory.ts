// memory: what fills Redis and the database.
import { memoryOf, prefixSizes, streamSizes } from '../../bus/keyspace.ts';
import { dlqKey, dlqStreamMarketDataKey, queueOhlcWorkKey, queueTradeWorkKey, streamMarketDataKey, streamSystemEventsKey } from '../../contracts/index.ts';
import { biggestTables, databaseSize } from '../../store/upkeep.ts';
import { bytesText, type TaskContext, type TaskReport } from './task.ts';

const STREAMS = [streamMarketDataKey, dlqStreamMarketDataKey];
const EVENT_STREAMS = [streamSystemEventsKey, dlqKey(queueTradeWorkKey), dlqKey(queueOhlcWorkKey)];
/** Keys looked at one by one. */
const SAMPLE = 5_000;
const TABLES = 10;
const WIDTH = 32;

/** A report; changes nothing. Sizes in Redis are its own estimates from samples. */
export async function memory({ redis, stream, pool }: TaskContext): Promise<TaskReport> {
  const apart = stream !== redis;
  const [main, streams, market, events, prefixes, database, tables] = await Promise.all([
    memoryOf(redis), apart ? memoryOf(stream) : null, streamSizes(stream, STREAMS), streamSizes(redis, EVENT_STREAMS),
    prefixSizes(redis, SAMPLE), databaseSize(pool), biggestTables(pool, TABLES),
  ]);
  const row = (name: string, text: string): string => `  ${name.padEnd(WIDTH)} ${text}`;
  const used = ({ usedBytes, maxBytes, peakBytes, keys }: typeof main): string =>
    `${bytesText(usedBytes)} used of ${maxBytes === 0 ? 'no limit' : `${bytesText(maxBytes)} (${Math.round((100 * usedBytes) / maxBytes)} %)`}, `
    + `peak ${bytesText(peakBytes)}, ${keys} keys`;
  const sampled = prefixes.reduce((sum, { keys }) => sum + keys, 0);
  return {
    lines: [
      `redis            ${used(main)}`,
      ...(streams === null ? [] : [`redis of streams ${used(streams)}`]),
      'streams',
      ...[...market, ...events].map(({ stream: name, entries, bytes }) => row(name, `${entries} entries, ${bytesText(bytes)}`)),
      `biggest prefixes (of ${sampled} keys looked at)`,
      ...prefixes.map(({ prefix, keys, bytes }) => row(`${prefix}:`, `${keys} keys, ${bytesText(bytes)}`)),
      `postgres         ${bytesText(database)}`,
      ...tables.map(({ table, bytes, rows }) => row(table, `${bytesText(bytes)}, about ${rows} rows`)),
    ],
    facts: { redis: main, stream_redis: streams, streams: [...market, ...events], prefixes, sampled_keys: sampled, database_bytes: database, tables },
    changed: false,
  };
}
