// Trimming must lose nothing that anybody still needs, whatever state the groups are in.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runsKey } from '../contracts/index.ts';
import type { LocalRedis } from '../scripts/local/redis.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import { closeRedis, connectRedis } from './connect.ts';
import { GroupReader } from './group_reader.ts';
import { Runs } from './runs.ts';
import { boundStream, trimStream } from './trim.ts';

const STREAM = 'stream:test';
const HOUR_MS = 3_600_000;
const silent = { info: () => undefined, warn: () => undefined };

let server: LocalRedis;
let redis: ReturnType<typeof connectRedis>;
let reader: GroupReader;

beforeAll(async () => {
  if (!redisServerInstalled()) return;
  server = await ownRedis();
  redis = connectRedis(server.url, { name: 'test', log: silent });
  reader = await GroupReader.connect(server.url, 'reader');
});
afterAll(async () => {
  if (!redisServerInstalled()) return;
  reader.destroy();
  await closeRedis(redis);
  await server.remove();
});
beforeEach(async () => {
  if (redisServerInstalled()) await redis.flushall();
});

/** Entries 0..count, an age of `ageMs` each; returns their ids. */
async function fill(count: number, ageMs = 0, group: string | null = 'g'): Promise<string[]> {
  const ms = Date.now() - ageMs;
  const batch = redis.pipeline();
  for (let n = 0; n < count; n++) batch.xadd(STREAM, `${ms}-${n + 1}`, 'payload', `${n}`.padEnd(200, 'x'));
  await batch.exec();
  if (group !== null) await redis.xgroup('CREATE', STREAM, group, '0').catch(() => undefined);
  return Array.from({ length: count }, (_id, n) => `${ms}-${n + 1}`);
}

/** Delivers the next entries to the group, and returns their ids. */
async function deliver(count: number, group = 'g'): Promise<string[]> {
  const ids: string[] = [];
  const request = { stream: STREAM, group, consumer: 'c', count, blockMs: null, after: '>' };
  await reader.read(request, (entry) => ids.push(entry.id));
  return ids;
}

const left = async (): Promise<string[]> => (await redis.xrange(STREAM, '-', '+')).map(([id]) => id);

describe.skipIf(!redisServerInstalled())('trimStream', () => {
  it('removes what every group has settled, and says how much', async () => {
    const ids = await fill(1_000);
    await redis.xack(STREAM, 'g', ...(await deliver(1_000)));
    // The entry at the group's position stays: it shows how old the feed is.
    expect(await trimStream(redis, STREAM, 0)).toEqual({ removed: 999, floor: ids[999], heldBy: null, length: 1 });
  });

  it('keeps all that a stalled group was not given yet', async () => {
    const ids = await fill(1_000, 2 * HOUR_MS);
    await redis.xgroup('CREATE', STREAM, 'stalled', '0');
    await redis.xack(STREAM, 'g', ...(await deliver(1_000)));
    expect(await trimStream(redis, STREAM, HOUR_MS)).toEqual({ removed: 0, floor: '0-0', heldBy: 'stalled', length: 1_000 });
    await redis.xack(STREAM, 'stalled', ...(await deliver(400, 'stalled')));
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 399, heldBy: 'stalled' });
    expect(await left()).toEqual(ids.slice(399));
    expect(await deliver(1_000, 'stalled')).toEqual(ids.slice(400));
  });

  it('keeps all from the smallest pending entry on', async () => {
    const ids = await fill(600, 2 * HOUR_MS);
    const given = await deliver(600);
    await redis.xack(STREAM, 'g', ...given.filter((id) => id !== ids[123]));
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 123, floor: ids[123], heldBy: 'g' });
    expect(await left()).toEqual(ids.slice(123));
    await redis.xack(STREAM, 'g', ids[123]!);
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 599 - 123, heldBy: null });
  });

  it('keeps a run whole: only its first entry is pending, and that is its smallest', async () => {
    const ids = await fill(1_500, 2 * HOUR_MS);
    const runs = new Runs({ redis, stream: STREAM, group: 'g', consumer: 'c' });
    const pages = [];
    for (let n = 0; n < 3; n++) {
      const position = n === 0 ? '0-0' : ids[n * 500 - 1]!;
      const page = await runs.read(reader, position, 500);
      expect(await runs.take(page, position)).toBeNull();
      pages.push(page);
    }
    expect(((await redis.xpending(STREAM, 'g')) as [number])[0]).toBe(3);
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 0, floor: ids[0] });
    // The middle one first: the oldest one still holds everything.
    await runs.done([pages[1]![0]!.run!]);
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 0 });
    await runs.done([pages[0]![0]!.run!]);
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 1_000, floor: ids[1_000] });
    // Whoever takes over finds every entry of the last run.
    expect(await runs.dissolve(ids[1_000]!)).toMatchObject({ last: ids[1_499] });
    expect(await redis.exists(runsKey(STREAM, 'g'))).toBe(0);
    expect(((await redis.xpending(STREAM, 'g')) as [number])[0]).toBe(500);
    expect(await left()).toEqual(ids.slice(1_000));
  });

  it('keeps what is younger than the retention, though everybody has it', async () => {
    await fill(300, 2 * HOUR_MS);
    const young = await fill(200, HOUR_MS / 2);
    await redis.xack(STREAM, 'g', ...(await deliver(500)));
    expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 300, heldBy: null, length: 200 });
    expect(await left()).toEqual(young);
  });

  it('leaves a stream alone that has no group, and one that is not there', async () => {
    expect(await trimStream(redis, STREAM, 0)).toEqual({ removed: 0, floor: null, heldBy: null, length: 0 });
    await fill(100, 2 * HOUR_MS, null);
    expect(await trimStream(redis, STREAM, 0)).toEqual({ removed: 0, floor: null, heldBy: null, length: 100 });
  });

  it('counts in a dry run exactly what it would remove, and removes nothing', async () => {
    await fill(25_000, 2 * HOUR_MS);
    await redis.xack(STREAM, 'g', ...(await deliver(20_000)));
    const dry = await trimStream(redis, STREAM, HOUR_MS, true);
    expect(dry).toMatchObject({ removed: 19_999, length: 25_000 });
    expect(await redis.xlen(STREAM)).toBe(25_000);
    expect(await trimStream(redis, STREAM, HOUR_MS)).toEqual({ ...dry, length: 5_001 });
  });

  it('works when Redis is full, and so makes it writable again', async () => {
    await fill(20_000, 2 * HOUR_MS);
    await redis.xack(STREAM, 'g', ...(await deliver(20_000)));
    const used = Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1]);
    await redis.config('SET', 'maxmemory', String(used - 500_000));
    try {
      await expect(redis.xadd(STREAM, '*', 'payload', 'x')).rejects.toThrow('OOM');
      expect(await trimStream(redis, STREAM, HOUR_MS, true)).toMatchObject({ removed: 19_999 });
      expect(await trimStream(redis, STREAM, HOUR_MS)).toMatchObject({ removed: 19_999 });
      await redis.xadd(STREAM, '*', 'payload', 'x');
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
  });
});

describe.skipIf(!redisServerInstalled())('boundStream', () => {
  it('removes the oldest entries beyond the bound, give or take a node', async () => {
    const ids = await fill(25_000, 0, null);
    expect(await boundStream(redis, STREAM, 1_000, true)).toEqual({ removed: 24_000, length: 25_000 });
    const { removed, length } = await boundStream(redis, STREAM, 1_000);
    expect(removed + length).toBe(25_000);
    expect(length).toBeGreaterThanOrEqual(1_000);
    expect(length).toBeLessThan(1_100);
    expect(await left()).toEqual(ids.slice(-length));
    expect(await boundStream(redis, STREAM, 30_000)).toEqual({ removed: 0, length });
    expect(await boundStream(redis, 'stream:none', 100)).toEqual({ removed: 0, length: 0 });
  });
});
