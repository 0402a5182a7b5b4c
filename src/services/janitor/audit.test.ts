// Audits by the governor, against a simulator whose history is the truth, and servers of the test's own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requestAudit } from '../../bus/audits.ts';
import { subscriptionsKey, systemStateKey, systemStateMetaKey, tickerKey } from '../../contracts/index.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { createHttp } from '../../net/http.ts';
import { systemClock } from '../../runtime/clock.ts';
import { loadConfig } from '../../runtime/env.ts';
import { upsertOhlc } from '../../store/ohlc.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { start as govern, TIMES } from './govern.ts';
import { start as bootstrap } from './main.ts';

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let running: RunningReceiver[] = [];

const MARKET = 'binance_spot';
const SYMBOL = 'BTCUSDT';

beforeEach(async () => {
  database = await freshDatabase('audit', { migrated: true });
  stage = await openStage(
    { DATABASE_URL: database.url, UNLOCK_POLICY: 'auto', MARKETS: MARKET, BINANCE_SPOT_SYMBOLS: SYMBOL, METRICS_PORT: '0' }, { rate: 0.001, history: 3_000 });
  client = new pg.Client(database.url);
  await client.connect();
  await (await runInProcess('janitor', bootstrap, stage.env)).stop();
  await fill();
  // What a receiver would leave behind.
  await redis().sadd(subscriptionsKey(MARKET), `ohlc:${SYMBOL}`, `ticker:${SYMBOL}`);
  await redis().hset(tickerKey(MARKET, SYMBOL), 'received_ts', String(Date.now() * 1_000));
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  await client.end();
  await stage.close();
  await database.drop();
});

/** A day of final minutes, as the exchange tells them. */
async function fill(): Promise<void> {
  const { restUrl } = loadConfig(MARKETS, stage.env).markets[0]!;
  const rest = MARKETS[MARKET]!.rest(restUrl, createHttp({ timeoutMs: 10_000, maxBytes: 1 << 24, clock: systemClock() }));
  const { rows: [known] } = await client.query<{ id: number }>(
    'SELECT instrument_id AS id FROM instruments WHERE market_id = $1 AND symbol = $2', [MARKET, SYMBOL]);
  const [now, minute] = [Date.now() * 1_000, 60_000_000];
  for (let from = now - 1_440 * minute; from < now; from += 480 * minute) {
    const { items } = await rest.candles(SYMBOL, '1m', from, Math.min(from + 480 * minute, now));
    const final = items.filter(({ closed }) => closed);
    await upsertOhlc(client, final.map((candle) => (
      { instrumentId: known!.id, message: { v: 1, type: 'ohlc', received_ts: now, exchange_ts: now, ...candle } })));
  }
}

async function governor(times: Partial<typeof TIMES> = {}, env: Record<string, string> = {}): Promise<RunningReceiver> {
  const all = { checksMs: 100, graceMs: 3_600_000, settleMs: 100, ...times };
  const one = await runInProcess('governor', (ctx) => govern(ctx, all), { ...stage.env, INSTANCE_ID: `${running.length + 1}`, ...env });
  running.push(one);
  return one;
}

const redis = (): Stage['published']['redis'] => stage.published.redis;
const count = async (sql: string): Promise<number> => (await client.query(sql)).rowCount ?? 0;
const state = (): Promise<string | null> => redis().get(systemStateKey('binance'));
const findings = async (): Promise<string[]> =>
  (await client.query<{ line: string }>(`SELECT kind || ' ' || resolution AS line FROM audit_findings ORDER BY finding_id`)).rows.map(({ line }) => line);
const runs = async (): Promise<Record<string, unknown>[]> =>
  (await client.query<Record<string, unknown>>('SELECT verdict, compared::int, detail, asked_by, reason FROM audit_runs ORDER BY run_id')).rows;
const states = async (): Promise<string[]> =>
  (await client.query<{ line: string }>(`SELECT from_state || ' ' || to_state AS line FROM state_log WHERE from_state IS NOT NULL ORDER BY ver`))
    .rows.map(({ line }) => line).slice(2);
const ask = (hours = 12): Promise<boolean> => requestAudit(redis(), { exchange: 'binance', hours, by: 'test', reason: 'doubt' }, Date.now() * 1_000);
/** A minute in the middle of the audited hours. */
const MINUTE = `date_trunc('hour', now()) - interval '5 hours'`;

async function audited(): Promise<void> {
  const before = (await runs()).length;
  await ask();
  await governor();
  await until(async () => (await runs()).filter(({ verdict }) => verdict !== null).length > before);
  await until(async () => (await redis().llen('queue:audit')) === 0 && (await redis().scard('jobs:queue:audit')) === 0);
}

/** What the exchange says of the minute, as trades. */
async function trades(seqs: string): Promise<void> {
  await client.query(
    `INSERT INTO public_trades (instrument_id, seq, ts, received_at, trade_id, side, price, amount)
     SELECT instrument_id, s, ${MINUTE} + (s - 1) * interval '30 seconds', now(), s::text, 'buy', 100, 1
     FROM instruments, unnest($1::int[]) AS s WHERE market_id = '${MARKET}' AND symbol = '${SYMBOL}'`, [seqs]);
  await client.query(
    `INSERT INTO trade_coverage SELECT instrument_id, (${MINUTE})::date, (SELECT range_agg(int8range(s, s + 1)) FROM unnest($1::int[]) AS s)
     FROM instruments WHERE market_id = '${MARKET}' AND symbol = '${SYMBOL}'`, [seqs]);
}

describe('an audit', () => {
  it('of good data finds nothing, and leaves the exchange healthy', async () => {
    await audited();
    expect(await findings()).toEqual([]);
    expect((await runs())[0]).toMatchObject({ verdict: 'good', asked_by: 'test', reason: 'doubt' });
    expect(Number((await runs())[0]!['compared'])).toBeGreaterThan(700);
    expect(await states()).toEqual(['HEALTHY AUDITING', 'AUDITING HEALTHY']);
    const events = await stage.published.events();
    expect(events.filter(({ type }) => type.startsWith('audit.')).map(({ type, data }) => [type, data['exchange'], data['verdict']])).toEqual(
      [['audit.requested', 'binance', undefined], ['audit.finished', 'binance', 'good']]);
  });

  it('stores the exchange\'s candle where ours is missing, not final or another one, and keeps what was there', async () => {
    const { rows: [truth] } = await client.query<{ close: string }>(`SELECT close FROM ohlc WHERE open_ts = ${MINUTE}`);
    await client.query(`UPDATE ohlc SET close = 1, volume = 2, source = 'stream' WHERE open_ts = ${MINUTE}`);
    await client.query(`UPDATE ohlc SET is_final = false WHERE open_ts = ${MINUTE} + interval '1 minute'`);
    await client.query(`DELETE FROM ohlc WHERE open_ts = ${MINUTE} + interval '2 minutes'`);
    await audited();
    expect(await findings()).toEqual(['candle_differs repaired', 'candle_missing repaired', 'candle_missing repaired']);
    const { rows } = await client.query<{ ours: object; theirs: { close: string } }>('SELECT ours, theirs FROM audit_findings ORDER BY open_ts');
    expect(rows[0]!.ours).toEqual({ close: '1', volume: '2' });
    expect(Number(rows[0]!.theirs.close)).toBe(Number(truth!.close));
    const repaired = `SELECT FROM ohlc WHERE is_final AND source = 'rest' AND open_ts BETWEEN ${MINUTE} AND ${MINUTE} + interval '2 minutes'`;
    expect(await count(repaired)).toBe(3);
    expect(await state()).toBe('HEALTHY');
    await Promise.all(running.map((one) => one.stop()));
    await audited();
    expect((await runs())[1]).toMatchObject({ verdict: 'good', detail: expect.stringContaining('no difference') as string });
  });

  it('locks when complete trades make another candle than the exchange tells, and says so', async () => {
    // Three trades in a row around the minute: both minutes are recorded whole, and none is missing.
    await trades('{1,2,3,4,5,6}');
    await audited();
    expect(new Set(await findings())).toEqual(new Set(['trades_differ unexplained']));
    expect(await state()).toBe('LOCKED');
    const reason = await redis().hget(systemStateMetaKey('binance'), 'reason');
    expect(reason).toMatch(/^audit 1 unexplained: \d+ candles compared, \d differences: \d trades_differ unexplained$/);
  });

  it('makes gaps of missing trades, and reconciles until they are settled', async () => {
    await trades('{1,2,5,6}');
    await audited();
    // What the trades of a day make is no proof while some are missing.
    expect(new Set(await findings())).toEqual(new Set(['trades_missing queued', 'trades_differ explained']));
    expect(await state()).toBe('RECONCILING');
    expect((await client.query('SELECT from_seq::int AS f, to_seq::int AS t, reason FROM data_gaps')).rows).toMatchObject([{ f: 3, t: 4 }]);
    await client.query(`UPDATE data_gaps SET status = 'unfillable', closed_at = now()`);
    await until(async () => (await state()) === 'HEALTHY');
    expect((await findings())[0]).toBe('trades_missing explained');
  });

  it('that the exchange does not answer fails, says nothing of the data, and is tried again', async () => {
    stage.simulator.inject({ kind: 'rest_status', market_id: MARKET, mode: '500', count: 6, path: 'klines' });
    await ask();
    expect(await ask()).toBe(false);
    await governor();
    await until(async () => (await runs())[1]?.['verdict'] === 'good', 60_000);
    expect((await runs())[0]).toMatchObject({ verdict: 'failed', detail: expect.stringContaining('candles of binance_spot BTCUSDT: ') as string });
    expect(await states()).toEqual(['HEALTHY AUDITING', 'AUDITING HEALTHY', 'HEALTHY AUDITING', 'AUDITING HEALTHY']);
  });

  it('that is interrupted goes back to the queue, and its exchange stays AUDITING for whoever goes on', async () => {
    stage.simulator.inject({ kind: 'rest_status', market_id: MARKET, mode: '418', count: 1, path: 'klines' });
    await ask();
    const one = await governor();
    await until(async () => (await redis().keys('ban:*')).length === 1);
    await one.stop();
    expect([await state(), await redis().llen('queue:audit'), await redis().hlen('leased:queue:audit')]).toEqual(['AUDITING', 1, 0]);
    await redis().del('ban:binance');
    await governor();
    await until(async () => (await runs())[1]?.['verdict'] === 'good');
    expect((await runs())[0]).toMatchObject({ verdict: 'failed', detail: 'interrupted' });
    expect(await state()).toBe('HEALTHY');
  });

  it('is asked for by the clock', async () => {
    await client.query(`INSERT INTO state_log VALUES ('binance', 0, 0, null, 'BOOTSTRAPPING', now() - interval '25 hours', 'test', 'long ago')`);
    await governor();
    await until(async () => (await runs())[0]?.['verdict'] === 'good');
    expect((await runs())[0]).toMatchObject({ reason: 'every 24 hours' });
  });
});

describe('npm run audit', () => {
  const run = async (...args: string[]): Promise<{ code: unknown; text: string }> => {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts/audit.ts'), ...args], {
      env: { PATH: process.env['PATH'] ?? '', ...stage.env }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (chunk: Buffer) => (text += String(chunk)));
    return { code: (await once(child, 'close'))[0], text };
  };

  it('asks, waits and prints; its exit code tells whether anything is left open', async () => {
    await governor();
    await client.query(`UPDATE ohlc SET close = 1 WHERE open_ts = ${MINUTE}`);
    const good = await run('binance', '--hours', '6');
    expect(good.code).toBe(0);
    expect(good.text).toMatch(/audit 1 of binance, .*: good\n\d+ candles compared, 1 differences: 1 candle_differs repaired\n/);
    expect(good.text).toMatch(/repaired {5}candle_differs {2}binance_spot BTCUSDT 1m \S+Z {2}ours close=1 {2}theirs close=\d/);
    await trades('{1,2,5,6}');
    const bad = await run('binance', '--hours', '6', '--json');
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.text.slice(bad.text.indexOf('{')))).toMatchObject({ exchange: 'binance', verdict: 'repairing' });
  });

  it('names what is wrong with a call, and a governor that is not there', async () => {
    const calls = await Promise.all([run(), run('krakn'), run('binance', '--hours', '0'), run('binance', 'now'), run('binance', '--wait', '1')]);
    expect(calls.map(({ code }) => code)).toEqual([2, 2, 2, 2, 1]);
    const texts = ['audit: which exchange? one of binance', 'audit: exchange: "krakn" is not one of binance',
      'audit: --hours: "0" is not a whole number from 1 to 744', 'audit: unexpected argument "now"', 'audit: no answer in 1 s: is a governor running?'];
    for (const [n, text] of texts.entries()) expect(calls[n]!.text).toContain(text);
  });
});
