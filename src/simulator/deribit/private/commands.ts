// What can be asked of the matching engine, and what comes out of it.
import type { Contract } from './contract.ts';
import type { Dec } from './money.ts';
import type { Order, OrderType, Side, TimeInForce } from './orders.ts';

export interface PlaceCommand {
  readonly do: 'place';
  readonly side: Side;
  readonly symbol: string;
  /** One of both, or both when they agree. */
  readonly amount: Dec | null;
  readonly contracts?: Dec | null;
  readonly type: OrderType;
  readonly price: Dec | null;
  /** null: not given; market orders take none. */
  readonly timeInForce?: TimeInForce | null;
  readonly label?: string;
  readonly postOnly?: boolean;
  readonly rejectPostOnly?: boolean;
  readonly reduceOnly?: boolean;
  /** Milliseconds since the epoch; later the order is refused with 13888. */
  readonly validUntilMs?: number | null;
}

export interface EditCommand {
  readonly do: 'edit';
  readonly orderId: string;
  /** New total amount. */
  readonly amount: Dec | null;
  readonly contracts?: Dec | null;
  readonly price: Dec | null;
  readonly postOnly?: boolean | null;
  readonly rejectPostOnly?: boolean | null;
  readonly reduceOnly?: boolean | null;
  readonly validUntilMs?: number | null;
}

export type Command =
  | PlaceCommand
  | EditCommand
  | { readonly do: 'cancel'; readonly orderId: string }
  | { readonly do: 'cancel_where'; readonly where: (order: Order) => boolean; readonly reason?: string }
  | { readonly do: 'close'; readonly symbol: string; readonly type: OrderType; readonly price: Dec | null };

/** Where a command comes from. */
export interface Origin {
  /** The connection, for cancel on disconnect; null over HTTP or by hand. */
  readonly conn: number | null;
  /** false: made by hand on the website. */
  readonly api: boolean;
}

/** One trade of the account, as it was when it happened. */
export interface Fill {
  readonly tradeId: string;
  readonly tradeSeq: number;
  readonly tickDirection: number;
  readonly contract: Contract;
  /** The account's own side. */
  readonly side: Side;
  readonly price: Dec;
  readonly amount: Dec;
  readonly fee: Dec;
  readonly liquidity: 'M' | 'T';
  /** P&L of what it closed, against entry; null when it closed nothing. */
  readonly profit: Dec | null;
  readonly mark: Dec;
  readonly index: Dec;
  readonly timestampMs: number;
  /** The order right after this fill. */
  readonly order: Order;
}

/** What happened in one instrument at one moment: the newest revision of each order, fills in order, and the position if it moved. */
export interface Change {
  readonly contract: Contract;
  readonly orders: readonly Order[];
  readonly fills: readonly Fill[];
  readonly moved: boolean;
}

export interface Outcome {
  /** The order that was placed, edited or cancelled. */
  readonly order: Order | null;
  /** Orders that a cancel_where cancelled. */
  readonly cancelled: readonly Order[];
  /** Fills of this command. */
  readonly fills: readonly Fill[];
  readonly changes: readonly Change[];
}
