// Binance's public REST, spot (/api/v3) and USD-M (/fapi/v1): the same shapes, other paths and page sizes.
// https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md, developers.binance.com (USD-M market data)
import { z } from 'zod';
import { ExchangeHttpError, type HttpErrorKind } from '../../net/http.ts';
import type { Candle, HttpGet, MarketRest, RestTrade } from '../exchange.ts';
import { assertRising, decimalText, judged, malformed, read, resolutionMs, whole } from '../rest_reader.ts';
import { exchangeInfoSchema } from './instruments.ts';
import { klineSchema, quickKlines, type Kline } from './klines.ts';

interface Venue {
  path: string;
  candlesPerPage: number;
  /** Spot tells single trades by id; USD-M only aggregates without a key. */
  trades: 'single' | 'aggregate';
}

const VENUES: Readonly<Record<string, Venue>> = {
  binance_spot: { path: '/api/v3', candlesPerPage: 1000, trades: 'single' },
  // Up to 499 cost 2, 1000 cost 5, 1500 cost 10: so the most candles of the limit.
  binance_usdm: { path: '/fapi/v1', candlesPerPage: 499, trades: 'aggregate' },
};
const TRADES_PER_PAGE = 1000;
/** Interpolating between two known aggregates lands on any third in a handful of steps. */
const MAX_PROBES = 40;

/** Codes about the moment, not about what was asked: disconnected, timeout, too busy, shutting down. (errors.md) */
const MOMENTARY = new Set([-1001, -1007, -1008, -1016]);
const kindOf = (code: number): HttpErrorKind => (code === -1003 ? 'rate_limited' : MOMENTARY.has(code) ? 'server' : 'refused');

const errorSchema = z.object({ code: whole, msg: z.string() });
const tradeSchema = z.object({ id: whole, price: decimalText, qty: decimalText, time: whole, isBuyerMaker: z.boolean() });
const aggregateSchema = z.object({ a: whole, p: decimalText, q: decimalText, f: whole, l: whole, T: whole, m: z.boolean() });
type Aggregate = z.infer<typeof aggregateSchema>;

/** One request: the answer as `quick` or else `schema` reads it, and its text as evidence. */
type Call = <T>(
  path: string, params: Record<string, string | number>, schema: z.ZodType<T>, quick?: (body: string) => T | null,
) => Promise<{ result: T; body: string }>;

/** How a venue tells trades. */
type TradeReads = Pick<MarketRest, 'lastTrade' | 'trades'>;

/** `base` is `https://api.binance.com` or `https://fapi.binance.com`, without a slash at its end. */
export function createRest(marketId: string, base: string, get: HttpGet): MarketRest {
  const venue = VENUES[marketId];
  if (venue === undefined) throw new RangeError(`market: ${marketId} is not served here`);
  const call = callerOf(`${base}${venue.path}`, get);
  /** The exchange's time as it was told last, ms. */
  let knownMs = 0;
  return {
    ...(venue.trades === 'single' ? singleTrades(marketId, call) : aggregateTrades(marketId, call)),
    async time() {
      return (await call('time', {}, z.object({ serverTime: whole }))).result.serverTime * 1000;
    },
    async instruments(skip) {
      const { instruments, skipped } = (await call('exchangeInfo', {}, exchangeInfoSchema(marketId))).result.symbols;
      if (skip !== undefined) skipped.forEach(skip);
      return instruments;
    },
    async candles(symbol, resolution, startTs, endTs) {
      const limit = venue.candlesPerPage;
      const range = { startTime: Math.ceil(startTs / 1000), endTime: Math.ceil(endTs / 1000) - 1 };
      // Final is what had closed before it was told. Of history that is known without asking for the time again.
      const reach = resolution === '1M' ? range.endTime : Math.min(range.endTime, range.startTime + limit * resolutionMs(resolution));
      const isFresh = reach >= knownMs;
      if (isFresh) knownMs = (await this.time()) / 1000;
      const { result, body } = await call('klines', { symbol, interval: resolution, ...range, limit }, z.array<z.ZodType<Kline>>(klineSchema), quickKlines);
      assertRising(result.map((row) => row[0]), 'klines', body);
      if (!isFresh && result.some((row) => row[6] >= knownMs)) {
        // A hole in the candles led further than the page should reach.
        knownMs = 0;
        return this.candles(symbol, resolution, startTs, endTs);
      }
      const items = result
        .filter((row) => row[0] >= range.startTime && row[0] <= range.endTime)
        .map((row): Candle => ({
          market_id: marketId, symbol, resolution, open_ts: row[0] * 1000, open: row[1], high: row[2], low: row[3], close: row[4], volume: row[5],
          quote_volume: row[7], trade_count: row[8], closed: row[6] < knownMs, source: 'rest',
        }));
      return { items, complete: result.length < limit };
    },
  };
}

function callerOf(root: string, get: HttpGet): Call {
  return async (path, params, schema, quick) => {
    const query = new URLSearchParams(Object.entries(params).map(([name, value]): [string, string] => [name, String(value)]));
    const body = await judged(get(`${root}/${path}${query.size > 0 ? `?${query.toString()}` : ''}`), kindOf);
    // An error with status 200 happens behind proxies; it has a code where the answer would have its fields.
    const refused = errorSchema.safeParse(body.startsWith('{') ? read(z.unknown(), body, path) : null);
    if (refused.success) {
      const { code, msg } = refused.data;
      throw new ExchangeHttpError(`${path}: ${code} ${msg}`, { kind: kindOf(code), status: 200, code, retryAfterMs: null, body: body.slice(0, 300) });
    }
    return { result: quick?.(body) ?? read(schema, body, path), body };
  };
}

function singleTrades(marketId: string, call: Call): TradeReads {
  return {
    async lastTrade(symbol) {
      const { result } = await call('trades', { symbol, limit: 1 }, z.array(tradeSchema));
      const last = result.at(-1);
      return last === undefined ? null : fromSingle(marketId, symbol, last);
    },
    async trades(symbol, fromSeq, toSeq) {
      const { result, body } = await call('historicalTrades', { symbol, fromId: fromSeq, limit: TRADES_PER_PAGE }, z.array(tradeSchema));
      assertRising(result.map((item) => item.id), 'historicalTrades', body);
      if (result[0] !== undefined && result[0].id < fromSeq) throw malformed(`historicalTrades: asked from ${fromSeq}, got ${result[0].id}`, body);
      const items = result.filter((item) => item.id <= toSeq).map((item) => fromSingle(marketId, symbol, item));
      return { items, complete: result.length < TRADES_PER_PAGE || (result.at(-1)?.id ?? 0) >= toSeq };
    },
  };
}

function aggregateTrades(marketId: string, call: Call): TradeReads {
  return {
    async lastTrade(symbol) {
      const last = (await aggregates(call, symbol, { limit: 1 })).at(-1);
      return last === undefined ? null : fromAggregate(marketId, symbol, last);
    },
    async trades(symbol, fromSeq, toSeq) {
      const start = await aggregateAt(call, symbol, fromSeq);
      if (start === null) return { items: [], complete: true };
      const page = await aggregates(call, symbol, { fromId: start, limit: TRADES_PER_PAGE });
      const items = page.filter((item) => item.l >= fromSeq && item.f <= toSeq).map((item) => fromAggregate(marketId, symbol, item));
      return { items, complete: page.length < TRADES_PER_PAGE || (page.at(-1)?.l ?? 0) >= toSeq };
    },
  };
}

async function aggregates(call: Call, symbol: string, params: Record<string, number>): Promise<Aggregate[]> {
  const { result, body } = await call('aggTrades', { symbol, ...params }, z.array(aggregateSchema));
  assertRising(result.map((item) => item.a), 'aggTrades', body);
  return result;
}

/** The aggregate id from which on trade `seq` is reached: aggregates have ids of their own, and only those can be asked for. */
async function aggregateAt(call: Call, symbol: string, seq: number): Promise<number | null> {
  const newest = (await aggregates(call, symbol, { limit: 1 })).at(-1);
  if (newest === undefined || newest.l < seq) return null;
  // Each aggregate holds one trade or more, so it lies at most as many aggregates back as trades.
  let low = { a: Math.max(0, newest.a - (newest.l - seq) - 1), f: 0 };
  let high = { a: newest.a, f: newest.f };
  for (let probe = 0; probe < MAX_PROBES && high.a - low.a > TRADES_PER_PAGE / 2; probe++) {
    const share = low.f === 0 ? 0.5 : Math.min(Math.max((seq - low.f) / Math.max(high.f - low.f, 1), 0.05), 0.95);
    const guess = low.a + Math.max(1, Math.floor((high.a - low.a) * share));
    const at = (await aggregates(call, symbol, { fromId: guess, limit: 1 })).at(0);
    if (at === undefined) return low.a;
    if (at.f <= seq) low = { a: at.a, f: at.f };
    else high = { a: Math.min(at.a, high.a - 1), f: at.f };
    if (at.f <= seq && seq <= at.l) return at.a;
  }
  return low.a;
}

function fromSingle(marketId: string, symbol: string, wire: z.infer<typeof tradeSchema>): RestTrade {
  return {
    market_id: marketId, symbol, exchange_ts: wire.time * 1000, trade_id: String(wire.id), seq: wire.id,
    price: wire.price, amount: wire.qty, side: wire.isBuyerMaker ? 'sell' : 'buy',
  };
}

function fromAggregate(marketId: string, symbol: string, wire: Aggregate): RestTrade {
  return {
    market_id: marketId, symbol, exchange_ts: wire.T * 1000, trade_id: String(wire.a), seq: wire.f, seq_last: wire.l,
    price: wire.p, amount: wire.q, side: wire.m ? 'sell' : 'buy',
  };
}
