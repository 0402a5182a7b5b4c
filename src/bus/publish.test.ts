import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { feedSeqKey, streamMarketDataKey } from '../contracts/index.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import type { LocalRedis, RedisOptions } from '../scripts/local/redis.ts';
import { connectRedis } from './connect.ts';
import { Publisher, type PublishBatch } from './publish.ts';

const log = { info: () => undefined, warn: () => undefined };
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function server(options: RedisOptions = {}): Promise<{ server: LocalRedis; admin: Redis }> {
  const local = await ownRedis(options);
  const admin = connectRedis(local.url, { name: 'admin', log });
  closers.push(
    () => local.remove(),
    () => admin.disconnect(),
  );
  return { server: local, admin };
}

function publisherTo(
  url: string,
  hooks: { onFailure?: (error: Error) => void; onChainLost?: () => Promise<void> } = {},
): Publisher {
  const redis = connectRedis(url, { name: 'test', log });
  const publisher = new Publisher(redis, {
    streamKey: streamMarketDataKey,
    seqKey: feedSeqKey('m'),
    writer: `w${Math.random()}`,
    random: Math.random,
    ...hooks,
  });
  closers.push(
    () => redis.disconnect(),
    () => publisher.close(),
  );
  return publisher;
}

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `{"n":${from + i},"é":"ü"}`);
const batch = (from: number, to: number): PublishBatch => ({
  payloads: range(from, to),
  lastSeqs: new Map([['SYM', to - 1]]),
});
const stored = async (admin: Redis): Promise<string[]> =>
  (await admin.xrange(streamMarketDataKey, '-', '+')).map(([, fields]) => {
    expect([fields.length, fields[0]]).toEqual([2, 'payload']);
    return fields[1]!;
  });

/** A proxy that can cut its connections once the server has answered `bytes` more, before the client hears of it. */
async function proxyTo(url: string): Promise<{ url: string; cutAtNextAnswer: () => void; cuts: () => number }> {
  const target = new URL(url);
  let armed = false;
  let cuts = 0;
  const open = new Set<Socket>();
  const proxy = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          client.destroy();
          upstream.destroy();
        });
    }
    client.pipe(upstream);
    upstream.on('data', (data) => {
      if (!armed || !data.includes('-')) return client.write(data);
      armed = false;
      cuts++;
      return client.destroy();
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  closers.push(() => {
    for (const socket of open) socket.destroy();
    proxy.close();
  });
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cutAtNextAnswer: () => (armed = true),
    cuts: () => cuts,
  };
}

describe.skipIf(!redisServerInstalled())('Publisher', () => {
  it('stores batches in order and notes how far each symbol has got', async () => {
    const {
      server: { url },
      admin,
    } = await server();
    const publisher = publisherTo(url);
    await Promise.all(Array.from({ length: 40 }, (_, i) => publisher.publish(batch(i * 100, i * 100 + 100))));
    expect(await stored(admin)).toEqual(range(0, 4000));
    expect(await admin.hgetall(feedSeqKey('m'))).toEqual({ SYM: '3999' });
    await publisher.publish({ payloads: ['lone'], lastSeqs: new Map() });
    expect((await stored(admin)).at(-1)).toBe('lone');
  });

  it('loses nothing, doubles nothing and keeps the order when Redis is killed and restarted', async () => {
    const { server: local, admin } = await server({ appendonly: true });
    // With everysec a kill during a slow fsync loses what was acknowledged (docs/blueprint.md); here every reply is on disk.
    const everyWrite = (): Promise<unknown> => admin.config('SET', 'appendfsync', 'always');
    await everyWrite();
    const failures: string[] = [];
    const publisher = publisherTo(local.url, { onFailure: ({ message }) => failures.push(message) });
    const all: Promise<void>[] = [];
    for (let i = 0; i < 60; i++) {
      all.push(publisher.publish(batch(i * 500, i * 500 + 500)));
      if (i % 20 === 10) {
        await all[i - 3];
        await local.kill();
        await local.restart();
        await everyWrite();
      }
    }
    await Promise.all(all);
    expect(failures.length).toBeGreaterThan(0);
    expect(await stored(admin)).toEqual(range(0, 30_000));
  });

  it('stores a batch once whose reply was lost, with the next one in flight behind it', async () => {
    const { server: local, admin } = await server();
    const proxy = await proxyTo(local.url);
    const publisher = publisherTo(proxy.url);
    await publisher.publish(batch(0, 10));
    for (let i = 1; i < 20; i++) {
      proxy.cutAtNextAnswer();
      await Promise.all([publisher.publish(batch(i * 20 - 10, i * 20)), publisher.publish(batch(i * 20, i * 20 + 10))]);
    }
    expect(proxy.cuts()).toBe(19);
    expect(await stored(admin)).toEqual(range(0, 390));
  });

  it('is refused as a whole by a full Redis, and goes on in order when there is room', async () => {
    const { server: local, admin } = await server({ maxmemory: '3mb' });
    const first = Promise.withResolvers<string>();
    const publisher = publisherTo(local.url, { onFailure: ({ message }) => first.resolve(message) });
    await publisher.publish(batch(0, 10));
    const fill = async (): Promise<void> => {
      for (let i = 0; ; i++) await admin.set(`filler${i}`, 'x'.repeat(50_000));
    };
    await expect(fill()).rejects.toThrow('OOM');
    const later = Promise.all([
      publisher.publish(batch(10, 20)),
      publisher.publish(batch(20, 30)),
      publisher.publish(batch(30, 40)),
    ]);
    expect(await first.promise).toContain('OOM');
    expect(await stored(admin)).toEqual(range(0, 10));
    const keys = await admin.keys('filler*');
    await admin.del(...keys);
    await later;
    expect(await stored(admin)).toEqual(range(0, 40));
  });

  it('lets nothing overtake a refused batch, even when there is room again at once', async () => {
    const { server: local, admin } = await server();
    const publisher = publisherTo(local.url);
    await publisher.publish(batch(0, 10));
    // The guard sees the chain broken: the second of the two in flight must wait for the first.
    await admin.config('SET', 'maxmemory', '1');
    const later = [publisher.publish(batch(10, 20)), publisher.publish(batch(20, 30))];
    await admin.config('SET', 'maxmemory', '0');
    await Promise.all(later);
    expect(await stored(admin)).toEqual(range(0, 30));
  });

  it('notices that Redis was emptied, says so, and goes on', async () => {
    const { server: local, admin } = await server();
    let lost = 0;
    const publisher = publisherTo(local.url, {
      onChainLost: () => {
        lost++;
        return Promise.resolve();
      },
    });
    await publisher.publish(batch(0, 10));
    await publisher.publish(batch(10, 20));
    expect(lost).toBe(0);
    await admin.flushall();
    await publisher.publish(batch(20, 30));
    expect(lost).toBe(1);
    await publisher.publish(batch(30, 40));
    expect(await stored(admin)).toEqual(range(20, 40));
    expect(lost).toBe(1);
  });

  it('does not take an executed transaction with errors inside for stored', async () => {
    const { server: local, admin } = await server();
    const failed = Promise.withResolvers<string>();
    const publisher = publisherTo(local.url, { onFailure: ({ message }) => failed.resolve(message) });
    await admin.set(streamMarketDataKey, 'no stream');
    const done = Promise.all([publisher.publish(batch(0, 10)), publisher.publish(batch(10, 20))]);
    expect(await failed.promise).toContain('WRONGTYPE');
    await admin.del(streamMarketDataKey);
    await done;
    expect(await stored(admin)).toEqual(range(0, 20));
  });

  it('rejects what is not stored when it is closed', async () => {
    const { server: local } = await server();
    const publisher = publisherTo(local.url);
    await local.kill();
    const waiting = expect(publisher.publish(batch(0, 10))).rejects.toThrow('closed');
    publisher.close();
    await waiting;
    await expect(publisher.publish(batch(0, 10))).rejects.toThrow('closed');
  });
});
