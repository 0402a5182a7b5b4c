// A consumer that is behind: pages taken as runs, and what becomes of them when anything goes wrong.
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runsKey } from '../contracts/index.ts';
import { systemClock } from '../runtime/clock.ts';
import { until } from '../testing/receiver.ts';
import { ownRedis, redisServerInstalled } from '../testing/servers.ts';
import type { LocalRedis } from '../scripts/local/redis.ts';
import { closeRedis, connectRedis } from './connect.ts';
import { StreamConsumer, type EntrySink, type StreamEntry } from './consumer.ts';
import { GroupReader } from './group_reader.ts';
import { Runs, type Run } from './runs.ts';

const STREAM = 'stream:test';
const GROUP = 'g';
const RUNS = runsKey(STREAM, GROUP);
const silent = { info: () => undefined, warn: () => undefined };

let server: LocalRedis;
let redis: ReturnType<typeof connectRedis>;
let stops: (() => Promise<void>)[] = [];

/** Takes what comes and keeps it, as a distributor does between delivery and acknowledgement. */
class Basket implements EntrySink {
  readonly entries: StreamEntry[] = [];
  gone = 0;
  limit = Infinity;
  async room(signal: AbortSignal): Promise<void> {
    if (this.entries.length < this.limit) return;
    await until(() => signal.aborted || this.entries.length < this.limit);
  }
  readonly entry = (entry: StreamEntry): void => void this.entries.push(entry);
  held(): ReadonlySet<string> {
    return new Set(this.entries.filter((entry) => entry.run === null).map((entry) => entry.id));
  }
  trouble(): void {
    // The tests look at what was delivered.
  }
  lost(count: number): void {
    this.gone += count;
  }
  claimed(): void {
    // As above.
  }
  get payloads(): number[] {
    return this.entries.map((entry) => Number(entry.payload)).sort((a, b) => a - b);
  }
  runs(): Run[] {
    return [...new Set(this.entries.flatMap(({ run }) => (run === null ? [] : [run])))];
  }
}

interface Running {
  consumer: StreamConsumer;
  basket: Basket;
  stop(): Promise<void>;
}

function consume(name: string, basket = new Basket(), claimIdleMs = 60_000): Running {
  const consumer = new StreamConsumer({
    redis, url: server.url, stream: STREAM, group: GROUP, consumer: name, count: 400, claimIdleMs, clock: systemClock(), random: Math.random,
  });
  const abort = new AbortController();
  const running = consumer.run(basket, abort.signal);
  const stop = async (): Promise<void> => {
    abort.abort();
    await running;
    consumer.close();
  };
  stops.push(stop);
  return { consumer, basket, stop };
}

async function fill(from: number, to: number): Promise<void> {
  const batch = redis.pipeline();
  for (let n = from; n < to; n++) batch.xadd(STREAM, '*', 'payload', String(n));
  await batch.exec();
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from }, (_n, i) => from + i);
const pending = async (): Promise<number> => ((await redis.xpending(STREAM, GROUP)) as [number])[0];

beforeEach(async () => {
  server = await ownRedis({ appendonly: true });
  redis = connectRedis(server.url, { name: 'test', log: silent });
});
afterEach(async () => {
  await Promise.all(stops.map((stop) => stop()));
  stops = [];
  await closeRedis(redis);
  await server.remove();
});

describe.skipIf(!redisServerInstalled())('a consumer that is behind', () => {
  it('takes pages under one mark each, counts exactly, and leaves nothing behind', async () => {
    await fill(0, 5000);
    const { consumer, basket } = consume('a');
    await until(() => basket.entries.length === 5000);
    expect(basket.payloads).toEqual(numbers(0, 5000));
    expect(await pending()).toBeLessThan(500);
    expect(await consumer.lag()).toMatchObject({ entries: 0, pending: 5000 });
    await consumer.ack(basket.entries.filter((entry) => entry.run === null).map((entry) => entry.id));
    await consumer.runsDone(basket.runs());
    expect(await consumer.lag()).toEqual({ entries: 0, pending: 0, seconds: 0 });
    expect(await redis.exists(RUNS)).toBe(0);
  });

  it('shares the stream with others: every entry goes to exactly one', async () => {
    await fill(0, 3000);
    const all = ['a', 'b', 'c'].map((name) => consume(name));
    for (let n = 3000; n < 20_000; n += 1000) await fill(n, n + 1000);
    const got = (): number[] => all.flatMap(({ basket }) => basket.payloads).sort((a, b) => a - b);
    await until(() => got().length >= 20_000);
    expect(got()).toEqual(numbers(0, 20_000));
    expect(all.filter(({ basket }) => basket.runs().length > 0).length).toBeGreaterThan(0);
  });

  it('gives a restarted consumer its own runs again, entry by entry', async () => {
    await fill(0, 2500);
    const first = consume('a');
    await until(() => first.basket.entries.length === 2500);
    await first.stop();
    const second = consume('a');
    await until(() => second.basket.entries.length === 2500);
    expect(second.basket.payloads).toEqual(numbers(0, 2500));
    expect(second.basket.runs()).toEqual([]);
    expect(second.basket.entries.map((entry) => entry.deliveries)).toEqual(numbers(0, 2500).map(() => 2));
    expect(await redis.exists(RUNS)).toBe(0);
    expect(await pending()).toBe(2500);
  });

  it('takes over the runs of a dead consumer, and keeps its own', async () => {
    await fill(0, 2000);
    const dead = consume('dead');
    await until(() => dead.basket.entries.length === 2000);
    await dead.stop();
    const alive = consume('alive', new Basket(), 300);
    await fill(2000, 4000);
    await until(() => alive.basket.entries.length >= 4000);
    expect(alive.basket.payloads).toEqual(numbers(0, 4000));
    // The dead one comes back and settles what is no longer its own: nothing happens.
    await dead.consumer.runsDone(dead.basket.runs());
    expect((await alive.consumer.lag()).pending).toBe(4000);
    // Its own open runs are idle for longer than that, too.
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(alive.basket.entries).toHaveLength(4000);
  });

  it('loses only the deleted entry when the mark itself is deleted', async () => {
    await fill(0, 2000);
    const dead = consume('dead');
    await until(() => dead.basket.entries.length === 2000);
    await dead.stop();
    const marks = dead.basket.runs().map((run) => run.first);
    expect(await redis.xdel(STREAM, ...marks)).toBe(marks.length);
    const alive = consume('alive', new Basket(), 300);
    await until(() => alive.basket.entries.length === 2000 - marks.length);
    expect(alive.basket.gone).toBe(marks.length);
    expect(await redis.exists(RUNS)).toBe(0);
  });

  it('is found by whoever comes next when the consumer with the mark was deleted, and its trimmed entries are counted', async () => {
    await fill(0, 2000);
    const dead = consume('dead');
    await until(() => dead.basket.entries.length === 2000);
    await dead.stop();
    const [run] = dead.basket.runs();
    const singles = dead.basket.entries.filter((entry) => entry.run === null).map((entry) => entry.id);
    await redis.xack(STREAM, GROUP, ...singles);
    // Five from the first page of the run, five from its second: the mark stays.
    const trimmed = [...run!.entries.slice(10, 15), ...run!.entries.slice(-5)].map((entry) => entry.id);
    await redis.xdel(STREAM, ...trimmed);
    await redis.xgroup('DELCONSUMER', STREAM, GROUP, 'dead');
    const alive = consume('alive', new Basket(), 300);
    await until(() => alive.basket.entries.length === 2000 - singles.length - trimmed.length);
    expect(alive.basket.gone).toBe(trimmed.length);
    expect(await redis.exists(RUNS)).toBe(0);
  });

  it('parts a run completely although answers get lost on the way', async () => {
    await fill(0, 2000);
    const { consumer, basket } = consume('a');
    await until(() => basket.entries.length === 2000);
    const [run] = basket.runs();
    // A first page that Redis has done and nobody heard of.
    await redis.eval(readFileSync(new URL('lua/run_dissolve.lua', import.meta.url), 'utf8'), 2, STREAM, RUNS, GROUP, 'a', run!.first, 300);
    await consumer.split(run!);
    expect(await consumer.ack(run!.entries.map((entry) => entry.id))).toBe(run!.entries.length);
    const rest = basket.runs().map(({ first }) => first);
    expect((await redis.hkeys(RUNS)).sort()).toEqual(rest.sort());
  });

  it('makes the entries of one run pending by themselves when they must part', async () => {
    await fill(0, 2000);
    const { consumer, basket } = consume('a');
    await until(() => basket.entries.length === 2000);
    const [run] = basket.runs();
    const before = await pending();
    await consumer.split(run!);
    await consumer.split(run!);
    expect(await pending()).toBe(before - 1 + run!.entries.length);
    expect(await consumer.ack([run!.entries[1]!.id])).toBe(1);
    expect((await consumer.lag()).pending).toBe(1999);
  });

  it('works while Redis is full', async () => {
    await fill(0, 2000);
    const { consumer, basket } = consume('a', Object.assign(new Basket(), { limit: 1 }));
    await until(() => basket.entries.length === 400);
    await redis.config('SET', 'maxmemory', '1mb');
    await expect(redis.xadd(STREAM, '*', 'payload', 'x')).rejects.toThrow('OOM');
    basket.limit = Infinity;
    await until(() => basket.entries.length === 2000);
    const [run, second] = basket.runs();
    await consumer.split(run!);
    await consumer.runsDone([second!]);
    expect((await consumer.lag()).pending).toBe(2000 - second!.entries.length);
    await redis.config('SET', 'maxmemory', '0');
  });
});

describe.skipIf(!redisServerInstalled())('taking a run', () => {
  it('is refused when somebody moved the position, and repeated without harm when only the answer was lost', async () => {
    await fill(0, 300);
    await redis.xgroup('CREATE', STREAM, GROUP, '0');
    const reader = await GroupReader.connect(server.url, 'reader');
    const [a, b] = ['a', 'b'].map((consumer) => new Runs({ redis, stream: STREAM, group: GROUP, consumer }));
    const pageA = await a!.read(reader, '0-0', 100);
    const pageB = await b!.read(reader, '0-0', 150);
    expect(await a!.take(pageA, '0-0')).toBeNull();
    expect(await a!.take(pageA, '0-0')).toBeNull();
    const position = await b!.take(pageB, '0-0');
    expect(position).toBe(pageA.at(-1)!.id);
    const next = await b!.read(reader, position!, 150);
    expect(Number(next[0]!.payload)).toBe(100);
    await redis.xdel(STREAM, next[0]!.id);
    // The first entry is gone: nothing was taken, and another look finds the rest.
    expect(await b!.take(next, position!)).toBe(position);
    expect(await b!.take(await b!.read(reader, position!, 150), position!)).toBeNull();
    expect(await redis.hlen(RUNS)).toBe(2);
    await redis.xgroup('DESTROY', STREAM, GROUP);
    await expect(a!.take(pageA, '0-0')).rejects.toThrow('NOGROUP');
    reader.destroy();
  });
});
