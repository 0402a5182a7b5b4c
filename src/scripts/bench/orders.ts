// (i) from XADD of a signal to the first byte of its order request on the wire: the intent is committed as SENDING in between. Signals
// come at a steady rate; the wire is a proxy that notes when each label passes. The floor, in the same run and at the same rate: one
// insert committed to the same database.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { streamSignalsKey, systemStateKey, systemStateSimpleKey, tickerKey } from '../../contracts/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { startSimulator } from '../../simulator/server.ts';
import { openStage, type Stage } from './stage.ts';

export interface OrdersResult {
  signals: number;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  commitP50Ms: number;
  commitP99Ms: number;
  /** Signals whose request was never seen. */
  missing: number;
}

const MARKET = 'deribit';
const SYMBOL = 'BTC-PERPETUAL';
const PER_SECOND = 50;
const WARM_UP = 100;
const RISK = `
strategies: [bench]
instruments: [{ symbol: ${SYMBOL}, max_order_amount: 1000, max_order_notional: 1000, max_position: 1000000 }]
account: { max_open_orders: 10000, max_orders_per_second: 10000, max_orders_per_minute: 600000, max_gross_notional: 1000000000,
  max_daily_loss: { BTC: "5" }, min_available_percent: 1 }
price_collar_percent: 50
reference_max_age_ms: 60000
duplicate_window_ms: 0
repeated_executions: { count: 1000000, window_ms: 1000 }
max_clock_offset_ms: 5000
`;

/** Signals at 50 per second (or `asked`) for `seconds`. */
export async function benchOrders(asked: number | undefined, seconds: number): Promise<OrdersResult> {
  const stage = await openStage();
  // Beside its own rate limits: 5 orders a second would be the exchange's figure, not ours.
  const simulator = await startSimulator({ port: 0, seed: 1, rate: 50, clock: systemClock(), limits: false });
  const wire = await openWire(simulator.port);
  const redis = new Redis(stage.redisUrl);
  const db = new pg.Client(stage.databaseUrl);
  try {
    const resting = await openFleet(stage, simulator.url, wire.port, redis);
    await db.connect();
    const perSecond = asked ?? PER_SECOND;
    const send = (id: string): Promise<unknown> => redis.xadd(streamSignalsKey, '*', 'payload', JSON.stringify({
      v: 1, signal_id: id, strategy: 'bench', market_id: MARKET, symbol: SYMBOL, side: 'buy', amount: '10', order_type: 'limit', price: resting,
      time_in_force: 'immediate_or_cancel', created_ts: Date.now() * 1000, valid_for_ms: 10_000,
    }));
    await untilTaken(send, wire.seen);
    await atRate(WARM_UP, perSecond, (n) => send(`warm-${n}`));
    const sentAt = new Map<string, number>();
    const signals = Math.max(1, perSecond * seconds);
    await atRate(signals, perSecond, (n) => {
      sentAt.set(`bench-${n}`, performance.now());
      return send(`bench-${n}`);
    });
    await sleep(3_000);
    const { rows } = await db.query<{ label: string; signal_id: string }>(`SELECT label, signal_id FROM orders WHERE signal_id LIKE 'bench-%'`);
    const waits = rows.flatMap(({ label, signal_id: id }) => (wire.seen.has(label) ? [wire.seen.get(label)! - sentAt.get(id)!] : []));
    const commits = await floor(db, perSecond);
    return {
      signals, perSecond, missing: signals - waits.length, p50Ms: quantile(waits, 0.5), p99Ms: quantile(waits, 0.99), commitP50Ms: quantile(commits, 0.5),
      commitP99Ms: quantile(commits, 0.99),
    };
  } finally {
    await db.end().catch(() => undefined);
    redis.disconnect();
    wire.close();
    await stage.close();
    await simulator.close();
  }
}

/** Starts what trading needs; returns a price at which nothing is filled. */
async function openFleet(stage: Stage, simulatorUrl: string, wirePort: number, redis: Redis): Promise<string> {
  const riskFile = join(stage.folder, 'risk.yml');
  writeFileSync(riskFile, RISK);
  const env = {
    MARKETS: MARKET, DERIBIT_SYMBOLS: SYMBOL, SIM_URL: simulatorUrl, EXECUTOR_MODE: 'paper', DERIBIT_CLIENT_ID: 'sim', DERIBIT_CLIENT_SECRET: 'sim-secret',
    RISK_FILE: riskFile, KILL_FILE: join(stage.folder, 'kill'), BACKFILL_DAYS: '0',
  };
  await stage.service('janitor', env);
  await stage.service('receiver', env);
  await stage.service('guard', env);
  await stage.service('executor', { ...env, DERIBIT_REST_URL: `http://127.0.0.1:${wirePort}/${MARKET}/api/v2` });
  await redis.mset(systemStateKey(MARKET), 'HEALTHY', systemStateSimpleKey, 'HEALTHY');
  for (;;) {
    const mark = await redis.hget(tickerKey(MARKET, SYMBOL), 'mark_price');
    if (mark !== null) return String(Math.floor(Number(mark) * 0.8));
    await sleep(100);
  }
}

async function untilTaken(send: (id: string) => Promise<unknown>, seen: ReadonlyMap<string, number>): Promise<void> {
  for (let n = 0; seen.size === 0; n++) {
    if (n > 300) throw new Error('the executor takes no signals');
    await send(`first-${n}`);
    await sleep(100);
  }
}

/** Calls `work` for 0 … count − 1, spread evenly. */
async function atRate(count: number, perSecond: number, work: (n: number) => Promise<unknown>): Promise<void> {
  const from = performance.now();
  for (let n = 0; n < count; n++) {
    const waitMs = from + (n * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    await work(n);
  }
}

async function floor(db: pg.Client, perSecond: number): Promise<number[]> {
  await db.query('CREATE TABLE bench_commits (n int)');
  const waits: number[] = [];
  await atRate(300, perSecond, async (n) => {
    const from = performance.now();
    await db.query('INSERT INTO bench_commits VALUES ($1)', [n]);
    waits.push(performance.now() - from);
  });
  await db.query('DROP TABLE bench_commits');
  return waits;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

/** A proxy before the exchange that notes when the label of an order request first passed. */
async function openWire(to: number): Promise<{ port: number; seen: Map<string, number>; close: () => void }> {
  const seen = new Map<string, number>();
  const server: Server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1');
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => socket.destroy());
    client.on('data', (chunk: Buffer) => {
      const at = performance.now();
      const text = chunk.toString('latin1');
      for (const [, label = ''] of text.matchAll(/"label":"([^"]+)"/g)) if (!seen.has(label)) seen.set(label, at);
      upstream.write(chunk);
    });
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, seen, close: () => server.close() };
}

export const ordersTable = (r: OrdersResult): Record<string, string | number>[] => [{
  signals: r.signals, 'signals/s': r.perSecond, 'signal → wire p50 ms (≤ 3)': r.p50Ms.toFixed(2), 'p99 ms (≤ 10)': r.p99Ms.toFixed(2),
  'bare commit p50 ms': r.commitP50Ms.toFixed(2), 'its p99 ms': r.commitP99Ms.toFixed(2), 'times a commit': (r.p50Ms / r.commitP50Ms).toFixed(1),
  'not sent': r.missing,
}];
