// The venues of Binance: spot, and USD-margined futures.
import type { Market } from '../exchange.ts';
import { SPOT_LIMITS, SPOT_STREAMS, USDM_LIMITS, USDM_STREAMS, createFeed } from './feed.ts';
import { spotLimit, usdmLimit } from './limits.ts';
import { createNormaliser } from './normalise.ts';
import { createRest } from './rest.ts';

export const binanceSpot: Market = {
  marketId: 'binance_spot',
  exchange: 'binance',
  wsUrl: 'wss://stream.binance.com:9443',
  restUrl: 'https://api.binance.com',
  defaultSymbols: ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'BNBUSDT'],
  feed: createFeed(SPOT_STREAMS, SPOT_LIMITS),
  closesCandles: false,
  candleResolutions: SPOT_STREAMS.resolutions,
  restLimit: spotLimit,
  normaliser: () => createNormaliser('binance_spot'),
  rest: (baseUrl, get) => createRest('binance_spot', baseUrl, get),
};

export const binanceUsdm: Market = {
  marketId: 'binance_usdm',
  exchange: 'binance',
  wsUrl: 'wss://fstream.binance.com',
  restUrl: 'https://fapi.binance.com',
  defaultSymbols: ['BTCUSDT', 'ETHUSDT', 'SOLUSDT', 'XRPUSDT', 'BNBUSDT'],
  feed: createFeed(USDM_STREAMS, USDM_LIMITS),
  closesCandles: false,
  candleResolutions: USDM_STREAMS.resolutions,
  restLimit: usdmLimit,
  normaliser: () => createNormaliser('binance_usdm'),
  rest: (baseUrl, get) => createRest('binance_usdm', baseUrl, get),
};
