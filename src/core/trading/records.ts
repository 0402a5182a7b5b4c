// What the executor keeps, as rows: intents, orders, fills, positions, cases. Decimals are plain text, times µs since the epoch.
// The store behind it is PostgreSQL (src/store/trading/); tests and the safety checker have one in memory with the same contract.
import type { OrderState } from '../../contracts/index.ts';
import type { FillReport, OrderReport } from './order.ts';

export type Side = 'buy' | 'sell';
export type OrderType = 'limit' | 'market';
export type TimeInForce = 'good_til_cancelled' | 'good_til_day' | 'immediate_or_cancel' | 'fill_or_kill';
/** A cancellation on its way: wanted, sent, or sent without an answer. null: none. */
export type CancelState = 'REQUESTED' | 'SENDING' | 'UNKNOWN' | null;

/** An order as it shall be sent: it passed the risk gate. */
export interface Intent {
  label: string;
  signalId: string;
  account: string;
  strategy: string;
  marketId: string;
  symbol: string;
  side: Side;
  amount: string;
  orderType: OrderType;
  price: string | null;
  timeInForce: TimeInForce | null;
  postOnly: boolean;
  reduceOnly: boolean;
  /** The last moment at which the request may still take effect; nothing is sent later. */
  validUntil: number;
  createdTs: number;
}

export interface OrderRecord extends Omit<Intent, 'signalId'> {
  orderId: string;
  /** null: not ours (external). */
  signalId: string | null;
  origin: 'own' | 'external';
  state: OrderState;
  /** Counts changes from 1; each has its row in order_events. */
  version: number;
  cancelState: CancelState;
  exchangeOrderId: string | null;
  filledAmount: string;
  averagePrice: string | null;
  code: string | null;
  reason: string | null;
  lookups: number;
  epoch: number;
  sentTs: number | null;
  updatedTs: number;
}

/** What may change on an order; absent: stays. */
export interface OrderChange {
  /** The event's name, for order_events: `sent`, `acknowledged`, `refused`, `looked_up` … */
  event: string;
  at: number;
  state?: OrderState;
  cancelState?: CancelState;
  exchangeOrderId?: string;
  amount?: string;
  price?: string | null;
  code?: string;
  reason?: string;
  lookups?: number;
  sentTs?: number;
  detail?: unknown;
}

export type FillSource = 'response' | 'stream' | 'rest' | 'transaction_log' | 'audit';

export interface FillRecord extends FillReport {
  account: string;
  marketId: string;
  source: FillSource;
  recordedTs: number;
}

/** Sums are kept to 60 significant digits; see position.ts. */
export interface PositionRecord {
  account: string;
  marketId: string;
  symbol: string;
  amount: string;
  cost: string;
  averagePrice: string | null;
  realised: string;
  fees: string;
  funding: string;
  settle: string | null;
  updatedTs: number;
  /** Counts the row's writes: of two, the higher one is the later. */
  version: number;
}

export interface CaseRecord {
  caseId: string;
  account: string;
  kind: CaseKind;
  marketId: string | null;
  symbol: string | null;
  ours: unknown;
  theirs: unknown;
  evidence: unknown;
  status: 'open' | 'healed' | 'locked' | 'closed';
  decision: string | null;
  attempts: number;
  openedTs: number;
  updatedTs: number;
  closedTs: number | null;
}

export type CaseKind = 'position_mismatch' | 'unknown_order' | 'missing_order' | 'overfill' | 'order_mismatch' | 'fill_conflict';

export interface Refusal {
  at: number;
  account: string;
  signalId: string | null;
  strategy: string | null;
  marketId: string | null;
  symbol: string | null;
  code: string;
  reason: string;
  signal: unknown;
}

/** What applying fills changed. */
export interface FillsApplied {
  /** Those that were not known; telling a fill twice is nothing. */
  fresh: FillRecord[];
  /** Known trade ids that came with other values: recorded as a case by the caller, never overwritten. */
  conflicts: { known: FillRecord; told: FillRecord }[];
  orders: OrderRecord[];
  positions: PositionRecord[];
}

/** A later executor has taken over: this one may send nothing any more. */
export class FencedError extends Error {
  override name = 'FencedError';
  constructor(epoch: number) {
    super(`a later executor has taken over from epoch ${epoch}`);
  }
}

/** Everything the executor asks of its store. Each method is one transaction; a rejection means *unknown*, the same call may be repeated. */
export interface TradingStore {
  /** A fencing token above all earlier ones. */
  nextEpoch(): Promise<number>;
  /**
   * Commits the intent as PENDING, or as SENDING (both events, one commit) when it leaves at once. `inserted` false: the label or
   * the signal is known already, `order` is what is known: nothing may be sent for it. Rejects with FencedError when a later
   * epoch was handed out.
   */
  insertIntent(intent: Intent, options: { epoch: number; state: 'PENDING' | 'SENDING'; at: number }): Promise<{ inserted: boolean; order: OrderRecord }>;
  /** Compare-and-set on the version. null: it changed meanwhile, read it again. Throws on an edge that ORDER_EDGES forbids. */
  change(orderId: string, version: number, change: OrderChange): Promise<OrderRecord | null>;
  /** An order that somebody else made on our account; the known one when it is known. */
  adoptExternal(account: string, marketId: string, report: OrderReport, options: { epoch: number; at: number }): Promise<OrderRecord>;
  /**
   * Records what is new, moves the orders by stateByFills and the positions by applyFill, all in one transaction. Fills whose order
   * is unknown are recorded without one. Safe to repeat and to run concurrently.
   */
  applyFills(account: string, fills: readonly FillRecord[], terms: (symbol: string) => { reciprocal: boolean; settle: string | null }): Promise<FillsApplied>;
  orderByLabel(label: string): Promise<OrderRecord | null>;
  orderBySignal(signalId: string): Promise<OrderRecord | null>;
  orderByExchangeId(account: string, exchangeOrderId: string): Promise<OrderRecord | null>;
  /** Orders in a live state or with a cancellation on its way. */
  liveOrders(account: string): Promise<OrderRecord[]>;
  fillsOf(orderId: string): Promise<FillRecord[]>;
  /** Time (µs) of the newest recorded fill; null: none. */
  lastFillTs(account: string): Promise<number | null>;
  positions(account: string): Promise<PositionRecord[]>;
  /** Opens a case, or counts an attempt on the open one of the same account, kind and symbol. */
  openCase(entry: Pick<CaseRecord, 'account' | 'kind' | 'marketId' | 'symbol' | 'ours' | 'theirs' | 'evidence'>, at: number): Promise<CaseRecord>;
  settleCase(caseId: string, status: 'healed' | 'locked' | 'closed', decision: string, at: number): Promise<void>;
  openCases(account: string): Promise<CaseRecord[]>;
  insertRefusal(refusal: Refusal): Promise<void>;
  flag(name: string): Promise<string | null>;
  setFlag(name: string, value: string, by: string, reason: string, at: number): Promise<void>;
  /** The equity at the first look of the UTC day of `at`; writes `equity` as that mark when there is none. */
  equityMark(account: string, currency: string, equity: string, at: number): Promise<string>;
}
