// Generated from docs/system_contracts.yml by `npm run contracts`. Do not edit.

export interface InstrumentsRow {
  instrument_id: number;
  market_id: string;
  symbol: string;
  exchange: string;
  unified_symbol: string | null;
  kind: string | null;
  base: string | null;
  quote: string | null;
  settle: string | null;
  inverse: boolean | null;
  contract_size: string | null;
  amount_unit: string | null;
  tick_size: string | null;
  min_amount: string | null;
  amount_step: string | null;
  strike: string | null;
  option_type: string | null;
  expiry: Date | null;
  status: string;
  first_seen: Date;
  updated_at: Date;
  raw: unknown | null;
}

export interface PublicTradesRow {
  instrument_id: number;
  seq: string | null;
  ts: Date;
  received_at: Date;
  seq_last: string | null;
  side: string;
  trade_id: string;
  price: string;
  amount: string;
  mark_price: string | null;
  index_price: string | null;
  iv: string | null;
  liquidation: string | null;
  block_trade_id: string | null;
  combo_id: string | null;
}

export interface OhlcRow {
  instrument_id: number;
  resolution: string;
  open_ts: Date;
  open: string;
  high: string;
  low: string;
  close: string;
  volume: string;
  quote_volume: string | null;
  trade_count: string | null;
  is_final: boolean;
  source: string;
  updated_at: Date;
}

export interface TickersRow {
  instrument_id: number;
  ts: Date;
  received_at: Date;
  best_bid_price: string | null;
  best_bid_amount: string | null;
  best_ask_price: string | null;
  best_ask_amount: string | null;
  last_price: string | null;
  mark_price: string | null;
  index_price: string | null;
  open_interest: string | null;
  funding_rate: string | null;
  volume_24h: string | null;
  underlying_price: string | null;
  bid_iv: string | null;
  ask_iv: string | null;
  mark_iv: string | null;
  delta: string | null;
  gamma: string | null;
  vega: string | null;
  theta: string | null;
  rho: string | null;
}

export interface TradeCoverageRow {
  instrument_id: number;
  day: string;
  seqs: string;
}

export interface DataGapsRow {
  gap_id: string;
  instrument_id: number;
  from_seq: string | null;
  to_seq: string | null;
  from_ts: Date | null;
  to_ts: Date | null;
  status: string;
  reason: string;
  detected_at: Date;
  closed_at: Date | null;
  expected: string | null;
  recovered: string | null;
}

export interface BackfillJobsRow {
  job_id: string;
  next_ts: Date;
  rows: string;
  pages: string;
  done_at: Date | null;
  updated_at: Date;
}

export interface StateLogRow {
  exchange: string;
  ver: string;
  epoch: string;
  from_state: string | null;
  to_state: string;
  at: Date;
  by: string;
  reason: string;
}

export interface OperatorActionsRow {
  action_id: string;
  at: Date;
  actor: string;
  action: string;
  target: string;
  reason: string | null;
  detail: unknown | null;
}

/** Column name → type of each table; a trailing ? means nullable. */
export const TABLES = {
  instruments: {"instrument_id":"int4","market_id":"text","symbol":"text","exchange":"text","unified_symbol":"text?","kind":"text?","base":"text?","quote":"text?","settle":"text?","inverse":"bool?","contract_size":"numeric?","amount_unit":"text?","tick_size":"numeric?","min_amount":"numeric?","amount_step":"numeric?","strike":"numeric?","option_type":"text?","expiry":"timestamptz?","status":"text","first_seen":"timestamptz","updated_at":"timestamptz","raw":"jsonb?"},
  public_trades: {"instrument_id":"int4","seq":"int8?","ts":"timestamptz","received_at":"timestamptz","seq_last":"int8?","side":"text","trade_id":"text","price":"numeric","amount":"numeric","mark_price":"numeric?","index_price":"numeric?","iv":"numeric?","liquidation":"text?","block_trade_id":"text?","combo_id":"text?"},
  ohlc: {"instrument_id":"int4","resolution":"text","open_ts":"timestamptz","open":"numeric","high":"numeric","low":"numeric","close":"numeric","volume":"numeric","quote_volume":"numeric?","trade_count":"int8?","is_final":"bool","source":"text","updated_at":"timestamptz"},
  tickers: {"instrument_id":"int4","ts":"timestamptz","received_at":"timestamptz","best_bid_price":"numeric?","best_bid_amount":"numeric?","best_ask_price":"numeric?","best_ask_amount":"numeric?","last_price":"numeric?","mark_price":"numeric?","index_price":"numeric?","open_interest":"numeric?","funding_rate":"numeric?","volume_24h":"numeric?","underlying_price":"numeric?","bid_iv":"numeric?","ask_iv":"numeric?","mark_iv":"numeric?","delta":"numeric?","gamma":"numeric?","vega":"numeric?","theta":"numeric?","rho":"numeric?"},
  trade_coverage: {"instrument_id":"int4","day":"date","seqs":"int8multirange"},
  data_gaps: {"gap_id":"int8","instrument_id":"int4","from_seq":"int8?","to_seq":"int8?","from_ts":"timestamptz?","to_ts":"timestamptz?","status":"text","reason":"text","detected_at":"timestamptz","closed_at":"timestamptz?","expected":"int8?","recovered":"int8?"},
  backfill_jobs: {"job_id":"text","next_ts":"timestamptz","rows":"int8","pages":"int8","done_at":"timestamptz?","updated_at":"timestamptz"},
  state_log: {"exchange":"text","ver":"int8","epoch":"int8","from_state":"text?","to_state":"text","at":"timestamptz","by":"text","reason":"text"},
  operator_actions: {"action_id":"int8","at":"timestamptz","actor":"text","action":"text","target":"text","reason":"text?","detail":"jsonb?"},
} as const;
