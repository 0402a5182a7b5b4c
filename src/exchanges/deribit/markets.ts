// The venues of Deribit: one, for every kind of contract.
import type { Market } from '../exchange.ts';
import { feed } from './feed.ts';
import { limit } from './limits.ts';
import { RESOLUTIONS } from './mapping.ts';
import { createNormaliser } from './normalise.ts';
import { createRest } from './rest.ts';
import { trading } from './trading/market.ts';

const MARKET_ID = 'deribit';

export const deribit: Market = {
  marketId: MARKET_ID,
  exchange: 'deribit',
  wsUrl: 'wss://www.deribit.com/ws/api/v2',
  restUrl: 'https://www.deribit.com/api/v2',
  defaultSymbols: ['BTC-PERPETUAL', 'ETH-PERPETUAL', 'BTC_USDC-PERPETUAL', 'ETH_USDC-PERPETUAL', 'SOL_USDC-PERPETUAL', 'BTC_USDC'],
  feed,
  closesCandles: true,
  candleResolutions: Object.values(RESOLUTIONS),
  restLimit: limit,
  trading,
  normaliser: () => createNormaliser(MARKET_ID),
  rest: (baseUrl, get) => createRest(MARKET_ID, baseUrl, get),
};
