// Deribit's objects → contract messages. Wire facts: docs.deribit.com /subscriptions and the JSON-RPC specification 2.1.1.
// Numbers are JSON numbers, written by whatever server as 85500, 85500.0 or 8.55e4; times are ms.
import type { Resolution } from '../../contracts/index.ts';
import type { MessageSink } from '../exchange.ts';
import type { Fields } from '../fields.ts';
import { ABSENT, NULL, NUMBER, STRING, Word, slotsOf } from '../kinds.ts';
import { exchangeText, receivedText, symbolPattern } from '../payload.ts';
import type { KnownSymbol, SymbolTable } from '../symbols.ts';
import { amount, decimal, isId, isZero, micros, optional, whole } from '../values.ts';

export const TRADE_KEYS = [
  'timestamp', 'price', 'direction', 'index_price', 'instrument_name', 'trade_seq', 'amount', 'mark_price', 'trade_id',
  'iv', 'liquidation', 'block_trade_id', 'combo_id',
] as const;
export const TICKER_KEYS = [
  'timestamp', 'instrument_name', 'best_bid_price', 'best_bid_amount', 'best_ask_price', 'best_ask_amount', 'last_price',
  'mark_price', 'index_price', 'open_interest', 'funding_8h', 'stats', 'greeks', 'underlying_price', 'bid_iv', 'ask_iv',
  'mark_iv',
] as const;
export const STATS_KEYS = ['volume'] as const;
export const GREEKS_KEYS = ['delta', 'gamma', 'vega', 'theta', 'rho'] as const;
export const CANDLE_KEYS = ['tick', 'open', 'high', 'low', 'close', 'volume', 'cost'] as const;
const T = slotsOf(TRADE_KEYS);
const K = slotsOf(TICKER_KEYS);
const S = slotsOf(STATS_KEYS);
const G = slotsOf(GREEKS_KEYS);
const C = slotsOf(CANDLE_KEYS);

/** Which side of the trade was being liquidated: M(aker), T(aker) or both. */
const LIQUIDATIONS: Record<string, string> = { M: 'maker', T: 'taker', MT: 'both' };

/** Deribit's candle words. */
export const RESOLUTIONS: Readonly<Record<string, Resolution>> = {
  1: '1m', 3: '3m', 5: '5m', 10: '10m', 15: '15m', 30: '30m', 60: '1h', 120: '2h', 180: '3h', 360: '6h', 720: '12h', '1D': '1d',
};

/** What a channel's frames are to us. */
export type Topic = 'trades' | 'ticker' | 'candle' | 'control' | 'other';

const TRADES = new Word('trades.');
const TICKER = new Word('ticker.');
const INCREMENTAL_TICKER = new Word('incremental_ticker.');
const QUOTE = new Word('quote.');
const CANDLES = new Word('chart.trades.');
const PLATFORM_STATE = new Word('platform_state');
const BUY = new Word('buy');
const SELL = new Word('sell');

/** The topic of the channel that is named in a slot. */
export function topicOf(f: Fields, slot: number): Topic {
  if (f.startsWith(slot, TRADES)) return 'trades';
  if (f.startsWith(slot, TICKER) || f.startsWith(slot, INCREMENTAL_TICKER) || f.startsWith(slot, QUOTE)) return 'ticker';
  if (f.startsWith(slot, CANDLES)) return 'candle';
  return f.startsWith(slot, PLATFORM_STATE) ? 'control' : 'other';
}

/** What stands between the exchange's time and the trade's id; the same for every trade of a frame. */
export function receivedPart(receivedTs: number): string {
  return ',"received_ts":' + receivedText(receivedTs) + ',"trade_id":"';
}

/** One public trade. `received` is the frame's receivedPart. False: malformed. */
export function mapTrade(f: Fields, symbols: SymbolTable, received: string, sink: MessageSink): boolean {
  const known = f.symbol(T.instrument_name, symbols);
  const exchangeTs = micros(f, T.timestamp);
  const seq = whole(f, T.trade_seq);
  const price = decimal(f, T.price, 'numbers');
  const size = amount(f, T.amount, 'numbers');
  const id = f.kind(T.trade_id) === STRING ? f.text(T.trade_id) : '';
  const side = f.is(T.direction, BUY) ? 'buy' : 'sell';
  if (known === null || !isId(id) || (side === 'sell' && !f.is(T.direction, SELL))) return false;
  let text = known.tradeHead + exchangeText(exchangeTs) + received + id + '","seq":' + f.text(T.trade_seq) +
    ',"price":"' + price + '","amount":"' + size + '","side":"' + side;
  const mark = optional(f, T.mark_price, 'numbers');
  const index = optional(f, T.index_price, 'numbers');
  if (typeof mark === 'string') text += '","mark_price":"' + mark;
  if (typeof index === 'string') text += '","index_price":"' + index;
  text += rareParts(f);
  if (f.bad) return false;
  sink.trade(known.symbol, seq, seq, exchangeTs, text + '"}');
  return true;
}

function rareParts(f: Fields): string {
  let text = '';
  const iv = optional(f, T.iv, 'numbers');
  if (typeof iv === 'string') text += '","iv":"' + iv;
  if (f.kind(T.liquidation) === STRING) {
    const liquidation = LIQUIDATIONS[f.text(T.liquidation)];
    if (liquidation !== undefined) text += '","liquidation":"' + liquidation;
  }
  const blockKind = f.kind(T.block_trade_id);
  if (blockKind === STRING || blockKind === NUMBER) {
    const block = f.text(T.block_trade_id);
    if (!isId(block)) f.bad = true;
    text += '","block_trade_id":"' + block;
  }
  if (f.kind(T.combo_id) === STRING) {
    const combo = f.text(T.combo_id);
    if (!symbolPattern.test(combo) || !combo.isWellFormed()) f.bad = true;
    text += '","combo_id":"' + combo;
  }
  return text;
}

/** A ticker, incremental_ticker or quote object. `stats` and `greeks` are null where the frame has none. */
export function mapTicker(
  f: Fields, stats: Fields | null, greeks: Fields | null, symbols: SymbolTable, receivedTs: number, sink: MessageSink,
): boolean {
  const known = f.symbol(K.instrument_name, symbols);
  const exchangeTs = micros(f, K.timestamp);
  const bid = optional(f, K.best_bid_price, 'numbers');
  const ask = optional(f, K.best_ask_price, 'numbers');
  const bidAmount = amountOf(f, K.best_bid_amount);
  const askAmount = amountOf(f, K.best_ask_amount);
  const noBid = isAbsent(bid, bidAmount);
  const noAsk = isAbsent(ask, askAmount);
  const values = [
    noBid ? null : bid, noBid ? null : bidAmount, noAsk ? null : ask, noAsk ? null : askAmount,
    optional(f, K.last_price, 'numbers'), optional(f, K.mark_price, 'numbers'), optional(f, K.index_price, 'numbers'),
    optional(f, K.open_interest, 'numbers'), optional(f, K.funding_8h, 'numbers'),
    stats === null ? undefined : optional(stats, S.volume, 'numbers'),
    optional(f, K.underlying_price, 'numbers'), volatility(f, K.bid_iv), volatility(f, K.ask_iv),
    optional(f, K.mark_iv, 'numbers'),
    greek(greeks, G.delta), greek(greeks, G.gamma), greek(greeks, G.vega), greek(greeks, G.theta), greek(greeks, G.rho),
  ];
  if (known === null || f.bad || stats?.bad === true || greeks?.bad === true) return false;
  sink.ticker({ symbol: known.symbol, exchangeTs, receivedTs, values });
  return true;
}

function amountOf(f: Fields, slot: number): string | null | undefined {
  const value = optional(f, slot, 'numbers');
  if (typeof value === 'string' && value.charCodeAt(0) === 45) f.bad = true;
  return value;
}

/** No quote is null or a price of 0 with nothing behind it; a combo may be quoted at 0 for a real amount. */
function isAbsent(price: string | null | undefined, size: string | null | undefined): boolean {
  if (price === undefined) return size === null || (size !== undefined && isZero(size));
  return price === null || (isZero(price) && (size === null || size === undefined || isZero(size)));
}

/** An implied volatility of 0 stands beside an absent quote. */
function volatility(f: Fields, slot: number): string | null | undefined {
  const value = optional(f, slot, 'numbers');
  return typeof value === 'string' && isZero(value) ? null : value;
}

function greek(greeks: Fields | null, slot: number): string | null | undefined {
  return greeks === null ? undefined : optional(greeks, slot, 'numbers');
}

export interface Series {
  known: KnownSymbol;
  resolution: Resolution;
}

/** Splits `chart.trades.{instrument}.{resolution}`; null for a resolution or symbol that the contract has no word for. */
export function seriesOf(channel: string, symbols: SymbolTable): Series | null {
  const dot = channel.lastIndexOf('.');
  const word = channel.slice(dot + 1);
  const resolution = Object.hasOwn(RESOLUTIONS, word) ? RESOLUTIONS[word] : undefined;
  const known = symbols.find(channel.slice('chart.trades.'.length, dot));
  return resolution === undefined || known === null ? null : { known, resolution };
}

/** One candle. There is no closed flag on the wire: whoever reads sees it closed when a newer one comes. */
export function mapCandle(f: Fields, { known, resolution }: Series, receivedTs: number, sink: MessageSink): boolean {
  const openTs = micros(f, C.tick);
  const open = decimal(f, C.open, 'numbers');
  const high = decimal(f, C.high, 'numbers');
  const low = decimal(f, C.low, 'numbers');
  const close = decimal(f, C.close, 'numbers');
  const volume = amount(f, C.volume, 'numbers');
  const told = f.kind(C.cost);
  const cost = told === ABSENT || told === NULL ? null : amount(f, C.cost, 'numbers');
  if (f.bad) return false;
  const now = receivedText(receivedTs);
  sink.ohlc(known.symbol, resolution, openTs, false,
    known.ohlcHead + now + ',"received_ts":' + now + ',"resolution":"' + resolution + '","open_ts":' + exchangeText(openTs) +
    ',"open":"' + open + '","high":"' + high + '","low":"' + low + '","close":"' + close + '","volume":"' + volume +
    '","quote_volume":' + (cost === null ? 'null' : '"' + cost + '"') +
    ',"trade_count":null,"closed":false,"source":"stream"}');
  return true;
}
