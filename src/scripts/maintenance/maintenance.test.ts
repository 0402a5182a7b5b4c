// The tasks against real servers, and the command that runs them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dlqStreamMarketDataKey, streamMarketDataKey, streamSystemEventsKey, tickerKey, type SystemEvent } from '../../contracts/index.ts';
import { dayOfMicros, dayStartMicros, dayText } from '../../core/days.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { systemClock } from '../../runtime/clock.ts';
import { loadConfig, type Config } from '../../runtime/env.ts';
import { Health } from '../../runtime/health.ts';
import { createLogger } from '../../runtime/log.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { Scope } from '../../runtime/scope.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { countGapsOfDay, ensureDayPartitions, loadPartitionDays, partitionName, type PartitionedTable } from '../../store/partitions.ts';
import { until } from '../../testing/receiver.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { instruments } from './instruments.ts';
import { keys } from './keys.ts';
import { UnloggedChanges } from './ladder_states.ts';
import { start } from './main.ts';
import { memory } from './memory.ts';
import { maintenanceMetrics } from './metrics.ts';
import { partitions } from './partitions.ts';
import { streams } from './streams.ts';
import type { TaskContext } from './task.ts';
import { vacuum } from './vacuum.ts';

const clock = systemClock();
const log = createLogger({ service: 'maintenance', level: 'silent' });
const NOW = clock.nowMicros();
const TODAY = dayOfMicros(NOW);
const DAY = 86_400_000_000;
const SETTINGS: Config['maintenance'] = { streamRetainMs: 3_600_000, dlqMax: 1_000, tradesRetentionDays: 0, tickersRetentionDays: 0 };

let server: FreshRedis;
let redis: Redis;
let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  [server, database] = await Promise.all([freshRedis(), freshDatabase('maintenance', { migrated: true })]);
  redis = new Redis(server.url);
  pool = createPool(database.url, { name: 'test', log });
});
afterAll(async () => {
  redis.disconnect();
  await pool.end();
  await Promise.all([server.drop(), database.drop()]);
});
beforeEach(async () => {
  await redis.flushall();
  await pool.query('TRUNCATE trade_coverage, data_gaps, instruments RESTART IDENTITY CASCADE');
});

const context = (over: Partial<TaskContext> = {}): TaskContext => ({
  redis, stream: redis, pool, clock, log, metrics: maintenanceMetrics(createMetrics('maintenance')), settings: SETTINGS, dryRun: false,
  exchanges: ['deribit', 'binance'], unlogged: new UnloggedChanges(pool, log), signal: new AbortController().signal, ...over,
});

/** An instrument that expired, or changed its status, so many days ago. */
async function instrument(symbol: string, status: string, daysAgo: { expiry?: number; updated?: number } = {}): Promise<number> {
  const at = (days: number | undefined): Date | null => (days === undefined ? null : new Date(NOW / 1000 - days * 86_400_000));
  const { rows } = await pool.query<{ id: number }>(
    `INSERT INTO instruments (market_id, symbol, exchange, status, expiry, updated_at) VALUES ('m', $1, 'e', $2, $3, coalesce($4, now()))
     RETURNING instrument_id AS id`, [symbol, status, at(daysAgo.expiry), at(daysAgo.updated)]);
  return rows[0]!.id;
}

async function events(): Promise<SystemEvent[]> {
  return (await redis.xrange(streamSystemEventsKey, '-', '+')).map(([, fields]) => JSON.parse(fields[1] ?? '') as SystemEvent);
}

describe('partitions', () => {
  const days = async (table: PartitionedTable): Promise<number[]> =>
    [...(await loadPartitionDays(pool, table))].map((day) => day - TODAY).sort((a, b) => a - b);
  const ahead = [-1, 0, 1, 2, 3, 4, 5, 6, 7];
  const settings = { ...SETTINGS, tradesRetentionDays: 3, tickersRetentionDays: 5 };

  it('makes a week ahead, and keeps every day for ever unless told otherwise', async () => {
    const dry = await partitions(context({ dryRun: true }));
    expect(await days('tickers')).toEqual([]);
    expect(dry.lines).toEqual(['public_trades: would make 9 day partitions ahead', 'tickers: would make 9 day partitions ahead']);
    for (const table of ['public_trades', 'tickers'] as const) await ensureDayPartitions(pool, table, TODAY - 6, TODAY - 2);
    await partitions(context());
    expect(await days('public_trades')).toEqual([-6, -5, -4, -3, -2, ...ahead]);
    expect((await partitions(context())).changed).toBe(false);
  });

  it('drops days past their retention, except those that a gap holds, and puts it on record', async () => {
    const id = await instrument('S', 'open');
    const micros = dayStartMicros(TODAY - 6) + 1;
    await pool.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
      SELECT $1, 100 + n, timestamptz 'epoch' + $2::int8 * interval '1 microsecond', now(), 'buy', n, 1, 1 FROM generate_series(1, 50) AS n`, [id, micros]);
    await pool.query(`ANALYZE ${partitionName('public_trades', TODAY - 6)}`);
    // Day by day: 100..199, 200..299, …; the gap lies within the day before the one that may stay.
    for (let n = 0; n <= 6; n++) {
      const held = n === 1 ? '{[200,240),[260,300)}' : `{[${100 + 100 * n},${200 + 100 * n})}`;
      await pool.query('INSERT INTO trade_coverage VALUES ($1, $2, $3)', [id, dayText(TODAY - 6 + n), held]);
    }
    await pool.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at) VALUES ($1, 240, 259, 'test', now())`, [id]);
    const dry = await partitions(context({ settings, dryRun: true }));
    expect(dry.lines).toContain(`public_trades: would drop ${partitionName('public_trades', TODAY - 6)} (about 50 rows)`);
    expect(await days('public_trades')).toEqual([-6, -5, -4, -3, -2, ...ahead]);

    const { lines } = await partitions(context({ settings }));
    expect(lines).toContain(`public_trades: ${partitionName('public_trades', TODAY - 5)} stays: 1 gaps of that day are not settled`);
    expect(await days('public_trades')).toEqual([-5, -3, -2, ...ahead]);
    expect(await days('tickers')).toEqual([-5, -4, -3, -2, ...ahead]);
    const recorded = await pool.query<{ target: string; detail: { rows: number; day: string } }>(
      `SELECT target, detail FROM operator_actions WHERE actor = 'maintenance' AND action = 'drop_partition' ORDER BY action_id`);
    expect(recorded.rows.map(({ target }) => target)).toEqual([
      partitionName('public_trades', TODAY - 6), partitionName('public_trades', TODAY - 4), partitionName('tickers', TODAY - 6),
    ]);
    expect(recorded.rows[0]?.detail).toMatchObject({ table: 'public_trades', day: dayText(TODAY - 6), rows: 50 });

    await pool.query(`UPDATE data_gaps SET status = 'unfillable'`);
    await Promise.all([partitions(context({ settings })), partitions(context({ settings }))]);
    expect(await days('public_trades')).toEqual([-3, -2, ...ahead]);
    expect((await pool.query('SELECT FROM operator_actions')).rowCount).toBe(4);
  });

  it('lets gaps hold the days that they may lie on', async () => {
    const [known, unknown] = [await instrument('S', 'open'), await instrument('T', 'open')];
    for (const [n, seqs] of ['{[1,10)}', '{[20,30)}', '{[30,40)}'].entries()) {
      await pool.query('INSERT INTO trade_coverage VALUES ($1, $2, $3)', [known, dayText(TODAY - 9 + n), seqs]);
    }
    const held = async (): Promise<number[]> => {
      const counts = await Promise.all(Array.from({ length: 11 }, (_day, n) => countGapsOfDay(pool, TODAY - 1 - n)));
      return counts.flatMap((gaps, n) => (gaps > 0 ? [n + 1] : []));
    };
    const gap = async (id: number, columns: string, values: string): Promise<void> => {
      await pool.query('TRUNCATE data_gaps');
      await pool.query(`INSERT INTO data_gaps (instrument_id, ${columns}, reason, detected_at) VALUES (${id}, ${values}, 'test', now())`);
    };
    await gap(known, 'from_seq, to_seq', '10, 19');
    expect(await held()).toEqual([8, 9]);
    await gap(known, 'from_seq, to_seq', '40, 41');
    expect(await held()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    await gap(unknown, 'from_seq, to_seq', '1, 2');
    expect(await held()).toHaveLength(11);
    await gap(unknown, 'from_ts, to_ts', `'${dayText(TODAY - 4)} 23:59:59+00', '${dayText(TODAY - 3)} 00:00:01+00'`);
    expect(await held()).toEqual([3, 4]);
    await pool.query(`UPDATE data_gaps SET status = 'closed'`);
    expect(await held()).toEqual([]);
  });
});

describe('instruments', () => {
  it('marks what expired more than a day ago, once, and deletes nothing', async () => {
    await instrument('OLD', 'open', { expiry: 2 });
    await instrument('JUST', 'open', { expiry: 0.5 });
    await instrument('PERP', 'open');
    await instrument('STUB', 'stub');
    const { lines } = await instruments(context({ dryRun: true }));
    expect(lines).toEqual(['would mark 1 instruments as expired: m:OLD']);
    expect((await instruments(context())).lines).toEqual(['marked 1 instruments as expired: m:OLD']);
    const { rows } = await pool.query<{ line: string }>(`SELECT symbol || ' ' || status AS line FROM instruments ORDER BY 1`);
    expect(rows.map(({ line }) => line)).toEqual(['JUST open', 'OLD expired', 'PERP open', 'STUB stub']);
    expect((await instruments(context())).changed).toBe(false);
  });
});

describe('keys', () => {
  it('removes ticker hashes of instruments that are gone, among any number of keys, and no others', async () => {
    await instrument('EXPIRED:1', 'open', { expiry: 2 });
    await instrument('CLOSED', 'closed', { updated: 2 });
    await instrument('JUST', 'closed', { updated: 0.5 });
    await instrument('OPEN', 'open', { updated: 9 });
    await instrument('QUOTED', 'break', { updated: 9 });
    for (const symbol of ['EXPIRED:1', 'CLOSED', 'JUST', 'OPEN', 'UNKNOWN']) {
      await redis.hset(tickerKey('m', symbol), { last_price: '1', received_ts: String(NOW - 2 * DAY) });
    }
    await redis.hset(tickerKey('m', 'QUOTED'), { last_price: '1', received_ts: String(NOW) });
    const others = redis.pipeline();
    for (let n = 0; n < 3_000; n++) others.set(`other:${n}`, '1');
    await others.exec();
    const dry = await keys(context({ dryRun: true }));
    expect(dry.lines).toEqual(['would remove 2 ticker hashes of instruments that are gone: m:CLOSED, m:EXPIRED:1']);
    expect(await redis.exists(tickerKey('m', 'CLOSED'))).toBe(1);
    expect((await keys(context())).facts).toEqual({ removed: 2, tickers: ['m:CLOSED', 'm:EXPIRED:1'] });
    expect((await redis.keys('ticker:*')).sort()).toEqual(['JUST', 'OPEN', 'QUOTED', 'UNKNOWN'].map((symbol) => tickerKey('m', symbol)));
    expect(await redis.dbsize()).toBe(3_004);
  });
});

describe('streams', () => {
  it('cuts dead letters beyond DLQ_MAX and warns, and says nothing otherwise', async () => {
    const letters = redis.pipeline();
    for (let n = 0; n < 3_000; n++) letters.xadd(dlqStreamMarketDataKey, '*', 'payload', 'x');
    await letters.exec();
    const { lines } = await streams(context({ dryRun: true }));
    expect(lines[0]).toBe(`${dlqStreamMarketDataKey}: would remove 2000 entries beyond 1000; 3000 there`);
    expect(await redis.xlen(dlqStreamMarketDataKey)).toBe(3_000);
    await streams(context());
    expect(await redis.xlen(dlqStreamMarketDataKey)).toBeLessThan(1_100);
    expect(await streams(context({ settings: { ...SETTINGS, dlqMax: 2_000 } }))).toMatchObject({ changed: false });
    expect(await events()).toMatchObject([{ type: 'dlq.trimmed', severity: 'warning', data: { stream: dlqStreamMarketDataKey, max: 1_000 } }]);
  });
});

describe('vacuum and memory', () => {
  it('vacuums what is rewritten and yesterday, and gives up when it shall end', async () => {
    await partitions(context());
    const yesterday = partitionName('tickers', TODAY - 1);
    const vacuumed = async (): Promise<number> => {
      const { rows } = await pool.query<{ n: number }>(`SELECT coalesce(sum(vacuum_count), 0)::int AS n FROM pg_stat_user_tables
        WHERE relname = ANY($1)`, [['trade_coverage', 'trade_extent', 'ohlc', 'instruments', yesterday]]);
      return rows[0]!.n;
    };
    const before = await vacuumed();
    const { facts } = await vacuum(context({ dryRun: true }));
    expect(facts['tables']).toEqual(['trade_coverage', 'trade_extent', 'ohlc', 'instruments', partitionName('public_trades', TODAY - 1), yesterday]);
    await vacuum(context());
    await until(async () => (await vacuumed()) === before + 5);
    // One that waits for a lock, as one that works for an hour.
    const blocker = await pool.connect();
    await blocker.query('BEGIN; LOCK TABLE ohlc');
    const stop = new AbortController();
    const stopped = expect(vacuum(context({ signal: stop.signal }))).rejects.toThrow('abort');
    await until(async () => (await pool.query(`SELECT FROM pg_stat_activity WHERE query LIKE 'VACUUM%ohlc' AND wait_event_type = 'Lock'`)).rowCount === 1);
    stop.abort();
    await stopped;
    await expect(vacuum(context())).rejects.toThrow('not vacuumed: ohlc (canceling statement due to lock timeout)');
    await blocker.query('ROLLBACK');
    blocker.release();
    expect((await pool.query<{ v: string }>(`SELECT current_setting('statement_timeout') AS v`)).rows[0]?.v).toBe('15s');
  });

  it('reports what fills Redis and the database', async () => {
    for (let n = 0; n < 20; n++) await redis.xadd(streamMarketDataKey, '*', 'payload', 'x'.repeat(100));
    await redis.hset(tickerKey('m', 'S'), { last_price: '1' });
    const { lines, facts } = await memory(context());
    expect(facts['streams']).toMatchObject([{ stream: streamMarketDataKey, entries: 20 }]);
    expect(facts['prefixes']).toMatchObject([{ prefix: 'stream', keys: 1 }, { prefix: 'ticker', keys: 1 }]);
    expect(facts['redis']).toMatchObject({ maxBytes: 0, keys: 2 });
    expect(facts['tables']).toHaveLength(10);
    expect(lines.join('\n')).toMatch(/redis .* used of no limit/);
  });
});

describe('npm run maintenance', () => {
  async function run(args: string[], over: Record<string, string> = {}): Promise<{ code: unknown; out: string; error: string }> {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../maintenance.ts'), ...args], {
      env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url, REDIS_URL: server.url, ...over },
    });
    let [out, error] = ['', ''];
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    child.stderr.on('data', (chunk) => (error += String(chunk)));
    const [code] = (await once(child, 'close')) as [unknown];
    return { code, out, error };
  }

  it('runs a task, and says in a dry run what it would do', async () => {
    const dry = await run(['trim', '--dry-run']);
    expect(dry).toEqual({ code: 0, out: `${streamMarketDataKey}: 0 entries, no consumer group: nothing is trimmed\n`, error: '' });
    const { code, out } = await run(['memory', '--json']);
    expect([code, JSON.parse(out)]).toMatchObject([0, { task: 'memory', dry_run: false, redis: { keys: 0 } }]);
  });

  it.each([
    [['trin'], 'unknown task "trin", did you mean trim?; known: trim, streams, keys, partitions, instruments, vacuum, memory, ladder, heartbeats'],
    [[], 'a task is missing; known: trim'],
    [['trim', '--dryrun'], 'unknown option "--dryrun"; tasks: trim, streams'],
    [['trim', '--dry-run=yes'], '--dry-run: "yes" is not expected'],
    [['trim', 'now'], 'unexpected argument "now"; tasks: trim'],
  ])('refuses %j with exit code 2 and one line', async (args, message) => {
    const { code, out, error } = await run(args);
    expect([code, out, error.split('\n')]).toEqual([2, '', [expect.stringContaining(`maintenance: ${message}`), '']]);
  });

  it('names a bad setting, and a server that does not answer', async () => {
    expect(await run(['trim'], { STREAM_RETAIN_MS: '1h' })).toMatchObject({
      code: 2, error: expect.stringMatching(/^maintenance: STREAM_RETAIN_MS: "1h" is not a whole number/) as string,
    });
    expect(await run(['instruments'], { DATABASE_URL: 'postgres://me:hunter22@127.0.0.1:1/x' })).toMatchObject({
      code: 1, error: expect.stringMatching(/^maintenance: PostgreSQL at 127\.0\.0\.1:1 does not answer/) as string,
    });
  });
});

describe('npm start -- maintenance', () => {
  it('does its rounds, tells what failed, and trims while the database is away', async () => {
    const live = async (over: Record<string, string>, seen: (health: Health, metric: (name: string) => Promise<string>) => Promise<void>): Promise<void> => {
      const [scope, stop, health, metrics] = [new Scope(), new AbortController(), new Health(), createMetrics('maintenance')];
      const config = loadConfig(MARKETS, { DATABASE_URL: database.url, REDIS_URL: server.url, ...over });
      const running = start({
        service: 'maintenance', config, scope, log, clock, random: () => 0, metrics, health, signal: stop.signal,
        fail: (error) => expect(error).toBeUndefined(),
      }).catch((error: unknown) => expect(stop.signal.aborted, String(error)).toBe(true));
      await seen(health, (name) => metrics.registry.getSingleMetricAsString(name));
      stop.abort();
      await running;
      await scope.close();
    };
    await live({}, async (health, metric) => {
      await until(() => Object.keys(health.report()).length === 9 && health.ready);
      expect(Object.keys(health.report()).sort())
        .toEqual(['database', 'heartbeats', 'instruments', 'keys', 'ladder', 'partitions', 'redis', 'streams', 'trim']);
      expect(await metric('maintenance_instances')).toContain('of="maintenance",service="maintenance"} 1');
      expect(await metric('maintenance_runs_total')).toContain('task="trim",outcome="done"');
    });
    await redis.set(dlqStreamMarketDataKey, 'not a stream');
    await live({ DATABASE_URL: 'postgres://127.0.0.1:1/x' }, async (health) => {
      await until(() => health.report()['streams'] !== undefined && health.report()['trim'] !== undefined);
      expect(health.report()).toMatchObject({ trim: { ok: true }, database: { ok: false }, streams: { ok: false } });
      expect(health.report()['streams']?.detail).toContain('WRONGTYPE');
    });
  });
});
