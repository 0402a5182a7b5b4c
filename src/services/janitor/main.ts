// janitor, the one-shot bootstrap: schema, partitions, instruments, states. Ends with 0 when the others may start.
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { bootstrap } from './bootstrap.ts';
import { retry } from './retry.ts';
import { streamOf } from './stream.ts';

const REDIS_ATTEMPTS = 6;

export async function start(ctx: ServiceContext): Promise<void> {
  const { config, log, scope } = ctx;
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'janitor', log, random: ctx.random, signal: ctx.signal }), closeRedis);
  const stream = streamOf(ctx, redis, 'janitor');
  const pool = scope.own(createPool(config.databaseUrl, { name: 'janitor', log, max: 4, signal: ctx.signal }), closePool);

  const where = `redis at ${new URL(config.redisUrl).host}`;
  await retry(ctx, { what: where, attempts: REDIS_ATTEMPTS, worthRepeating: () => true }, () => redis.ping());
  await bootstrap(ctx, pool, redis, stream);
  ctx.health.set('bootstrap', true, 'done');
}
