// What the fleet gives up, one thing after the other, while Redis fills up, and takes back as memory returns. Pure: who looks, and
// who obeys, is elsewhere.
//
// Order: what costs nothing first (history can be fetched later), then what is only sampled anyway (tickers), then what the exchange
// still has (trades of the less important symbols), and in the end trading itself.
import { memoryLevelValues, type MemoryLevel } from '../contracts/index.ts';

/** From which part of maxmemory on each level holds. The way up to 1 is what a batch in flight and a fork may need. */
export const MEMORY_STEPS: Readonly<Record<MemoryLevel, number>> = {
  normal: 0, warn: 0.6, pause_backfill: 0.75, shed_tickers: 0.8, shed_symbols: 0.85, locked: 0.95,
};

/** A level ends this far below where it began: closing and opening sockets by turns would cost more than it saves. */
export const MEMORY_STEP_BACK = 0.05;

/** Whether `level` is `wanted` or above it. */
export const memoryAtLeast = (level: MemoryLevel, wanted: MemoryLevel): boolean => memoryLevelValues.indexOf(level) >= memoryLevelValues.indexOf(wanted);

/**
 * The level after `current` at this ratio of used memory to maxmemory (0 without a limit; 1 and more: Redis refuses writes). Up at
 * once and over several steps, down only to a level that ended for good. Throws RangeError on a ratio that is no number from 0 on.
 */
export function nextMemoryLevel(current: MemoryLevel, ratio: number): MemoryLevel {
  if (!(ratio >= 0)) throw new RangeError(`ratio: ${ratio} is not a number from 0 on`);
  const reached = highest((level) => ratio >= MEMORY_STEPS[level]);
  if (memoryAtLeast(reached, current)) return reached;
  return highest((level) => memoryAtLeast(current, level) && ratio >= MEMORY_STEPS[level] - MEMORY_STEP_BACK);
}

function highest(holds: (level: MemoryLevel) => boolean): MemoryLevel {
  return memoryLevelValues.findLast((level) => level === 'normal' || holds(level)) ?? 'normal';
}
