// (e) backfill of candles: five workers at the exchange's own rate limit, how much of it they use; and a year of minutes without any
// limit, beside COPY of the same rows, equal to the simulator's row for row.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { leasedKey, queueOhlcWorkKey, type OhlcJob } from '../../contracts/index.ts';
import { binanceUsdm } from '../../exchanges/binance/markets.ts';
import { freePort } from '../local/child.ts';
import { metricsOf, openStage, type Service, type Stage } from './stage.ts';

export interface LimitedResult {
  workers: number;
  seconds: number;
  /** Weight that the simulator served, and what its limit allows in that time. */
  served: number;
  allowed: number;
  ofLimit: number;
  refused: number;
  candlesPerSecond: number;
}

export interface FreeResult {
  candles: number;
  candlesPerSecond: number;
  copyPerSecond: number;
  ofCopy: number;
  /** Rows that differ from the simulator's, are missing or are too many. */
  wrong: number;
}

const WORKERS = 5;
const DAY = 86_400_000_000;
const YEAR_DAYS = 365;
/** The bucket's first fill is spent before the clock runs. */
const SETTLE_MS = 6_000;
const UNLIMITED = join(import.meta.dirname, 'unlimited/main.ts');
const WEIGHT_PER_MINUTE = 2_400;
const COLUMNS = 'instrument_id, resolution, open_ts, open, high, low, close, volume, quote_volume, trade_count, is_final, source, updated_at';

/** Five processes with one worker each on the history of the futures, for `seconds`. */
export async function benchLimited(seconds: number): Promise<LimitedResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  try {
    const url = await simulate(stage);
    const env = { SIM_URL: url, MARKETS: binanceUsdm.marketId, BACKFILL_WORKERS: '1', BACKFILL_DAYS: '0' };
    await stage.service('janitor', env);
    const workers: Service[] = [];
    for (let n = 1; n <= WORKERS; n++) workers.push(await stage.service('backfill', { ...env, INSTANCE_ID: String(n) }));
    const end = Math.floor(Date.now() / 86_400_000) * DAY;
    for (const symbol of binanceUsdm.defaultSymbols) await queue(redis, jobOf(binanceUsdm.marketId, symbol, end - YEAR_DAYS * DAY, end));
    await sleep(SETTLE_MS);
    const [before, rowsBefore, from] = [await weights(url), await rows(workers), performance.now()];
    await sleep(seconds * 1000);
    const [after, elapsed] = [await weights(url), (performance.now() - from) / 1000];
    const [served, allowed] = [after.served - before.served, (WEIGHT_PER_MINUTE * elapsed) / 60];
    return {
      workers: WORKERS, seconds: elapsed, served, allowed, ofLimit: served / allowed, refused: after.turnedAway,
      candlesPerSecond: (await rows(workers) - rowsBefore) / elapsed,
    };
  } finally {
    redis.disconnect();
    await stage.close();
  }
}

/** A year of minutes of one symbol, in five jobs, by one process with five workers; no limit on either side. */
export async function benchFree(): Promise<FreeResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  const client = new pg.Client(stage.databaseUrl);
  client.on('error', () => undefined); // the stage ends its server under us when something failed
  try {
    const url = await simulate(stage, UNLIMITED);
    const env = { SIM_URL: url, MARKETS: 'binance_spot', BACKFILL_WORKERS: String(WORKERS), BACKFILL_DAYS: '0' };
    await stage.service('janitor', env);
    await client.connect();
    const end = Math.floor(Date.now() / 86_400_000) * DAY;
    const start = end - YEAR_DAYS * DAY;
    const part = (YEAR_DAYS / WORKERS) * DAY;
    await stage.service('backfill', env, UNLIMITED);
    // A first day lets both sides warm up.
    await queue(redis, jobOf('binance_spot', 'BTCUSDT', start - DAY, start));
    await untilIdle(redis);
    await client.query('DELETE FROM ohlc');
    const from = performance.now();
    for (let n = 0; n < WORKERS; n++) await queue(redis, jobOf('binance_spot', 'BTCUSDT', start + n * part, start + (n + 1) * part));
    await untilIdle(redis);
    const candlesPerSecond = (YEAR_DAYS * 1440) / ((performance.now() - from) / 1000);
    const truth = await wireCandles(url, start / 1000, end / 1000);
    const wrong = await differing(client, truth);
    const copyPerSecond = await copied(client, truth);
    return { candles: truth.length, candlesPerSecond, copyPerSecond, ofCopy: candlesPerSecond / copyPerSecond, wrong };
  } finally {
    redis.disconnect();
    await client.end().catch(() => undefined);
    await stage.close();
  }
}

async function simulate(stage: Stage, script?: string): Promise<string> {
  const port = await freePort();
  await stage.service('simulator', { SIM_PORT: String(port), SIM_RATE: '1' }, script);
  return `http://127.0.0.1:${port}`;
}

const jobOf = (marketId: string, symbol: string, start: number, end: number): OhlcJob => ({
  job_id: `bench:${symbol}:${start}`, market_id: marketId, symbol, resolution: '1m', start, end, reason: 'bench', attempts: 0,
});
const queue = (redis: Redis, job: OhlcJob): Promise<number> => redis.lpush(queueOhlcWorkKey, JSON.stringify(job));

async function untilIdle(redis: Redis): Promise<void> {
  while ((await redis.llen(queueOhlcWorkKey)) + (await redis.hlen(leasedKey(queueOhlcWorkKey))) > 0) await sleep(20);
}

interface Weight {
  served: number;
  turnedAway: number;
}

async function weights(url: string): Promise<Weight> {
  const { markets } = (await (await fetch(`${url}/control/state`)).json()) as { markets: Record<string, { rest: Record<string, Weight> }> };
  const of = Object.values(markets[binanceUsdm.marketId]?.rest ?? {});
  const sum = (name: keyof Weight): number => of.reduce((total, one) => total + one[name], 0);
  return { served: sum('served'), turnedAway: sum('turnedAway') };
}

async function rows(workers: readonly Service[]): Promise<number> {
  const each = await Promise.all(workers.map(async (worker) => (await metricsOf(worker)).sum('backfill_rows_total', 'table="ohlc"')));
  return each.reduce((sum, n) => sum + n, 0);
}

type WireRow = readonly (string | number)[];

/** What the simulator itself answers, page by page. */
async function wireCandles(url: string, startMs: number, endMs: number): Promise<WireRow[]> {
  const found: WireRow[] = [];
  for (let at = startMs; at < endMs; at = Number(found.at(-1)?.[0]) + 1) {
    const query = `symbol=BTCUSDT&interval=1m&limit=1000&startTime=${at}&endTime=${endMs - 1}`;
    const page = (await (await fetch(`${url}/binance_spot/api/v3/klines?${query}`)).json()) as WireRow[];
    if (page.length === 0) break;
    found.push(...page);
  }
  return found;
}

/** Reads the year day by day and compares each field as text. */
async function differing(client: pg.Client, truth: readonly WireRow[]): Promise<number> {
  const { rows: stored } = await client.query<{ line: string }>(
    `SELECT concat_ws(' ', (extract(epoch FROM open_ts) * 1000)::int8, open, high, low, close, volume, quote_volume, trade_count, is_final, source) AS line
     FROM ohlc ORDER BY open_ts`);
  let wrong = Math.abs(stored.length - truth.length);
  for (const [n, row] of truth.entries()) {
    const line = [...row.slice(0, 6), row[7], row[8], 't', 'rest'].join(' ');
    if (n < stored.length && stored[n]!.line !== line) wrong++;
  }
  return wrong;
}

/** COPY of the same rows into a table with the same key, rows per second. */
async function copied(client: pg.Client, truth: readonly WireRow[]): Promise<number> {
  await client.query('CREATE TABLE bench_ohlc (LIKE ohlc INCLUDING ALL)');
  const now = new Date().toISOString();
  const lines = truth.map((row) => [
    1, '1m', new Date(Number(row[0])).toISOString(), ...row.slice(1, 6), row[7], row[8], 't', 'rest', now,
  ].join('\t'));
  const chunks = Array.from({ length: Math.ceil(lines.length / 1000) }, (_chunk, n) => `${lines.slice(n * 1000, (n + 1) * 1000).join('\n')}\n`);
  const from = performance.now();
  await pipeline(Readable.from(chunks), client.query(copyFrom(`COPY bench_ohlc (${COLUMNS}) FROM STDIN`)));
  return truth.length / ((performance.now() - from) / 1000);
}
