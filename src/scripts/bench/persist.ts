// (c) stream → committed rows, by the distributor process, beside plain COPY of the same rows into the same partitioned table with
// its keys, and beside COPY into the same columns without any key.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { median } from './measure.ts';
import { cpuSeconds, metricsOf, openStage, type Stage } from './stage.ts';
import { BENCH_MARKET, makeTrades, type BenchTrade } from './trades.ts';

export interface PersistResult {
  rows: number;
  committedPerSecond: number;
  keyedCopyPerSecond: number;
  keylessCopyPerSecond: number;
  ofKeyedCopy: number;
  ofKeylessCopy: number;
  /** CPU µs per row of our own rounds. */
  cpuMicrosPerRow: Record<'distributor' | 'redis' | 'postgres', number>;
}

interface Round {
  perSecond: number;
  cpuMicros: PersistResult['cpuMicrosPerRow'];
}

const COLUMNS = 'instrument_id, seq, ts, received_at, side, trade_id, price, amount, mark_price, index_price';

/** Alternates the three over `rounds` rounds; the ratios are medians of the per-round ones. */
export async function benchPersist(rows: number, rounds: number): Promise<PersistResult> {
  const stage = await openStage();
  try {
    await stage.service('janitor', { MARKETS: BENCH_MARKET, ...(await simulatorUrl(stage)) });
    const client = new pg.Client(stage.databaseUrl);
    client.on('error', () => undefined); // the stage ends its server under us when something failed
    await client.connect();
    const redis = new Redis(stage.redisUrl);
    const trades = makeTrades(rows, 50);
    await fillStream(redis, trades.slice(0, 2000));
    await drainOnce(stage, 2000);
    const text = copyText(trades, await instrumentIds(client));
    await client.query('CREATE TABLE bench_keyless (LIKE public_trades)');
    const results: { own: Round; keyed: number; keyless: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const own = await ownRound(stage, client, redis, trades);
      const keyed = await copyRound(client, 'public_trades', text, rows);
      const keyless = await copyRound(client, 'bench_keyless', text, rows);
      results.push({ own, keyed, keyless });
    }
    await client.end();
    redis.disconnect();
    return {
      rows,
      committedPerSecond: median(results.map((r) => r.own.perSecond)),
      keyedCopyPerSecond: median(results.map((r) => r.keyed)),
      keylessCopyPerSecond: median(results.map((r) => r.keyless)),
      ofKeyedCopy: median(results.map((r) => r.own.perSecond / r.keyed)),
      ofKeylessCopy: median(results.map((r) => r.own.perSecond / r.keyless)),
      cpuMicrosPerRow: medianCpu(results.map((r) => r.own.cpuMicros)),
    };
  } finally {
    await stage.close();
  }
}

function medianCpu(rounds: readonly Round['cpuMicros'][]): Round['cpuMicros'] {
  const of = (name: keyof Round['cpuMicros']): number => median(rounds.map((round) => round[name]));
  return { distributor: of('distributor'), redis: of('redis'), postgres: of('postgres') };
}

/** A simulator that says little, for what wants one to be there. */
export async function simulatorUrl(stage: Stage): Promise<Record<string, string>> {
  const { freePort } = await import('../local/child.ts');
  const port = await freePort();
  await stage.service('simulator', { SIM_PORT: String(port), SIM_RATE: '1' });
  return { SIM_URL: `http://127.0.0.1:${port}` };
}

async function instrumentIds(client: pg.Client): Promise<Map<string, number>> {
  const { rows } = await client.query<{ symbol: string; instrument_id: number }>('SELECT symbol, instrument_id FROM instruments');
  return new Map(rows.map((row) => [row.symbol, row.instrument_id]));
}

async function empty(client: pg.Client): Promise<void> {
  await client.query('TRUNCATE public_trades, trade_coverage, bench_keyless');
  await client.query('CHECKPOINT');
}

export async function fillStream(redis: Redis, trades: readonly BenchTrade[]): Promise<void> {
  for (let i = 0; i < trades.length; i += 1000) {
    const batch = redis.pipeline();
    for (const trade of trades.slice(i, i + 1000)) batch.xadd(streamMarketDataKey, '*', 'payload', trade.payload);
    await batch.exec();
  }
}

/** Lets a distributor see every symbol once, so that the instruments exist for the COPY rounds too. */
async function drainOnce(stage: Stage, rows: number): Promise<void> {
  const distributor = await stage.service('distributor', { MARKETS: BENCH_MARKET });
  while ((await metricsOf(distributor)).sum('distributor_rows_total') < rows) await sleep(50);
  await distributor.stop();
}

/** Fills the stream, then starts a distributor; counts from its first committed batch to its last. */
async function ownRound(stage: Stage, client: pg.Client, redis: Redis, trades: readonly BenchTrade[]): Promise<Round> {
  await empty(client);
  await redis.xtrim(streamMarketDataKey, 'MAXLEN', 0);
  await fillStream(redis, trades);
  const distributor = await stage.service('distributor', { MARKETS: BENCH_MARKET });
  const cpu = (): number[] => [distributor.pid, stage.pids.redis, stage.pids.postgres].map(cpuSeconds);
  let first: { at: number; rows: number; cpu: number[] } | null = null;
  for (;;) {
    const rows = (await metricsOf(distributor)).sum('distributor_rows_total');
    const at = performance.now();
    if (first === null && rows > 0) first = { at, rows, cpu: cpu() };
    if (first !== null && rows >= trades.length) {
      const [own = 0, redisCpu = 0, postgres = 0] = cpu().map((seconds, n) => ((seconds - first!.cpu[n]!) / (rows - first!.rows)) * 1e6);
      await distributor.stop();
      const { rows: [stored] } = await client.query<{ n: string }>('SELECT count(*) AS n FROM public_trades');
      if (Number(stored?.n) !== trades.length) throw new Error(`persist: ${stored?.n} rows stored of ${trades.length}`);
      return {
        perSecond: (rows - first.rows) / ((at - first.at) / 1000),
        cpuMicros: { distributor: own, redis: redisCpu, postgres },
      };
    }
    // Often enough to be exact to 2 %, and seldom enough: each scrape costs the distributor 5 ms.
    await sleep(first === null ? 20 : 50);
  }
}

function copyText(trades: readonly BenchTrade[], ids: ReadonlyMap<string, number>): string[] {
  const iso = (micros: number): string => `${new Date(micros / 1000).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, '0')}Z`;
  const lines = trades.map((t) =>
    `${ids.get(t.symbol)}\t${t.seq}\t${iso(t.ts)}\t${iso(t.receivedTs)}\t${t.side}\t${t.tradeId}\t${t.price}\t${t.amount}\t${t.price}\t${t.price}\n`);
  const chunks: string[] = [];
  for (let i = 0; i < lines.length; i += 2000) chunks.push(lines.slice(i, i + 2000).join(''));
  return chunks;
}

async function copyRound(client: pg.Client, tableName: string, text: readonly string[], rows: number): Promise<number> {
  await empty(client);
  const from = performance.now();
  await pipeline(Readable.from(text), client.query(copyFrom(`COPY ${tableName} (${COLUMNS}) FROM STDIN`)));
  return rows / ((performance.now() - from) / 1000);
}
