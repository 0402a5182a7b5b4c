// The governor as a process in this one, against the simulator and servers of its own.
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { banKey, systemStateKey, systemStateSimpleKey } from '../../contracts/index.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { start as govern } from './govern.ts';
import { start as bootstrap } from './main.ts';

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let governors: RunningReceiver[] = [];

beforeEach(async () => {
  database = await freshDatabase('governor', { migrated: true });
  stage = await openStage({ DATABASE_URL: database.url, UNLOCK_POLICY: 'auto' }, { rate: 0.001 });
  client = new pg.Client(database.url);
  await client.connect();
  await (await runInProcess('janitor', bootstrap, stage.env)).stop();
});
afterEach(async () => {
  await Promise.all(governors.map((one) => one.stop()));
  governors = [];
  await client.end();
  await stage.close();
  await database.drop();
});

async function governor(instance = '1'): Promise<RunningReceiver> {
  const one = await runInProcess('governor', govern, { ...stage.env, INSTANCE_ID: instance });
  governors.push(one);
  return one;
}

const redis = (): Stage['published']['redis'] => stage.published.redis;
const states = (): Promise<(string | null)[]> => redis().mget(systemStateSimpleKey, systemStateKey('deribit'), systemStateKey('binance'));

async function logged(exchange: string): Promise<{ ver: number; epoch: number; line: string }[]> {
  const { rows } = await client.query<{ ver: number; epoch: number; line: string }>(
    `SELECT ver::int, epoch::int, coalesce(from_state, '-') || ' ' || to_state || ' by ' || by AS line
     FROM state_log WHERE exchange = $1 ORDER BY ver`, [exchange]);
  return rows;
}

async function instrumentId(symbol: string): Promise<number> {
  const { rows } = await client.query<{ id: number }>('SELECT instrument_id AS id FROM instruments WHERE market_id = $1 AND symbol = $2', ['deribit', symbol]);
  return rows[0]!.id;
}

describe('states', () => {
  it('that were locked by hand are locked for everybody, once, with two governors', async () => {
    await Promise.all([governor('1'), governor('2')]);
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
    await redis().set(systemStateKey('deribit'), 'LOCKED');
    await until(async () => (await redis().get(systemStateSimpleKey)) === 'LOCKED', 2_000);
    await until(async () => (await logged('deribit')).length === 4);
    expect((await logged('deribit')).at(-1)).toMatchObject({ ver: 4, line: 'LOCKED LOCKED by hand-written SET' });
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'HEALTHY']);
  });

  it('that were written by hand and are no lock become one', async () => {
    await governor();
    await redis().set(systemStateKey('binance'), 'GREAT');
    await until(async () => (await redis().get(systemStateKey('binance'))) === 'LOCKED', 2_000);
    expect(await redis().get(systemStateSimpleKey)).toBe('LOCKED');
    await until(async () => (await logged('binance')).length === 4);
    await redis().set(systemStateKey('binance'), 'HEALTHY');
    await until(async () => (await redis().get(systemStateKey('binance'))) === 'LOCKED', 2_000);
  });

  it('that are gone with an emptied Redis come back through a bootstrap, and versions go on', async () => {
    await Promise.all([governor('1'), governor('2')]);
    const before = await logged('deribit');
    await redis().flushall();
    await until(async () => (await states()).every((state) => state === 'HEALTHY'));
    await until(async () => (await logged('deribit')).length >= before.length + 3);
    const after = await logged('deribit');
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.map(({ ver }) => ver)).toEqual(after.map((_row, n) => n + 1));
    expect(after.map(({ line }) => line)).toContain('BOOTSTRAPPING RECONCILING by janitor');
    for (const [n, { epoch }] of after.entries()) expect(epoch).toBeGreaterThanOrEqual(after[n - 1]?.epoch ?? 0);
    expect(await redis().sismember('symbols:deribit', 'BTC-PERPETUAL')).toBe(1);
  });
});

describe('candles', () => {
  it('are asked for by a bootstrap: from the last final one on, else for BACKFILL_DAYS', async () => {
    const jobs = async (): Promise<Record<string, unknown>[]> =>
      (await redis().lrange('queue:ohlc_work', 0, -1)).map((text) => JSON.parse(text) as Record<string, unknown>);
    const first = (await jobs()).find((job) => job['market_id'] === 'binance_spot' && job['symbol'] === 'BTCUSDT')!;
    expect(first).toMatchObject({ resolution: '1m', reason: 'bootstrap', attempts: 0 });
    expect(Number(first['end']) - Number(first['start'])).toBe(86_400_000_000);
    await redis().flushall();
    await client.query(
      `INSERT INTO ohlc SELECT instrument_id, '1m', date_trunc('minute', now()) - interval '10 minutes', 1, 1, 1, 1, 1, null, null, true, 'rest', now()
       FROM instruments WHERE market_id = 'binance_spot' AND symbol = 'BTCUSDT'`);
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    const again = (await jobs()).find((job) => job['market_id'] === 'binance_spot' && job['symbol'] === 'BTCUSDT')!;
    const minutes = (Number(again['end']) - Number(again['start'])) / 60_000_000;
    expect(minutes).toBeGreaterThan(9);
    expect(minutes).toBeLessThan(12);
  });

  it('of a gap by time are fetched, and close it', async () => {
    const id = await instrumentId('BTC-PERPETUAL');
    await client.query(
      `INSERT INTO data_gaps (instrument_id, from_ts, to_ts, reason, detected_at)
       VALUES ($1, now() - interval '10 minutes', now() - interval '5 minutes', 'full', now())`, [id]);
    await redis().del('queue:ohlc_work', 'jobs:queue:ohlc_work');
    await governor();
    await until(async () => (await redis().llen('queue:ohlc_work')) === 1);
    const job = JSON.parse((await redis().lindex('queue:ohlc_work', 0))!) as { job_id: string };
    await client.query('INSERT INTO backfill_jobs (job_id, next_ts, rows, pages, done_at) VALUES ($1, now(), 1, 1, now())', [job.job_id]);
    await until(async () => (await client.query(`SELECT FROM data_gaps WHERE status = 'closed'`)).rowCount === 1);
  });
});

it('instruments follow the lists of the exchanges', async () => {
  await client.query(
    `INSERT INTO instruments (market_id, symbol, exchange, status, expiry) VALUES ('deribit', 'BTC-1JAN26', 'deribit', 'open', '2026-01-01 08:00Z')`);
  await redis().sadd('subscriptions:deribit', 'trade:BTC-1JAN26', 'trade:BTC-UNKNOWN');
  await client.query(`UPDATE instruments SET tick_size = 99 WHERE market_id = 'binance_spot' AND symbol = 'BTCUSDT'`);
  await redis().sadd('symbols:deribit', 'BTC-1JAN26');
  const status = async (): Promise<unknown> => (await client.query(`SELECT status FROM instruments WHERE symbol = 'BTC-1JAN26'`)).rows[0];
  governors.push(await runInProcess('governor', (ctx) => govern(ctx, { resyncMs: 300 }), { ...stage.env, INSTANCE_ID: '1' }));
  await until(async () => (await redis().sismember('symbols:deribit', 'BTC-1JAN26')) === 0);
  expect(await status()).toEqual({ status: 'unlisted' });
  // What has expired is wanted no more; what is only unknown may be listed tomorrow.
  await until(async () => (await redis().smembers('subscriptions:deribit')).join() === 'trade:BTC-UNKNOWN');
  expect(await redis().sismember('symbols:deribit:kind:perpetual', 'BTC-PERPETUAL')).toBe(1);
  expect(await redis().sismember('symbols:deribit:kind:option', 'BTC-PERPETUAL')).toBe(0);
  const { rows } = await client.query(`SELECT FROM instruments WHERE tick_size = 99`);
  expect(rows).toEqual([]);
});

describe('gaps', () => {
  it('become jobs, each once; a job that Redis lost is queued again', async () => {
    const id = await instrumentId('BTC-PERPETUAL');
    await client.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected) VALUES ($1, 10, 19, 'test', now(), 10)`, [id]);
    await Promise.all([governor('1'), governor('2')]);
    await until(async () => (await redis().llen('queue:trade_work')) === 1);
    const job = JSON.parse((await redis().lindex('queue:trade_work', 0))!) as Record<string, unknown>;
    expect(job).toMatchObject({ market_id: 'deribit', symbol: 'BTC-PERPETUAL', from_seq: 10, to_seq: 19, gaps: true, reason: 'test', attempts: 0 });
    expect((await client.query('SELECT status FROM data_gaps')).rows).toEqual([{ status: 'healing' }]);
    await redis().del('queue:trade_work', 'jobs:queue:trade_work');
    await until(async () => (await redis().llen('queue:trade_work')) === 1);
  });

  it('are found where the stored sequence has holes, within a day and across days, once they stay', async () => {
    const [a, b] = [await instrumentId('BTC-PERPETUAL'), await instrumentId('ETH-PERPETUAL')];
    await client.query(
      `INSERT INTO trade_coverage VALUES ($1, current_date - 20, '{[1,10),[15,20)}'), ($1, current_date, '{[25,30)}'), ($2, current_date, '{[5,9)}')`, [a, b]);
    await client.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected) VALUES ($1, 22, 24, 'told', now(), 3)`, [a]);
    await governor();
    await until(async () => (await client.query('SELECT FROM data_gaps')).rowCount === 3, 30_000);
    const { rows } = await client.query('SELECT instrument_id, from_seq::int AS f, to_seq::int AS t, reason FROM data_gaps ORDER BY from_seq');
    expect(rows).toEqual([
      { instrument_id: a, f: 10, t: 14, reason: 'hole between stored trades' },
      { instrument_id: a, f: 20, t: 21, reason: 'hole between stored trades' },
      { instrument_id: a, f: 22, t: 24, reason: 'told' },
    ]);
  });
});

describe('figures', () => {
  it('tell what is missing, how far off the clocks are, who has banned us and which state counts', async () => {
    stage.simulator.setClock(60_000);
    await client.query(
      `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at, expected)
       VALUES ($1, 10, 19, 'open', 'test', now() - interval '1 hour', 10), ($1, 30, 31, 'unfillable', 'test', now() - interval '1 day', 2)`,
      [await instrumentId('BTC-PERPETUAL')]);
    await redis().set(banKey('binance'), 'told to stop', 'PX', 60_000);
    const one = await governor();
    const figure = (name: string, labels: Record<string, string>): Promise<number> => one.metric(`governor_${name}`, labels);
    await until(async () => (await figure('oldest_gap_seconds', { market: 'deribit' })) >= 3_600);
    const gaps = (market: string): Promise<number[]> =>
      Promise.all([figure('gaps', { market }), figure('gaps', { market, status: 'unfillable' })]);
    expect([await gaps('deribit'), await gaps('binance_spot')]).toEqual([[2, 1], [0, 0]]);
    await until(async () => (await figure('ban_seconds', { exchange: 'binance' })) > 30);
    await until(async () => (await figure('state', { exchange: 'deribit' })) === 1);
    expect(await figure('ban_seconds', { exchange: 'deribit' })).toBe(0);
    expect([await figure('state', { exchange: 'deribit' }), await figure('state', { exchange: 'deribit', state: 'BOOTSTRAPPING' })]).toEqual([1, 0]);
    await until(async () => (await figure('clock_offset_seconds', { market: 'deribit' })) !== 0);
    expect(await figure('clock_offset_seconds', { market: 'deribit' })).toBeCloseTo(-60, 0);
  });
});
