// An exchange that fails for a while, or answers with status 200 and less than it has: never taken for "there is nothing".
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MARKETS } from '../../exchanges/registry.ts';
import { createHttp } from '../../net/http.ts';
import { systemClock } from '../../runtime/clock.ts';
import { upsertInstruments } from '../../store/instruments.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { start } from './main.ts';

/** What becomes of an answer of the exchange. */
type Twist = (path: string, body: string) => { status: number; body: string };

const MINUTE = 60_000_000;
const MARKET = 'binance_spot';
const SYMBOL = 'BTCUSDT';
const faithful: Twist = (_path, body) => ({ status: 200, body });

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let proxy: Server;
let backfill: RunningReceiver;
let twist: Twist = faithful;

beforeEach(async () => {
  twist = faithful;
  database = await freshDatabase('outage', { migrated: true });
  stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'binance_spot' }, { rate: 1_000, history: 3_000 });
  proxy = createServer((request, response) => {
    void fetch(`${stage.simulator.url}/binance_spot${request.url ?? ''}`).then(async (answer) => {
      const path = (request.url ?? '').replace(/\?.*/, '');
      const told = answer.status === 200 ? twist(path, await answer.text()) : { status: answer.status, body: await answer.text() };
      response.writeHead(told.status, { 'content-type': 'application/json' }).end(told.body);
    });
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  client = new pg.Client(database.url);
  await client.connect();
  const get = createHttp({ timeoutMs: 10_000, maxBytes: 64 * 1024 * 1024, clock: systemClock() });
  await upsertInstruments(client, await MARKETS['binance_spot']!.rest(`${stage.simulator.url}/binance_spot`, get).instruments());
  stage.simulator.setRate(0.001);
  const restUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  backfill = await runInProcess('backfill', start, { ...stage.env, INSTANCE_ID: '1', BINANCE_SPOT_REST_URL: restUrl });
});
afterEach(async () => {
  await backfill.stop();
  proxy.closeAllConnections();
  proxy.close();
  await client.end();
  await stage.close();
  await database.drop();
});

const push = (queue: string, job: unknown): Promise<number> => stage.published.redis.lpush(queue, JSON.stringify(job));
const count = async (sql: string): Promise<number> => (await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${sql}`)).rows[0]!.n;
/** A job for 2500 candles less `fewer`. */
const candles = (fewer: number): object => {
  const end = Math.floor(Date.now() / 60_000) * MINUTE - 5 * MINUTE;
  return { job_id: 'c', market_id: MARKET, symbol: SYMBOL, resolution: '1m', start: end - (2_500 - fewer) * MINUTE, end, reason: 'test', attempts: 0 };
};
const rowsOf = (body: string): unknown[] => JSON.parse(body) as unknown[];

/** A hundred trades that the exchange has, as a gap with its job, which was tried so often already. */
async function gap(attempts = 0, more: object = {}): Promise<{ id: string; queue: () => Promise<number> }> {
  await stage.simulator.ledger.commit();
  const trade = [...stage.simulator.ledger.entries()].find((entry) => entry.k === 'trade' && entry['symbol'] === SYMBOL && entry['market_id'] === MARKET);
  const from = trade!.seq!;
  const { rows } = await client.query<{ gap_id: string }>(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
     SELECT instrument_id, $1, $1::int8 + 99, 'test', now(), 100 FROM instruments WHERE symbol = $2 RETURNING gap_id`, [from, SYMBOL]);
  const job = { job_id: 't', market_id: MARKET, symbol: SYMBOL, from_seq: from, to_seq: from + 99, gaps: true, reason: 'test', attempts, ...more };
  return { id: rows[0]!.gap_id, queue: () => push('queue:trade_work', job) };
}
const gapIs = async (id: string): Promise<string> =>
  (await client.query<{ status: string }>('SELECT status FROM data_gaps WHERE gap_id = $1', [id])).rows[0]!.status;
const dead = async (): Promise<string[]> =>
  (await stage.published.redis.xrange('dlq:queue:trade_work', '-', '+')).map(([, fields]) => fields[fields.indexOf('error_class') + 1]!);

/** Answers that hold less than the exchange has, or not as it documents them. */
const BAD: Record<string, (rows: unknown[]) => unknown[]> = {
  empty: () => [],
  short: (rows) => rows.slice(0, 100),
  holed: (rows) => [...rows.slice(0, 100), ...rows.slice(200)],
  'without its beginning': (rows) => rows.slice(100),
  repeated: (rows) => [...rows, ...rows],
  'the other way round': (rows) => rows.toReversed(),
};

it.each(Object.keys(BAD))('candles of a page that is %s are asked for again', async (name) => {
  let left = 2;
  twist = (path, body) => ({ status: 200, body: path.endsWith('klines') && left-- > 0 ? JSON.stringify(BAD[name]!(rowsOf(body))) : body });
  await push('queue:ohlc_work', candles(0));
  await until(async () => (await backfill.metric('backfill_jobs_total', { outcome: 'done' })) === 1, 30_000);
  expect(await count('ohlc WHERE is_final')).toBe(2_500);
});

it('a time for which the exchange keeps saying that it has no candles is believed', async () => {
  twist = (path, body) => ({ status: 200, body: path.endsWith('klines') ? JSON.stringify(rowsOf(body).filter((_row, i) => i < 50 || i >= 60)) : body });
  await push('queue:ohlc_work', candles(1_700));
  await until(async () => (await backfill.metric('backfill_jobs_total', { outcome: 'done' })) === 1, 30_000);
  expect(await count('ohlc WHERE is_final')).toBe(790);
});

it('trades of pages that are empty for some seconds are not given up', async () => {
  const endsAt = performance.now() + 4_000;
  twist = (path, body) => ({ status: 200, body: path.endsWith('historicalTrades') && performance.now() < endsAt ? '[]' : body });
  const { id, queue } = await gap();
  await queue();
  await until(async () => !['open', 'healing'].includes(await gapIs(id)), 30_000);
  expect(await gapIs(id)).toBe('closed');
});

it.each([['HTML', 200, '<html></html>'], ['an error under 200', 200, '{"code":-1000,"msg":"unknown"}']] as const)(
  'what an exchange that says %s does not tell is no reason to give a gap up', async (_name, status, body) => {
    let failing = true;
    twist = (path, good) => (failing && path.endsWith('historicalTrades') ? { status, body } : { status: 200, body: good });
    const { id, queue } = await gap(8);
    await queue();
    await until(async () => (await dead()).length > 0, 30_000);
    expect([await gapIs(id), await dead()]).toEqual(['open', ['attempts']]);
    failing = false;
    // As the governor does with every gap that is neither closed nor given up.
    await queue();
    await until(async () => (await gapIs(id)) === 'closed', 60_000);
  }, 90_000);

it('a gap of an instrument that the exchange refuses to tell of is given up, and an event says so', async () => {
  twist = (path, body) => (path.endsWith('historicalTrades') ? { status: 400, body: '{"code":-1121,"msg":"Invalid symbol."}' } : { status: 200, body });
  const { id, queue } = await gap(8);
  await queue();
  await until(async () => (await gapIs(id)) === 'unfillable', 30_000);
  await until(async () => (await stage.published.events('gap.unfillable')).length === 1);
  expect((await stage.published.events('gap.unfillable'))[0]?.data).toMatchObject({ gap_id: id, recovered: 0 });
}, 90_000);

it.each([500, 503])('an exchange that says %i for a while costs no attempt: trades and candles are there when it is back', async (status) => {
  const endsAt = performance.now() + 4_000;
  let failed = 0;
  twist = (path, body) => {
    if (!/historicalTrades|klines/.test(path) || performance.now() > endsAt) return { status: 200, body };
    failed++;
    return { status, body: '' };
  };
  // One attempt more would be too many.
  const { id, queue } = await gap(9);
  await queue();
  await push('queue:ohlc_work', { ...candles(2_000), attempts: 9 });
  await until(async () => (await gapIs(id)) === 'closed', 30_000);
  await until(async () => (await count('ohlc WHERE is_final')) === 500, 30_000);
  expect(failed).toBeGreaterThan(3);
  expect(await backfill.metric('backfill_jobs_total', { outcome: 'waits' })).toBe(failed);
  expect(await dead()).toEqual([]);
  await until(async () => (await backfill.metric('backfill_unanswered_seconds')) === 0);
}, 90_000);

it('gives up on an exchange that has not answered for a day: a dead job tells, the gap stays open', async () => {
  twist = (path, body) => (path.endsWith('historicalTrades') ? { status: 502, body: '' } : { status: 200, body });
  const { id, queue } = await gap(0, { waiting_since: (Date.now() - 86_500_000) * 1_000 });
  await queue();
  await until(async () => (await dead()).length === 1, 30_000);
  expect([await gapIs(id), await dead()]).toEqual(['open', ['unanswered']]);
});

it('a silent or banned exchange holds up nobody else’s jobs', async () => {
  twist = (path, body) => (path.endsWith('historicalTrades') ? { status: 500, body: '' } : { status: 200, body });
  const { queue } = await gap();
  for (let i = 0; i < 2_000; i++) await queue();
  await stage.published.redis.set('ban:deribit', 'told to stop', 'PX', 600_000);
  await push('queue:trade_work', { job_id: 'x', market_id: 'deribit', symbol: 'X', from_seq: 1, to_seq: 2, reason: 'test', attempts: 0 });
  // Of a market that is not served here: it is at its end at once, whenever its turn comes.
  await push('queue:trade_work', { job_id: 'y', market_id: 'nowhere', symbol: 'Y', from_seq: 1, to_seq: 2, reason: 'test', attempts: 0 });
  const from = performance.now();
  await until(async () => (await dead()).includes('unknown_market'), 30_000);
  expect(performance.now() - from).toBeLessThan(10_000);
}, 60_000);

it('an exchange that does not answer at all costs no attempt', async () => {
  proxy.on('connection', (socket) => socket.destroy());
  proxy.closeAllConnections();
  const { queue } = await gap();
  await queue();
  await until(async () => (await backfill.metric('backfill_jobs_total', { outcome: 'waits' })) >= 4, 60_000);
  // At one moment: it goes to and fro.
  const both = await stage.published.redis.multi().lrange('queue:trade_work', 0, -1).hvals('leased:queue:trade_work').exec();
  const jobs = (both ?? []).flatMap(([, found]) => found as string[]);
  expect(jobs.map((job) => (JSON.parse(job) as { attempts: number }).attempts)).toEqual([0]);
}, 90_000);
