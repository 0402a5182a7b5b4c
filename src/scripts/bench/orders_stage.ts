// What the benchmarks of the executor stand on: the simulator in a process of its own, the services that trading needs, and the
// simulator's ledger, which tells what has really arrived.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { streamSignalsKey, systemStateKey, systemStateSimpleKey, tickerKey } from '../../contracts/index.ts';
import type { LedgerEntry } from '../../simulator/ledger.ts';
import { riskFile } from '../local/risk_file.ts';
import { freePort } from '../local/child.ts';
import type { Stage } from './stage.ts';

export const MARKET = 'deribit';
export const SYMBOL = 'BTC-PERPETUAL';
/** The simulator's one account. */
export const ACCOUNT = '1001';
/** The account of a simulator that has traded (account/main.ts). */
export const OPEN_ORDERS = 1_000;
export const FILLS = 50_000;
/** All within what is asked for again at each start: the worst case of an executor that knows everything. */
export const SPAN_MS = 8 * 60_000;
export const TRADED = join(import.meta.dirname, 'account/main.ts');
/** Beside its own rate limits: 5 orders a second would be the exchange's figure, not ours. */
export const UNLIMITED = join(import.meta.dirname, 'unlimited/main.ts');

const RISK = riskFile({ strategies: ['bench'], limits: { [SYMBOL]: [1000, 1000, 1_000_000] } });

export type Env = Record<string, string>;

/** Starts `script`'s simulator. */
export async function openExchange(stage: Stage, script: string): Promise<{ url: string; pid: number }> {
  const port = await freePort();
  const { pid } = await stage.service('simulator', { SIM_PORT: String(port), SIM_RATE: '50' }, script);
  return { url: `http://127.0.0.1:${port}`, pid };
}

/** Starts what trading needs beside the executor; returns the environment of the executor. */
export async function openFleet(stage: Stage, exchange: string, redis: Redis): Promise<Env> {
  const riskFile = join(stage.folder, 'risk.yml');
  writeFileSync(riskFile, RISK);
  const env = {
    MARKETS: MARKET, DERIBIT_SYMBOLS: SYMBOL, SIM_URL: exchange, EXECUTOR_MODE: 'paper', DERIBIT_CLIENT_ID: 'sim', DERIBIT_CLIENT_SECRET: 'sim-secret',
    RISK_FILE: riskFile, KILL_FILE: join(stage.folder, 'kill'), BACKFILL_DAYS: '0',
  };
  await stage.service('janitor', env);
  await stage.service('receiver', env);
  await stage.service('guard', env);
  await redis.mset(systemStateKey(MARKET), 'HEALTHY', systemStateSimpleKey, 'HEALTHY');
  return env;
}

/** A price far below the market: an order at it rests. */
export async function restingPrice(redis: Redis): Promise<string> {
  for (;;) {
    const mark = await redis.hget(tickerKey(MARKET, SYMBOL), 'mark_price');
    if (mark !== null) return String(Math.floor(Number(mark) * 0.8));
    await sleep(100);
  }
}

/** Sends a signal for ten dollars' worth at `price`. */
export function sendSignal(redis: Redis, id: string, price: string, more: Record<string, unknown> = {}): Promise<unknown> {
  const signal = {
    v: 1, signal_id: id, strategy: 'bench', market_id: MARKET, symbol: SYMBOL, side: 'buy', amount: '10', order_type: 'limit', price,
    created_ts: Math.round((performance.timeOrigin + performance.now()) * 1000), valid_for_ms: 10_000, ...more,
  };
  return redis.xadd(streamSignalsKey, '*', 'payload', JSON.stringify(signal));
}

/** Sends orders that end at once until `taken` says that one was let through. */
export async function untilTaken(redis: Redis, price: string, taken: () => boolean | Promise<boolean>): Promise<void> {
  for (let n = 0; !(await taken()); n++) {
    if (n > 600) throw new Error('the executor takes no signals');
    await sendSignal(redis, `first-${n}`, price, { time_in_force: 'immediate_or_cancel' });
    await sleep(100);
  }
}

/** Puts a fault in force, or ends all of them. */
export async function faults(exchange: string, fault: Record<string, unknown> | null): Promise<void> {
  const response = await fetch(`${exchange}/control/faults`, fault === null
    ? { method: 'DELETE' } : { method: 'POST', body: JSON.stringify({ market_id: MARKET, ...fault }) });
  if (!response.ok) throw new Error(`the simulator: ${await response.text()}`);
}

/** What the simulator has seen of these kinds from offset `since` on, and the offset to go on from. */
export async function ledgerOf(exchange: string, kinds: readonly string[], since = 0): Promise<{ entries: LedgerEntry[]; next: number }> {
  const entries: LedgerEntry[] = [];
  for (let at = since; ;) {
    const response = await fetch(`${exchange}/control/ledger?since=${at}`);
    const text = await response.text();
    for (const line of text.split('\n')) {
      const kind = /"k":"(\w+)"/.exec(line.slice(0, 40))?.[1] ?? '';
      if (kinds.includes(kind)) entries.push(JSON.parse(line) as LedgerEntry);
    }
    const next = Number(response.headers.get('x-ledger-next'));
    if (next === at) return { entries, next };
    at = next;
  }
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
