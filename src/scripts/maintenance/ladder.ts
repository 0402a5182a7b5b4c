// ladder: how full Redis is decides what the fleet does without (core/memory_ladder.ts); everybody reads it in system:memory. Needs no
// database: one that is away is the usual reason for a Redis that fills up.
import { emitEvent } from '../../bus/events.ts';
import { fullness, readMemory, writeMemory } from '../../bus/memory.ts';
import { trimStream } from '../../bus/trim.ts';
import { memoryLevelValues, streamMarketDataKey, type MemoryLevel } from '../../contracts/index.ts';
import { memoryAtLeast, nextMemoryLevel } from '../../core/memory_ladder.ts';
import { moveStates } from './ladder_states.ts';
import { verb, type TaskContext, type TaskReport } from './task.ts';

const SEVERITY = { normal: 'info', warn: 'warning', pause_backfill: 'warning', shed_tickers: 'warning', shed_symbols: 'error', locked: 'critical' } as const;

/**
 * Looks once and moves the level. While it is high, entries that all consumer groups have acknowledged go earlier than STREAM_RETAIN_MS
 * allows; at its top the exchanges are locked, and below it those locks are taken off again. Rejects when Redis does not answer.
 */
export async function ladder(ctx: TaskContext): Promise<TaskReport> {
  const { redis, stream, clock, dryRun, metrics } = ctx;
  const [main, streams, known] = await Promise.all([fullness(redis), stream === redis ? 0 : fullness(stream), readMemory(redis)]);
  const ratio = Math.max(main, streams);
  const before = known?.level ?? 'normal';
  const level = nextMemoryLevel(before, ratio);
  const percent = Math.round(100 * ratio);
  const lines = [`redis ${percent} % of maxmemory: level ${level}${level === before ? '' : ` (${verb(ctx, 'was', 'leave')} ${before})`}`];
  const facts = { ratio, level, before };
  metrics.memoryRatio.set(ratio);
  metrics.memoryLevel.set(memoryLevelValues.indexOf(level));
  if (dryRun) return { lines, facts, changed: false };
  const atMicros = clock.nowMicros();
  // Another watcher moved it while we looked: it tells, and acts.
  if (!(await writeMemory(redis, before, level, ratio, atMicros))) return { lines, facts, changed: false };
  if (level !== before) {
    await emitEvent(redis, {
      event_id: `memory:${atMicros}`, type: 'memory.level', severity: SEVERITY[level], ts: atMicros,
      data: { level, before, ratio: Number(ratio.toFixed(4)) },
    });
  }
  const trimmed = await relieve(ctx, level);
  if (trimmed > 0) lines.push(`${trimmed} acknowledged entries of ${streamMarketDataKey} removed before their time`);
  const moved = await moveStates(ctx, level, percent);
  lines.push(...moved);
  return { lines, facts: { ...facts, trimmed, states: moved }, changed: level !== before || moved.length > 0 };
}

/** What everybody has is kept for replays; that is worth less than what nobody has yet. Returns how many entries went. */
async function relieve({ stream, settings, metrics }: TaskContext, level: MemoryLevel): Promise<number> {
  if (!memoryAtLeast(level, 'pause_backfill')) return 0;
  const retainMs = memoryAtLeast(level, 'shed_tickers') ? 0 : Math.floor(settings.streamRetainMs / 4);
  const { removed } = await trimStream(stream, streamMarketDataKey, retainMs);
  metrics.trimmed.inc({ stream: streamMarketDataKey }, removed);
  return removed;
}
