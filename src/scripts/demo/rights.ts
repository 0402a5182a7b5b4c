// Each service has the least rights that it needs on Redis and PostgreSQL: nothing that it did in a run may have been refused.
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { verdict, type Verdict } from './verdict.ts';

/** Redis counts its refusals (INFO errorstats), PostgreSQL writes a line each. Faults of a run break connections, never a login. */
export async function checkRights(redis: Redis, postgresLog: string): Promise<Verdict> {
  return judgeRights(await redis.info('errorstats'), readFileSync(postgresLog, 'utf8'));
}

/** Exported for its test. */
export function judgeRights(errorstats: string, log: string): Verdict {
  const refusals = [...errorstats.matchAll(/^errorstat_(NOPERM|NOAUTH|WRONGPASS):count=(\d+)/gm)].map(([, what = '', n = '']) => ({ what, n: Number(n) }));
  const denied = log.split('\n').filter((line) => /permission denied|must be owner of|password authentication failed/.test(line));
  const atRedis = refusals.reduce((sum, { n }) => sum + n, 0);
  return verdict('rights', [...refusals.map(({ what, n }) => `Redis answered ${what} ${n} times`), ...denied.map((line) => line.slice(0, 200))],
    `${atRedis} commands refused by Redis, ${denied.length} statements by PostgreSQL`, { redis: atRedis, postgres: denied.length });
}
