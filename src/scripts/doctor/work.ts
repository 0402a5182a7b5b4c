// doctor: who is alive, what is missing, what waits in the queues, and what the exchanges still allow.
import type { Redis } from 'ioredis';
import { budgetLeft, readBan } from '../../bus/budget.ts';
import { WorkQueue } from '../../bus/queue.ts';
import { groupLagMs } from '../../bus/stream_lag.ts';
import { queueAuditKey, queueOhlcWorkKey, queueTradeWorkKey } from '../../contracts/index.ts';
import { age, fail, ok, warn, type Finding } from '../../core/finding.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { Pool } from '../../store/connect.ts';
import { lastingGaps, type LastingGaps } from '../../store/gaps.ts';

const SERVICES = ['receiver', 'distributor', 'governor', 'backfill', 'maintenance'] as const;
const QUEUES = [[queueTradeWorkKey, 'backfill'], [queueOhlcWorkKey, 'backfill'], [queueAuditKey, 'governor']] as const;
const MANY_JOBS = 10_000;
const LAG_WARN_MS = 10_000;
const LAG_FAIL_MS = 60_000;
/** A gap that is just being healed is none to worry about. */
const GAP_PATIENCE_S = 600;
const LONG_BAN_MS = 3_600_000;
const LITTLE_LEFT = 0.1;

/** One row per service that a fleet needs; `alive` is how many instances of each beat. */
export const serviceFindings = (alive: ReadonlyMap<string, number>): Finding[] => SERVICES.map((service) => {
  const count = alive.get(service) ?? 0;
  const name = `service ${service}`;
  return count > 0 ? ok(name, `${count} alive`) : warn(name, 'none alive', `npm start -- ${service} (docker compose up -d ${service}, and its log)`);
});

/** The gaps of a market that are not closed. */
export function gapFinding(marketId: string, gaps: readonly LastingGaps[]): Finding {
  const own = gaps.filter((each) => each.marketId === marketId);
  const count = (...statuses: string[]): number => own.filter(({ status }) => statuses.includes(status)).reduce((sum, each) => sum + each.count, 0);
  const oldest = Math.max(0, ...own.filter(({ status }) => status !== 'unfillable').map(({ oldestSeconds }) => oldestSeconds));
  const [open, unfillable] = [count('open', 'healing'), count('unfillable')];
  const detail = `${open} open or being healed${open === 0 ? '' : `, the oldest for ${age(oldest * 1_000)}`}, ${unfillable} unfillable`;
  const remedy = `npm run completeness -- --market ${marketId} says what is missing and why`;
  if (oldest > GAP_PATIENCE_S) return fail(`gaps ${marketId}`, detail, `are governor and backfill running? ${remedy}`);
  return unfillable > 0 ? warn(`gaps ${marketId}`, detail, remedy) : ok(`gaps ${marketId}`, detail);
}

export async function gapFindings(pool: Pool, marketIds: readonly string[]): Promise<Finding[]> {
  const gaps = await lastingGaps(pool);
  return marketIds.map((marketId) => gapFinding(marketId, gaps));
}

/** How far the writers are behind the stream, in time. */
export async function lagFinding(stream: Redis): Promise<Finding> {
  const lag = await groupLagMs(stream, 'distributor');
  const remedy = 'is a distributor running, and PostgreSQL answering? npm start -- distributor; more of them share the work';
  if (typeof lag === 'string') return warn('lag', lag === 'no stream' ? 'nothing in the stream yet' : 'no distributor has read it yet', remedy);
  if (lag < LAG_WARN_MS) return ok('lag', `${age(lag)} behind the stream`);
  return (lag < LAG_FAIL_MS ? warn : fail)('lag', `${age(lag)} behind the stream`, remedy);
}

export interface QueueSizes {
  readonly waiting: number;
  readonly leased: number;
  readonly dead: number;
}

/** One queue; `workers` is how many of the service that works on it are alive. */
export function queueFinding(queue: string, { waiting, leased, dead }: QueueSizes, service: string, workers: number): Finding {
  const detail = `${waiting} waiting, ${leased} in hand, ${dead} given up`;
  if (waiting > 0 && workers === 0) return fail(queue, detail, `nobody works on it: npm start -- ${service}`);
  if (dead > 0) return warn(queue, detail, `redis-cli XREVRANGE dlq:${queue} + - COUNT 10 says why`);
  return waiting > MANY_JOBS ? warn(queue, detail, `more of them work faster: docker compose up -d --scale ${service}=2`) : ok(queue, detail);
}

export function queueFindings(redis: Redis, alive: ReadonlyMap<string, number>): Promise<Finding[]> {
  return Promise.all(QUEUES.map(async ([queue, service]) => {
    const sizes = await new WorkQueue({ redis, queue, worker: 'doctor', leaseMs: 1, nowMicros: () => 0 }).sizes();
    return queueFinding(queue, sizes, service, alive.get(service) ?? 0);
  }));
}

/** Whether an exchange has banned this address. */
export async function banFinding(redis: Redis, exchange: string): Promise<Finding> {
  const name = `ban ${exchange}`;
  const ban = await readBan(redis, exchange);
  if (ban === null) return ok(name, 'none');
  const detail = `for another ${age(ban.leftMs)}: ${ban.reason}`;
  return (ban.leftMs > LONG_BAN_MS ? fail : warn)(name, detail, 'wait; does anything else use this address with the exchange?');
}

/** What is left of a market's rate limit. */
export async function budgetFinding(redis: Redis, marketId: string, nowMs: number): Promise<Finding[]> {
  const limit = marketOf(marketId)?.restLimit;
  if (limit === undefined) return [];
  const left = await budgetLeft(redis, limit, nowMs);
  const detail = `${Math.floor(left)} of ${Math.floor(limit.capacity)} left, ${limit.refillPerSecond.toFixed(0)} more each second`;
  return [left < limit.capacity * LITTLE_LEFT
    ? warn(`rate budget ${limit.pool}`, detail, 'a backfill uses all that it may; it passes. Otherwise lower BACKFILL_WORKERS')
    : ok(`rate budget ${limit.pool}`, detail)];
}
