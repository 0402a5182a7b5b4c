// Healing under fire: every second each of some symbols loses trades; how long after the last one is every gap closed, and is
// everything there then, equal to the simulator's ledger?
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { feedSeqKey } from '../../contracts/index.ts';
import { createPool } from '../../store/connect.ts';
import { freePort } from '../local/child.ts';
import { checkTrades } from '../demo/verdict.ts';
import { metricsOf, openStage } from './stage.ts';

export interface HealResult {
  seconds: number;
  symbols: number;
  gaps: number;
  closed: number;
  expected: number;
  recovered: number;
  /** From the last fault to the last gap closed; null: not within two minutes. */
  healedAfterSeconds: number | null;
  pages: number;
  /** Verdicts against the ledger that failed. */
  failed: string[];
}

const SYMBOLS = 20;
const TRADED = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'BNBUSDT', 'XRPUSDT', 'DOGEUSDT', 'BTCUSDC'].join(',');
const HEARD_MS = 30_000;
const LIMIT_MS = 120_000;

interface State {
  markets: Record<string, { instruments: { symbol: string }[] }>;
}

/** Gaps of one to three trades on 20 symbols, each second, for `seconds`. */
export async function benchHeal(rate: number, seconds: number): Promise<HealResult> {
  const stage = await openStage();
  const port = await freePort();
  const ledger = join(stage.folder, 'ledger.ndjson');
  const url = `http://127.0.0.1:${port}`;
  // Of the symbols that are recorded by default sixteen trade often enough to be heard at once.
  const env = { SIM_URL: url, BINANCE_SPOT_SYMBOLS: TRADED, BINANCE_USDM_SYMBOLS: TRADED };
  const client = new pg.Client(stage.databaseUrl);
  client.on('error', () => undefined); // the stage ends its server under us when something failed
  const redis = new Redis(stage.redisUrl);
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${url}/control/${path}`, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  try {
    await stage.service('simulator', { SIM_PORT: String(port), SIM_RATE: String(rate), SIM_LEDGER: ledger });
    await stage.service('janitor', env);
    for (const name of ['distributor', 'governor']) await stage.service(name, env);
    const backfill = await stage.service('backfill', env);
    const receiver = await stage.service('receiver', env);
    await client.connect();
    const victims = await heardSymbols(redis, (await (await fetch(`${url}/control/state`)).json()) as State);
    for (let second = 0; second < seconds; second++) {
      await Promise.all(victims.map(({ marketId, symbol }) =>
        post('faults', { kind: 'gap', market_id: marketId, symbol, count: 1 + (second % 3), duration_ms: 900 })));
      await sleep(1_000);
    }
    const ended = performance.now();
    // The first trade after a hole is what makes the hole known: the market goes on for a moment.
    await sleep(2_000);
    await post('rate', { rate: 0 });
    const healed = await untilHealed(client, ended);
    await sleep(500);
    await receiver.stop();
    const pool = createPool(stage.databaseUrl, { name: 'bench', log: { warn: () => undefined } });
    const verdicts = await checkTrades(pool, ledger).finally(() => pool.end());
    const { rows: [counts] } = await client.query<{ gaps: number; closed: number; expected: number; recovered: number }>(
      `SELECT count(*)::int AS gaps, count(*) FILTER (WHERE status = 'closed')::int AS closed, coalesce(sum(expected), 0)::int AS expected,
         coalesce(sum(recovered), 0)::int AS recovered FROM data_gaps`);
    return {
      seconds, symbols: victims.length, ...counts!, healedAfterSeconds: healed, pages: (await metricsOf(backfill)).sum('backfill_pages_total'),
      failed: verdicts.filter((verdict) => !verdict.ok || (verdict.figures['in_gaps'] ?? 0) > 0).map(({ name, detail }) => `${name}: ${detail}`),
    };
  } finally {
    redis.disconnect();
    await client.end().catch(() => undefined);
    await stage.close();
  }
}

/** Twenty symbols of which trades come, as soon as they do; fewer after half a minute. */
async function heardSymbols(redis: Redis, { markets }: State): Promise<{ marketId: string; symbol: string }[]> {
  for (const until = performance.now() + HEARD_MS; ; ) {
    const found: { marketId: string; symbol: string }[] = [];
    for (const marketId of Object.keys(markets)) {
      for (const symbol of await redis.hkeys(feedSeqKey(marketId))) found.push({ marketId, symbol });
    }
    if (found.length >= SYMBOLS || performance.now() > until) return found.slice(0, SYMBOLS);
    await sleep(200);
  }
}

async function untilHealed(client: pg.Client, since: number): Promise<number | null> {
  for (let quiet = 0; performance.now() - since < LIMIT_MS; ) {
    const { rows: [row] } = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM data_gaps WHERE status IN ('open', 'healing')`);
    quiet = row?.n === 0 ? quiet + 1 : 0;
    // Long enough that a hole nobody reported would have become a gap, too.
    if (quiet === 50) return (performance.now() - since) / 1000 - 50 * 0.4;
    await sleep(400);
  }
  return null;
}
