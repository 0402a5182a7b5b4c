// The governor, the janitor's long-running half: gaps become jobs, holes become gaps, states that were written by hand or lost
// are put right, instruments follow the exchanges' lists. Any number of governors do no harm.
import { setTimeout as sleep } from 'node:timers/promises';
import { isAuditAsked } from '../../bus/audits.ts';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { joinFleet } from '../../bus/fleet.ts';
import { WorkQueue } from '../../bus/queue.ts';
import { queueOhlcWorkKey, queueTradeWorkKey, type Resolution } from '../../contracts/index.ts';
import { Backoff } from '../../core/backoff.ts';
import { toError } from '../../core/errors.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { assertMigrated } from '../../store/migrate.ts';
import { AuditKeeper } from './audit_queue.ts';
import { bootstrap } from './bootstrap.ts';
import { Figures } from './figures.ts';
import { GapKeeper } from './gaps.ts';
import { queueHistory } from './history.ts';
import { syncMarkets, type MarketList } from './instruments.ts';
import { governorMetrics } from './metrics.ts';
import { Reconciler } from './reconcile.ts';
import { streamOf } from './stream.ts';
import { StateWatch } from './watch.ts';

/** A hand-written lock is obeyed within two seconds. */
const STATES_MS = 500;
const GAPS_MS = 1_000;
const HOLES_MS = 5_000;
const AUDITS_MS = 500;
const DUE_MS = 60_000;
const FIGURES_MS = 2_000;
/** Clocks run away slowly. */
const CLOCKS_MS = 60_000;
/** How often it looks; tests are in a hurry. */
export const TIMES = {
  /** Options are listed and expire all day long. */
  resyncMs: 10 * 60_000,
  checksMs: 5_000,
  /** A reconnect or a restart is no loss. */
  graceMs: 30_000,
  /** The distributor commits within moments; a REST page may come minutes later, and then closes the hole. */
  settleMs: 10_000,
};
/** A task that failed does not wait for its next time, and does not hammer what has just failed. */
const RETRY = { baseMs: 2_000, maxMs: 120_000 };

/** Runs until ctx.signal aborts. */
export async function start(ctx: ServiceContext, some: Partial<typeof TIMES> = {}): Promise<void> {
  const times = { ...TIMES, ...some };
  const { config, scope, log, health, clock, random } = ctx;
  for (const part of ['database', 'redis']) health.set(part, false, 'starting');
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'governor', log, random, signal: ctx.signal }), closeRedis);
  const stream = streamOf(ctx, redis, 'governor');
  const pool = scope.own(createPool(config.databaseUrl, { name: 'governor', log, max: 4, signal: ctx.signal }), closePool);
  await assertMigrated(pool, { log, signal: ctx.signal, report: (why) => health.set('database', why === null, why ?? '') });
  const instance = await joinFleet(ctx, redis);
  health.set('redis', true, '');
  const queueOf = (queue: string): WorkQueue =>
    new WorkQueue({ redis, queue, worker: `governor-${instance}`, leaseMs: config.jobLeaseMs, nowMicros: () => clock.nowMicros() });
  const resolutions = (marketId: string): Resolution[] =>
    config.resolutions.filter((resolution) => marketOf(marketId)?.candleResolutions.includes(resolution) === true);
  const [queue, candles] = [queueOf(queueTradeWorkKey), queueOf(queueOhlcWorkKey)];
  const gaps = new GapKeeper({ pool, queue, candles, resolutions, clock, log, settleMs: times.settleMs });
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  const states = new StateWatch({ redis, pool, exchanges, clock, log });
  const reconciler = new Reconciler({
    redis, stream, pool, markets: config.markets, exchanges, policy: config.unlockPolicy, graceMs: times.graceMs,
    auditing: (exchange) => isAuditAsked(redis, exchange), clock, log,
  });
  const audits = new AuditKeeper(ctx, { redis, pool, exchanges, settleMs: times.settleMs }, `governor-${instance}`);
  const figures = new Figures({ pool, redis, markets: config.markets, exchanges, clock, metrics: governorMetrics(ctx.metrics) });
  const told = new Set<string>();
  // What was listed some minutes ago has candles already.
  const onListed = async (fresh: MarketList): Promise<void> => {
    const options = { pool, queue: candles, nowMicros: clock.nowMicros(), reason: 'newly listed', namedAnyway: false };
    const queued = await queueHistory(config, [fresh], options);
    if (queued > 0) log.info({ market_id: fresh.marketId, jobs: queued }, 'candle history of new listings queued');
  };
  log.info({ instance }, 'governing');
  await Promise.all([
    every(ctx, STATES_MS, 'states', async () => {
      const gone = await states.look();
      if (gone.length === 0) return;
      log.warn({ exchanges: gone }, 'redis has lost the states: bootstrapping again');
      await bootstrap(ctx, pool, redis, stream);
    }),
    every(ctx, times.checksMs, 'checks', () => reconciler.look()),
    every(ctx, AUDITS_MS, 'audits', () => audits.work()),
    every(ctx, DUE_MS, 'audits due', () => audits.schedule()),
    every(ctx, GAPS_MS, 'gaps', () => gaps.queueJobs()),
    every(ctx, HOLES_MS, 'candles', () => gaps.queueCandles()),
    every(ctx, HOLES_MS, 'holes', () => gaps.findHoles()),
    every(ctx, FIGURES_MS, 'figures', () => figures.look()),
    every(ctx, CLOCKS_MS, 'clocks', () => figures.measureClocks()),
    // The bootstrap has just done it.
    pause(ctx, times.resyncMs).then(() => every(ctx, times.resyncMs, 'instruments', () => syncMarkets(ctx, pool, redis, { told, onListed }))),
  ]);
}

/** Repeats `task` until the process shall end; a failure is told in health and log, and tried again. */
async function every(ctx: ServiceContext, ms: number, name: string, task: () => Promise<unknown>): Promise<void> {
  const { signal, health, log, random } = ctx;
  const backoff = new Backoff({ ...RETRY, random });
  while (!signal.aborted) {
    try {
      await task();
      health.set(name, true, '');
      backoff.reset();
      await pause(ctx, ms);
    } catch (error) {
      health.set(name, false, toError(error).message);
      if (backoff.attempts === 0) log.warn({ err: toError(error), task: name }, 'a task of the governor failed, trying again');
      await pause(ctx, Math.min(ms, backoff.next()));
    }
  }
}

/** Waits `ms`, or until the process shall end. */
async function pause({ signal }: ServiceContext, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
