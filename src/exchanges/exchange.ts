// The exchange interface and its manual.
//
// A new exchange is one folder with the same drawers as the others and one line in registry.ts:
//   markets.ts      the venues: ids, URLs, limits, defaults
//   instruments.ts  REST instrument list → Instrument
//   feed.ts         subscribe/unsubscribe frames, acknowledgements, heartbeats (FeedProtocol)
//   normalise.ts    frame in, messages out; pure, no I/O, no clock (Normaliser)
//   rest.ts         candles, trades, time (MarketRest)
//   limits.ts       what a REST request costs (RestLimit)
//   trading/        optional: its private side (TradingMarket of trading.ts)
//
// The exchange's own words (instrument_name, trade_seq, aggTrade …) stay inside its folder; everything outside
// speaks the contracts. Normalisers never throw: what they do not know is counted, what is broken is reported.
import type { Channel, Ohlc, Resolution, Trade } from '../contracts/index.ts';
import type { RestLimit } from '../net/rate_budget.ts';
import type { TradingMarket } from './trading.ts';

/** One canonical subscription: member `channel:symbol` of the wanted set. */
export interface Subscription {
  channel: Channel;
  symbol: string;
}

export type InstrumentKind = 'spot' | 'perpetual' | 'future' | 'option' | 'combo';

/** An instrument as every venue is told to describe it; the row of table `instruments`. Decimals are strings. */
export interface Instrument {
  market_id: string;
  exchange: string;
  symbol: string;
  /** CCXT unified symbol, e.g. `BTC/USD:BTC`, `BTC/USDT`, `BTC/USD:BTC-261225-100000-C`; null where CCXT has none (combos). */
  unified_symbol: string | null;
  kind: InstrumentKind;
  base: string;
  quote: string;
  /** Settlement currency; null on spot. */
  settle: string | null;
  /** true: margined and settled in the base currency, P&L non-linear. */
  inverse: boolean;
  /** Amount of `amount_unit` (or of quote, when inverse) one contract stands for; null on spot. */
  contract_size: string | null;
  /** The unit of `amount` in trades and orders: a currency code such as `BTC` or `USD`. */
  amount_unit: string;
  tick_size: string | null;
  min_amount: string | null;
  amount_step: string | null;
  strike: string | null;
  option_type: 'call' | 'put' | null;
  /** Microseconds since the epoch; null for spot and perpetuals. */
  expiry_ts: number | null;
  /** When it was listed, microseconds since the epoch: there are no candles before. null where the venue does not tell. */
  listed_ts: number | null;
  /** `open` is tradable; every other word is the exchange's own, lower-cased, and not tradable. */
  status: string;
  /** The exchange's own object, for what the columns do not hold. */
  raw: unknown;
}

/** An entry of an exchange's list that is not as documented (a new kind, a missing field), and why in one line. */
export interface SkippedInstrument {
  /** null when not even its name can be read. */
  symbol: string | null;
  reason: string;
}

/** Slots of a ticker, in the order of the contract; a patch sets some of them. */
export const TICKER_FIELDS = [
  'best_bid_price', 'best_bid_amount', 'best_ask_price', 'best_ask_amount', 'last_price', 'mark_price', 'index_price',
  'open_interest', 'funding_rate', 'volume_24h',
  'underlying_price', 'bid_iv', 'ask_iv', 'mark_iv', 'delta', 'gamma', 'vega', 'theta', 'rho',
] as const;
/** The first ones are always in a ticker message; the rest (options) only once the venue told them. */
export const TICKER_CORE_FIELDS = 10;

/** One ticker frame. values[i] belongs to TICKER_FIELDS[i]: text, null = told to be absent, undefined = not told here. */
export interface TickerPatch {
  symbol: string;
  exchangeTs: number;
  receivedTs: number;
  values: (string | null | undefined)[];
}

/** Where a normaliser puts what it found. `payload` is the finished text of the stream entry's field. */
export interface MessageSink {
  /** seqLast equals seq unless the trade is an aggregate. */
  trade(symbol: string, seq: number | null, seqLast: number | null, exchangeTs: number, payload: string): void;
  ticker(patch: TickerPatch): void;
  ohlc(symbol: string, resolution: Resolution, openTs: number, closed: boolean, payload: string): void;
}

/** `data`: messages went to the sink. `control`: hand the frame to FeedProtocol.control. `ignored`: market data we do not
 *  collect (books, liquidations …). `malformed`: not JSON, truncated, or a field that cannot be what the venue documents. */
export type FrameClass = 'data' | 'control' | 'ignored' | 'malformed';

export interface Normaliser {
  /** One text frame in, zero or more messages out. `receivedTs` in µs. Never throws; nothing reaches the sink from a malformed frame. */
  normalise(frame: string, receivedTs: number, sink: MessageSink): FrameClass;
}

/** What a non-data frame means to the session. */
export type ControlEvent =
  | { kind: 'accepted'; requestId: number; wire: string[] | 'as-requested' }
  | { kind: 'rejected'; requestId: number | null; code: number; message: string }
  | { kind: 'listed'; requestId: number; wire: string[] }
  | { kind: 'respond'; frame: string }
  | { kind: 'shutdown'; reason: string }
  | { kind: 'platform'; locked: boolean; detail: string }
  | { kind: 'other'; detail: string };

export interface FeedLimits {
  maxWirePerSession: number;
  maxWirePerRequest: number;
  /** Largest request in bytes. */
  maxRequestBytes: number;
  /** Smallest distance between two frames that we send, ms. */
  minSendIntervalMs: number;
  /** Planned make-before-break reconnect after this long, ms; null where the venue cuts nobody. */
  maxSessionAgeMs: number | null;
  /** At most this many connection attempts per five minutes. */
  maxConnectsPer5Min: number;
  /** Connections that may be open at once, with room left to replace them. */
  maxSessions: number;
  /** Our own ping after this much silence, ms. */
  pingAfterMs: number;
}

/** How one market is talked to over WebSocket. Pure: frames are text in and text out. */
export interface FeedProtocol {
  readonly limits: FeedLimits;
  /** The venue's channel names that serve one subscription; `resolutions` applies to `ohlc`. */
  wireChannels(subscription: Subscription, resolutions: readonly Resolution[]): string[];
  /** Which endpoint path serves a wire channel (Binance USD-M: `/public`, `/market`). Sessions are sharded by it. */
  url(base: string, wire: string): string;
  /** Frames to send right after open (heartbeats). */
  hello(nextId: () => number): string[];
  subscribe(wire: readonly string[], requestId: number): string;
  unsubscribe(wire: readonly string[], requestId: number): string;
  /** A request whose answer lists what is really subscribed; null where the acknowledgement itself says so. */
  list(requestId: number): string | null;
  control(frame: string): ControlEvent;
}

export interface Candle extends Omit<Ohlc, 'v' | 'type' | 'received_ts' | 'exchange_ts'> {}
export type RestTrade = Omit<Trade, 'v' | 'type' | 'received_ts'>;

/** One page of history. `complete` false: the range holds more, go on from the last item. */
export interface Page<T> {
  items: T[];
  complete: boolean;
}

/** Public REST of one market. Errors are thrown as ExchangeHttpError (src/net/http.ts): never an empty page. */
export interface MarketRest {
  /** Exchange clock, µs. */
  time(): Promise<number>;
  /** Entries that are not as documented are left out and told to `skip`; a list of nothing else is an error. */
  instruments(skip?: (entry: SkippedInstrument) => void): Promise<Instrument[]>;
  /** The newest trade, or null when the instrument never traded: the staleness probe. */
  lastTrade(symbol: string): Promise<RestTrade | null>;
  /** Trades with from ≤ seq ≤ to, ascending. */
  trades(symbol: string, fromSeq: number, toSeq: number): Promise<Page<RestTrade>>;
  /** Candles with startTs ≤ open_ts < endTs (µs), ascending; the forming one has closed=false. */
  candles(symbol: string, resolution: Resolution, startTs: number, endTs: number): Promise<Page<Candle>>;
}

/** What `MarketRest` needs of the outside: GET with a deadline, the text of a 200 answer; throws ExchangeHttpError otherwise. */
export interface HttpGet {
  (url: string): Promise<string>;
}

/** One venue: everything the fleet knows about it. */
export interface Market {
  readonly marketId: string;
  readonly exchange: string;
  readonly wsUrl: string;
  readonly restUrl: string;
  readonly defaultSymbols: readonly string[];
  readonly feed: FeedProtocol;
  /** Candles carry no closed flag: a candle closes when a newer one of its series arrives. */
  readonly closesCandles: boolean;
  readonly candleResolutions: readonly Resolution[];
  /** What REST requests may cost. */
  readonly restLimit: RestLimit;
  /** Absent: the fleet records it, and cannot trade there. */
  readonly trading?: TradingMarket;
  normaliser(): Normaliser;
  rest(baseUrl: string, get: HttpGet): MarketRest;
}
