// What the console's server tells its pages: types only, so that both sides agree. Decimals are text, times µs since the epoch.
import type { CaseRecord, FillRecord, OrderRecord, PositionRecord } from '../../core/trading/records.ts';

/** Instead of an answer. */
export interface Trouble {
  readonly error: { readonly code: string; readonly message: string };
}

export interface Overview {
  readonly nowTs: number;
  readonly aggregate: string | null;
  readonly exchanges: readonly { exchange: string; state: string | null; since: number | null; by: string | null; reason: string | null }[];
  /** `quotes`: of how many symbols quotes are subscribed; `newestTs`: the newest of those. */
  readonly markets: readonly {
    marketId: string; exchange: string; subscribed: number; quotes: number; tradesPerS: number | null; newestTs: number | null;
  }[];
  readonly stream: {
    readonly length: number;
    readonly perS: number | null;
    readonly groups: readonly { name: string; lag: number | null; pending: number; lagMs: number }[];
  } | null;
  readonly dlq: number | null;
  readonly gaps: { readonly open: number; readonly unfillable: number } | null;
  readonly memory: {
    readonly usedBytes: number; readonly maxBytes: number; readonly peakBytes: number; readonly level: string | null; readonly keys: number;
  } | null;
  readonly budgets: readonly {
    pool: string; exchange: string; left: number; capacity: number; refillPerSecond: number; bannedMs: number; banReason: string | null;
  }[];
  readonly processes: readonly { service: string; instance: string; startedTs: number | null; pid: number | null; detail: string }[];
  readonly killSwitch: boolean | null;
  /** What could not be read, one line each. */
  readonly problems: readonly string[];
}

export interface Feeds {
  readonly nowTs: number;
  readonly markets: readonly {
    marketId: string;
    /** Within the last hour, as far as the log of events reaches. */
    reconnects: number;
    lastReconnect: { readonly ts: number; readonly reason: string } | null;
    symbols: readonly FeedSymbol[];
    /** Left out for their number. */
    more: number;
  }[];
}

export interface FeedSymbol {
  readonly symbol: string;
  readonly channels: readonly string[];
  readonly receivedTs: number | null;
  readonly status: string | null;
  readonly last: string | null;
  readonly tradesPerS: number | null;
}

export interface Completeness {
  readonly by: 'day' | 'hour';
  /** `YYYY-MM-DD`, or `00`..`23` of `day`. */
  readonly columns: readonly string[];
  readonly day: string;
  readonly rows: readonly { marketId: string; symbol: string; cells: readonly (Cell | null)[] }[];
  /** Instruments without a row: there are too many. Those with holes have theirs first. */
  readonly more: number;
  readonly expected: number;
  readonly missing: number;
}

export interface Cell {
  readonly expected: number;
  readonly missing: number;
  readonly healed: number;
  readonly why: string | null;
}

export interface Gaps {
  readonly marketId: string;
  readonly symbol: string;
  readonly fromTs: number;
  readonly toTs: number;
  readonly gaps: readonly {
    gapId: string; fromSeq: number | null; toSeq: number | null; fromTs: number | null; toTs: number | null; status: string; reason: string;
    detectedTs: number; closedTs: number | null; expected: number | null; recovered: number | null;
  }[];
}

export interface Instruments {
  readonly instruments: readonly {
    marketId: string; symbol: string; unifiedSymbol: string | null; kind: string | null; base: string | null; quote: string | null; amountUnit: string | null;
  }[];
}

export interface Quote {
  readonly nowTs: number;
  readonly bid: string | null;
  readonly bidAmount: string | null;
  readonly ask: string | null;
  readonly askAmount: string | null;
  readonly last: string | null;
  readonly mark: string | null;
  readonly index: string | null;
  readonly fundingRate: string | null;
  readonly openInterest: string | null;
  readonly volume24h: string | null;
  readonly receivedTs: number | null;
  readonly status: string | null;
}

export interface Trades {
  readonly trades: readonly { tradeId: string; ts: number; side: string; price: string; amount: string }[];
}

export interface Candles {
  readonly candles: readonly { openTs: number; open: string; high: string; low: string; close: string; volume: string; isFinal: boolean }[];
}

export interface Events {
  readonly events: readonly {
    id: string; event_id: string; type: string; severity: string; market_id?: string | undefined; symbol?: string | undefined; ts: number;
    data: Readonly<Record<string, unknown>>;
  }[];
}

export interface DeadLetters {
  readonly total: number;
  readonly letters: readonly { id: string; error: string; errorClass: string; deliveries: string; failedTs: number | null; payload: string }[];
  /** `after` of the next page; null: this is the last one. */
  readonly next: string | null;
}

export interface Trading {
  readonly nowTs: number;
  /** `killSwitch`: what holds it on there (file, signal, flag); `locked`: why it has locked itself. */
  readonly executors: readonly { instance: string; account: string; mode: string; role: string; killSwitch: string | null; locked: string | null }[];
  readonly guardArmed: boolean | null;
  readonly flags: readonly { name: string; value: string; at: number; by: string; reason: string | null }[];
  /** Those at work first. */
  readonly orders: readonly OrderRecord[];
  /** Of all there are: at work, and with unknown outcome. */
  readonly atWork: { readonly live: number; readonly unknown: number };
  readonly fills: readonly FillRecord[];
  readonly positions: readonly PositionRecord[];
  readonly cases: readonly CaseRecord[];
  readonly refusals: readonly { at: number; strategy: string | null; marketId: string | null; symbol: string | null; code: string; reason: string }[];
  readonly profit: readonly { account: string; currency: string; at: number; total: string }[];
}

/** By the name of the view: `/api/<name>`, and a topic of `/api/live`. */
export interface Shown {
  overview: Overview;
  feeds: Feeds;
  completeness: Completeness;
  gaps: Gaps;
  instruments: Instruments;
  quote: Quote;
  trades: Trades;
  candles: Candles;
  events: Events;
  dlq: DeadLetters;
  trading: Trading;
}
