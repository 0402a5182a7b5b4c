// What the market page offers to choose from.
import { expect, it } from 'vitest';
import { picksOf, type Instrument } from './public/picks.ts';

const of = (marketId: string, symbol: string, unifiedSymbol: string, kind: string): Instrument =>
  ({ marketId, symbol, unifiedSymbol, kind, base: unifiedSymbol.split('/')[0]!, quote: null, amountUnit: null });

it('leaves no exchange out of a base that is on more markets than there is room for, and does not call them all', () => {
  const picks = picksOf([
    of('deribit', 'BTC-PERPETUAL', 'BTC/USD:BTC', 'perpetual'), of('deribit', 'BTC_USDC', 'BTC/USDC', 'spot'),
    of('deribit', 'BTC_USDC-PERPETUAL', 'BTC/USDC:USDC', 'perpetual'), of('binance_spot', 'BTCUSDT', 'BTC/USDT', 'spot'),
    of('binance_usdm', 'BTCUSDT', 'BTC/USDT:USDT', 'perpetual'), of('deribit', 'ETH-PERPETUAL', 'ETH/USD:ETH', 'perpetual'),
    of('binance_spot', 'ETHUSDT', 'ETH/USDT', 'spot'),
  ]);
  expect(picks.slice(0, 3)).toEqual([
    ['deribit:BTC-PERPETUAL,binance_spot:BTCUSDT,binance_usdm:BTCUSDT,deribit:BTC_USDC', 'BTC: 4 of its 5 markets'],
    ['deribit:ETH-PERPETUAL,binance_spot:ETHUSDT', 'ETH: all its markets'],
    ['deribit:BTC-PERPETUAL', 'BTC/USD:BTC'],
  ]);
});
