// streams: those that nobody has to read in full are kept at a number of entries.
import type { Redis } from 'ioredis';
import { EVENTS_KEPT, emitEvent } from '../../bus/events.ts';
import { boundStream } from '../../bus/trim.ts';
import { dlqStreamMarketDataKey, streamSystemEventsKey } from '../../contracts/index.ts';
import { verb, type TaskContext, type TaskReport } from './task.ts';

/** Dead letters that are cut are lost, which is told by a warning; events are capped as a matter of course. */
export async function streams(ctx: TaskContext): Promise<TaskReport> {
  const { redis, stream, settings } = ctx;
  const letters = await bound(ctx, stream, dlqStreamMarketDataKey, settings.dlqMax);
  const events = await bound(ctx, redis, streamSystemEventsKey, EVENTS_KEPT);
  if (letters.removed > 0 && !ctx.dryRun) await warn(ctx, letters.removed);
  return {
    lines: [letters, events].map(({ key, max, removed, length }) =>
      `${key}: ${verb(ctx, 'removed', 'remove')} ${removed} entries beyond ${max}; ${length} ${ctx.dryRun ? 'there' : 'left'}`),
    facts: { streams: [letters, events] },
    changed: letters.removed + events.removed > 0,
  };
}

async function bound({ metrics, dryRun }: TaskContext, redis: Redis, key: string, max: number) {
  const { removed, length } = await boundStream(redis, key, max, dryRun);
  metrics.streamEntries.set({ stream: key }, length);
  if (!dryRun) metrics.trimmed.inc({ stream: key }, removed);
  return { key, max, removed, length };
}

async function warn({ redis, clock, log, settings }: TaskContext, removed: number): Promise<void> {
  const data = { stream: dlqStreamMarketDataKey, removed, max: settings.dlqMax };
  log.warn(data, 'the oldest dead letters were removed: there were more than DLQ_MAX');
  const ts = clock.nowMicros();
  await emitEvent(redis, { event_id: `dlq.trimmed:${ts}`, type: 'dlq.trimmed', severity: 'warning', ts, data });
}
