// Which receivers carry a market's feed right now. A claim that is not renewed ends by itself.
import type { Redis } from 'ioredis';
import { feedCarriersKey } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const script = loadScript('carriers');
const TTL_MS = 10_000;
/** How often a claim is to be renewed, ms. */
export const CARRY_RENEW_MS = 3_000;

/** Claims a market for ten seconds. Rejects when Redis does not answer. */
export async function carry(redis: Redis, marketId: string, writer: string): Promise<void> {
  await runScript(redis, script, [feedCarriersKey(marketId)], [writer, TTL_MS]);
}

/** Gives the claim up; resolves with how many others hold one. Repeatable; rejects when Redis does not answer. */
export async function leave(redis: Redis, marketId: string, writer: string): Promise<number> {
  return Number(await runScript(redis, script, [feedCarriersKey(marketId)], [writer, 0]));
}
