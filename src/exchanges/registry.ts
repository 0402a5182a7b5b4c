// The closed set of markets. A new exchange is its folder and one line here.
import { binanceSpot, binanceUsdm } from './binance/markets.ts';
import { deribit } from './deribit/markets.ts';
import type { Market } from './exchange.ts';

const ALL: readonly Market[] = [deribit, binanceSpot, binanceUsdm];

/** Every market, by id. */
export const MARKETS: Readonly<Record<string, Market>> = Object.freeze(
  Object.fromEntries(ALL.map((market) => [market.marketId, market])),
);

/** The market of an id, or undefined: ids come from the environment and from messages. */
export function marketOf(marketId: string): Market | undefined {
  return Object.hasOwn(MARKETS, marketId) ? MARKETS[marketId] : undefined;
}
