// The instruments of the two Binance venues, described as their exchangeInfo describes them.
import { quarterEnd } from '../dates.ts';
import type { Spec } from '../spec.ts';

type Row = readonly [
  symbol: string,
  base: string,
  quote: string,
  price: number,
  priceDecimals: number,
  tick: number,
  amountDecimals: number,
  typicalLots: number,
  weight: number,
];

const SPOT: readonly Row[] = [
  ['BTCUSDT', 'BTC', 'USDT', 86_412.37, 2, 1, 5, 900, 30],
  ['ETHUSDT', 'ETH', 'USDT', 2_731.52, 2, 1, 4, 1_500, 20],
  ['SOLUSDT', 'SOL', 'USDT', 131.44, 2, 1, 3, 2_500, 12],
  ['BNBUSDT', 'BNB', 'USDT', 842.17, 2, 1, 3, 250, 6],
  ['XRPUSDT', 'XRP', 'USDT', 2.0631, 4, 1, 1, 1_800, 8],
  ['DOGEUSDT', 'DOGE', 'USDT', 0.14412, 5, 1, 1, 9_000, 6],
  ['BTCUSDC', 'BTC', 'USDC', 86_420.91, 2, 1, 5, 700, 8],
  ['ETHBTC', 'ETH', 'BTC', 0.03161, 5, 1, 4, 700, 2],
];

const USDM: readonly Row[] = [
  ['BTCUSDT', 'BTC', 'USDT', 86_389.4, 2, 10, 3, 12, 30],
  ['ETHUSDT', 'ETH', 'USDT', 2_730.91, 2, 1, 3, 400, 22],
  ['SOLUSDT', 'SOL', 'USDT', 131.41, 4, 100, 2, 600, 12],
  ['BNBUSDT', 'BNB', 'USDT', 841.93, 3, 10, 2, 30, 5],
  ['XRPUSDT', 'XRP', 'USDT', 2.0622, 4, 1, 1, 4_000, 8],
  ['DOGEUSDT', 'DOGE', 'USDT', 0.14406, 5, 1, 0, 2_600, 6],
  ['1000PEPEUSDT', '1000PEPE', 'USDT', 0.0047213, 7, 1, 0, 60_000, 4],
  ['BTCUSDC', 'BTC', 'USDC', 86_401.2, 1, 1, 3, 8, 4],
];

/** Start of perpetual time as Binance writes it: 2100-12-25. */
const NEVER = 4_133_404_800_000;

/** The spot instruments. */
export function spotSpecs(): Spec[] {
  return SPOT.map((row) => spotSpec(row));
}

/** The USD-M instruments: perpetuals, and one quarterly future that expires after `nowMs`. */
export function usdmSpecs(nowMs: number): Spec[] {
  const expiry = quarterEnd(nowMs + 14 * 86_400_000);
  const at = new Date(expiry);
  const day = [at.getUTCFullYear() % 100, at.getUTCMonth() + 1, at.getUTCDate()].map((n) => String(n).padStart(2, '0')).join('');
  const quarterly: Row = [`BTCUSDT_${day}`, 'BTC', 'USDT', 87_105.3, 1, 1, 3, 40, 2];
  return [...USDM.map((row) => usdmSpec(row, NEVER)), usdmSpec(quarterly, expiry)];
}

const text = (scaled: number, decimals: number, shown: number): string => (scaled / 10 ** decimals).toFixed(shown);

function spotFilters(tickSize: string, stepSize: string): object[] {
  return [
    { filterType: 'PRICE_FILTER', minPrice: tickSize, maxPrice: '1000000.00000000', tickSize },
    { filterType: 'LOT_SIZE', minQty: stepSize, maxQty: '9000.00000000', stepSize },
    { filterType: 'ICEBERG_PARTS', limit: 100 },
    { filterType: 'MARKET_LOT_SIZE', minQty: '0.00000000', maxQty: '120.00000000', stepSize: '0.00000000' },
    {
      filterType: 'TRAILING_DELTA',
      minTrailingAboveDelta: 10,
      maxTrailingAboveDelta: 2000,
      minTrailingBelowDelta: 10,
      maxTrailingBelowDelta: 2000,
    },
    {
      filterType: 'PERCENT_PRICE_BY_SIDE',
      bidMultiplierUp: '5',
      bidMultiplierDown: '0.2',
      askMultiplierUp: '5',
      askMultiplierDown: '0.2',
      avgPriceMins: 5,
    },
    {
      filterType: 'NOTIONAL',
      minNotional: '5.00000000',
      applyMinToMarket: true,
      maxNotional: '9000000.00000000',
      applyMaxToMarket: false,
      avgPriceMins: 5,
    },
    { filterType: 'MAX_NUM_ORDERS', maxNumOrders: 200 },
    { filterType: 'MAX_NUM_ORDER_LISTS', maxNumOrderLists: 20 },
    { filterType: 'MAX_NUM_ALGO_ORDERS', maxNumAlgoOrders: 5 },
  ];
}

function spotSpec([symbol, base, quote, price, priceDecimals, tick, amountDecimals, typicalLots, weight]: Row): Spec {
  const tickSize = text(tick, priceDecimals, 8);
  const stepSize = text(1, amountDecimals, 8);
  return {
    marketId: 'binance_spot',
    symbol,
    kind: 'spot',
    base,
    quote,
    settle: null,
    priceDecimals,
    pricePad: '0'.repeat(Math.max(0, 8 - priceDecimals)),
    tick,
    startPrice: Math.round((price * 10 ** priceDecimals) / tick) * tick,
    amountDecimals,
    amountPad: '0'.repeat(Math.max(0, 8 - amountDecimals)),
    lot: 1,
    typicalLots,
    weight,
    milliseconds: false,
    runs: 48,
    countRuns: false,
    wire: {
      symbol,
      status: 'TRADING',
      baseAsset: base,
      baseAssetPrecision: 8,
      quoteAsset: quote,
      quotePrecision: 8,
      quoteAssetPrecision: 8,
      baseCommissionPrecision: 8,
      quoteCommissionPrecision: 8,
      orderTypes: ['LIMIT', 'LIMIT_MAKER', 'MARKET', 'STOP_LOSS', 'STOP_LOSS_LIMIT', 'TAKE_PROFIT', 'TAKE_PROFIT_LIMIT'],
      icebergAllowed: true,
      ocoAllowed: true,
      otoAllowed: true,
      opoAllowed: true,
      quoteOrderQtyMarketAllowed: true,
      allowTrailingStop: true,
      cancelReplaceAllowed: true,
      amendAllowed: true,
      pegInstructionsAllowed: true,
      isSpotTradingAllowed: true,
      isMarginTradingAllowed: quote !== 'BTC',
      filters: spotFilters(tickSize, stepSize),
      permissions: [],
      permissionSets: [['SPOT', 'MARGIN', 'TRD_GRP_004', 'TRD_GRP_005']],
      defaultSelfTradePreventionMode: 'EXPIRE_MAKER',
      allowedSelfTradePreventionModes: ['EXPIRE_TAKER', 'EXPIRE_MAKER', 'EXPIRE_BOTH', 'DECREMENT'],
    },
  };
}

function usdmSpec([symbol, base, quote, price, priceDecimals, tick, amountDecimals, typicalLots, weight]: Row, deliveryDate: number): Spec {
  const tickSize = text(tick, priceDecimals, priceDecimals);
  const stepSize = text(1, amountDecimals, amountDecimals);
  const perpetual = deliveryDate === NEVER;
  return {
    marketId: 'binance_usdm',
    symbol,
    kind: perpetual ? 'perpetual' : 'future',
    base,
    quote,
    settle: quote,
    priceDecimals,
    pricePad: '',
    tick,
    startPrice: Math.round((price * 10 ** priceDecimals) / tick) * tick,
    amountDecimals,
    amountPad: '',
    lot: 1,
    typicalLots,
    weight,
    milliseconds: true,
    runs: 64,
    countRuns: true,
    ...(perpetual ? {} : { expiry: deliveryDate }),
    wire: {
      symbol,
      pair: symbol.split('_')[0],
      contractType: perpetual ? 'PERPETUAL' : 'CURRENT_QUARTER',
      deliveryDate,
      onboardDate: 1_569_398_400_000,
      status: 'TRADING',
      maintMarginPercent: '2.5000',
      requiredMarginPercent: '5.0000',
      baseAsset: base,
      quoteAsset: quote,
      marginAsset: quote,
      pricePrecision: priceDecimals,
      quantityPrecision: amountDecimals,
      baseAssetPrecision: 8,
      quotePrecision: 8,
      underlyingType: 'COIN',
      underlyingSubType: ['PoW'],
      triggerProtect: '0.0500',
      liquidationFee: '0.012500',
      marketTakeBound: '0.05',
      maxMoveOrderLimit: 10000,
      filters: [
        { filterType: 'PRICE_FILTER', maxPrice: '4529764', minPrice: tickSize, tickSize },
        { filterType: 'LOT_SIZE', maxQty: '1000000', minQty: stepSize, stepSize },
        { filterType: 'MARKET_LOT_SIZE', maxQty: '120000', minQty: stepSize, stepSize },
        { filterType: 'MAX_NUM_ORDERS', limit: 200 },
        { filterType: 'MAX_NUM_ALGO_ORDERS', limit: 10 },
        { filterType: 'MIN_NOTIONAL', notional: '5' },
        { filterType: 'PERCENT_PRICE', multiplierDown: '0.9500', multiplierUp: '1.0500', multiplierDecimal: '4' },
      ],
      orderTypes: ['LIMIT', 'MARKET', 'STOP', 'STOP_MARKET', 'TAKE_PROFIT', 'TAKE_PROFIT_MARKET', 'TRAILING_STOP_MARKET'],
      timeInForce: ['GTC', 'IOC', 'FOK', 'GTX', 'GTD'],
    },
  };
}

/** An instrument of a recording; `wire` null: described from what is known. */
export function plainSpec(known: {
  marketId: 'binance_spot' | 'binance_usdm';
  symbol: string;
  base: string;
  quote: string;
  priceDecimals: number;
  amountDecimals: number;
  tick: number;
  startPrice: number;
  wire: object | null;
}): Spec {
  const { marketId, symbol, base, quote, priceDecimals, amountDecimals, tick, startPrice, wire } = known;
  const row: Row = [symbol, base, quote, startPrice / 10 ** priceDecimals, priceDecimals, tick, amountDecimals, 1, 0];
  const spec = marketId === 'binance_spot' ? spotSpec(row) : usdmSpec(row, NEVER);
  return { ...spec, replayed: true, ...(wire === null ? {} : { wire: wire as Record<string, unknown> }) };
}
