// Streams kept within bounds: by what their readers need and an age, or by a number of entries. Works when Redis is full.
import type { Redis } from 'ioredis';
import { loadScript, runScript } from './script.ts';

const trimScript = loadScript('stream_trim');
const countScript = loadScript('stream_count');

/** Entries that one call removes or counts: a millisecond or two of Redis' one thread. */
const PER_CALL = 10_000;
const COUNTED_PER_CALL = 2_000;

export interface Trimmed {
  /** Entries removed; in a dry run those that would be. */
  readonly removed: number;
  /** Everything from this id on stays; null when the stream has no consumer group, and then all of it stays. */
  readonly floor: string | null;
  /** The group that needs entries which are older than the retention; null when none does. */
  readonly heldBy: string | null;
  /** Entries in the stream now. */
  readonly length: number;
}

/**
 * Removes entries older than `retainMs` (by Redis' clock) that every consumer group was given and has acknowledged. Rejects
 * when Redis does not answer: repeating it is safe. With `dryRun` it counts and removes nothing.
 */
export async function trimStream(redis: Redis, stream: string, retainMs: number, dryRun = false): Promise<Trimmed> {
  let removed = 0;
  for (;;) {
    const args = [retainMs, PER_CALL, dryRun ? 'look' : 'trim'];
    const [n, more, floor, holder, length] = (await runScript(redis, trimScript, [stream], args)) as [number, number, string, string, number];
    removed += n;
    if (more === 1) continue;
    if (dryRun && floor !== '') removed = await countBelow(redis, stream, floor);
    return { removed, floor: floor === '' ? null : floor, heldBy: holder === '' ? null : holder, length };
  }
}

async function countBelow(redis: Redis, stream: string, floor: string): Promise<number> {
  let total = 0;
  for (let after = '-'; after !== '';) {
    const [n, next] = (await runScript(redis, countScript, [stream], [after, floor, COUNTED_PER_CALL])) as [number, string];
    total += n;
    after = next;
  }
  return total;
}

/**
 * Removes the oldest entries beyond `max`, whole nodes only, so that up to a hundred more may stay. For streams whose readers
 * bear that; never stream:market_data. A dry run says how many are beyond. Rejects when Redis does not answer.
 */
export async function boundStream(redis: Redis, stream: string, max: number, dryRun = false): Promise<{ removed: number; length: number }> {
  const length = await redis.xlen(stream);
  if (dryRun) return { removed: Math.max(0, length - max), length };
  let removed = 0;
  // Redis limits an inexact XTRIM to 100 nodes' worth of entries by itself.
  for (let n = 1; n > 0; removed += n) n = await redis.xtrim(stream, 'MAXLEN', '~', max);
  return { removed, length: await redis.xlen(stream) };
}
