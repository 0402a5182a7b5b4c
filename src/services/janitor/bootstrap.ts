// A bootstrap: schema, partitions, instruments, states. Run once by the janitor before the others start, and again by the governor
// when Redis has lost the states.
import type { Redis } from 'ioredis';
import { seedVersion } from '../../bus/state.ts';
import { WorkQueue } from '../../bus/queue.ts';
import { queueOhlcWorkKey } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import { failures } from '../../core/finding.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import { lastStateChange } from '../../store/state_log.ts';
import { dataChecks, type CheckParts } from './checks.ts';
import { checkSchema, logStates, makePartitions, migrate } from './database.ts';
import { queueHistory } from './history.ts';
import { syncMarkets } from './instruments.ts';
import { BootstrapStates } from './states.ts';

/** Rejects with the reason, all its exchanges LOCKED, when anything is not right. */
export async function bootstrap(ctx: ServiceContext, pool: Pool, redis: Redis, stream: Redis): Promise<void> {
  const { config, log, clock } = ctx;
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  const states = new BootstrapStates({ redis, exchanges, clock, log });
  await goOnCounting(pool, redis, exchanges);
  await states.begin();
  try {
    await migrate(ctx, pool);
    await makePartitions(ctx, pool);
    const markets = await syncMarkets(ctx, pool, redis);
    await states.moveAll('RECONCILING', `instruments synchronised: ${markets.map((m) => `${m.marketId} ${m.tradable}`).join(', ')}`);
    await checkSchema(ctx, pool);
    const queue = new WorkQueue({ redis, queue: queueOhlcWorkKey, worker: 'janitor', leaseMs: config.jobLeaseMs, nowMicros: () => clock.nowMicros() });
    const queued = await queueHistory(config, markets, { pool, queue, nowMicros: clock.nowMicros(), reason: 'bootstrap', namedAnyway: true });
    log.info({ jobs: queued, days: config.backfillDays }, 'candle history queued');
    await decide(ctx, states, { pool, redis, stream });
  } catch (error) {
    await lock(ctx, states, pool, error);
    throw error;
  }
  await logStates(ctx, pool, states.takeChanges());
}

/** After a loss of Redis versions go on from the log, and so does a lock. Without a database, or before its first migration, there is nothing to go on from. */
async function goOnCounting(pool: Pool, redis: Redis, exchanges: readonly string[]): Promise<void> {
  for (const exchange of exchanges) {
    const last = await lastStateChange(pool, exchange).catch(() => null);
    if (last !== null) await seedVersion(redis, exchange, last.ver, last.epoch, { state: last.to, by: last.by, reason: last.reason });
  }
}

/** Before anything runs a fresh installation passes, and one that was down for a while waits for its feeds (reconcile.ts). */
async function decide(ctx: ServiceContext, states: BootstrapStates, servers: Pick<CheckParts, 'pool' | 'redis' | 'stream'>): Promise<void> {
  const { markets, unlockPolicy } = ctx.config;
  if (unlockPolicy === 'manual') return states.moveAll('LOCKED', 'UNLOCK_POLICY=manual: waiting for npm run system-unlock');
  for (const [exchange, served] of Map.groupBy(markets, (market) => market.exchange)) {
    const marketIds = served.map(({ marketId }) => marketId);
    const bad = failures(await dataChecks({ ...servers, exchange, marketIds, nowMicros: ctx.clock.nowMicros() }));
    if (bad === '') await states.moveAll('HEALTHY', 'data checks passed', [exchange]);
    else await states.hold(exchange, bad);
  }
}

/** A bootstrap that failed says so in the state; what cannot be written any more must not hide the first error. */
async function lock(ctx: ServiceContext, states: BootstrapStates, pool: Pool, error: unknown): Promise<void> {
  try {
    await states.moveAll('LOCKED', `bootstrap failed: ${toError(error).message}`.slice(0, 500));
    await logStates(ctx, pool, states.takeChanges());
  } catch (second) {
    ctx.log.warn({ err: toError(second) }, 'the failure could not be written to the state');
  }
}
