// What the terminal view and the report show of a running fleet.

export interface MarketFigures {
  marketId: string;
  state: string;
  /** Wire frames per second. */
  messagesPerS: number | null;
  tradesPerS: number | null;
  /** Since the last frame; null before the first. */
  feedAgeMs: number | null;
  reconnects: number;
}

export interface PriceFigures {
  marketId: string;
  symbol: string;
  unifiedSymbol: string;
  last: string | null;
  bid: string | null;
  ask: string | null;
}

export interface ProcessFigures {
  name: string;
  pid: number | null;
  rssBytes: number | null;
  restarts: number;
}

export interface Snapshot {
  elapsedS: number;
  aggregate: string;
  markets: MarketFigures[];
  stream: { length: number; lag: number | null; pending: number };
  rows: { total: number; perS: number };
  latencyMs: { p50: number; p99: number } | null;
  gapsOpen: number;
  dlq: number;
  prices: PriceFigures[];
  processes: ProcessFigures[];
  /** What could not be read this time, for the last line. */
  problem: string | null;
}
