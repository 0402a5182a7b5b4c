// One PostgreSQL and one Redis for the whole test run; tests find them by inject('databaseUrl') and inject('redisUrl').
import type { TestProject } from 'vitest/node';
import { providePostgres, provideRedis } from './servers.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis] = await Promise.all([
    providePostgres(process.env['DATABASE_URL']),
    provideRedis(process.env['REDIS_URL']),
  ]);
  project.provide('databaseUrl', postgres.url);
  project.provide('redisUrl', redis.url);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()]);
  };
}
