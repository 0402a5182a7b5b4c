// The backfill process against the simulator, a PostgreSQL and a Redis of its own.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OhlcJob, TradeJob } from '../../contracts/index.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import type { SimulatorOptions } from '../../simulator/server.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { createHttp } from '../../net/http.ts';
import { systemClock } from '../../runtime/clock.ts';
import { loadConfig } from '../../runtime/env.ts';
import { upsertInstruments } from '../../store/instruments.ts';
import { start } from './main.ts';

const MINUTE = 60_000_000;
const TRADES = 'queue:trade_work';
const CANDLES = 'queue:ohlc_work';

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let running: RunningReceiver[] = [];
let children: ChildProcess[] = [];

async function open(options: Partial<SimulatorOptions> = {}): Promise<void> {
  database = await freshDatabase('backfill', { migrated: true });
  stage = await openStage({ DATABASE_URL: database.url, JOB_LEASE_MS: '600' }, { rate: 1_000, history: 3_000, ...options });
  client = new pg.Client(database.url);
  await client.connect();
  const get = createHttp({ timeoutMs: 10_000, maxBytes: 64 * 1024 * 1024, clock: systemClock() });
  for (const { marketId, restUrl } of loadConfig(MARKETS, stage.env).markets) {
    await upsertInstruments(client, await MARKETS[marketId]!.rest(restUrl, get).instruments());
  }
  stage.simulator.setRate(0.001);
}

async function backfill(more: Record<string, string> = {}): Promise<RunningReceiver> {
  const one = await runInProcess('backfill', start, { ...stage.env, INSTANCE_ID: String(running.length + 1), ...more });
  running.push(one);
  return one;
}

beforeEach(() => {
  [running, children] = [[], []];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(running.map((one) => one.stop()));
  await client.end();
  await stage.close();
  await database.drop();
});

const redis = (): Stage['published']['redis'] => stage.published.redis;
const push = (queue: string, job: unknown): Promise<number> => redis().lpush(queue, typeof job === 'string' ? job : JSON.stringify(job));
const idle = async (): Promise<boolean> =>
  (await Promise.all([TRADES, CANDLES].flatMap((queue) => [redis().llen(queue), redis().hlen(`leased:${queue}`)]))).every((n) => n === 0);
const dead = async (queue: string): Promise<Record<string, string>[]> =>
  (await redis().xrange(`dlq:${queue}`, '-', '+')).map(([, f]) => Object.fromEntries(f.flatMap((name, i) => (i % 2 === 0 ? [[name, f[i + 1]!]] : []))));

interface LedgerTrade { symbol: string; seq: number; last: number; price: string; amount: string; id: string }

async function truth(marketId: string): Promise<Map<string, LedgerTrade[]>> {
  await stage.simulator.ledger.commit();
  const found = new Map<string, LedgerTrade[]>();
  for (const entry of stage.simulator.ledger.entries()) {
    if (entry.k !== 'trade' || entry['market_id'] !== marketId || entry.seq === undefined) continue;
    const symbol = String(entry['symbol']);
    const trade = {
      symbol, seq: entry.seq, last: entry.seq_last ?? entry.seq, price: String(entry['price']), amount: String(entry['amount']), id: String(entry['trade_id']),
    };
    found.set(symbol, [...(found.get(symbol) ?? []), trade]);
  }
  return found;
}

const tradeJob = (marketId: string, symbol: string, from: number, to: number, more: Partial<TradeJob> = {}): TradeJob =>
  ({ job_id: `t:${marketId}:${symbol}:${from}`, market_id: marketId, symbol, from_seq: from, to_seq: to, reason: 'test', attempts: 0, ...more });
const ohlcJob = (more: Partial<OhlcJob> = {}): OhlcJob => {
  const end = Math.floor(Date.now() / 60_000) * MINUTE + MINUTE;
  const start = end - 5_000 * MINUTE;
  return { job_id: 'o:1', market_id: 'binance_spot', symbol: 'BTCUSDT', resolution: '1m', start, end, reason: 'test', attempts: 0, ...more };
};

async function storedTrades(marketId: string, symbol: string): Promise<{ seq: number; price: string; amount: string; id: string }[]> {
  const { rows } = await client.query<{ seq: string; price: string; amount: string; trade_id: string }>(
    `SELECT seq, trim_scale(price)::text AS price, trim_scale(amount)::text AS amount, trade_id FROM public_trades JOIN instruments i USING (instrument_id)
     WHERE i.market_id = $1 AND i.symbol = $2 ORDER BY seq`, [marketId, symbol]);
  return rows.map((row) => ({ seq: Number(row.seq), price: row.price, amount: row.amount, id: row.trade_id }));
}
const trimmed = (text: string): string => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

async function gap(marketId: string, symbol: string, from: number, to: number): Promise<string> {
  const { rows } = await client.query<{ gap_id: string }>(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
     SELECT instrument_id, $3, $4, 'test', now(), $4::int8 - $3 + 1 FROM instruments 
     WHERE market_id = $1 AND symbol = $2 RETURNING gap_id`, [marketId, symbol, from, to]);
  return rows[0]!.gap_id;
}
const gapRow = async (id: string): Promise<Record<string, unknown>> =>
  (await client.query<Record<string, unknown>>('SELECT status, expected, recovered, reason FROM data_gaps WHERE gap_id = $1', [id])).rows[0]!;

describe('trades', () => {
  const markets = ['deribit', 'binance_spot', 'binance_usdm'];
  it.each(markets)('of %s are fetched by sequence and equal the ledger; the gap closes with the last page', async (marketId) => {
    await open();
    const [symbol, trades] = [...(await truth(marketId))].sort((a, b) => b[1].length - a[1].length)[0]!;
    const [from, to] = [trades[0]!.seq, trades.at(-1)!.last];
    const id = await gap(marketId, symbol, from, to);
    await push(TRADES, tradeJob(marketId, symbol, from, to, { gaps: true }));
    const one = await backfill();
    await until(async () => (await gapRow(id))['status'] !== 'open');
    const count = String(to - from + 1);
    expect(await gapRow(id)).toEqual({ status: 'closed', expected: count, recovered: count, reason: 'test' });
    const { rows: [healed] } = await client.query<{ healed: string }>('SELECT sum(healed)::text AS healed FROM v_completeness');
    expect(healed).toEqual({ healed: count });
    const expected = trades.map(({ seq, price, amount, id: tradeId }) => ({ seq, price: trimmed(price), amount: trimmed(amount), id: tradeId }));
    expect(await storedTrades(marketId, symbol)).toEqual(expected);
    expect((await stage.published.events('gap.closed')).map((event) => event.data['gap_id'])).toEqual([id]);
    // The same once more: all is there, nothing is fetched.
    const pages = await one.metric('backfill_pages_total');
    await push(TRADES, tradeJob(marketId, symbol, from, to, { job_id: 'again' }));
    await until(async () => (await one.metric('backfill_jobs_total', { outcome: 'done' })) === 2);
    expect(await one.metric('backfill_pages_total')).toBe(pages);
  });

  it('fetches only what is missing, and never takes a broken answer for an empty one', async () => {
    await open();
    const [symbol, trades] = [...(await truth('binance_spot'))].sort((a, b) => b[1].length - a[1].length)[0]!;
    const from = trades[0]!.seq;
    await push(TRADES, tradeJob('binance_spot', symbol, from, from + 99));
    for (const mode of ['html', 'empty', 'truncated', 'error200', '500', '503']) {
      stage.simulator.inject({ kind: 'rest_status', market_id: 'binance_spot', mode, count: 1, path: 'historicalTrades' });
    }
    const one = await backfill();
    await until(async () => (await storedTrades('binance_spot', symbol)).length === 100, 40_000);
    await push(TRADES, tradeJob('binance_spot', symbol, from, from + 149, { job_id: 'more' }));
    await until(async () => (await storedTrades('binance_spot', symbol)).length === 150);
    expect(await one.metric('backfill_duplicates_total')).toBe(0);
    expect(await dead(TRADES)).toEqual([]);
  });

  it('gives up on what the exchange does not have, and says so', async () => {
    await open();
    const [symbol, trades] = [...(await truth('binance_spot'))].sort((a, b) => b[1].length - a[1].length)[0]!;
    const first = trades[0]!.seq;
    const id = await gap('binance_spot', symbol, first - 50, first + 9);
    await push(TRADES, tradeJob('binance_spot', symbol, first - 50, first + 9, { gaps: true }));
    await backfill();
    await until(async () => (await gapRow(id))['status'] === 'unfillable', 30_000);
    expect(await gapRow(id)).toMatchObject({ expected: '60', recovered: '10', reason: expect.stringContaining('does not have') as string });
    expect((await stage.published.events('gap.unfillable'))[0]?.data).toMatchObject({ gap_id: id, recovered: 10 });
    expect(await idle()).toBe(true);
  });
});

describe('days', () => {
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10);
  const defaults = async (): Promise<number> => (await client.query<{ n: number }>('SELECT count(*)::int AS n FROM public_trades_default')).rows[0]!.n;
  /** Trades of yesterday, as the exchange's clock tells it. */
  const openYesterday = async (): Promise<{ symbol: string; from: number; to: number }> => {
    const clock = systemClock();
    const late = { nowMicros: () => clock.nowMicros() - 86_400_000_000, monotonicMs: () => clock.monotonicMs() };
    await open({ clock: late });
    const [symbol, trades] = [...(await truth('binance_spot'))].sort((a, b) => b[1].length - a[1].length)[0]!;
    return { symbol, from: trades[0]!.seq, to: trades[0]!.seq + 99 };
  };

  it('that have no partition get one before their trades come', async () => {
    const { symbol, from, to } = await openYesterday();
    await push(TRADES, tradeJob('binance_spot', symbol, from, to));
    await backfill();
    await until(async () => (await storedTrades('binance_spot', symbol)).length === 100);
    expect(await defaults()).toBe(0);
    const { rows } = await client.query<{ day: string }>('SELECT DISTINCT tableoid::regclass::text AS day FROM public_trades');
    expect(rows.every(({ day }) => /^public_trades_p\d{8}$/.test(day))).toBe(true);
    // Dropped behind its back: known to be there, and made again.
    for (const { day } of rows) await client.query(`DROP TABLE ${day}`);
    await push(TRADES, tradeJob('binance_spot', symbol, from + 100, to + 100));
    await until(async () => (await storedTrades('binance_spot', symbol)).length === 100);
    expect(await defaults()).toBe(0);
  });

  it('older than what is kept are not fetched back: the job is refused, the gap says why', async () => {
    const { symbol, from, to } = await openYesterday();
    const id = await gap('binance_spot', symbol, from, to);
    await client.query(`UPDATE data_gaps SET detected_at = $1::date`, [yesterday]);
    await push(TRADES, tradeJob('binance_spot', symbol, from, to, { gaps: true }));
    await push(TRADES, tradeJob('binance_spot', symbol, from, to, { job_id: 'by_hand' }));
    // Today and one day before it are kept; the clock of this process is two days ahead.
    const clock = systemClock();
    running.push(await runInProcess('backfill', start, { ...stage.env, INSTANCE_ID: 'old', TRADES_RETENTION_DAYS: '1' }, {
      nowMicros: () => clock.nowMicros() + 2 * 86_400_000_000, monotonicMs: () => clock.monotonicMs(),
    }));
    await until(async () => (await gapRow(id))['status'] === 'unfillable' && (await dead(TRADES)).length === 1);
    expect(await gapRow(id)).toMatchObject({ recovered: '0', reason: 'test; of a day older than TRADES_RETENTION_DAYS keeps' });
    expect((await dead(TRADES))[0]).toMatchObject({ error_class: 'range', error: `from_seq: ${from} is of a day older than TRADES_RETENTION_DAYS keeps` });
    expect(await storedTrades('binance_spot', symbol)).toEqual([]);
  });
});

describe('candles', () => {
  it('equal the exchange’s, final ones only, over many pages', async () => {
    await open();
    const job = ohlcJob();
    await push(CANDLES, job);
    const one = await backfill();
    await until(async () => (await one.metric('backfill_jobs_total', { outcome: 'done' })) === 1, 30_000);
    const base = `${stage.simulator.url}/binance_spot/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000`;
    const wire: (string | number)[][] = [];
    for (let at = job.start / 1000; at < job.end / 1000; at = Number(wire.at(-1)![0]) + 1) {
      const page = (await (await fetch(`${base}&startTime=${at}&endTime=${job.end / 1000 - 1}`)).json()) as (string | number)[][];
      if (page.length === 0) break;
      wire.push(...page);
    }
    const { rows } = await client.query<Record<string, string>>(
      `SELECT (extract(epoch FROM open_ts) * 1000)::int8 AS t, open, high, low, close, volume, is_final::text, source FROM ohlc ORDER BY open_ts`);
    const closed = wire.filter((row) => Number(row[6]) < Date.now() - 1_000);
    expect(rows.length).toBeGreaterThanOrEqual(closed.length);
    expect(rows.slice(0, closed.length)).toEqual(closed.map((row) => ({
      t: String(row[0]), open: row[1], high: row[2], low: row[3], close: row[4], volume: row[5], is_final: 'true', source: 'rest',
    })));
    expect(Number(rows.at(-1)!['t'])).toBeLessThan(Math.floor(Date.now() / 60_000) * 60_000);
  });

  it('are fetched once by workers that are killed in the middle', async () => {
    await open();
    const job = ohlcJob({ resolution: '1m', start: Math.floor(Date.now() / 86_400_000) * 86_400_000_000 - 60 * 86_400_000_000 });
    await push(CANDLES, job);
    const rows = async (): Promise<number> => (await client.query<{ n: number }>('SELECT count(*)::int AS n FROM ohlc')).rows[0]!.n;
    const env = { PATH: process.env['PATH'] ?? '', ...stage.env, INSTANCE_ID: 'killed', LOG_LEVEL: 'silent' };
    for (let kills = 0; kills < 3; kills++) {
      const before = await rows();
      const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts/start.ts'), 'backfill'], { env, stdio: 'ignore' });
      children.push(child);
      await until(async () => (await rows()) > before);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    expect(await rows()).toBeLessThan(80_000);
    await backfill();
    await until(idle, 60_000);
    const expected = Math.floor((Math.floor(Date.now() / 60_000) * MINUTE - job.start) / MINUTE);
    expect(Math.abs((await rows()) - expected)).toBeLessThanOrEqual(1);
    const { rows: [progress] } = await client.query<{ pages: string; done: boolean }>('SELECT pages, done_at IS NOT NULL AS done FROM backfill_jobs');
    expect(progress!.done).toBe(true);
    // Stored pages: a page that was fetched and not stored by a killed worker is fetched once more, never stored twice.
    expect(Number(progress!.pages)).toBe(Math.ceil((expected + 1) / 1000));
  });
});

describe('bad jobs', () => {
  it('go to the dead jobs with the reason; the good ones beside them are done', async () => {
    await open();
    const [symbol, trades] = [...(await truth('deribit'))].sort((a, b) => b[1].length - a[1].length)[0]!;
    const good = tradeJob('deribit', symbol, trades[0]!.seq, trades[0]!.seq + 9);
    await push(TRADES, 'no json {');
    await push(TRADES, { ...good, job_id: 'x', from_seq: 'ten' });
    await push(TRADES, { ...good, job_id: 'backwards', from_seq: 20, to_seq: 10 });
    // Its gaps cannot be given up: there are none in a range that ends before it begins.
    await push(TRADES, { ...good, job_id: 'backwards-too', from_seq: 20, to_seq: 11, gaps: true });
    await push(TRADES, { ...good, job_id: 'huge', from_seq: 1, to_seq: 90_000_000 });
    await push(TRADES, { ...good, job_id: 'who', symbol: 'NONSENSE-1' });
    await push(TRADES, { ...good, job_id: 'where', market_id: 'krakn' });
    await push(TRADES, good);
    await push(CANDLES, ohlcJob({ job_id: 'c1', end: 1_700_000_000_000_000, start: 1_700_000_000_000_001 }));
    await push(CANDLES, ohlcJob({ job_id: 'c2', start: 1_500_000_000_000_000 }));
    await push(CANDLES, ohlcJob({ job_id: 'c3', resolution: '1M', market_id: 'deribit', symbol }));
    await backfill();
    await until(idle);
    const lines = (letters: Record<string, string>[]): string[] => letters.map((letter) => `${letter['error_class']} ${letter['error']!.slice(0, 120)}`).sort();
    expect(lines(await dead(TRADES))).toEqual([
      expect.stringMatching(/^not_json not JSON: /),
      expect.stringMatching(/^range to_seq: 1\.\.90000000 are more than/),
      'range to_seq: 10 is below from_seq 20',
      'range to_seq: 11 is below from_seq 20',
      expect.stringMatching(/^schema from_seq: .*"ten"/),
      'unknown_market market_id: "krakn" is not served here',
      'unknown_symbol symbol: "NONSENSE-1" is not an instrument of deribit',
    ]);
    expect(lines(await dead(CANDLES))).toEqual([
      expect.stringMatching(/^range end: .* is more than 731 days/),
      expect.stringMatching(/^range end: 1700000000000000 is not after start/),
      'range resolution: deribit has no candles of 1M',
    ]);
    expect(await storedTrades('deribit', symbol)).toHaveLength(10);
  });
});
