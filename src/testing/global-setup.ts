// One PostgreSQL and one Redis for the whole test run; tests find them by inject('databaseUrl') and inject('redisUrl').
import type { TestProject } from 'vitest/node';
import { providePostgres, provideRedis } from './servers.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // `npm run check` runs the structure rules alone, on machines that may have no server.
  if (process.env['TEST_SERVERS'] === 'none') return () => Promise.resolve();
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
