// backfill: fetches over REST what is missing, inside the exchanges' limits. One of 1..N alike.
import { fleetBudget } from '../../bus/budget.ts';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { EventSink } from '../../bus/events.ts';
import { joinFleet } from '../../bus/fleet.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { assertMigrated } from '../../store/migrate.ts';
import { runBackfill } from './run.ts';

const EVENTS_MS = 1_000;

/** Runs until ctx.signal aborts; jobs in hand go back to their queues. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random } = ctx;
  for (const part of ['database', 'redis']) health.set(part, false, 'starting');
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'backfill', log, random, signal: ctx.signal }), closeRedis);
  const pool = scope.own(createPool(config.databaseUrl, { name: 'backfill', log, max: config.backfillWorkers + 2, signal: ctx.signal }), closePool);
  await assertMigrated(pool, { log, signal: ctx.signal, report: (why) => health.set('database', why === null, why ?? '') });
  const instance = await joinFleet(ctx, redis);
  health.set('redis', true, '');
  const events = new EventSink(redis, { source: `backfill-${instance}-${clock.nowMicros()}`, nowMicros: () => clock.nowMicros(), random, log });
  scope.own(events, (sink) => sink.close(EVENTS_MS));
  await runBackfill(ctx, { redis, pool, events, instance, budgetOf: fleetBudget });
}
