// `simulator` and `backfill` without rate limits: what the fleet could store if the exchange set none. Otherwise as `npm start` runs them.
import { closeRedis, connectRedis } from '../../../bus/connect.ts';
import { EventSink } from '../../../bus/events.ts';
import { UsageError } from '../../../core/errors.ts';
import { MARKETS } from '../../../exchanges/registry.ts';
import type { RateBudget } from '../../../net/rate_budget.ts';
import { loadConfig } from '../../../runtime/env.ts';
import { runService, untilStopped, type ServiceContext } from '../../../runtime/service.ts';
import { runBackfill } from '../../../services/backfill/run.ts';
import { startSimulator } from '../../../simulator/server.ts';
import { createPool } from '../../../store/connect.ts';

const nothing = (): Promise<void> => Promise.resolve();
const FREE: RateBudget = { take: () => Promise.resolve(0), lower: nothing, ban: nothing };

async function simulator({ config, clock, log, scope, health, signal }: ServiceContext): Promise<void> {
  const { port, host, seed, rate } = config.simulator;
  scope.own(await startSimulator({ port, host, seed, rate, clock, log, limits: false }), (running) => running.close());
  health.set('simulator', true, '');
  await untilStopped(signal);
}

async function backfill(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, clock, random } = ctx;
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'backfill', log, random }), closeRedis);
  const pool = scope.own(createPool(config.databaseUrl, { name: 'backfill', log, max: config.backfillWorkers + 2 }), (p) => p.end());
  const events = new EventSink(redis, { source: 'bench', nowMicros: () => clock.nowMicros(), random, log });
  await runBackfill(ctx, { redis, pool, events, instance: 'bench', budgetOf: () => FREE });
}

const name = process.argv[2] ?? '';
const start = { simulator, backfill }[name];
if (start === undefined) throw new UsageError(`unknown service ${JSON.stringify(name)}: simulator or backfill`);
await runService(name, () => loadConfig(MARKETS), start);
