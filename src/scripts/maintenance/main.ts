// maintenance: trims, prunes, makes partitions and vacuums by the clock. Any number of them do no harm.
import { setTimeout as sleep } from 'node:timers/promises';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { joinFleet } from '../../bus/fleet.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool } from '../../store/connect.ts';
import { assertMigrated } from '../../store/migrate.ts';
import { UnloggedChanges } from './ladder_states.ts';
import { maintenanceMetrics } from './metrics.ts';
import { runAtTimes } from './schedule.ts';
import type { TaskContext } from './task.ts';
import { TASKS, type TaskEntry } from './tasks.ts';

/** Runs until ctx.signal aborts. */
export async function start(ctx: ServiceContext): Promise<void> {
  const { config, scope, log, health, clock, random, signal } = ctx;
  for (const part of ['database', 'redis']) health.set(part, false, 'starting');
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'maintenance', log, random, signal }), closeRedis);
  const stream = config.streamRedisUrl === config.redisUrl
    ? redis : scope.own(connectRedis(config.streamRedisUrl, { name: 'maintenance-stream', log, random, signal }), closeRedis);
  const pool = scope.own(createPool(config.databaseUrl, { name: 'maintenance', log, max: 4, signal }), closePool);
  const instance = await joinFleet(ctx, redis);
  health.set('redis', true, '');
  const migrated = assertMigrated(pool, { log, signal, report: (why) => health.set('database', why === null, why ?? '') });
  const tasks: TaskContext = {
    redis, stream, pool, clock, log, signal, dryRun: false, metrics: maintenanceMetrics(ctx.metrics), settings: config.maintenance,
    exchanges: [...new Set(config.markets.map((market) => market.exchange))], unlogged: new UnloggedChanges(pool, log),
  };
  log.info({ instance }, 'maintaining');
  await Promise.all([migrated, ...Object.entries<TaskEntry>(TASKS).map(async ([name, entry]) => {
    // Trimming must not wait for a database that is away: that is when Redis fills up.
    if (entry.needs.includes('database')) await migrated;
    await keep(ctx, tasks, name, entry);
  })]);
}

/** One task at its times; a failure is told in health and log, and the task is tried again at its next time. */
async function keep({ clock, log, health, signal }: ServiceContext, tasks: TaskContext, task: string, { run, timing }: TaskEntry): Promise<void> {
  if (timing === null) return;
  const { runs, lastSuccess } = tasks.metrics;
  await runAtTimes({
    timing, signal, nowMs: () => clock.nowMicros() / 1000,
    pause: (ms) => sleep(ms, undefined, { signal }).catch(() => undefined),
    run: async () => {
      const { facts, changed } = await run(tasks);
      health.set(task, true, '');
      runs.inc({ task, outcome: 'done' });
      lastSuccess.set({ task }, clock.nowMicros() / 1e6);
      if (changed) log.info({ task, ...facts }, 'maintained');
    },
    onFailure: (error) => {
      health.set(task, false, error.message);
      runs.inc({ task, outcome: 'failed' });
      log.warn({ err: error, task }, 'a task of the maintenance failed; it is tried again at its next time');
    },
  });
}
