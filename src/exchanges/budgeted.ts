// REST of the configured markets inside the fleet's rate budget: what every service that asks exchanges in the background uses.
import type { Redis } from 'ioredis';
import type { FleetBudgetOptions } from '../bus/budget.ts';
import type { Clock } from '../core/clock.ts';
import { createHttp } from '../net/http.ts';
import { budgetedGet, type Lane, type RateBudget } from '../net/rate_budget.ts';
import type { MarketRest } from './exchange.ts';
import { marketOf } from './registry.ts';

export interface BudgetedRestOptions {
  markets: readonly { marketId: string; exchange: string; restUrl: string }[];
  redis: Redis;
  budgetOf: (options: FleetBudgetOptions) => RateBudget;
  lane: Lane;
  /** An exchange wants nothing for `ms`. */
  onBan: (ban: { marketId: string; exchange: string; ms: number; reason: string }) => void;
  clock: Clock;
  signal: AbortSignal;
  random: () => number;
}

const HTTP = { timeoutMs: 20_000, maxBytes: 32 * 1024 * 1024 };

/** REST by market id; undefined for one that is not configured. Requests wait for their turn and end when `signal` aborts. */
export function budgetedRest(options: BudgetedRestOptions): (marketId: string) => MarketRest | undefined {
  const { markets, redis, budgetOf, lane, onBan, clock, signal, random } = options;
  const all = new Map(markets.flatMap(({ marketId, exchange, restUrl }): [string, MarketRest][] => {
    const market = marketOf(marketId);
    if (market === undefined) return [];
    const budget = budgetOf({ redis, exchange, limit: market.restLimit, onBan: (ms, reason) => onBan({ marketId, exchange, ms, reason }) });
    const get = budgetedGet({
      limit: market.restLimit, budget, lane, signal, random,
      http: (onHeaders) => createHttp({ ...HTTP, clock, signal, onHeaders }),
    });
    return [[marketId, market.rest(restUrl, get)]];
  }));
  return (marketId) => all.get(marketId);
}
