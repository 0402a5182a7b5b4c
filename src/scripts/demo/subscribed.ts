// What is subscribed at the simulated exchanges against what is wanted, in the venues' own channel names.
import type { Redis } from 'ioredis';
import { unlistedSymbols } from '../../bus/wanted.ts';
import { subscriptionsKey, type Channel, type Resolution } from '../../contracts/index.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import type { Control } from './control.ts';
import { settle } from './settle.ts';
import { verdict, type Verdict } from './verdict.ts';

/** Venue channels that serve what is wanted of one market and listed there. */
async function wantedWire(redis: Redis, marketId: string, resolutions: readonly Resolution[]): Promise<Set<string>> {
  const feed = MARKETS[marketId]?.feed;
  const wanted = (await redis.smembers(subscriptionsKey(marketId))).map((member) => {
    const at = member.indexOf(':');
    return { channel: member.slice(0, at) as Channel, symbol: member.slice(at + 1) };
  });
  const unlisted = await unlistedSymbols(redis, marketId, [...new Set(wanted.map(({ symbol }) => symbol))]);
  return new Set(wanted.flatMap((each) => (unlisted.has(each.symbol) ? [] : (feed?.wireChannels(each, resolutions) ?? []))));
}

/**
 * Waits until every wanted channel is subscribed exactly once per market (a second live connection would be a leak), and
 * nothing else that serves a symbol is.
 */
export async function checkSubscriptions(
  redis: Redis, control: Control, markets: readonly string[], resolutions: readonly Resolution[], seconds: number,
): Promise<Verdict> {
  let [wantedTotal, connections] = [0, 0];
  const complaint = await settle(seconds, async () => {
    const state = await control.state();
    const wrong: string[] = [];
    [wantedTotal, connections] = [0, 0];
    for (const marketId of markets) {
      const wanted = await wantedWire(redis, marketId, resolutions);
      wantedTotal += wanted.size;
      const live = (state.markets[marketId]?.connections ?? []).map(({ conn, streams, channels }) => ({ conn, names: streams ?? channels ?? [] }));
      connections += live.length;
      wrong.push(...subscriptionProblems(marketId, wanted, live));
    }
    return wrong.length === 0 ? null : wrong.slice(0, 3).join('; ');
  });
  return verdict('subscriptions', complaint === null ? [] : [complaint],
    complaint ?? `${wantedTotal} wanted, each subscribed once; ${connections} connections, none without a subscription`, { wanted: wantedTotal, connections });
}

/** What differs between the wanted channels of a market and what its live connections carry. */
export function subscriptionProblems(
  marketId: string, wanted: ReadonlySet<string>, live: readonly { conn: number; names: readonly string[] }[],
): string[] {
  const subscribed = live.flatMap(({ names }) => names);
  return [
    ...[...wanted].map((wire) => ({ wire, times: subscribed.filter((name) => name === wire).length })).filter(({ times }) => times !== 1)
      .map(({ wire, times }) => `${marketId} ${wire} is wanted and subscribed ${times} times`),
    ...subscribed.filter((wire) => !wanted.has(wire) && /[.@]/.test(wire)).map((wire) => `${marketId} ${wire} is subscribed but not wanted`),
    // A connection of no shard: somebody opened it and forgot it.
    ...live.filter(({ names }) => !names.some((name) => wanted.has(name))).map(({ conn }) => `${marketId} connection ${conn} serves nothing that is wanted`),
  ];
}
