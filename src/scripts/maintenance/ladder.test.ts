// The memory ladder against a real Redis with little memory: the level alone, and the states that it locks.
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fullness, readMemory, writeMemory } from '../../bus/memory.ts';
import { changeState, peekState } from '../../bus/state.ts';
import { streamMarketDataKey, streamSystemEventsKey, systemMemoryKey, systemStateKey, systemStateSimpleKey, type SystemEvent } from '../../contracts/index.ts';
import type { SystemState } from '../../contracts/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createLogger } from '../../runtime/log.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { Filler } from '../../testing/filler.ts';
import { until } from '../../testing/receiver.ts';
import { freshDatabase, ownRedis, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import type { LocalRedis } from '../local/redis.ts';
import { ladder } from './ladder.ts';
import { UnloggedChanges } from './ladder_states.ts';
import { maintenanceMetrics } from './metrics.ts';
import type { TaskContext } from './task.ts';

const clock = systemClock();
const log = createLogger({ service: 'maintenance', level: 'silent' });
const EXCHANGES = ['alpha', 'beta'];

let server: LocalRedis;
let redis: Redis;
let filler: Filler;
let database: FreshDatabase;
let pool: Pool;
let context: TaskContext;

describe.skipIf(!redisServerInstalled())('the memory ladder', () => {
  beforeAll(async () => {
    [server, database] = await Promise.all([ownRedis({ maxmemory: '32mb' }), freshDatabase('ladder', { migrated: true })]);
    redis = new Redis(server.url);
    pool = createPool(database.url, { name: 'test', log });
  });
  afterAll(async () => {
    redis.disconnect();
    await pool.end();
    await Promise.all([server.remove(), database.drop()]);
  });
  beforeEach(async () => {
    await redis.flushall();
    await pool.query('TRUNCATE state_log');
    filler = new Filler(redis);
    context = {
      redis, stream: redis, pool, clock, log, metrics: maintenanceMetrics(createMetrics('maintenance')), dryRun: false, exchanges: EXCHANGES,
      settings: { streamRetainMs: 3_600_000, dlqMax: 1_000, tradesRetentionDays: 0, tickersRetentionDays: 0 },
      unlogged: new UnloggedChanges(pool, log), signal: new AbortController().signal,
    };
  });

  const at = async (ratio: number, over: Partial<TaskContext> = {}): Promise<string | undefined> => {
    await filler.to(ratio);
    await ladder({ ...context, ...over });
    return (await readMemory(redis))?.level;
  };
  const events = async (type: string): Promise<SystemEvent[]> => (await redis.xrange(streamSystemEventsKey, '-', '+'))
    .map(([, fields]) => JSON.parse(fields[1]!) as SystemEvent).filter((event) => event.type === type);
  const move = (exchange: string, to: SystemState, by = 'test'): Promise<unknown> =>
    changeState(redis, { exchange, expected: '*', to, epoch: 1, atMicros: clock.nowMicros(), by, reason: 'test' }, EXCHANGES);
  const states = (): Promise<(string | null)[]> => redis.mget(systemStateSimpleKey, ...EXCHANGES.map(systemStateKey));
  const healthy = async (): Promise<void> => {
    for (const exchange of EXCHANGES) for (const to of ['BOOTSTRAPPING', 'RECONCILING', 'HEALTHY'] as const) await move(exchange, to);
  };

  it('goes up and down with what Redis uses, and tells each change once', async () => {
    const seen: (string | undefined)[] = [];
    for (const ratio of [0.5, 0.62, 0.77, 0.82, 0.87, 0.97, 0.92, 0.88, 0.83, 0.78, 0.72, 0.58, 0.5]) seen.push(await at(ratio));
    expect(seen).toEqual(['normal', 'warn', 'pause_backfill', 'shed_tickers', 'shed_symbols', 'locked', 'locked', 'shed_symbols', 'shed_symbols',
      'shed_tickers', 'pause_backfill', 'warn', 'normal']);
    const told = await events('memory.level');
    expect(told.map(({ data }) => data['level'])).toEqual(['warn', 'pause_backfill', 'shed_tickers', 'shed_symbols', 'locked', 'shed_symbols', 'shed_tickers',
      'pause_backfill', 'warn', 'normal']);
    expect(told[4]).toMatchObject({ severity: 'critical', data: { before: 'shed_symbols' } });
    // Once nobody watches any more, the level does not hold up the fleet.
    expect(await redis.ttl(systemMemoryKey)).toBeGreaterThan(0);
  });

  it('takes the word of a Redis that refuses writes, and works in it', async () => {
    await filler.full();
    await expect(redis.set('x', 'y')).rejects.toThrow('OOM');
    expect(await fullness(redis)).toBeGreaterThanOrEqual(1);
    await Promise.all([ladder(context), ladder(context)]);
    expect(await readMemory(redis)).toMatchObject({ level: 'locked' });
    expect(await events('memory.level')).toHaveLength(1);
    expect(await writeMemory(redis, 'normal', 'warn', 0.6, clock.nowMicros())).toBe(false);
  });

  it('has no level without a limit, and takes one that it does not know for none', async () => {
    await redis.config('SET', 'maxmemory', '0');
    try {
      await redis.hset(systemMemoryKey, 'level', 'panic');
      expect((await readMemory(redis))?.level).toBe('normal');
      await redis.del(systemMemoryKey);
      await ladder(context);
      expect(await readMemory(redis)).toMatchObject({ level: 'normal', ratio: 0 });
    } finally {
      await redis.config('SET', 'maxmemory', '32mb');
    }
  });

  it('only says what it would do in a dry run', async () => {
    await filler.to(0.87);
    expect((await ladder({ ...context, dryRun: true })).lines.join()).toMatch(/redis 8[78] % of maxmemory: level shed_symbols \(would leave normal\)/);
    expect(await readMemory(redis)).toBeNull();
  });

  it('removes what everybody has before its time, and nothing else', async () => {
    await redis.xgroup('CREATE', streamMarketDataKey, 'distributor', '0', 'MKSTREAM');
    for (let n = 0; n < 250; n++) await redis.xadd(streamMarketDataKey, '*', 'payload', 'x');
    const [[, entries]] = (await redis.xreadgroup('GROUP', 'distributor', 'c', 'COUNT', 220, 'STREAMS', streamMarketDataKey, '>')) as [[string, [string][]]];
    await redis.xack(streamMarketDataKey, 'distributor', ...entries.slice(0, 200).map(([id]) => id));
    await at(0.77);
    expect(await redis.xlen(streamMarketDataKey)).toBe(250);
    await at(0.87);
    expect(await redis.xlen(streamMarketDataKey)).toBe(50);
  });

  it('locks what may trade, and takes that off by itself', async () => {
    await healthy();
    await move('beta', 'AUDITING');
    await at(0.97);
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'LOCKED']);
    const { meta } = await peekState(redis, 'alpha');
    expect(meta).toMatchObject({ by: 'memory ladder', reason: expect.stringMatching(/^redis at 9\d % of maxmemory$/) as string });
    await at(0.88);
    expect(await states()).toEqual(['RECONCILING', 'RECONCILING', 'RECONCILING']);
    await at(0.7);
    expect(await states()).toEqual(['RECONCILING', 'RECONCILING', 'RECONCILING']);
    await until(async () => (await pool.query('SELECT FROM state_log')).rowCount === 4);
    expect((await events('state.changed')).length).toBe(4);
  });

  it('never takes off a lock of somebody else', async () => {
    await healthy();
    await move('beta', 'LOCKED', 'operator me');
    await at(0.97);
    // A SET of what is there already: only the missing mark tells.
    await redis.set(systemStateKey('alpha'), 'LOCKED');
    for (const ratio of [0.97, 0.5, 0.5, 0.5]) await at(ratio);
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'LOCKED']);
    expect((await peekState(redis, 'alpha')).meta['by']).toBe('hand-written SET');
    expect((await peekState(redis, 'beta')).meta['by']).toBe('operator me');
    // Also when it was written over with the command, and when a bootstrap is on its way.
    await move('alpha', 'HEALTHY');
    await move('beta', 'BOOTSTRAPPING');
    await at(0.97);
    await move('alpha', 'LOCKED', 'operator me');
    for (const ratio of [0.97, 0.5, 0.5]) await at(ratio);
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'BOOTSTRAPPING']);
  });

  it('does not wait for the database, and puts on record later what it did', async () => {
    const away = createPool('postgres://x:x@127.0.0.1:1/x', { name: 'test', log });
    let back: Pool = away;
    const late = new UnloggedChanges({ query: (text: string, values: unknown[]) => back.query(text, values) } as unknown as Pool, log);
    await healthy();
    await at(0.97, { pool: away, unlogged: late });
    await at(0.5, { pool: away, unlogged: late });
    expect(await states()).toEqual(['RECONCILING', 'RECONCILING', 'RECONCILING']);
    expect((await pool.query('SELECT FROM state_log')).rowCount).toBe(0);
    // The same changes, and the database back: told by the pool that is asked then.
    await late.flush();
    back = pool;
    await at(0.5, { pool: away, unlogged: late });
    await until(async () => (await pool.query('SELECT FROM state_log')).rowCount === 4);
    await away.end();
  });
});
