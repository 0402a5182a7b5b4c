// trim: stream:market_data gives up what every consumer group has settled and what is old enough.
import { trimStream } from '../../bus/trim.ts';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { verb, type TaskContext, type TaskReport } from './task.ts';

/** Never past what the slowest group needs: a stalled one is named, and holds the stream until it goes on or is destroyed. */
export async function trim(ctx: TaskContext): Promise<TaskReport> {
  const { stream, metrics, settings, dryRun } = ctx;
  const key = streamMarketDataKey;
  const { removed, floor, heldBy, length } = await trimStream(stream, key, settings.streamRetainMs, dryRun);
  metrics.streamEntries.set({ stream: key }, length);
  if (!dryRun) metrics.trimmed.inc({ stream: key }, removed);
  const lines = floor === null
    ? [`${key}: ${length} entries, no consumer group: nothing is trimmed`]
    : [`${key}: ${verb(ctx, 'removed', 'remove')} ${removed} entries below ${floor}; ${dryRun ? `${length} there` : `${length} left`}`];
  if (heldBy !== null) lines.push(`${key}: group ${heldBy} needs entries older than STREAM_RETAIN_MS (${settings.streamRetainMs} ms)`);
  return { lines, facts: { stream: key, removed, floor, held_by: heldBy, length }, changed: removed > 0 || heldBy !== null };
}
