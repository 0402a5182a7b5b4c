// janitor, the one-shot bootstrap: schema, partitions, instruments, states. Ends with 0 when the others may start.
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import type { SystemState } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { checkSchema, logStates, makePartitions, migrate } from './database.ts';
import { syncMarkets } from './instruments.ts';
import { retry } from './retry.ts';
import { BootstrapStates } from './states.ts';

const REDIS_ATTEMPTS = 6;

export async function start(ctx: ServiceContext): Promise<void> {
  const { config, log, scope, clock } = ctx;
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'janitor', log, random: ctx.random }), closeRedis);
  const pool = scope.own(createPool(config.databaseUrl, { name: 'janitor', log, max: 4 }), (p) => p.end());
  const exchanges = [...new Set(config.markets.map((market) => market.exchange))];
  const states = new BootstrapStates({ redis, exchanges, clock, log });

  const where = `redis at ${new URL(config.redisUrl).host}`;
  await retry(ctx, { what: where, attempts: REDIS_ATTEMPTS, worthRepeating: () => true }, () => redis.ping());
  await states.begin();
  try {
    await migrate(ctx, pool);
    await makePartitions(ctx, pool);
    const markets = await syncMarkets(ctx, pool, redis);
    await states.moveAll('RECONCILING', `instruments synchronised: ${markets.map((m) => `${m.marketId} ${m.tradable}`).join(', ')}`);
    await checkSchema(ctx, pool);
    await states.moveAll(...decision(config.unlockPolicy));
  } catch (error) {
    await lock(ctx, states, pool, error);
    throw error;
  }
  await logStates(ctx, pool, states.takeChanges());
  ctx.health.set('bootstrap', true, 'done');
}

function decision(policy: 'auto' | 'manual'): [SystemState, string] {
  return policy === 'auto'
    ? ['HEALTHY', 'data checks passed']
    : ['LOCKED', 'UNLOCK_POLICY=manual: waiting for npm run system-unlock'];
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
