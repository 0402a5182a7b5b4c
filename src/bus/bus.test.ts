import { afterEach, describe, expect, it } from 'vitest';
import { channelSystemEventsKey, streamSystemEventsKey, tickerKey } from '../contracts/index.ts';
import type { LocalRedis, RedisOptions } from '../scripts/local/redis.ts';
import { until } from '../testing/receiver.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import { closeRedis, connectRedis, whenReady } from './connect.ts';
import { EventSink } from './events.ts';
import { listen } from './pubsub.ts';
import { TickerHashes } from './ticker.ts';
import { addWanted, removeWanted, syncWanted, unlistedSymbols } from './wanted.ts';

const lines: string[] = [];
const note = (fields: unknown, message?: string): void => void lines.push(JSON.stringify(fields) + String(message));
const log = { info: note, warn: note };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function server(
  options: RedisOptions = {},
): Promise<{ local: LocalRedis; redis: ReturnType<typeof connectRedis> }> {
  const local = await ownRedis(options);
  const redis = connectRedis(local.url, { name: 'test', log });
  closers.push(
    () => local.remove(),
    () => closeRedis(redis),
  );
  return { local, redis };
}

describe.skipIf(!redisServerInstalled())('bus', () => {
  it('comes back after a restart, and says so without secrets', async () => {
    const { local, redis } = await server({ appendonly: true });
    await redis.set('k', 'v');
    const guarded = connectRedis(local.url.replace('redis://', 'redis://user:canary@'), { name: 'guarded', log });
    closers.push(() => guarded.disconnect());
    await local.kill();
    await until(() => redis.status !== 'ready');
    const stop = new AbortController();
    const waiting = expect(whenReady(redis, stop.signal)).rejects.toThrow('aborted');
    stop.abort();
    await waiting;
    await local.restart();
    await whenReady(redis);
    expect(await redis.get('k')).toBe('v');
    await until(() => lines.some((line) => line.includes('redis connection failed')));
    expect(lines.join('\n')).not.toContain('canary');
  });

  it('keeps events while Redis is away and tells them in order, also when it is full', async () => {
    const { local, redis } = await server({ appendonly: true });
    const listener = connectRedis(local.url, { name: 'listener', log, blocking: true });
    closers.push(() => closeRedis(listener));
    const heard: string[] = [];
    listen(listener, new Map([[channelSystemEventsKey, (text: string) => heard.push(text)]]), log);
    await until(async () => ((await redis.pubsub('NUMSUB', channelSystemEventsKey)))[1] === 1);
    const sink = new EventSink(redis, {
      source: 's',
      nowMicros: () => 1_790_000_000_000_000,
      random: Math.random,
      log,
    });
    const emit = (n: number): void => sink.emit({ type: 'feed.gap', severity: 'info', market_id: 'm', data: { n } });
    emit(1);
    await until(() => heard.length === 1);
    await local.kill();
    for (let n = 2; n <= 200; n++) emit(n);
    await local.restart();
    await until(async () => (await redis.xlen(streamSystemEventsKey)) === 200);
    await redis.config('SET', 'maxmemory', '1');
    emit(201);
    await sink.close(5000);
    const kept = (await redis.xrange(streamSystemEventsKey, '-', '+')).map(
      ([, fields]) => JSON.parse(fields[1] ?? '') as unknown,
    );
    expect(kept).toHaveLength(201);
    expect(kept.map((event) => (event as { data: { n: number } }).data.n)).toEqual(kept.map((_, i) => i + 1));
    expect(new Set(kept.map((event) => (event as { event_id: string }).event_id)).size).toBe(201);
  });

  it('goes on listening after a handler threw', async () => {
    const { local, redis } = await server();
    const listener = connectRedis(local.url, { name: 'listener', log, blocking: true });
    closers.push(() => closeRedis(listener));
    const heard: string[] = [];
    const handler = (text: string): void => {
      heard.push(text);
      throw new Error('no');
    };
    listen(listener, new Map([['c', handler]]), log);
    await until(async () => ((await redis.pubsub('NUMSUB', 'c')))[1] === 1);
    await redis.publish('c', 'one');
    await redis.publish('c', 'two');
    await until(() => heard.length === 2);
  });

  it('writes ticker hashes, removes what is absent, and keeps what a full Redis refuses', async () => {
    const { redis } = await server();
    const hashes = new TickerHashes(redis, 'm');
    const read = (): Promise<Record<string, string>> => redis.hgetall(tickerKey('m', 'X'));
    await whenReady(redis);
    hashes.set(
      'X',
      new Map([
        ['best_bid_price', '1'],
        ['last_price', '2'],
      ]),
    );
    hashes.set('X', new Map([['last_price', '3']]));
    await hashes.flush();
    expect(await read()).toEqual({ best_bid_price: '1', last_price: '3' });
    hashes.set('X', new Map([['best_bid_price', null]]));
    await hashes.flush();
    expect(await read()).toEqual({ last_price: '3' });
    await redis.config('SET', 'maxmemory', '1');
    hashes.set('X', new Map([['last_price', '4']]));
    hashes.set('Y', new Map([['last_price', '9']]));
    await hashes.flush();
    expect(hashes.waiting).toBe(2);
    hashes.set('X', new Map([['last_price', '5']]));
    await redis.config('SET', 'maxmemory', '0');
    await hashes.drain();
    expect(await read()).toEqual({ last_price: '5' });
    expect(hashes.waiting).toBe(0);
  });

  it('applies the changes of a configuration once, around what commands did', async () => {
    const { redis } = await server();
    const sync = async (...config: string[]): Promise<string[]> => (await syncWanted(redis, 'm', config)).sort();
    expect(await sync('trade:A', 'trade:B')).toEqual(['trade:A', 'trade:B']);
    expect(await removeWanted(redis, 'm', ['trade:A', 'trade:Z'])).toEqual([true, false]);
    await addWanted(redis, 'm', ['trade:C']);
    expect(await sync('trade:A', 'trade:B')).toEqual(['trade:B', 'trade:C']);
    expect(await sync('trade:A', 'trade:D')).toEqual(['trade:C', 'trade:D']);
    await removeWanted(redis, 'm', ['trade:C', 'trade:D']);
    expect(await sync('trade:A', 'trade:D')).toEqual([]);
    await redis.flushall();
    expect(await sync('trade:A', 'trade:D')).toEqual(['trade:A', 'trade:D']);
  });

  it('knows no unlisted symbol while there is no list', async () => {
    const { redis } = await server();
    expect(await unlistedSymbols(redis, 'm', ['A', 'B'])).toEqual(new Set());
    await redis.sadd('symbols:m', 'A');
    expect(await unlistedSymbols(redis, 'm', ['A', 'B'])).toEqual(new Set(['B']));
  });
});
