// The fleet's rate budget: one token bucket per limit of an exchange, in Redis, filled by Redis' own clock. Five workers on
// three machines spend together what the exchange allows one address.
import type { Redis } from 'ioredis';
import { banKey, budgetKey } from '../contracts/index.ts';
import { LANES, type RateBudget, type RestLimit } from '../net/rate_budget.ts';
import { loadScript, runScript } from './script.ts';

const takeScript = loadScript('budget_take');
const lowerScript = loadScript('budget_lower');
const banScript = loadScript('budget_ban');

/** How long an exchange wants to be asked nothing, ms; 0: it does not. Rejects when Redis does not answer. */
export const banLeftMs = async (redis: Redis, exchange: string): Promise<number> => Math.max(0, await redis.pttl(banKey(exchange)));

/** The ban of an exchange, and the reason it gave; null: there is none. Rejects when Redis does not answer. */
export async function readBan(redis: Redis, exchange: string): Promise<{ leftMs: number; reason: string } | null> {
  const [leftMs, reason] = await Promise.all([banLeftMs(redis, exchange), redis.get(banKey(exchange))]);
  return leftMs === 0 || reason === null ? null : { leftMs, reason };
}

/** What is left of a limit at `nowMs`, without taking anything. Rejects when Redis does not answer. */
export async function budgetLeft(redis: Redis, { pool, capacity, refillPerSecond }: RestLimit, nowMs: number): Promise<number> {
  const [level, at] = await redis.hmget(budgetKey(pool), 'level', 'at');
  if (level === undefined || level === null) return capacity;
  return Math.min(capacity, Number(level) + (Math.max(0, nowMs - Number(at)) * refillPerSecond) / 1_000);
}

/** Of the capacity, by lane: what must remain for those before it. A refilled bucket passes it on all the same. */
const RESERVED = { orders: 0, reconcile: 0.05, gap_repair: 0.1, backfill: 0.25 } as const satisfies Record<(typeof LANES)[number], number>;

export interface FleetBudgetOptions {
  redis: Redis;
  exchange: string;
  limit: RestLimit;
  /** A ban began. */
  onBan?: (ms: number, reason: string) => void;
}

/** The budget of one venue; works when Redis is full. Rejects when Redis does not answer. */
export function fleetBudget({ redis, exchange, limit, onBan }: FleetBudgetOptions): RateBudget {
  const [bucket, ban] = [budgetKey(limit.pool), banKey(exchange)];
  return {
    async take(cost, lane) {
      const args = [cost, limit.capacity, limit.refillPerSecond, Math.floor(limit.capacity * RESERVED[lane])];
      return (await runScript(redis, takeScript, [bucket, ban], args)) as number;
    },
    async lower(left) {
      await runScript(redis, lowerScript, [bucket], [left]);
    },
    async ban(ms, reason) {
      const began = await runScript(redis, banScript, [ban], [Math.max(1, Math.ceil(ms)), reason.slice(0, 300)]);
      if (began === 1) onBan?.(ms, reason);
    },
  };
}
