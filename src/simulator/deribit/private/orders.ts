// Orders and where to find them. An order is never changed in place: each revision is a new object, so that a list can be told
// as it was a while ago.
import type { Contract } from './contract.ts';
import { div, type Dec } from './money.ts';

export type Side = 'buy' | 'sell';
export type OrderType = 'limit' | 'market' | 'market_limit';
export const TIMES_IN_FORCE = ['good_til_cancelled', 'good_til_day', 'fill_or_kill', 'immediate_or_cancel'] as const;
export type TimeInForce = (typeof TIMES_IN_FORCE)[number];
export type OrderStatus = 'open' | 'filled' | 'cancelled';

export interface Order {
  readonly id: string;
  readonly contract: Contract;
  readonly side: Side;
  readonly type: OrderType;
  /** null: the market's price. */
  readonly price: Dec | null;
  /** Total, after edits. */
  readonly amount: Dec;
  readonly filled: Dec;
  /** Worth of what is filled, for the average. */
  readonly filledWorth: Dec;
  readonly status: OrderStatus;
  /** Empty: none. Not unique. */
  readonly label: string;
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly rejectPostOnly: boolean;
  readonly reduceOnly: boolean;
  /** The connection it was placed on; null over HTTP and for orders made by hand. */
  readonly conn: number | null;
  /** false: made by hand on the website. */
  readonly api: boolean;
  readonly createdMs: number;
  readonly updatedMs: number;
  /** Place in the queue of its price: lower first. */
  readonly rank: number;
  readonly cancelReason: string | null;
  /** Good-til-day: when it ends. */
  readonly endsMs: number;
  readonly replaced: boolean;
}

/** Average price of what is filled; zero while nothing is. */
export function orderAverage({ contract, filled, filledWorth }: Order): Dec {
  if (filled === 0n) return 0n;
  return contract.reciprocal ? div(filled, filledWorth) : div(filledWorth, filled);
}

/** Finished orders are told for this long; later only by the archive. */
export const CLOSED_RECENT_MS = 30 * 60_000;
/** Revisions are kept this long, for lists that lag. */
const REVISIONS_MS = 120_000;

interface Entry {
  order: Order;
  readonly revisions: { atMs: number; order: Order }[];
}

export class OrderBook {
  readonly #entries = new Map<string, Entry>();
  readonly #open = new Map<string, Map<string, Order>>();
  readonly #labels = new Map<string, string[]>();
  /** Finished orders, oldest first. */
  readonly closed: Order[] = [];

  /** Stores a new order or a new revision. */
  put(order: Order, nowMs: number): void {
    const entry = this.#entries.get(order.id);
    if (entry === undefined) {
      this.#entries.set(order.id, { order, revisions: [{ atMs: nowMs, order }] });
      if (order.label !== '') this.#labels.set(order.label, [...(this.#labels.get(order.label) ?? []), order.id]);
    } else {
      entry.order = order;
      entry.revisions.push({ atMs: nowMs, order });
      while (entry.revisions.length > 2 && (entry.revisions[1]?.atMs ?? 0) < nowMs - REVISIONS_MS) entry.revisions.shift();
    }
    const { symbol } = order.contract;
    const open = this.#open.get(symbol) ?? new Map<string, Order>();
    if (order.status === 'open') this.#open.set(symbol, open.set(order.id, order));
    else {
      open.delete(order.id);
      if (open.size === 0) this.#open.delete(symbol);
      this.closed.push(order);
    }
  }

  get(id: string): Order | null {
    return this.#entries.get(id)?.order ?? null;
  }

  get anyOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Symbols with open orders. */
  openSymbols(): string[] {
    return [...this.#open.keys()];
  }

  /** Open orders, of one symbol or all, in the order they were placed. */
  open(symbol?: string): Order[] {
    const lists = symbol === undefined ? [...this.#open.values()] : [this.#open.get(symbol) ?? new Map<string, Order>()];
    return lists.flatMap((list) => [...list.values()]);
  }

  /** Every order with this label, oldest first. */
  labelled(label: string): Order[] {
    return (this.#labels.get(label) ?? []).flatMap((id) => this.get(id) ?? []);
  }

  /** An order as it was at `atMs`; null when it was not there yet. */
  revision(id: string, atMs: number): Order | null {
    return this.#entries.get(id)?.revisions.findLast((revision) => revision.atMs <= atMs)?.order ?? null;
  }

  /** All orders as they were at `atMs`. */
  asOf(atMs: number): Order[] {
    return [...this.#entries.keys()].flatMap((id) => this.revision(id, atMs) ?? []);
  }
}
