// The distributor: stream:market_data → PostgreSQL, exactly once in effect. One of 1..N alike.
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { StreamConsumer } from '../../bus/consumer.ts';
import { joinFleet } from '../../bus/fleet.ts';
import { streamMarketDataKey } from '../../contracts/index.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { assertMigrated } from '../../store/migrate.ts';
import { distribute } from './distribute.ts';

const GROUP = 'distributor';

/** Runs until ctx.signal aborts, then finishes the batch in hand. Rejects when the database is newer than this build. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random } = ctx;
  for (const part of ['database', 'redis', 'lag']) health.set(part, false, 'starting');

  const redis = scope.own(connectRedis(config.redisUrl, { name: GROUP, log, random, signal: ctx.signal }), closeRedis);
  const streamRedis = scope.own(
    connectRedis(config.streamRedisUrl, { name: `${GROUP}-stream`, log, random, signal: ctx.signal }), closeRedis,
  );
  const pool = scope.own(createPool(config.databaseUrl, { name: GROUP, log, max: 4, signal: ctx.signal }), closePool);

  // No entry is taken before there is a database to put it into.
  const report = (why: string | null): void => health.set('database', why === null, why ?? '');
  await assertMigrated(pool, { log, signal: ctx.signal, report });
  const instance = await joinFleet(ctx, redis);
  const consumer = new StreamConsumer({
    redis: streamRedis, url: config.streamRedisUrl, stream: streamMarketDataKey, group: GROUP, consumer: `${GROUP}-${instance}`,
    count: Math.min(config.batchMaxRows, 1_000), claimIdleMs: config.claimIdleMs, clock, random,
  });
  await distribute(ctx, { pool, redis, streamRedis, consumer, instance });
}
