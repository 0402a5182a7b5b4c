// How far each symbol of a market has been published; written by publish.ts, read when a receiver starts.
import type { Redis } from 'ioredis';
import { feedSeqKey } from '../contracts/index.ts';

/** symbol → last seq up to which everything is published or reported as a gap. */
export async function readFeedSeqs(redis: Redis, marketId: string): Promise<Map<string, number>> {
  const entries = Object.entries(await redis.hgetall(feedSeqKey(marketId)));
  return new Map(
    entries.map(([symbol, seq]) => [symbol, Number(seq)] as const).filter(([, seq]) => Number.isSafeInteger(seq)),
  );
}
