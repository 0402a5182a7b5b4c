// The checks of a run themselves: each is shown a fleet that breaks its promise, and must say so by name.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../../store/connect.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { Peaks, limitsOf, type Measure } from './bounds.ts';
import { checkSchedule, schedule, scheduleHash, type Strike } from './chaos.ts';
import { waitForQueues } from './drain.ts';
import { checkLiveness, lifeProblems, type Pulse, type Service } from './liveness.ts';
import { changedTables, checkReplay, tableHashes } from './replayed.ts';
import { checkSchema } from './schema.ts';
import { judgeRights } from './rights.ts';
import { Search, formsOf, judgeSecrets, lookAtKey } from './secrets.ts';
import { checkStates, stateProblems, type StateChange } from './states.ts';
import { subscriptionProblems } from './subscribed.ts';

let database: FreshDatabase;
let server: FreshRedis;
let pool: Pool;
let redis: Redis;

beforeAll(async () => {
  [database, server] = await Promise.all([freshDatabase('invariants', { migrated: true }), freshRedis()]);
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  redis = new Redis(server.url);
});
beforeEach(async () => {
  await redis.flushdb();
});
afterAll(async () => {
  redis.disconnect();
  await pool.end();
  await Promise.all([database.drop(), server.drop()]);
});

describe('12 state_machine', () => {
  const change = (ver: number, from: string | null, to: string, over: Partial<StateChange> = {}): StateChange =>
    ({ exchange: 'x', ver, epoch: 1, from, to, by: 'janitor', ...over });
  const good = [change(1, null, 'BOOTSTRAPPING'), change(2, 'BOOTSTRAPPING', 'RECONCILING'), change(3, 'RECONCILING', 'HEALTHY')];
  const now = [{ exchange: 'x', state: 'HEALTHY', ver: 3 }];

  it('holds for a bootstrap, and for an operator who unlocks', () => {
    expect(stateProblems(good, now)).toEqual([]);
    const locked = [...good, change(4, 'HEALTHY', 'LOCKED'), change(5, 'LOCKED', 'HEALTHY', { by: 'operator ann' })];
    expect(stateProblems(locked, [{ exchange: 'x', state: 'HEALTHY', ver: 5 }])).toEqual([]);
  });

  it.each([
    ['a missing version', [good[0]!, change(3, 'BOOTSTRAPPING', 'RECONCILING'), change(4, 'RECONCILING', 'HEALTHY')], 'version 3: follows version 1'],
    ['an epoch that falls', [good[0]!, change(2, 'BOOTSTRAPPING', 'RECONCILING', { epoch: 0 }), good[2]!], 'version 2: epoch 0 after 1'],
    ['an edge that is none', [good[0]!, change(2, 'BOOTSTRAPPING', 'AUDITING')], 'BOOTSTRAPPING → AUDITING is no legal edge'],
    ['a start in the middle', [change(1, null, 'HEALTHY')], 'nothing → HEALTHY is no legal edge'],
    ['a state that changed unseen', [good[0]!, change(2, 'RECONCILING', 'HEALTHY')], 'from RECONCILING, but it was BOOTSTRAPPING'],
    ['HEALTHY without a proof', [...good, change(4, 'HEALTHY', 'LOCKED'), change(5, 'LOCKED', 'HEALTHY')], 'HEALTHY from LOCKED by janitor'],
    ['a log that ends early', good.slice(0, 2), 'x is HEALTHY in version 3, the log ends with RECONCILING in 2'],
    ['no log', [], 'x: no change is on record'],
  ])('fails on %s', (_name, log, told) => {
    expect(stateProblems(log, now).join('\n')).toContain(told);
  });

  it('reads log and states from the servers', async () => {
    await pool.query(`INSERT INTO state_log (exchange, ver, epoch, from_state, to_state, at, by, reason)
      VALUES ('x', 1, 1, NULL, 'BOOTSTRAPPING', now(), 'j', 'r')`);
    await redis.mset('system:state:x', 'LOCKED');
    const told = await checkStates(pool, redis, ['x'], 0);
    expect(told).toMatchObject({ number: 12, ok: false });
    expect(told.examples).toContain('x is LOCKED in the end');
  });
});

describe('14 subscriptions', () => {
  it('fails on what is missing, twice, unwanted or idle', () => {
    const wanted = new Set(['a@trade', 'b@trade']);
    const problems = (...names: string[][]): string[] => subscriptionProblems('m', wanted, names.map((list, conn) => ({ conn, names: list })));
    expect(problems(['a@trade', 'b@trade'])).toEqual([]);
    expect(problems(['a@trade'])).toEqual(['m b@trade is wanted and subscribed 0 times']);
    expect(problems(['a@trade', 'b@trade'], ['a@trade'])).toEqual(['m a@trade is wanted and subscribed 2 times']);
    expect(problems(['a@trade', 'b@trade', 'c@trade'])).toEqual(['m c@trade is subscribed but not wanted']);
    expect(problems(['a@trade', 'b@trade'], [])).toEqual(['m connection 1 serves nothing that is wanted']);
  });
});

describe('16 liveness', () => {
  const pulse = (over: Partial<Pulse> = {}): Pulse => ({ name: 'receiver', pid: 5, restarts: 1, killed: 1, heartbeatMs: 100, ...over });

  it.each([
    ['a slow way', pulse(), 9_000, 'p99 of socket → committed is 9000 ms'],
    ['nothing at all', pulse(), null, 'nothing was committed'],
    ['a crash of its own', pulse({ restarts: 2 }), 10, 'receiver was started again 2 times, killed 1 times'],
    ['a process that is gone', pulse({ pid: null, heartbeatMs: null }), 10, 'receiver does not run'],
    ['a process that hangs', pulse({ heartbeatMs: 11_000 }), 10, 'a heartbeat of 11000 ms ago'],
    ['a process without a heartbeat', pulse({ heartbeatMs: null }), 10, 'no heartbeat'],
  ])('fails on %s', (_name, one, latency, told) => {
    expect(lifeProblems([pulse()], 10)).toEqual([]);
    expect(lifeProblems([one], latency).join('\n')).toContain(told);
  });

  it('knows heartbeats by the process that gave them', async () => {
    await redis.set('heartbeat:receiver:1', JSON.stringify({ pid: 5, at: Date.now() * 1000 }));
    const service = (pid: number): Service => ({ name: 'receiver', pid, restarts: 0 });
    expect(await checkLiveness(redis, [service(5)], [], () => 10, 0)).toMatchObject({ number: 16, ok: true });
    expect(await checkLiveness(redis, [service(6)], [], () => 10, 0)).toMatchObject({ ok: false, examples: ['receiver (pid 6) has no heartbeat'] });
  });
});

describe('17 bounded', () => {
  const limits = limitsOf(60, 200);
  const measures = Object.keys(limits) as Measure[];

  it.each(measures)('fails when %s was above its limit once, and when it was never measured', (measure) => {
    const peaks = new Peaks();
    for (const other of measures) peaks.note(other, 'somebody', 1);
    expect(peaks.judge(limits)).toMatchObject({ number: 17, ok: true });
    peaks.note(measure, 'the leak', limits[measure] + 1);
    peaks.note(measure, 'somebody', 1);
    expect(peaks.judge(limits).examples).toEqual([expect.stringContaining(`${measure} of the leak was`)]);
    const blind = new Peaks();
    for (const other of measures) if (other !== measure) blind.note(other, 'somebody', 1);
    expect(blind.judge(limits).examples).toEqual([`${measure} was never measured`]);
  });
});

describe('18 secrets', () => {
  const SECRET = 'can/ary+of 32 chars?';

  it.each(formsOf(SECRET))('finds %s', (form) => {
    const search = new Search(SECRET);
    search.look(['a.log', `{"msg":"connect to postgres://u:${form}@h"}`]);
    expect(judgeSecrets(search, { logs: 1, keys: 1 })).toMatchObject({ number: 18, ok: false, examples: [expect.stringContaining('a.log: ') as string] });
    expect(search.found.join('')).not.toContain(form);
  });

  it('looks into every kind of key, and says when it saw nothing', async () => {
    await redis.set('string', SECRET);
    await redis.hset('hash', 'f', SECRET);
    await redis.rpush('list', SECRET);
    await redis.sadd('set', SECRET);
    await redis.zadd('zset', 1, SECRET);
    for (let i = 0; i < 2_500; i++) void redis.xadd('stream', '*', 'payload', 'x');
    await redis.xadd('stream', '*', 'error', SECRET);
    for (const key of ['string', 'hash', 'list', 'set', 'zset', 'stream']) {
      const search = new Search(SECRET);
      await lookAtKey(search, redis, key);
      expect(search.found, key).toHaveLength(1);
    }
    expect(judgeSecrets(new Search(SECRET), { logs: 0, keys: 3 })).toMatchObject({ ok: false, examples: ['no logs were there to be searched'] });
  });
});

describe('18 rights', () => {
  it('fails on what either server refused, and says what', () => {
    const log = 'LOG:  ready\nERROR:  permission denied for table orders\n';
    expect(judgeRights('errorstat_NOGROUP:count=3\r\nerrorstat_NOPERM:count=2\r\n', log)).toMatchObject({
      number: 18, ok: false, examples: ['Redis answered NOPERM 2 times', 'ERROR:  permission denied for table orders'],
    });
    expect(judgeRights('errorstat_NOGROUP:count=3\r\n', 'LOG:  ready\n').ok).toBe(true);
  });
});

describe('20 schema', () => {
  it('fails on a version behind or unknown, a broken index, an idle transaction and a lock', async () => {
    expect(await checkSchema(pool, 0)).toMatchObject({ number: 20, ok: true });
    const client = await pool.connect();
    await pool.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('9999_x', now())`);
    await pool.query('CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1)');
    await expect(pool.query('CREATE UNIQUE INDEX CONCURRENTLY twice_n ON twice (n)')).rejects.toThrow();
    await client.query('BEGIN; SELECT pg_advisory_xact_lock(4, 2)');
    await expect.poll(async () => (await checkSchema(pool, 0)).examples.join('\n'), { timeout: 10_000 }).toContain('idle in transaction');
    const told = (await checkSchema(pool, 0)).examples.join('\n');
    for (const text of ['9999_x is unknown to this build', 'index twice_n is invalid', 'holds the advisory lock 4 2']) expect(told).toContain(text);
    await client.query('ROLLBACK');
    client.release();
    await pool.query(`DROP TABLE twice; DELETE FROM pgmigrations WHERE name = '9999_x'`);
    await pool.query(`UPDATE pgmigrations SET name = 'old' WHERE id = 1`);
    expect((await checkSchema(pool, 0)).examples.join('\n')).toContain('0001_instruments is not applied');
  });
});

describe('21 replay', () => {
  const price = 'UPDATE public_trades SET price = price + 1';

  it('sees a row that changed, came or went, and not when a candle was written', async () => {
    await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('m', 'A', 'm', 'open');
      INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
        SELECT instrument_id, 1, now(), now(), 'buy', 't', 1, 1 FROM instruments;
      INSERT INTO ohlc SELECT instrument_id, '1m', now(), 1, 1, 1, 1, 1, 1, 1, true, 'stream', now() FROM instruments`);
    const before = await tableHashes(pool);
    await pool.query(`UPDATE ohlc SET updated_at = now() + interval '1 hour'`);
    expect(changedTables(before, await tableHashes(pool))).toEqual([]);
    await pool.query(price);
    expect(changedTables(before, await tableHashes(pool))).toEqual([expect.stringMatching(/^public_trades: 1 .* before, 1 .* after$/)]);
    await pool.query('DELETE FROM ohlc');
    expect(changedTables(before, await tableHashes(pool))).toHaveLength(2);
  });

  it.each([
    ['that changes nothing', 'SELECT 1', true], ['that stores again', price, false],
  ])('reads the stream once more with a reader %s', async (_name, sql, ok) => {
    const stream = 'stream:market_data';
    await redis.xgroup('CREATE', stream, 'distributor', '$', 'MKSTREAM');
    expect(await checkReplay(redis, pool, 0)).toMatchObject({ ok: false, examples: ['the stream was empty: nothing was read again'] });
    await redis.xadd(stream, '*', 'payload', 'x');
    await redis.xgroup('SETID', stream, 'distributor', '$');
    const reader = new Redis(server.url);
    const reading = (async () => {
      // A read that blocks already does not wake when the group is set back.
      for (let ids: string[] = []; ids.length === 0; ) {
        const read = await reader.xreadgroup('GROUP', 'distributor', 'c', 'BLOCK', 50, 'STREAMS', stream, '>') as [string, [string, string[]][]][] | null;
        ids = read?.[0]?.[1].map(([id]) => id) ?? [];
        if (ids.length === 0) continue;
        await pool.query(sql);
        await reader.xack(stream, 'distributor', ...ids);
      }
    })();
    const told = await checkReplay(redis, pool, 5);
    await reading;
    reader.disconnect();
    expect(told).toMatchObject({ number: 21, ok, figures: { entries: 1 } });
    if (!ok) expect(told.examples[0]).toMatch(/^public_trades: /);
  });
});

describe('22 determinism', () => {
  const markets = ['a', 'b', 'c'];
  const plan = (seed: number): ReturnType<typeof schedule> => schedule(seed, markets, 60);
  const done = (seed: number): Strike[] => plan(seed).map(({ at, what }) => ({ atS: Math.round(at * 60 * 10) / 10, what, problem: null }));

  it('gives the same schedule for the same seed, and another for another', () => {
    expect(scheduleHash(plan(3))).toBe(scheduleHash(plan(3)));
    expect(new Set(Array.from({ length: 50 }, (_, seed) => scheduleHash(plan(seed)))).size).toBe(50);
    expect(scheduleHash(schedule(3, ['a', 'b'], 60))).not.toBe(scheduleHash(plan(3)));
    // Known by heart: a change of the schedule is a change of every seed that was ever reported.
    expect(scheduleHash(plan(3))).toMatchInlineSnapshot(`"866da9f66d1b6f68"`);
  });

  it('fails on a fault that was left out, done otherwise or done besides, and on a seed that wavers', () => {
    expect(checkSchedule(plan(3), plan(3), done(3), 60)).toMatchObject({ number: 22, ok: true });
    expect(checkSchedule(plan(3), plan(3), done(3).slice(0, -1), 60).examples).toEqual([expect.stringContaining('done nothing')]);
    expect(checkSchedule(plan(3), plan(3), done(4), 60).ok).toBe(false);
    expect(checkSchedule(plan(3), plan(3), [...done(3), { atS: 50, what: 'more', problem: null }], 60).examples).toEqual(['not planned: more at 50.0 s']);
    expect(checkSchedule(plan(3), plan(4), done(3), 60).examples[0]).toContain('the seed gave');
  });
});

describe('5 queues', () => {
  it('fails on a job that waits, is in hand, or was given up', async () => {
    expect(await waitForQueues(redis, 0)).toMatchObject({ number: 5, ok: true });
    await redis.lpush('queue:trade_work', '{}');
    await redis.hset('leased:queue:ohlc_work', 'l', '{}');
    await redis.xadd('dlq:queue:ohlc_work', '*', 'payload', '{}');
    expect((await waitForQueues(redis, 0)).examples).toEqual(['1 in queue:trade_work', '1 in leased:queue:ohlc_work', '1 in dlq:queue:ohlc_work']);
  });
});
