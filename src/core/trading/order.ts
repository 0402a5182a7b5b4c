// An order's life as a typed state machine (pure). Everything that may happen to an order is one of the events below; what an
// event does to an order is decided here and nowhere else, so that the executor, its recovery and the tests agree.
//
//   PENDING   the intent is committed, nothing was sent
//   SENDING   committed before the request leaves: from here on the exchange may know the order
//   OPEN, PARTIALLY_FILLED, FILLED, CANCELLED, REJECTED, EXPIRED   what the exchange said
//   UNKNOWN   sent, and no answer that proves anything: looked up by label, never sent again
//   ABANDONED looked up twice after `valid_until` and not there: proof that it does not exist
import { Exact } from './exact.ts';
import type { OrderState } from '../../contracts/index.ts';

/** States in which the exchange may hold, or come to hold, a working order. */
export const LIVE_STATES: readonly OrderState[] = ['PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN'];
/** Nothing more is expected. A late fill may still prove such an end wrong: the books follow the exchange. */
export const FINAL_STATES: readonly OrderState[] = ['FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'ABANDONED'];

/**
 * Legal edges. A final state is left only by proof from the exchange (a fill, or the order itself, turning up after all): the
 * exchange's word stands above our inference, and an edge back is an alarm, never a silent correction.
 */
export const ORDER_EDGES: Readonly<Record<OrderState, readonly OrderState[]>> = {
  PENDING: ['SENDING', 'REJECTED', 'EXPIRED'],
  SENDING: ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'UNKNOWN'],
  UNKNOWN: ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'ABANDONED'],
  OPEN: ['PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'UNKNOWN'],
  PARTIALLY_FILLED: ['FILLED', 'CANCELLED', 'EXPIRED', 'UNKNOWN'],
  FILLED: [],
  // Said by the exchange, which reopens nothing; the last fill may still come after it.
  CANCELLED: ['FILLED'],
  REJECTED: ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED'],
  EXPIRED: ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED'],
  ABANDONED: ['OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED'],
};

export function mayMove(from: OrderState, to: OrderState): boolean {
  return ORDER_EDGES[from].includes(to);
}

/** What the exchange says of one of our orders, in the fleet's words. Amounts are decimal strings in the instrument's unit. */
export interface OrderReport {
  exchangeOrderId: string;
  /** '' for orders that carry none (made by hand). */
  label: string;
  symbol: string;
  side: 'buy' | 'sell';
  state: 'open' | 'filled' | 'cancelled' | 'rejected';
  /** Total amount, after edits. */
  amount: string;
  filledAmount: string;
  /** null while nothing is filled. */
  averagePrice: string | null;
  /** null on market orders. */
  price: string | null;
  reduceOnly: boolean;
  postOnly: boolean;
  /** Why it ended, in the exchange's word; null when it did not say. */
  reason: string | null;
  createdTs: number;
  updatedTs: number;
}

/** One fill of ours. `side` is our side. `fee` is a cost when positive, a rebate when negative. */
export interface FillReport {
  tradeId: string;
  exchangeOrderId: string;
  label: string;
  symbol: string;
  seq: number | null;
  ts: number;
  side: 'buy' | 'sell';
  price: string;
  amount: string;
  liquidity: 'maker' | 'taker';
  fee: string;
  feeCurrency: string;
  /** liquidation, settlement, delivery: fills without an order of ours. */
  kind: 'trade' | 'liquidation' | 'settlement' | 'delivery';
}

/** The part of an order that decides what a report does to it. */
export interface OrderProgress {
  state: OrderState;
  amount: string;
  /** Sum of the recorded fills: what we can prove. */
  filled: Exact;
}

/**
 * The state an order is in, given the exchange's report and the fills that we have recorded. FILLED is said only once our own
 * fills add up (hummingbot#5120: completion before the last fill loses it): until then the order stays PARTIALLY_FILLED.
 */
export function stateByReport(order: OrderProgress, report: Pick<OrderReport, 'state' | 'amount' | 'filledAmount'>): OrderState {
  switch (report.state) {
    case 'rejected':
      return 'REJECTED';
    case 'cancelled':
      return order.filled.gte(report.amount) ? 'FILLED' : order.filled.gte(report.filledAmount) ? 'CANCELLED' : open(order.filled);
    case 'filled':
      return order.filled.gte(report.amount) ? 'FILLED' : open(order.filled);
    case 'open':
      // Lists lag: an open order that we know to be closed, or filled further, is an old report and changes nothing.
      if (order.state === 'CANCELLED' || order.state === 'FILLED') return order.state;
      return order.filled.gte(order.amount) ? 'FILLED' : open(order.filled);
  }
}

/** The state after a fill: the fill is proof that the exchange had the order, whatever we believed. */
export function stateByFills(order: OrderProgress): OrderState {
  if (order.filled.gte(order.amount)) return 'FILLED';
  if (order.state === 'CANCELLED' || order.state === 'EXPIRED') return order.state;
  return order.filled.isZero() ? order.state : 'PARTIALLY_FILLED';
}

function open(filled: Exact): OrderState {
  return filled.isZero() ? 'OPEN' : 'PARTIALLY_FILLED';
}

/** The same trade told twice? Another price, amount, side, symbol or order under a known trade id is a conflict, recorded and never overwritten. */
export function sameFill(a: FillReport, b: FillReport): boolean {
  const numbers = (['price', 'amount'] as const).every((field) => new Exact(a[field]).eq(b[field]));
  return numbers && a.symbol === b.symbol && a.side === b.side && a.exchangeOrderId === b.exchangeOrderId;
}

/** Each trade once, as it was told first, and what was told of it otherwise afterwards. */
export function onceEach<T extends FillReport>(told: readonly T[]): { fills: T[]; conflicts: { known: T; told: T }[] } {
  const first = new Map<string, T>();
  const conflicts: { known: T; told: T }[] = [];
  for (const fill of told) {
    const known = first.get(fill.tradeId);
    if (known === undefined) first.set(fill.tradeId, fill);
    else if (!sameFill(known, fill)) conflicts.push({ known, told: fill });
  }
  return { fills: [...first.values()], conflicts };
}
