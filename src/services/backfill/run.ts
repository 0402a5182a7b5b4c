// Wires queues, workers and the exchanges' REST together and runs them until the process shall end.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { banLeftMs, type FleetBudgetOptions } from '../../bus/budget.ts';
import type { EventSink } from '../../bus/events.ts';
import { MemoryWatch } from '../../bus/memory.ts';
import { WorkQueue, type JobFailure } from '../../bus/queue.ts';
import { parseOhlcJob, parseTradeJob, queueOhlcWorkKey, queueTradeWorkKey, type TradeJob } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import { memoryAtLeast } from '../../core/memory_ladder.ts';
import { budgetedRest } from '../../exchanges/budgeted.ts';
import { ExchangeHttpError } from '../../net/http.ts';
import type { Lane, RateBudget } from '../../net/rate_budget.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import { TradeDays } from './days.ts';
import type { JobParts } from './job.ts';
import { backfillMetrics, type BackfillMetrics } from './metrics.ts';
import { runOhlcJob } from './ohlc_job.ts';
import { giveUpGaps, runTradeJob } from './trade_job.ts';
import { Upstreams } from './upstreams.ts';
import { work } from './worker.ts';

export interface BackfillParts {
  redis: Redis;
  pool: Pool;
  events: EventSink;
  instance: string;
  budgetOf: (options: FleetBudgetOptions) => RateBudget;
}

const MAX_REAP_MS = 5_000;
const MEMORY_MS = 1_000;
/** A turn comes within seconds; whatever takes longer is a ban, which may last for days: other exchanges' jobs do not wait for it. */
const TURN_MS = 60_000;

/** Works on both queues until ctx.signal aborts. */
export async function runBackfill(ctx: ServiceContext, parts: BackfillParts): Promise<void> {
  const { config, clock, signal, random, log } = ctx;
  const metrics = backfillMetrics(ctx.metrics);
  const nowMicros = (): number => clock.nowMicros();
  const days = new TradeDays({ pool: parts.pool, clock, retentionDays: config.maintenance.tradesRetentionDays });
  const contextOf = (lane: Lane): JobParts => ({
    pool: parts.pool, nowMicros, metrics, log, signal, events: parts.events, rest: restOf(ctx, parts, lane), days,
  });
  const queueOf = (queue: string, worker: string): WorkQueue =>
    new WorkQueue({ redis: parts.redis, queue, worker: `backfill-${parts.instance}-${worker}`, leaseMs: config.jobLeaseMs, nowMicros });
  const [trades, candles] = [contextOf('gap_repair'), contextOf('backfill')];
  // An exchange that fails proves nothing: gaps that only ran out of attempts stay, and the governor queues them again.
  const giveUp = async (job: TradeJob, { error, errorClass }: JobFailure): Promise<void> =>
    errorClass === 'attempts' || errorClass === 'unanswered' ? undefined : giveUpGaps(job, error, trades);
  const upstreamsOf = (queue: string): Upstreams => new Upstreams({ queue, clock, random, events: parts.events, metrics });
  const [tradesOf, candlesOf] = [upstreamsOf(queueTradeWorkKey), upstreamsOf(queueOhlcWorkKey)];
  const exchangeOf = new Map(config.markets.map(({ marketId, exchange }) => [marketId, exchange]));
  const bannedMs = async (marketId: string): Promise<number> => {
    const exchange = exchangeOf.get(marketId);
    return exchange === undefined ? 0 : banLeftMs(parts.redis, exchange);
  };
  const memory = new MemoryWatch(parts.redis);
  const paused = (): boolean => memoryAtLeast(memory.level, 'pause_backfill');
  await memory.look();
  const workers = Array.from({ length: config.backfillWorkers }, (_worker, n) => [
    work({
      name: queueTradeWorkKey, queue: queueOf(queueTradeWorkKey, String(n)), parse: parseTradeJob, run: runTradeJob, onDead: giveUp, paused,
      upstreams: tradesOf, bannedMs, ctx: trades, random,
    }),
    work({
      name: queueOhlcWorkKey, queue: queueOf(queueOhlcWorkKey, String(n)), parse: parseOhlcJob, run: runOhlcJob, paused,
      upstreams: candlesOf, bannedMs, ctx: candles, random,
    }),
  ]).flat();
  log.info({ instance: parts.instance, workers: config.backfillWorkers }, 'filling gaps and history');
  const lookers = [queueTradeWorkKey, queueOhlcWorkKey].map((key) => look(key, queueOf(key, 'reaper'), metrics, ctx));
  await Promise.all([obey(memory, paused, metrics, ctx), ...lookers, ...workers]);
}

/** Follows the level of the memory ladder: history and gaps can wait until Redis has room, live data cannot. */
async function obey(memory: MemoryWatch, paused: () => boolean, metrics: BackfillMetrics, { signal, health, log }: ServiceContext): Promise<void> {
  let was = false;
  while (!signal.aborted) {
    const level = await memory.look();
    if (paused() !== was) log.info({ level }, was ? 'jobs are taken again' : 'no jobs are taken while redis is nearly full');
    was = paused();
    metrics.paused.set(was ? 1 : 0);
    health.set('memory', true, was ? `paused: redis is at level ${level}` : '');
    await sleep(MEMORY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Returns the jobs of dead workers, and counts what waits. */
async function look(key: string, queue: WorkQueue, metrics: BackfillMetrics, { signal, health, log, config }: ServiceContext): Promise<void> {
  while (!signal.aborted) {
    try {
      const returned = await queue.reap();
      if (returned > 0) {
        metrics.reaped.inc({ queue: key }, returned);
        log.info({ queue: key, jobs: returned }, 'jobs of dead workers returned to their queue');
      }
      for (const [place, count] of Object.entries(await queue.sizes())) metrics.waiting.set({ queue: key, place }, count);
      health.set('redis', true, '');
    } catch (error) {
      health.set('redis', false, toError(error).message);
    }
    await sleep(Math.min(config.jobLeaseMs / 3, MAX_REAP_MS), undefined, { signal }).catch(() => undefined);
  }
}

/** REST of the configured markets, each inside its budget. */
function restOf({ config, clock, signal, random }: ServiceContext, { redis, events, budgetOf }: BackfillParts, lane: Lane): ReturnType<typeof budgetedRest> {
  return budgetedRest({
    markets: config.markets, redis, budgetOf: (options) => impatient(budgetOf(options)), lane, clock, signal, random,
    onBan: ({ marketId, ...ban }) => events.emit({ type: 'rate.banned', severity: 'warning', market_id: marketId, data: ban }),
  });
}

/** A budget that refuses where it would have a job wait for the end of a ban. */
function impatient(budget: RateBudget): RateBudget {
  return {
    ...budget,
    take: async (cost, lane) => {
      const wait = await budget.take(cost, lane);
      if (wait <= TURN_MS) return wait;
      const facts = { kind: 'banned', status: 0, code: null, retryAfterMs: wait, body: '' } as const;
      throw new ExchangeHttpError(`the exchange wants to be asked nothing for ${Math.ceil(wait / 1_000)} s`, facts);
    },
  };
}
