// An executor that is killed with a hundred orders on their way, and the next one. Of every two requests one is obeyed and its answer
// withheld, and one stays on its way: the executor's books say SENDING of all of them, and the exchange has half. How long until none is
// in doubt, and how often each label has reached the exchange: its ledger counts.
//
// What the exchange has is found at once. What it has not takes 20 s by design (services/executor/resolver.ts): valid_until, a grace in
// which its lists may lag, and a second look 8 s later.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { UNLIMITED, faults, ledgerOf, openExchange, openFleet, restingPrice, sendSignal, untilTaken } from './orders_stage.ts';
import { openStage } from './stage.ts';

export interface RecoveryResult {
  inFlight: number;
  /** Of those the exchange has. */
  arrived: number;
  /** s from the start of the next executor until no order is in doubt; null: not within two minutes. */
  resolved: number | null;
  /** By state, at the end. */
  states: Record<string, number>;
  /** Labels that reached the exchange more than once. */
  sentAgain: number;
  /** Orders that work at the exchange and are not OPEN here, or the other way round. */
  differing: number;
}

const IN_FLIGHT = 100;
const PATIENCE_MS = 120_000;

export async function benchRecovery(): Promise<RecoveryResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  const db = new pg.Client(stage.databaseUrl);
  try {
    const { url } = await openExchange(stage, UNLIMITED);
    const env = await openFleet(stage, url, redis);
    await db.connect();
    const count = async (from: string): Promise<number> =>
      Number((await db.query<{ n: string }>(`SELECT count(*) AS n FROM ${from} signal_id LIKE 'lost-%'`)).rows[0]!.n);
    const doubtful = (): Promise<number> => count(`orders WHERE state IN ('SENDING', 'UNKNOWN') AND`);
    const executor = await stage.service('executor', env);
    const price = await restingPrice(redis);
    await untilTaken(redis, price, async () => (await ledgerOf(url, ['order_request'])).entries.length > 0);
    for (const fault of [{ kind: 'request_late', probability: 0.5 }, { kind: 'response_late' }]) {
      await faults(url, { ...fault, channel: 'private/buy', delay_ms: 600_000 });
    }
    const before = (await ledgerOf(url, [])).next;
    // On a busy machine some are refused: as many as are on their way.
    for (let sent = 0, way = 0; way < IN_FLIGHT; way = await doubtful()) {
      const answered = (await count('orders WHERE')) + (await count('risk_refusals WHERE'));
      if (answered < sent) await sleep(10);
      else for (const until = sent + IN_FLIGHT - way; sent < until; sent++) await sendSignal(redis, `lost-${sent}`, price);
    }
    process.kill(executor.pid, 'SIGKILL');
    const inFlight = await doubtful();
    await faults(url, null);
    const from = performance.now();
    await stage.service('executor', env);
    while ((await doubtful()) > 0 && performance.now() - from < PATIENCE_MS) await sleep(100);
    const resolved = (performance.now() - from) / 1000;
    const { rows } = await db.query<{ label: string; state: string }>(`SELECT label, state FROM orders WHERE signal_id LIKE 'lost-%'`);
    const { entries } = await ledgerOf(url, ['order_request', 'order'], before);
    // Cancellations by label carry labels, too: what was not found is purged.
    const requests = entries.filter(({ k, method }) => k === 'order_request' && method === 'private/buy').map((entry) => entry['label'])
      .filter((label) => typeof label === 'string');
    const theirs = new Map(entries.filter(({ k }) => k === 'order').map((entry) => [entry['label'], entry['state']]));
    return {
      inFlight, arrived: rows.filter(({ label }) => theirs.has(label)).length, resolved: resolved * 1000 > PATIENCE_MS ? null : resolved,
      states: Object.fromEntries([...Map.groupBy(rows, ({ state }) => state)].map(([state, of]) => [state, of.length])),
      sentAgain: requests.length - new Set(requests).size,
      differing: rows.filter(({ label, state }) => (state === 'OPEN') !== (theirs.get(label) === 'open')).length,
    };
  } finally {
    await db.end().catch(() => undefined);
    redis.disconnect();
    await stage.close();
  }
}
