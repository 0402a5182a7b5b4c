// What Redis forgets of a group's count when it restarts, and who sets it right.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LocalRedis } from '../scripts/local/redis.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import { closeRedis, connectRedis, whenReady } from './connect.ts';
import { fieldsOf } from './stream_id.ts';
import { undelivered } from './stream_lag.ts';

const STREAM = 'stream:test';
const silent = { info: () => undefined, warn: () => undefined };

let server: LocalRedis;
let redis: ReturnType<typeof connectRedis>;

beforeEach(async () => {
  server = await ownRedis({ appendonly: true });
  redis = connectRedis(server.url, { name: 'test', log: silent });
  await redis.xgroup('CREATE', STREAM, 'g', '0', 'MKSTREAM');
});
afterEach(async () => {
  await closeRedis(redis);
  await server.remove();
});

async function add(count: number): Promise<void> {
  const batch = redis.pipeline();
  for (let n = 0; n < count; n++) batch.xadd(STREAM, '*', 'payload', String(n));
  await batch.exec();
}

const take = (count: number): Promise<unknown> => redis.xreadgroup('GROUP', 'g', 'a', 'COUNT', count, 'STREAMS', STREAM, '>');
const told = async (): Promise<unknown> => fieldsOf(((await redis.xinfo('GROUPS', STREAM)) as unknown[][])[0] ?? [])['lag'];
const delivered = async (): Promise<unknown> =>
  fieldsOf(((await redis.xinfo('GROUPS', STREAM)) as unknown[][])[0] ?? [])['last-delivered-id'];

describe.skipIf(!redisServerInstalled())('what a group has not been given yet', () => {
  it('is counted, and Redis\' own figure mended, after a restart that forgot what was read', async () => {
    await add(2_000);
    // As a run does, then one by one.
    const ids = (await redis.xrange(STREAM, '-', '+')).map(([id]) => id);
    await redis.xgroup('SETID', STREAM, 'g', ids[999]!, 'ENTRIESREAD', 1_000);
    await take(900);
    expect(await told()).toBe(100);
    await server.kill();
    await server.restart();
    await whenReady(redis);
    // What this is about; were it ever 100, Redis would have learnt it.
    expect(await told()).toBe(1_000);
    const position = await delivered();
    expect(await undelivered(redis, STREAM, 'g')).toBe(100);
    expect(await told()).toBe(100);
    expect(await delivered()).toBe(position);
    await add(10);
    await take(110);
    expect(await told()).toBe(0);
    expect(await undelivered(redis, STREAM, 'g')).toBe(0);
  });

  it('is Redis\' own figure while much is left', async () => {
    await add(3_000);
    await take(100);
    expect(await undelivered(redis, STREAM, 'g')).toBe(2_900);
  });

  it('is known although entries in between were deleted, and although Redis is full', async () => {
    await add(50);
    const ids = (await redis.xrange(STREAM, '-', '+')).map(([id]) => id);
    await redis.xdel(STREAM, ...ids.slice(20, 30));
    await redis.config('SET', 'maxmemory', '1mb');
    expect(await undelivered(redis, STREAM, 'g')).toBe(40);
  });

  it('rejects for a group that is not there', async () => {
    await expect(undelivered(redis, STREAM, 'other')).rejects.toThrow('NOGROUP');
  });
});
