// Wanted patterns of a market, durable as the wanted set is, and the members that are wanted because a pattern matches.
import type { Redis } from 'ioredis';
import {
  subscriptionsConfigKey, subscriptionsKey, subscriptionsMatchedKey, subscriptionsPatternsConfigKey, subscriptionsPatternsKey, symbolsKey, symbolsKindKey,
} from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const seedScript = loadScript('seed_wanted');
const matchScript = loadScript('match_wanted');

/** Applies the configuration's changes and returns the wanted `channel:pattern` members. Rejects when Redis does not answer, as all here. */
export async function syncPatterns(redis: Redis, marketId: string, config: readonly string[]): Promise<string[]> {
  const keys = [subscriptionsPatternsKey(marketId), subscriptionsPatternsConfigKey(marketId)];
  return (await runScript(redis, seedScript, keys, config)) as string[];
}

export const addPatterns = (redis: Redis, marketId: string, members: readonly string[]): Promise<number> =>
  redis.sadd(subscriptionsPatternsKey(marketId), ...members);

/** Returns, in order, whether each was there. */
export async function removePatterns(redis: Redis, marketId: string, members: readonly string[]): Promise<boolean[]> {
  return Promise.all(members.map(async (member) => (await redis.srem(subscriptionsPatternsKey(marketId), member)) === 1));
}

/** Makes these the members that match now; returns the wanted set. Works when Redis is full. */
export async function replaceMatched(redis: Redis, marketId: string, members: readonly string[]): Promise<string[]> {
  const keys = [subscriptionsKey(marketId), subscriptionsMatchedKey(marketId), subscriptionsConfigKey(marketId)];
  return (await runScript(redis, matchScript, keys, members)) as string[];
}

/** The members that are wanted only because a pattern matches, and those of them that a command took away. */
export const matchedMembers = (redis: Redis, marketId: string): Promise<string[]> => redis.smembers(subscriptionsMatchedKey(marketId));

/** A command names members itself: they are no pattern's any more (`named`), or stay away though one matches (`held`). */
export async function markMatched(redis: Redis, marketId: string, how: 'named' | 'held', members: readonly string[]): Promise<void> {
  if (members.length === 0) return;
  const key = subscriptionsMatchedKey(marketId);
  await (how === 'named' ? redis.srem(key, ...members) : redis.sadd(key, ...members));
}

/** Tradable symbols, of one kind or all; null while nobody has written the list yet. */
export async function listedSymbols(redis: Redis, marketId: string, kind: string | null): Promise<string[] | null> {
  if ((await redis.exists(symbolsKey(marketId))) === 0) return null;
  return redis.smembers(kind === null ? symbolsKey(marketId) : symbolsKindKey(marketId, kind));
}
