// Work queues against a real Redis: leases, dead workers, repeated settling, and a Redis that is full.
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../testing/receiver.ts';
import { freshRedis, type FreshRedis } from '../testing/servers.ts';
import { fleetBudget } from './budget.ts';
import { WorkQueue } from './queue.ts';

const QUEUE = 'queue:trade_work';
let server: FreshRedis;
let redis: Redis;

beforeEach(async () => {
  server = await freshRedis();
  redis = new Redis(server.url);
});
afterEach(async () => {
  redis.disconnect();
  await server.drop();
});

const queueOf = (worker: string, leaseMs = 10_000): WorkQueue =>
  new WorkQueue({ redis, queue: QUEUE, worker, leaseMs, nowMicros: () => 1_790_000_000_000_000 });
const job = (id: string): { job_id: string; from_seq: number; attempts: number } => ({ job_id: id, from_seq: 1_790_000_000_123_456, attempts: 0 });

describe('a work queue', () => {
  it('gives each job to one worker, oldest first, and queues an id once at a time', async () => {
    const [a, b] = [queueOf('a'), queueOf('b')];
    expect(await a.push(job('1'))).toBe(true);
    expect(await b.push(job('1'))).toBe(false);
    await a.push(job('2'));
    const [first, second, none] = [await a.pop(), await b.pop(), await a.pop()];
    expect([first, second].map((leased) => JSON.parse(leased!.payload) as unknown)).toEqual([job('1'), job('2')]);
    expect(none).toBeNull();
    expect(await a.push(job('1'))).toBe(false);
    expect(await a.done(first!, '1')).toBe(true);
    expect(await a.done(first!, '1')).toBe(false);
    expect(await a.push(job('1'))).toBe(true);
    expect(await a.sizes()).toEqual({ waiting: 1, leased: 1, dead: 0 });
  });

  it('gives a job that is pushed first before those that wait', async () => {
    const queue = queueOf('a');
    for (const [id, place] of [['1', 'last'], ['2', 'last'], ['3', 'first']] as const) await queue.push(job(id), place);
    const ids = [await queue.pop(), await queue.pop(), await queue.pop()].map((leased) => (JSON.parse(leased!.payload) as { job_id: string }).job_id);
    expect(ids).toEqual(['3', '1', '2']);
  });

  it('returns the job of a dead worker with one attempt more, digits untouched, and refuses the late one', async () => {
    const [dead, alive] = [queueOf('dead', 50), queueOf('alive')];
    await alive.push(job('1'));
    const lost = await dead.pop();
    await until(async () => (await alive.reap()) === 1);
    const again = await alive.pop();
    expect(JSON.parse(again!.payload)).toEqual({ ...job('1'), attempts: 1 });
    expect(await dead.done(lost!, '1')).toBe(false);
    expect(await dead.again(lost!, lost!.payload)).toBe(false);
    expect(await alive.sizes()).toEqual({ waiting: 0, leased: 1, dead: 0 });
  });

  it('takes a job again whose like was taken out of the queue by hand', async () => {
    const queue = queueOf('a');
    await queue.push(job('1'));
    await queue.push(job('2'));
    await redis.rpop(QUEUE);
    await queue.reap();
    expect(await queue.push(job('2'))).toBe(false);
    await redis.del(QUEUE);
    await queue.reap();
    expect(await queue.push(job('1'))).toBe(true);
  });

  it('keeps a lease alive while its worker works, and tells when it was lost', async () => {
    const [worker, reaper] = [queueOf('w', 1_500), queueOf('r')];
    await worker.push(job('1'));
    const leased = await worker.pop();
    const ended = new AbortController();
    const kept = worker.keep(leased!, ended.signal);
    const deadline = performance.now() + 2_500;
    await until(async () => {
      expect(await reaper.reap()).toBe(0);
      return performance.now() > deadline;
    });
    // The worker may extend it once more in between.
    await until(async () => {
      await redis.zadd(`leases:${QUEUE}`, 1, leased!.lease);
      return (await reaper.reap()) === 1;
    });
    expect(await kept).toBe(false);
    ended.abort();
  });

  it('files dead jobs with payload and reason, once', async () => {
    const queue = queueOf('w');
    await redis.lpush(QUEUE, 'no { json');
    const leased = await queue.pop();
    const failure = { error: 'not JSON', errorClass: 'not_json' as const };
    expect(await queue.dead(leased!, null, failure)).toBe(true);
    expect(await queue.dead(leased!, null, failure)).toBe(false);
    const [[, fields]] = (await redis.xrange(`dlq:${QUEUE}`, '-', '+')) as [[string, string[]]];
    expect(fields).toEqual(['payload', 'no { json', 'error', 'not JSON', 'error_class', 'not_json', 'worker', 'w', 'failed_at', '1790000000000000']);
  });

  it('works while Redis is full', async () => {
    const queue = queueOf('w', 50);
    await queue.push(job('1'));
    await redis.config('SET', 'maxmemory', '1mb');
    await expect(redis.set('x', 'y')).rejects.toThrow('OOM');
    const leased = await queue.pop();
    await until(async () => (await queue.reap()) === 1);
    const again = await queue.pop();
    expect(await queue.done(leased!, '1')).toBe(false);
    expect(await queue.again(again!, again!.payload)).toBe(true);
    expect(await queue.push(job('2'))).toBe(true);
    const third = await queue.pop();
    expect(await queue.dead(third!, '1', { error: 'e', errorClass: 'range' })).toBe(true);
    await redis.config('SET', 'maxmemory', '0');
  });
});

describe('the fleet’s rate budget', () => {
  const limit = { pool: 'p', capacity: 100, refillPerSecond: 1000, cost: () => 10, left: () => null };

  it('is shared: five at once never take more than it holds and refills', async () => {
    const budgets = Array.from({ length: 5 }, () => fleetBudget({ redis, exchange: 'e', limit }));
    const from = performance.now();
    let taken = 0;
    await Promise.all(budgets.map(async (budget) => {
      while (performance.now() - from < 1_000) {
        const wait = await budget.take(10, 'orders');
        if (wait === 0) taken += 10;
        else await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }));
    const seconds = (performance.now() - from) / 1000;
    const allowed = limit.capacity + limit.refillPerSecond * seconds;
    expect(taken).toBeLessThanOrEqual(allowed + 1);
    expect(taken).toBeGreaterThan(allowed / 2);
  });

  it('leaves a part to the lanes above, and serves what is dearer than the rest of it', async () => {
    const slow = { ...limit, refillPerSecond: 0.001 };
    const budget = fleetBudget({ redis, exchange: 'e', limit: slow });
    while ((await budget.take(10, 'backfill')) === 0);
    expect(await budget.take(10, 'gap_repair')).toBe(0);
    while ((await budget.take(10, 'gap_repair')) === 0);
    expect(await budget.take(10, 'orders')).toBe(0);
    const other = fleetBudget({ redis, exchange: 'e', limit: { ...slow, pool: 'q' } });
    expect(await other.take(100, 'backfill')).toBe(0);
  });

  it('believes the exchange when it says that less is left, and obeys a ban, which is never shortened and outlives us', async () => {
    const bans: string[] = [];
    const budget = fleetBudget({ redis, exchange: 'e', limit: { ...limit, refillPerSecond: 0.001 }, onBan: (_ms, reason) => bans.push(reason) });
    await budget.take(10, 'orders');
    await budget.lower(15);
    await budget.lower(50);
    expect(await budget.take(10, 'orders')).toBe(0);
    expect(await budget.take(10, 'orders')).toBeGreaterThan(0);
    await budget.ban(60_000, 'HTTP 418');
    await budget.ban(1_000, 'HTTP 429');
    expect(bans).toEqual(['HTTP 418']);
    const later = fleetBudget({ redis, exchange: 'e', limit: { ...limit, pool: 'other' } });
    expect(await later.take(1, 'orders')).toBeGreaterThan(50_000);
    expect(await redis.get('ban:e')).toBe('HTTP 418');
  });
});
