// Binance's events → contract messages, spot and USD-M alike. Wire facts: binance-spot-api-docs web-socket-streams.md and
// the derivatives pages of developers.binance.com. Prices and amounts are strings; times are ms, or µs when asked for.
import { resolutionValues, type Resolution } from '../../contracts/index.ts';
import { MINUS } from '../../core/scan.ts';
import type { FrameClass, MessageSink } from '../exchange.ts';
import type { Fields } from '../fields.ts';
import { ABSENT, FALSE, NUMBER, STRING, TRUE, Word, slotsOf } from '../kinds.ts';
import { exchangeText, receivedText } from '../payload.ts';
import type { SymbolTable } from '../symbols.ts';
import { amount, decimal, isZero, micros, optional, whole } from '../values.ts';

/** Top level, wrapped and bare: {stream, data} or the event itself. */
export const EVENT_KEYS = [
  'stream', 'data', 'e', 'E', 's', 't', 'p', 'q', 'T', 'm', 'X', 'a', 'f', 'l', 'k', 'c', 'v', 'b', 'B', 'A', 'u', 'i', 'r',
  'result', 'error', 'code', 'msg', 'id',
] as const;
export const CANDLE_KEYS = ['t', 'i', 'o', 'c', 'h', 'l', 'v', 'n', 'x', 'q'] as const;
export const K = slotsOf(EVENT_KEYS);
const C = slotsOf(CANDLE_KEYS);

const RESOLUTIONS: ReadonlySet<string> = new Set(resolutionValues);
/** Trades outside the book (liquidation takeovers): no price of the market. */
const OFF_BOOK = new Set(['INSURANCE_FUND', 'ADL', 'NA']);

const TRADE = new Word('trade');
const AGG_TRADE = new Word('aggTrade');
const BOOK_TICKER = new Word('bookTicker');
const KLINE = new Word('kline');
const TICKER = new Word('24hrTicker');
const MINI_TICKER = new Word('24hrMiniTicker');
const MARK_PRICE = new Word('markPriceUpdate');
const SHUTDOWN = new Word('serverShutdown');

/** One event object. `candle` is its `k`, null where it has none. The class says whether it went into the sink. */
export function mapEvent(
  f: Fields, candle: Fields | null, symbols: SymbolTable, receivedTs: number, sink: MessageSink,
): FrameClass {
  if (f.kind(K.e) === ABSENT) return isBareBookTicker(f) ? mapBookTicker(f, symbols, receivedTs, sink) : 'ignored';
  if (f.is(K.e, AGG_TRADE)) return mapTrade(f, symbols, receivedTs, sink, true);
  if (f.is(K.e, TRADE)) return mapTrade(f, symbols, receivedTs, sink, false);
  if (f.is(K.e, BOOK_TICKER)) return mapBookTicker(f, symbols, receivedTs, sink);
  if (f.is(K.e, KLINE)) return mapCandle(f, candle, symbols, receivedTs, sink);
  if (f.is(K.e, TICKER) || f.is(K.e, MINI_TICKER)) return mapRollingTicker(f, symbols, receivedTs, sink);
  if (f.is(K.e, MARK_PRICE)) return mapMarkPrice(f, symbols, receivedTs, sink);
  return f.is(K.e, SHUTDOWN) ? 'control' : 'ignored';
}

/** Spot's bookTicker has neither event type nor time. */
function isBareBookTicker(f: Fields): boolean {
  return f.kind(K.u) === NUMBER && f.kind(K.s) === STRING && f.kind(K.b) === STRING && f.kind(K.B) === STRING &&
    f.kind(K.a) === STRING && f.kind(K.A) === STRING;
}

/** m: the buyer was the maker, so the taker sold. An aggregate is one taker order's run f … l of trades at one price. */
function mapTrade(f: Fields, symbols: SymbolTable, receivedTs: number, sink: MessageSink, aggregate: boolean): FrameClass {
  if (f.kind(K.X) === STRING && OFF_BOOK.has(f.text(K.X))) return 'ignored';
  const known = f.symbol(K.s, symbols);
  const exchangeTs = micros(f, K.T);
  const idSlot = aggregate ? K.a : K.t;
  const id = whole(f, idSlot);
  const first = aggregate ? whole(f, K.f) : id;
  const last = aggregate ? whole(f, K.l) : id;
  const price = decimal(f, K.p, 'strings');
  const size = amount(f, K.q, 'strings');
  const maker = f.kind(K.m);
  if (known === null || f.bad || last < first || (maker !== TRUE && maker !== FALSE)) return 'malformed';
  const idText = f.text(idSlot);
  sink.trade(known.symbol, first, last, exchangeTs,
    known.tradeHead + exchangeText(exchangeTs) + ',"received_ts":' + receivedText(receivedTs) + ',"trade_id":"' + idText +
    '","seq":' + (aggregate ? f.text(K.f) + ',"seq_last":' + f.text(K.l) : idText) + ',"price":"' + price +
    '","amount":"' + size + (maker === TRUE ? '","side":"sell"}' : '","side":"buy"}'));
  return 'data';
}

function mapCandle(
  f: Fields, k: Fields | null, symbols: SymbolTable, receivedTs: number, sink: MessageSink,
): FrameClass {
  if (k === null || k.kind(C.i) !== STRING) return 'malformed';
  const resolution = k.text(C.i) as Resolution;
  if (!RESOLUTIONS.has(resolution)) return 'ignored';
  const known = f.symbol(K.s, symbols);
  const exchangeTs = micros(f, K.E);
  const openTs = micros(k, C.t);
  const open = decimal(k, C.o, 'strings');
  const high = decimal(k, C.h, 'strings');
  const low = decimal(k, C.l, 'strings');
  const close = decimal(k, C.c, 'strings');
  const volume = amount(k, C.v, 'strings');
  const quoteVolume = amount(k, C.q, 'strings');
  whole(k, C.n);
  const closed = k.kind(C.x);
  if (known === null || f.bad || k.bad || (closed !== TRUE && closed !== FALSE)) return 'malformed';
  sink.ohlc(known.symbol, resolution, openTs, closed === TRUE,
    known.ohlcHead + exchangeText(exchangeTs) + ',"received_ts":' + receivedText(receivedTs) + ',"resolution":"' + resolution +
    '","open_ts":' + exchangeText(openTs) + ',"open":"' + open + '","high":"' + high + '","low":"' + low +
    '","close":"' + close + '","volume":"' + volume + '","quote_volume":"' + quoteVolume + '","trade_count":' + k.text(C.n) +
    (closed === TRUE ? ',"closed":true,"source":"stream"}' : ',"closed":false,"source":"stream"}'));
  return 'data';
}

type TickerValues = (string | null | undefined)[];

/** Writes one side of the book to `values` at `at`; an empty side is told as 0 for 0. False when there is no price. */
function putQuote(f: Fields, priceSlot: number, sizeSlot: number, values: TickerValues, at: number): boolean {
  const price = optional(f, priceSlot, 'strings');
  const size = optional(f, sizeSlot, 'strings');
  if (typeof size === 'string' && size.charCodeAt(0) === MINUS) f.bad = true;
  const absent = price === null || (price !== undefined && isZero(price));
  values[at] = absent ? null : price;
  values[at + 1] = absent ? null : size;
  return price !== undefined;
}

function mapBookTicker(f: Fields, symbols: SymbolTable, receivedTs: number, sink: MessageSink): FrameClass {
  const values: TickerValues = [null, null, null, null, undefined, undefined, undefined, undefined, undefined, undefined];
  if (!putQuote(f, K.b, K.B, values, 0) || !putQuote(f, K.a, K.A, values, 2)) return 'malformed';
  const exchangeTs = f.kind(K.E) === ABSENT ? receivedTs : micros(f, K.E);
  return emit(f, symbols, exchangeTs, receivedTs, sink, values);
}

/** Rolling 24 h: spot's full ticker also carries the best quotes, the mini ticker and USD-M do not. */
function mapRollingTicker(f: Fields, symbols: SymbolTable, receivedTs: number, sink: MessageSink): FrameClass {
  const last = optional(f, K.c, 'strings');
  const volume = optional(f, K.v, 'strings');
  if (last === undefined || volume === undefined) return 'malformed';
  const values: TickerValues = [undefined, undefined, undefined, undefined, last, undefined, undefined, undefined, undefined, volume];
  putQuote(f, K.b, K.B, values, 0);
  putQuote(f, K.a, K.A, values, 2);
  return emit(f, symbols, micros(f, K.E), receivedTs, sink, values);
}

/** p mark, i index, r funding rate; delivery contracts say '' where they have none. */
function mapMarkPrice(f: Fields, symbols: SymbolTable, receivedTs: number, sink: MessageSink): FrameClass {
  const mark = optional(f, K.p, 'strings');
  if (mark === undefined) return 'malformed';
  return emit(f, symbols, micros(f, K.E), receivedTs, sink, [undefined, undefined, undefined, undefined,
    undefined, mark, optional(f, K.i, 'strings'), undefined, optional(f, K.r, 'strings'), undefined]);
}

function emit(
  f: Fields, symbols: SymbolTable, exchangeTs: number, receivedTs: number, sink: MessageSink,
  values: TickerValues,
): FrameClass {
  const known = f.symbol(K.s, symbols);
  if (known === null || f.bad) return 'malformed';
  sink.ticker({ symbol: known.symbol, exchangeTs, receivedTs, values });
  return 'data';
}
