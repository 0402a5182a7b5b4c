// The wanted set of a market: durable `channel:symbol` members that configuration and commands shape together.
import type { Redis } from 'ioredis';
import { subscriptionsConfigKey, subscriptionsKey, symbolsKey } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const seedScript = loadScript('seed_wanted');

/**
 * Applies the configuration's changes and returns the wanted members. Cheap and repeatable: also how the set is
 * re-read. Two processes with different configurations for one market would undo each other's members.
 */
export async function syncWanted(redis: Redis, marketId: string, config: readonly string[]): Promise<string[]> {
  return (await runScript(
    redis,
    seedScript,
    [subscriptionsKey(marketId), subscriptionsConfigKey(marketId)],
    config,
  )) as string[];
}

/** Adds members; returns how many were new. */
export const addWanted = (redis: Redis, marketId: string, members: readonly string[]): Promise<number> =>
  redis.sadd(subscriptionsKey(marketId), ...members);

/** Removes members; returns, in order, whether each was there. */
export async function removeWanted(redis: Redis, marketId: string, members: readonly string[]): Promise<boolean[]> {
  return Promise.all(members.map(async (member) => (await redis.srem(subscriptionsKey(marketId), member)) === 1));
}

/** Which of `symbols` the venue does not list. Empty while nobody has written the list yet. */
export async function unlistedSymbols(
  redis: Redis,
  marketId: string,
  symbols: readonly string[],
): Promise<Set<string>> {
  const key = symbolsKey(marketId);
  if ((await redis.exists(key)) === 0) return new Set();
  const known = await redis.smismember(key, ...symbols);
  return new Set(symbols.filter((_, i) => known[i] === 0));
}

/**
 * Whether trades or quotes of a symbol are wanted, or of any where none is named. Where nobody has written down what is, as in an emptied
 * Redis, everything counts as wanted; where a configuration was applied, an absent set is one that lost its last member.
 */
export async function isWanted(redis: Redis, marketId: string, symbol?: string): Promise<boolean> {
  const key = subscriptionsKey(marketId);
  const isThere = symbol === undefined
    ? (await redis.smembers(key)).some((member) => member.startsWith('trade:') || member.startsWith('ticker:'))
    : (await redis.smismember(key, `trade:${symbol}`, `ticker:${symbol}`)).includes(1);
  return isThere || (await redis.exists(key, subscriptionsConfigKey(marketId))) === 0;
}
