import type { HttpGet, MarketRest } from '../exchange.ts';

export function createRest(_marketId: string, _baseUrl: string, _get: HttpGet): MarketRest {
  throw new Error('not yet');
}
