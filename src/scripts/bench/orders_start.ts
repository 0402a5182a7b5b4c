// How long an executor that starts takes until its books agree with the exchange's: a thousand orders rest, and fifty thousand fills are
// told within what is asked for again at each start. First an executor that was away while all of them happened: its orders are on
// record as open, not one of their fills is. Then one that knows everything. The simulator has Deribit's page sizes and rate credits.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { LedgerEntry } from '../../simulator/ledger.ts';
import { ACCOUNT, MARKET, SYMBOL, TRADED, ledgerOf, openExchange, openFleet, type Env } from './orders_stage.ts';
import { cpuSeconds, openStage, type Stage } from './stage.ts';

export interface StartResult {
  openOrders: number;
  fills: number;
  /** Orders that these fills are of. */
  filledOrders: number;
  /** Fills on record when it was reconciled, and whether the position is the exchange's. */
  healed: StartFigures & { recorded: number; agrees: boolean };
  known: StartFigures;
}

export interface StartFigures {
  /** s, from the start of the process. */
  ready: number;
  /** s, from leading to reconciled. */
  reconciled: number;
  /** s of CPU until then: the executor's, PostgreSQL's and the simulator's. */
  cpu: Record<'executor' | 'postgres' | 'simulator', number>;
  /** Pages of fills that were asked for. */
  pages: number;
}

const PATIENCE_MS = 240_000;

export async function benchStart(): Promise<StartResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  const db = new pg.Client(stage.databaseUrl);
  try {
    const exchange = await openExchange(stage, TRADED);
    const env = await openFleet(stage, exchange.url, redis);
    await db.connect();
    const { entries } = await ledgerOf(exchange.url, ['order', 'fill']);
    const [orders, fills] = [entries.filter(({ k }) => k === 'order'), entries.filter(({ k }) => k === 'fill')];
    const last = new Map(orders.map((order) => [String(order['order_id']), order]));
    await record(db, [...last.values()]);
    const healed = await start(stage, env, exchange);
    const { rows: [found] } = await db.query<{ fills: string; amount: string | null }>(
      `SELECT (SELECT count(*) FROM fills) AS fills, (SELECT amount FROM positions WHERE symbol = $1) AS amount`, [SYMBOL]);
    const known = await start(stage, env, exchange);
    const open = [...last.values()].filter((order) => order['state'] === 'open').length;
    const theirs = fills.reduce((sum, fill) => sum + Number(fill['amount']) * (fill['side'] === 'buy' ? 1 : -1), 0);
    return {
      openOrders: open, fills: fills.length, filledOrders: last.size - open, known,
      healed: { ...healed, recorded: Number(found?.fills), agrees: Number(found?.amount ?? 0) === theirs },
    };
  } finally {
    await db.end().catch(() => undefined);
    redis.disconnect();
    await stage.close();
  }
}

/** Orders as they were acknowledged, before any of their fills was told. */
async function record(db: pg.Client, orders: readonly LedgerEntry[]): Promise<void> {
  const column = (name: string): string[] => orders.map((order) => String(order[name]));
  await db.query(
    `INSERT INTO orders (label, signal_id, account, strategy, origin, market_id, symbol, instrument_id, side, amount, order_type, price, state,
       version, epoch, exchange_order_id, created_at, sent_at, valid_until, updated_at)
     SELECT u.label, u.label, $1, 'bench', 'own', $2, $3, (SELECT instrument_id FROM instruments WHERE market_id = $2 AND symbol = $3), u.side,
       u.amount, CASE WHEN u.price IS NULL THEN 'market' ELSE 'limit' END, u.price, 'OPEN', 3, 0, u.id, now(), now(), now(), now()
     FROM unnest($4::text[], $5::text[], $6::text[], $7::numeric[], $8::numeric[]) AS u(label, id, side, amount, price)`,
    [ACCOUNT, MARKET, SYMBOL, column('label'), column('order_id'), column('side'), column('amount'), orders.map((order) => order['price'])]);
  await db.query('ANALYZE orders');
}

async function start(stage: Stage, env: Env, exchange: { url: string; pid: number }): Promise<StartFigures> {
  const logFile = join(stage.folder, 'executor.log');
  const { next } = await ledgerOf(exchange.url, []);
  const told = linesOf(logFile).length;
  const cpu = (): number[] => [stage.pids.postgres, exchange.pid].map(cpuSeconds);
  const [at, spent] = [Date.now(), cpu()];
  const executor = await stage.service('executor', { ...env, LOG_LEVEL: 'info' });
  const [leading, reconciled] = await logged(() => linesOf(logFile).slice(told), ['leading', 'reconciled']);
  const [postgres = 0, simulator = 0] = cpu().map((seconds, i) => seconds - spent[i]!);
  const cpuOfExecutor = cpuSeconds(executor.pid);
  const { entries } = await ledgerOf(exchange.url, ['rest'], next);
  await executor.stop();
  return {
    ready: (reconciled! - at) / 1000, reconciled: (reconciled! - leading!) / 1000, cpu: { executor: cpuOfExecutor, postgres, simulator },
    pages: entries.filter(({ path }) => String(path).includes('get_user_trades')).length,
  };
}

const linesOf = (file: string): string[] => {
  try {
    return readFileSync(file, 'utf8').split('\n').filter((line) => line.startsWith('{'));
  } catch {
    return [];
  }
};

/** When each of these messages was logged, ms since the epoch. */
async function logged(lines: () => string[], messages: readonly string[]): Promise<number[]> {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until;) {
    const all = lines().map((line) => JSON.parse(line) as { msg?: string; time: string | number });
    const times = messages.map((message) => all.find(({ msg }) => msg === message)?.time);
    if (!times.includes(undefined)) return times.map((time) => new Date(time ?? 0).getTime());
    await sleep(100);
  }
  throw new Error(`the executor does not get ready: ${lines().slice(-3).join('\n')}`);
}
