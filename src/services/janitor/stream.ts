// The connection to stream:market_data: one of its own where that lies in another Redis.
import type { Redis } from 'ioredis';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import type { ServiceContext } from '../../runtime/service.ts';

/** Closed with the scope of `ctx`. */
export function streamOf({ config, scope, log, random, signal }: ServiceContext, redis: Redis, name: string): Redis {
  if (config.streamRedisUrl === config.redisUrl) return redis;
  return scope.own(connectRedis(config.streamRedisUrl, { name: `${name}-stream`, log, random, signal }), closeRedis);
}
