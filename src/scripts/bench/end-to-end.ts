// (d) socket → committed, everything on this machine: simulator, receiver, Redis, distributor, PostgreSQL. Sustained rate with
// bounded lag, CPU per trade by process, and latency quantiles at 1,000 trades/s.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { freePort } from '../local/child.ts';
import { cpuSeconds, metricsOf, openStage, quantile, type Service, type Stage } from './stage.ts';

export interface SustainedResult {
  askedPerSecond: number;
  emittedPerSecond: number;
  committedPerSecond: number;
  /** Entries not delivered to the group, at the middle and at the end of the run: equal when the rate is sustained. */
  lagMiddle: number;
  lagEnd: number;
  lost: number;
  cpuMicrosPerTrade: Record<string, number>;
}

export interface LatencyResult {
  tradesPerSecond: number;
  socketToRedisMs: { p50: number; p99: number; p999: number };
  socketToCommittedMs: { p50: number; p99: number; p999: number };
}

export interface Fleet {
  stage: Stage;
  simulator: Service;
  receiver: Service;
  distributor: Service;
  redis: Redis;
  client: pg.Client;
  simulatorUrl: string;
}

export async function openFleet(rate: number): Promise<Fleet> {
  const stage = await openStage();
  const port = await freePort();
  const simulatorUrl = `http://127.0.0.1:${port}`;
  const simulator = await stage.service('simulator', { SIM_PORT: String(port), SIM_RATE: String(rate) });
  const env = { SIM_URL: simulatorUrl };
  await stage.service('janitor', env);
  const [distributor, receiver] = [await stage.service('distributor', env), await stage.service('receiver', env)];
  const client = new pg.Client(stage.databaseUrl);
  client.on('error', () => undefined); // the stage ends its server under us when something failed
  await client.connect();
  return { stage, simulator, receiver, distributor, redis: new Redis(stage.redisUrl), client, simulatorUrl };
}

export async function closeFleet(fleet: Fleet): Promise<void> {
  fleet.redis.disconnect();
  await fleet.client.end();
  await fleet.stage.close();
}

const trades = (of: Awaited<ReturnType<typeof metricsOf>>): number => of.sum('receiver_messages_total', 'type="trade"');
export const rows = (of: Awaited<ReturnType<typeof metricsOf>>): number => of.sum('distributor_rows_total', 'table="public_trades"');

async function groupLag(redis: Redis): Promise<number> {
  const groups = (await redis.xinfo('GROUPS', streamMarketDataKey)) as unknown[][];
  const group = groups.find((g) => g[1] === 'distributor');
  return group === undefined ? 0 : Number(group[group.indexOf('lag') + 1] ?? 0) + Number(group[group.indexOf('pending') + 1] ?? 0);
}

/** Runs at `rate` generated trades per second for `seconds`, after five seconds to settle. */
export async function benchSustained(rate: number, seconds: number): Promise<SustainedResult> {
  const fleet = await openFleet(rate);
  try {
    await sleep(5000);
    const pids: Record<string, number> = {
      simulator: fleet.simulator.pid, receiver: fleet.receiver.pid, redis: fleet.stage.pids.redis,
      distributor: fleet.distributor.pid, postgres: fleet.stage.pids.postgres,
    };
    const cpu = (): Record<string, number> => Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid)]));
    const [cpuBefore, from] = [cpu(), performance.now()];
    const [receivedBefore, rowsBefore] = [trades(await metricsOf(fleet.receiver)), rows(await metricsOf(fleet.distributor))];
    await sleep(seconds * 500);
    const lagMiddle = await groupLag(fleet.redis);
    await sleep(seconds * 500);
    const elapsed = (performance.now() - from) / 1000;
    const [cpuAfter, lagEnd] = [cpu(), await groupLag(fleet.redis)];
    const received = trades(await metricsOf(fleet.receiver)) - receivedBefore;
    const committed = rows(await metricsOf(fleet.distributor)) - rowsBefore;
    return {
      askedPerSecond: rate,
      emittedPerSecond: received / elapsed,
      committedPerSecond: committed / elapsed,
      lagMiddle,
      lagEnd,
      lost: await lostTrades(fleet),
      cpuMicrosPerTrade: Object.fromEntries(Object.keys(pids).map((name) => [name, ((cpuAfter[name]! - cpuBefore[name]!) * 1e6) / committed])),
    };
  } finally {
    await closeFleet(fleet);
  }
}

/** Stops the generator, waits until everything is drained, and counts what the receiver saw but the table has not. */
async function lostTrades(fleet: Fleet): Promise<number> {
  await fetch(`${fleet.simulatorUrl}/control/rate`, { method: 'POST', body: '{"rate":0}', headers: { 'content-type': 'application/json' } });
  for (let quiet = 0, last = -1; quiet < 10; ) {
    await sleep(200);
    const seen = trades(await metricsOf(fleet.receiver));
    quiet = seen === last && (await groupLag(fleet.redis)) === 0 ? quiet + 1 : 0;
    last = seen;
  }
  const { rows: [stored] } = await fleet.client.query<{ n: string }>('SELECT count(*) AS n FROM public_trades');
  return trades(await metricsOf(fleet.receiver)) - Number(stored?.n);
}

/** Quantiles over `seconds` at 1,000 trades/s. */
export async function benchLatency(seconds: number): Promise<LatencyResult> {
  const fleet = await openFleet(1000);
  try {
    await sleep(5000);
    const before = [await metricsOf(fleet.receiver), await metricsOf(fleet.distributor)] as const;
    await sleep(seconds * 1000);
    const after = [await metricsOf(fleet.receiver), await metricsOf(fleet.distributor)] as const;
    const quantiles = (i: 0 | 1, name: string): LatencyResult['socketToRedisMs'] => ({
      p50: quantile(before[i], after[i], name, 0.5) * 1000,
      p99: quantile(before[i], after[i], name, 0.99) * 1000,
      p999: quantile(before[i], after[i], name, 0.999) * 1000,
    });
    return {
      tradesPerSecond: (rows(after[1]) - rows(before[1])) / seconds,
      socketToRedisMs: quantiles(0, 'receiver_publish_latency_seconds'),
      socketToCommittedMs: quantiles(1, 'distributor_oldest_seconds'),
    };
  } finally {
    await closeFleet(fleet);
  }
}
