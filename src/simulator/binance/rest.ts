// REST of the Binance venues: routing, weights, parameter checks and error bodies. What it tells is in rest_data.ts.
import { answer, intParam, restFault } from '../http.ts';
import type { Market } from '../market.ts';
import type { HttpExchange } from '../world.ts';
import { dayFigures, markFigures, nextFunding } from './frames.ts';
import { topLevels } from './depth.ts';
import { aggTradeRows, klineRows, tradeRows } from './rest_data.ts';
import { isInterval } from './streams.ts';
import type { BinanceVenue } from './venue.ts';
import { BinanceError, faultBody, illegal, limitBody } from './errors.ts';
import { Weights } from './weights.ts';

interface Route {
  weight: number | ((query: URLSearchParams) => number);
  /** Returns the JSON text of the answer. */
  run(query: URLSearchParams, us: boolean): string;
}

/** USD-M klines cost by their limit, 500 when it is absent. */
function klinesWeight(query: URLSearchParams): number {
  const limit = Number(query.get('limit') ?? 500);
  if (limit < 100) return 1;
  if (limit < 500) return 2;
  return limit <= 1000 ? 5 : 10;
}

const SYMBOL = /^[A-Z0-9-_.]{1,20}$/;

export class BinanceRest {
  readonly #venue: BinanceVenue;
  readonly #weights: Weights;
  readonly #routes = new Map<string, Route>();

  constructor(venue: BinanceVenue) {
    this.#venue = venue;
    this.#weights = new Weights(venue.world, venue.flavour.weightLimit);
    this.#register();
  }

  state(): Record<string, unknown> {
    return this.#weights.state();
  }

  handle(exchange: HttpExchange): void {
    const { world, marketId } = this.#venue;
    const route = this.#routes.get(exchange.path);
    const weight = route?.weight ?? 1;
    const verdict = this.#weights.charge(exchange.ip, typeof weight === 'number' ? weight : weight(exchange.query));
    const headers = { 'x-mbx-used-weight': verdict.used, 'x-mbx-used-weight-1m': verdict.used };
    if (restFault(world, marketId, exchange, (status) => faultBody(status, this.#venue.flavour.weightLimit, world.nowMs()))) return;
    if (verdict.status !== 200) {
      answer(exchange.response, verdict.status, limitBody(verdict, this.#venue.flavour.weightLimit), { ...headers, 'retry-after': verdict.retryAfterS });
      return;
    }
    if (route === undefined) {
      const known = /^\/(api|fapi|dapi|sapi|eapi)\//.test(exchange.path);
      const signed = /order|account|listenKey|userDataStream|sapi|balance|position/i.test(exchange.path);
      if (known && signed) answer(exchange.response, 401, '{"code":-2014,"msg":"API-key format invalid."}', headers);
      else answer(exchange.response, 404, '<html><head><title>404 Not Found</title></head></html>', headers, 'text/html');
      return;
    }
    try {
      const us = (exchange.request.headers['x-mbx-time-unit'] ?? '').toString().toUpperCase() === 'MICROSECOND';
      answer(exchange.response, 200, route.run(exchange.query, us && !this.#venue.flavour.futures), headers);
    } catch (error) {
      if (!(error instanceof BinanceError)) throw error;
      answer(exchange.response, error.status, JSON.stringify({ code: error.code, msg: error.message }), headers);
    }
  }

  #register(): void {
    const venue = this.#venue;
    const { futures } = venue.flavour;
    const prefix = futures ? '/fapi/v1' : '/api/v3';
    const on = (path: string, weight: Route['weight'], run: Route['run']): void => void this.#routes.set(path, { weight, run });
    const at = (path: string, weight: Route['weight'], run: Route['run']): void => {
      on(prefix + path, weight, run);
      // tardis-dev still asks the retired v1 of spot.
      if (!futures) on(`/api/v1${path}`, weight, run);
    };
    const now = (us: boolean): number => (us ? venue.world.nowUs() : venue.world.nowMs());
    at('/ping', 1, () => '{}');
    at('/time', 1, (_query, us) => `{"serverTime":${now(us)}}`);
    at('/exchangeInfo', futures ? 1 : 20, (query) => JSON.stringify(this.#exchangeInfo(query)));
    at('/klines', futures ? klinesWeight : 2, (query, us) => this.#klines(query, us));
    if (!futures) at('/uiKlines', 2, (query, us) => this.#klines(query, us));
    at('/trades', futures ? 5 : 25, (query, us) => {
      const { history } = this.#market(query);
      const limit = this.#limit(query, 500, 1000);
      return tradeRows(this.#market(query), Math.max(history.first, history.last - limit + 1), history.last, us);
    });
    at('/historicalTrades', futures ? 20 : 25, (query, us) => {
      const market = this.#market(query);
      const { history } = market;
      const limit = this.#limit(query, 500, 1000);
      const wanted = this.#int(query, 'fromId') ?? history.last - limit + 1;
      const from = Math.max(history.first, wanted);
      return tradeRows(market, from, Math.min(history.last, from + limit - 1), us);
    });
    at('/aggTrades', futures ? 20 : 4, (query, us) => this.#aggTrades(query, us));
    at('/depth', futures ? 10 : 25, (query) => this.#depth(query));
    at('/ticker/24hr', futures ? 1 : 2, (query) => this.#perSymbol(query, (market) => dayTicker(market, venue.world.nowMs(), futures)));
    at('/ticker/price', 2, (query) => this.#perSymbol(query, (market) => ({
      symbol: market.spec.symbol, price: market.priceText(market.lastPrice), ...(futures ? { time: venue.world.nowMs() } : {}),
    })));
    at('/ticker/bookTicker', 2, (query) => this.#perSymbol(query, (market) => ({
      symbol: market.spec.symbol, bidPrice: market.priceText(market.bid), bidQty: market.amountText(market.bidLots),
      askPrice: market.priceText(market.ask), askQty: market.amountText(market.askLots), ...(futures ? { time: venue.world.nowMs() } : {}),
    })));
    if (!futures) at('/avgPrice', 2, (query) => {
      const market = this.#market(query);
      return JSON.stringify({ mins: 5, price: dayFigures(market, venue.world.nowMs())['average'], closeTime: venue.world.nowMs() });
    });
    if (futures) this.#registerFutures(on);
  }

  #registerFutures(on: (path: string, weight: number, run: Route['run']) => void): void {
    const { world } = this.#venue;
    on('/fapi/v1/premiumIndex', 1, (query) => this.#perSymbol(query, (market) => {
      const f = markFigures(market);
      return {
        symbol: market.spec.symbol, markPrice: f.mark, indexPrice: f.index, estimatedSettlePrice: f.settle, lastFundingRate: f.rate,
        interestRate: '0.00010000', nextFundingTime: market.spec.kind === 'perpetual' ? nextFunding(world.nowMs()) : 0, time: world.nowMs(),
      };
    }));
    on('/fapi/v1/fundingRate', 1, (query) => {
      const market = this.#market(query);
      const last = nextFunding(world.nowMs()) - 28_800_000;
      const count = Math.min(this.#limit(query, 100, 1000), 1000);
      return JSON.stringify(Array.from({ length: count }, (_row, i) => ({
        symbol: market.spec.symbol, fundingTime: last - (count - 1 - i) * 28_800_000, fundingRate: '0.00010000', markPrice: markFigures(market).mark,
      })));
    });
    on('/fapi/v1/openInterest', 1, (query) => {
      const market = this.#market(query);
      return JSON.stringify({ openInterest: market.amountText(market.spec.typicalLots * 40_000), symbol: market.spec.symbol, time: world.nowMs() });
    });
    // ccxt asks the coin-margined host too when it loads the markets of "binance".
    on('/dapi/v1/exchangeInfo', 1, () => JSON.stringify({ timezone: 'UTC', serverTime: world.nowMs(), rateLimits: [], exchangeFilters: [], symbols: [] }));
    on('/fapi/v1/fundingInfo', 1, () => '[]');
  }

  #exchangeInfo(query: URLSearchParams): Record<string, unknown> {
    const { world, flavour, markets } = this.#venue;
    const wanted = this.#symbols(query);
    const symbols = [...markets.values()].filter((m) => wanted === null || wanted.includes(m)).map((market) => market.spec.wire);
    const limits = [
      { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: flavour.weightLimit },
      { rateLimitType: 'ORDERS', interval: 'SECOND', intervalNum: 10, limit: flavour.futures ? 300 : 100 },
      { rateLimitType: 'RAW_REQUESTS', interval: 'MINUTE', intervalNum: 5, limit: 300_000 },
    ];
    const futures = { futuresType: 'U_MARGINED', assets: [{ asset: 'USDT', marginAvailable: true, autoAssetExchange: '-10000' }] };
    return {
      timezone: 'UTC', serverTime: world.nowMs(), ...(flavour.futures ? futures : {}), rateLimits: limits, exchangeFilters: [], symbols,
    };
  }

  #klines(query: URLSearchParams, us: boolean): string {
    const market = this.#market(query);
    const interval = this.#text(query, 'interval');
    if (!isInterval(interval) || (this.#venue.flavour.futures && interval === '1s')) throw new BinanceError(-1120, 'Invalid interval.');
    const limit = this.#limit(query, 500, this.#venue.flavour.futures ? 1500 : 1000);
    return klineRows(market, interval, this.#time(query, 'startTime'), this.#time(query, 'endTime'), limit, this.#venue.world.nowMs(), us);
  }

  #aggTrades(query: URLSearchParams, us: boolean): string {
    const market = this.#market(query);
    const limit = this.#limit(query, 500, 1000);
    const fromId = this.#int(query, 'fromId');
    return aggTradeRows(market, fromId, this.#time(query, 'startTime'), this.#time(query, 'endTime'), limit, us);
  }

  #depth(query: URLSearchParams): string {
    const market = this.#market(query);
    const book = this.#venue.book(market);
    book.refresh();
    const { bids, asks } = topLevels(market, book, this.#limit(query, this.#venue.flavour.futures ? 500 : 100, 5000));
    const ms = this.#venue.world.nowMs();
    const times = this.#venue.flavour.futures ? `"E":${ms},"T":${ms - 3},` : '';
    return `{"lastUpdateId":${book.updateId},${times}"bids":[${bids}],"asks":[${asks}]}`;
  }

  /** One object for `symbol`, an array for `symbols` or without either. */
  #perSymbol(query: URLSearchParams, describe: (market: Market) => unknown): string {
    if (query.get('symbol') !== null) return JSON.stringify(describe(this.#market(query)));
    const markets = this.#symbols(query) ?? [...this.#venue.markets.values()];
    return JSON.stringify(markets.map(describe));
  }

  #symbols(query: URLSearchParams): Market[] | null {
    if (query.get('symbol') !== null) return [this.#market(query)];
    const text = query.get('symbols');
    if (text === null) return null;
    const names = /^\[("[A-Z0-9-_.]{1,20}",?)*\]$/.test(text) ? (JSON.parse(text) as string[]) : null;
    if (names === null) throw illegal('symbols', '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$');
    return names.map((name) => this.#named(name));
  }

  #market(query: URLSearchParams): Market {
    return this.#named(this.#text(query, 'symbol'));
  }

  #named(symbol: string): Market {
    if (!SYMBOL.test(symbol)) throw illegal('symbol', '^[A-Z0-9-_.]{1,20}$');
    const market = this.#venue.markets.get(symbol);
    if (market === undefined) throw new BinanceError(-1121, 'Invalid symbol.');
    return market;
  }

  #text(query: URLSearchParams, name: string): string {
    const value = query.get(name);
    if (value === null || value === '') throw new BinanceError(-1102, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`);
    return value;
  }

  #int(query: URLSearchParams, name: string): number | null {
    const value = intParam(query, name);
    if (value !== null && (Number.isNaN(value) || value < 0)) throw illegal(name, '^[0-9]{1,20}$');
    return value;
  }

  #limit(query: URLSearchParams, standard: number, most: number): number {
    const value = this.#int(query, 'limit') ?? standard;
    if (value === 0) throw new BinanceError(-1130, "Data sent for parameter 'limit' is not valid.");
    return Math.min(value, most);
  }

  /** startTime and endTime come in ms or µs; told apart by size. */
  #time(query: URLSearchParams, name: string): number | null {
    const value = this.#int(query, name);
    return value !== null && value > 1e14 ? Math.floor(value / 1000) : value;
  }
}

function dayTicker(market: Market, nowMs: number, futures: boolean): Record<string, unknown> {
  const f = dayFigures(market, nowMs);
  const quote = {
    prevClosePrice: f['open'], bidPrice: market.priceText(market.bid), bidQty: market.amountText(market.bidLots),
    askPrice: market.priceText(market.ask), askQty: market.amountText(market.askLots),
  };
  return {
    symbol: market.spec.symbol, priceChange: f['change'], priceChangePercent: f['percent'], weightedAvgPrice: f['average'],
    lastPrice: f['last'], lastQty: f['lastQty'], openPrice: f['open'], highPrice: f['high'], lowPrice: f['low'], volume: f['volume'],
    quoteVolume: f['quoteVolume'], openTime: nowMs - 86_400_000, closeTime: nowMs, firstId: f['first'], lastId: f['lastId'], count: f['count'],
    ...(futures ? {} : quote),
  };
}
