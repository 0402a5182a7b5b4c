// symbols:<market_id>: the tradable symbols as the janitor last saw them; what a subscription is checked against.
import type { Redis } from 'ioredis';
import { symbolsKey, symbolsKindKey } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const replaceSet = loadScript('replace_set');

/** Replaces the set at once; works when Redis is full. Returns how many symbols it holds now. */
export async function replaceSymbols(redis: Redis, marketId: string, symbols: readonly string[]): Promise<number> {
  return (await runScript(redis, replaceSet, [symbolsKey(marketId)], symbols)) as number;
}

/** The same for those of one kind; without any the set is gone. */
export async function replaceSymbolsOfKind(redis: Redis, marketId: string, kind: string, symbols: readonly string[]): Promise<number> {
  return (await runScript(redis, replaceSet, [symbolsKindKey(marketId, kind)], symbols)) as number;
}
