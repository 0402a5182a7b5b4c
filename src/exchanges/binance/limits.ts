// Binance counts request weight per address and calendar minute, and tells the sum in X-MBX-USED-WEIGHT-1M.
// Spot: binance-spot-api-docs rest-api.md, 6000 a minute (GET /api/v3/exchangeInfo, rateLimits). USD-M: 2400.
import type { RestLimit } from '../../net/rate_budget.ts';

const SPOT_LIMIT = 6_000;
const SPOT_WEIGHTS: Readonly<Record<string, number>> = { klines: 2, trades: 25, historicalTrades: 25, aggTrades: 4, exchangeInfo: 20, time: 1 };
const USDM_LIMIT = 2_400;
/** klines costs by its limit. */
const USDM_WEIGHTS: Readonly<Record<string, number>> = { aggTrades: 20, trades: 5, historicalTrades: 20, exchangeInfo: 1, time: 1 };
/** What we do not know of costs like the dearest. */
const UNKNOWN_WEIGHT = 25;
/** In one minute at most capacity + 60 × refill is spent: together the limit. */
const CAPACITY_SHARE = 0.05;

/** Last part of the path: /api/v3/klines → klines. */
const endpointOf = (url: URL): string => url.pathname.slice(url.pathname.lastIndexOf('/') + 1);

function usdmKlines(limit: number): number {
  if (limit < 100) return 1;
  if (limit < 500) return 2;
  return limit <= 1000 ? 5 : 10;
}

function limitOf(pool: string, perMinute: number, cost: (url: URL) => number): RestLimit {
  return {
    pool,
    capacity: perMinute * CAPACITY_SHARE,
    refillPerSecond: (perMinute * (1 - CAPACITY_SHARE)) / 60,
    cost,
    left(headers) {
      const used = Number(headers.get('x-mbx-used-weight-1m') ?? Number.NaN);
      return Number.isNaN(used) ? null : perMinute - used;
    },
  };
}

export const spotLimit = limitOf('binance_spot', SPOT_LIMIT, (url) => SPOT_WEIGHTS[endpointOf(url)] ?? UNKNOWN_WEIGHT);
export const usdmLimit = limitOf('binance_usdm', USDM_LIMIT, (url) =>
  endpointOf(url) === 'klines' ? usdmKlines(Number(url.searchParams.get('limit') ?? 500)) : (USDM_WEIGHTS[endpointOf(url)] ?? UNKNOWN_WEIGHT));
