// Killed workers: real processes, SIGKILL at seeded random points. Nothing is lost or doubled, and what was fetched and not stored
// is all that is fetched again.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MARKETS } from '../../exchanges/registry.ts';
import { createHttp } from '../../net/http.ts';
import { systemClock } from '../../runtime/clock.ts';
import { loadConfig } from '../../runtime/env.ts';
import { Prng } from '../../simulator/prng.ts';
import { upsertInstruments } from '../../store/instruments.ts';
import { openStage, until, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';

const KILLS = 10;
const DAY = 86_400_000_000;

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let children: ChildProcess[] = [];
/** Pages that the simulator was asked for: its log, and who waits for the next ones. */
let pages: string[] = [];
let asked: () => void = () => undefined;

beforeEach(async () => {
  [children, pages, asked] = [[], [], () => undefined];
  database = await freshDatabase('resume', { migrated: true });
  stage = await openStage({ DATABASE_URL: database.url, JOB_LEASE_MS: '600', BACKFILL_WORKERS: '1' }, {
    rate: 36_000, history: 0, symbols: ['BTCUSDT'], autoTick: false,
  });
  for (let tick = 0; tick < 30; tick++) stage.simulator.step(100);
  client = new pg.Client(database.url);
  await client.connect();
  const get = createHttp({ timeoutMs: 10_000, maxBytes: 64 * 1024 * 1024, clock: systemClock() });
  for (const { marketId, restUrl } of loadConfig(MARKETS, stage.env).markets) {
    await upsertInstruments(client, await MARKETS[marketId]!.rest(restUrl, get).instruments());
  }
  const { ledger } = stage.simulator;
  const note = ledger.note.bind(ledger);
  vi.spyOn(ledger, 'note').mockImplementation((entry) => {
    note(entry);
    if (entry.k !== 'rest' || !/klines|historicalTrades/.test(String(entry['path']))) return;
    pages.push(String(entry['query']));
    asked();
  });
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await client.end();
  await stage.close();
  await database.drop();
});

function worker(): ChildProcess {
  const env = { PATH: process.env['PATH'] ?? '', ...stage.env, INSTANCE_ID: `w${children.length}`, LOG_LEVEL: 'silent' };
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts/start.ts'), 'backfill'], { env, stdio: 'ignore' });
  children.push(child);
  return child;
}

/** Both looked at in one moment: a job whose lease runs out in between would be seen nowhere. */
const idle = async (queue: string): Promise<boolean> => {
  const counts = await stage.published.redis.multi().llen(queue).hlen(`leased:${queue}`).exec();
  return counts?.every(([, count]) => count === 0) === true;
};

/** Workers one after another; each is killed some time after it asked for its 2nd to 4th page. The last one may finish. */
async function workUnderFire(queue: string, job: object, seed: number): Promise<void> {
  const dice = new Prng(seed);
  await stage.published.redis.lpush(queue, JSON.stringify(job));
  for (let kills = 0; kills < KILLS; kills++) {
    const reached = Promise.withResolvers<number>();
    let wanted = 2 + Math.floor(dice.float() * 3);
    const delayMs = dice.float() * 12;
    asked = () => {
      if (--wanted === 0) setTimeout(() => reached.resolve(kills), delayMs);
    };
    const child = worker();
    await reached.promise;
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await idle(queue)).toBe(false);
  }
  asked = () => undefined;
  worker();
  await until(() => idle(queue), 60_000);
}

/** No page was asked for more than twice: once more than stored, by whom was killed in between. */
function expectPages(atLeast: number): void {
  const counts = new Map<string, number>();
  for (const page of pages) counts.set(page, (counts.get(page) ?? 0) + 1);
  expect(counts.size).toBeGreaterThanOrEqual(atLeast);
  expect([...counts].filter(([, count]) => count > 2)).toEqual([]);
  expect(pages.length - counts.size).toBeLessThanOrEqual(KILLS);
}

describe('a worker killed ten times', () => {
  it('stores every trade once', async () => {
    const [marketId, symbol] = ['binance_spot', 'BTCUSDT'];
    await stage.simulator.ledger.commit();
    const truth = [...stage.simulator.ledger.entries()].filter((entry) => entry.k === 'trade' && entry['market_id'] === marketId && entry['symbol'] === symbol);
    const [from, to] = [truth[0]!.seq!, truth.at(-1)!.seq!];
    await client.query(
      `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
       SELECT instrument_id, $3, $4, 'test', now(), $4::int8 - $3 + 1 FROM instruments WHERE market_id = $1 AND symbol = $2`, [marketId, symbol, from, to]);
    await workUnderFire('queue:trade_work', {
      job_id: 'killed', market_id: marketId, symbol, from_seq: from, to_seq: to, gaps: true, reason: 'test', attempts: 0,
    }, 5);
    const { rows } = await client.query<{ seq: string; trade_id: string; same: boolean }>(
      `SELECT t.seq, t.trade_id, t.price = v.price AND t.amount = v.amount AS same FROM public_trades t
       JOIN unnest($1::int8[], $2::numeric[], $3::numeric[]) AS v(seq, price, amount) USING (seq) ORDER BY t.seq`,
      [truth.map((t) => t.seq), truth.map((t) => t['price']), truth.map((t) => t['amount'])]);
    expect(rows).toEqual(truth.map((t) => ({ seq: String(t.seq), trade_id: String(t['trade_id']), same: true })));
    expect((await client.query('SELECT count(*)::int AS n FROM public_trades')).rows).toEqual([{ n: truth.length }]);
    expect((await client.query('SELECT status, recovered FROM data_gaps')).rows).toEqual([{ status: 'closed', recovered: String(truth.length) }]);
    expect((await client.query('SELECT sum(healed)::int AS healed, sum(missing)::int AS missing FROM v_completeness')).rows)
      .toEqual([{ healed: truth.length, missing: 0 }]);
    expectPages(Math.floor(truth.length / 1_000));
  }, 120_000);

  it('stores every candle once', async () => {
    const end = Math.floor(Date.now() / 86_400_000) * DAY;
    const start = end - 60 * DAY;
    await workUnderFire('queue:ohlc_work', {
      job_id: 'killed', market_id: 'binance_spot', symbol: 'BTCUSDT', resolution: '1m', start, end, reason: 'test', attempts: 0,
    }, 7);
    const { rows } = await client.query<{ n: number; first: string; last: string; final: boolean }>(
      `SELECT count(*)::int AS n, extract(epoch FROM min(open_ts))::int8 AS first, extract(epoch FROM max(open_ts))::int8 AS last,
         bool_and(is_final) AS final FROM ohlc`);
    expect(rows).toEqual([{ n: 60 * 1440, first: String(start / 1e6), last: String(end / 1e6 - 60), final: true }]);
    expect((await client.query<{ pages: string }>('SELECT pages FROM backfill_jobs')).rows[0]!.pages).toBe(String(Math.ceil((60 * 1440) / 1000)));
    expectPages(87);
  }, 120_000);
});
