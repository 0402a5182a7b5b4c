// The trading side of an exchange: what the executor asks of a venue. Reads throw VenueError when they failed (a failed query is
// never an empty list); writes never throw for what happened on the way: they return an outcome that says what is proven.
import type { Clock } from '../core/clock.ts';
import type { AccountLogRow } from '../core/trading/account_log.ts';
import type { FillReport, OrderReport } from '../core/trading/order.ts';
import type { OrderType, Side, TimeInForce } from '../core/trading/records.ts';
import type { RestLimit } from '../net/rate_budget.ts';

export interface OrderRequest {
  label: string;
  symbol: string;
  side: Side;
  /** Plain decimals, on lot and tick. */
  amount: string;
  orderType: OrderType;
  price: string | null;
  timeInForce: TimeInForce | null;
  postOnly: boolean;
  reduceOnly: boolean;
  /** µs since the epoch on the exchange's clock: later than this the exchange refuses the request. */
  validUntil: number;
}

/**
 * accepted: the exchange has the order. refused: it said no, explicitly, and has no order. not_sent: proven that no byte left.
 * unknown: anything else; the order may exist, now or until `validUntil`.
 */
export type SubmitOutcome =
  | { kind: 'accepted'; order: OrderReport; fills: FillReport[] }
  | { kind: 'refused'; code: string; reason: string }
  | { kind: 'not_sent'; reason: string }
  | { kind: 'unknown'; reason: string };

/** done: the order works no more (`order` tells how it ended). gone: the exchange says it is not open; look it up. */
export type CancelOutcome =
  | { kind: 'done'; order: OrderReport }
  | { kind: 'gone'; code: string }
  | { kind: 'refused'; code: string; reason: string }
  | { kind: 'not_sent'; reason: string }
  | { kind: 'unknown'; reason: string };

/** How many orders were cancelled, or that it is not known. */
export type CancelCount = { kind: 'done'; count: number } | { kind: 'unknown'; reason: string };

/** A position as the exchange tells it. Signed amount in the instrument's amount unit. */
export interface PositionReport {
  symbol: string;
  amount: string;
  averagePrice: string | null;
  markPrice: string | null;
}

export interface AccountReport {
  currency: string;
  balance: string;
  equity: string;
  availableFunds: string;
  initialMargin: string;
  maintenanceMargin: string;
}

export type PrivateEvent =
  | { kind: 'order'; order: OrderReport }
  | { kind: 'fill'; fill: FillReport }
  /** The stream was interrupted: anything may have happened meanwhile; reconcile before trusting it again. */
  | { kind: 'interrupted'; reason: string }
  | { kind: 'ready' }
  | { kind: 'platform'; locked: boolean; detail: string };

export interface Credentials {
  clientId: string;
  clientSecret: string;
}

export interface AccountIdentity {
  /** The account id that live mode asks to be confirmed. */
  account: string;
  /** What the key may do, in the exchange's words. */
  scopes: string[];
  /** Any scope of the wallet, reading included: who trades needs none. The executor does not trade with such a key. */
  hasWallet: boolean;
  mayTrade: boolean;
}

/** A read that did not give a complete, valid answer. `retry`: the same read may succeed later. */
export class VenueError extends Error {
  override name = 'VenueError';
  readonly code: string;
  readonly retry: boolean;
  constructor(message: string, code: string, retry: boolean, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retry = retry;
  }
}

export interface TradingVenue {
  identity(): Promise<AccountIdentity>;
  /** Exchange clock, µs. */
  time(): Promise<number>;
  submit(request: OrderRequest): Promise<SubmitOutcome>;
  cancel(exchangeOrderId: string): Promise<CancelOutcome>;
  /** Cancels whatever carries the label, requests still queued at the exchange included. */
  cancelByLabel(label: string, symbol: string): Promise<CancelCount>;
  /** Cancels every open order of the account. */
  cancelAll(): Promise<CancelCount>;
  /** All open orders of the account. */
  openOrders(): Promise<OrderReport[]>;
  /** Orders with this label, open and recently closed; may lag behind the matching engine. */
  ordersByLabel(label: string, symbol: string): Promise<OrderReport[]>;
  order(exchangeOrderId: string): Promise<OrderReport | null>;
  /** Orders closed since (µs), newest first. */
  closedOrders(since: number): Promise<OrderReport[]>;
  /** Our fills with from ≤ ts ≤ to (µs), ascending, recent and archived merged by trade id. */
  fills(from: number, to: number): Promise<FillReport[]>;
  positions(): Promise<PositionReport[]>;
  accounts(): Promise<AccountReport[]>;
  /** Currencies whose logs are kept apart. */
  readonly logCurrencies: readonly string[];
  /** Rows of one currency's log with from ≤ ts ≤ to (µs), ascending. `turn` is awaited before each page: pages have a limit of their own. */
  accountLog(currency: string, from: number, to: number, turn: () => Promise<void>): Promise<AccountLogRow[]>;
  /** The private stream; ends when the signal aborts. Reconnects by itself and says so by `interrupted` and `ready`. */
  events(signal: AbortSignal): AsyncIterable<PrivateEvent>;
}

/** Above this price another tick holds. */
export interface TickStep {
  above: string;
  tick: string;
}

/** How the books of an instrument are kept. */
export interface BookTerms {
  /** P&L by reciprocal prices (core/trading/position.ts). */
  reciprocal: boolean;
  settle: string | null;
  /** What the exchange lists as a position: spot is a balance, and a combo becomes positions in its legs. */
  position: boolean;
}

/** What a venue is connected with. */
export interface VenueLinks {
  restUrl: string;
  wsUrl: string;
  credentials: Credentials;
  clock: Clock;
  random: () => number;
  /** The exchange's clock minus ours, µs. */
  offset: () => number;
  /** Ends the pauses before a read is repeated. What is on its way is never aborted: an order's answer is worth waiting for. */
  signal: AbortSignal;
}

/** The drawer `trading` of a market: who it is, and how it is connected. */
export interface TradingMarket {
  /** Host of the REST base at which orders are real. */
  readonly liveHost: string;
  /** Host of the exchange's test network. */
  readonly testHost: string;
  /** What reading pages of the account's log may spend. */
  readonly logLimit: RestLimit;
  /** Opens nothing yet: sockets open with the first request. */
  connect(links: VenueLinks): TradingVenue;
  /** Price steps out of an instrument's own object (JSON text); empty: one tick for all prices. */
  tickSteps(raw: string): TickStep[];
  /** What an instrument's name alone tells: of those that left the exchange's list before we knew it, there are fills all the same. */
  named(symbol: string): BookTerms;
}
