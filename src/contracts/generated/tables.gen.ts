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
  healed: string | null;
}

export interface TradeExtentRow {
  instrument_id: number;
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

export interface AuditRunsRow {
  run_id: string;
  exchange: string;
  since: Date;
  until: Date;
  asked_at: Date;
  asked_by: string;
  reason: string;
  started_at: Date;
  ended_at: Date | null;
  compared: string;
  verdict: string | null;
  detail: string | null;
}

export interface AuditFindingsRow {
  finding_id: string;
  run_id: string;
  exchange: string;
  market_id: string;
  symbol: string;
  instrument_id: number;
  kind: string;
  candle: string | null;
  open_ts: Date | null;
  from_seq: string | null;
  to_seq: string | null;
  ours: unknown | null;
  theirs: unknown | null;
  found_at: Date;
  resolution: string;
  detail: string;
  resolved_at: Date | null;
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

export interface OrdersRow {
  order_id: string;
  label: string;
  signal_id: string | null;
  account: string;
  strategy: string;
  origin: string;
  market_id: string;
  symbol: string;
  instrument_id: number | null;
  side: string;
  amount: string;
  order_type: string;
  price: string | null;
  time_in_force: string | null;
  post_only: boolean;
  reduce_only: boolean;
  state: string;
  version: number;
  cancel_state: string | null;
  exchange_order_id: string | null;
  filled_amount: string;
  average_price: string | null;
  code: string | null;
  reason: string | null;
  lookups: number;
  epoch: string;
  created_at: Date;
  sent_at: Date | null;
  valid_until: Date;
  updated_at: Date;
}

export interface OrderEventsRow {
  order_id: string;
  version: number;
  at: Date;
  from_state: string | null;
  to_state: string;
  event: string;
  detail: unknown | null;
}

export interface FillsRow {
  account: string;
  trade_id: string;
  order_id: string | null;
  exchange_order_id: string;
  market_id: string;
  symbol: string;
  ts: Date;
  seq: string | null;
  side: string;
  price: string;
  amount: string;
  liquidity: string;
  fee: string;
  fee_currency: string;
  kind: string;
  source: string;
  recorded_at: Date;
}

export interface PositionsRow {
  account: string;
  market_id: string;
  symbol: string;
  amount: string;
  cost: string;
  average_price: string | null;
  realised: string;
  fees: string;
  funding: string;
  settle: string | null;
  updated_at: Date;
  version: string;
}

export interface AccountLogRow {
  account: string;
  log_id: string;
  ts: Date;
  currency: string;
  type: string;
  symbol: string | null;
  trade_id: string | null;
  change: string;
  balance: string | null;
  commission: string | null;
  raw: unknown;
  market_id: string;
  exchange_order_id: string | null;
  side: string | null;
  price: string | null;
  amount: string | null;
  liquidity: string | null;
  funding: string | null;
}

export interface AccountLogReadsRow {
  account: string;
  market_id: string;
  through: Date;
}

export interface FillsToBookRow {
  account: string;
  trade_id: string;
}

export interface TradingCasesRow {
  case_id: string;
  account: string;
  kind: string;
  market_id: string | null;
  symbol: string | null;
  ours: unknown;
  theirs: unknown;
  evidence: unknown;
  status: string;
  decision: string | null;
  attempts: number;
  opened_at: Date;
  updated_at: Date;
  closed_at: Date | null;
}

export interface RiskRefusalsRow {
  refusal_id: string;
  at: Date;
  account: string;
  signal_id: string | null;
  strategy: string | null;
  market_id: string | null;
  symbol: string | null;
  code: string;
  reason: string;
  signal: unknown;
}

export interface TradingFlagsRow {
  name: string;
  value: string;
  at: Date;
  by: string;
  reason: string | null;
}

export interface EquityMarksRow {
  account: string;
  currency: string;
  day: string;
  equity: string;
  at: Date;
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
  trade_coverage: {"instrument_id":"int4","day":"date","seqs":"int8multirange","healed":"int8multirange?"},
  trade_extent: {"instrument_id":"int4","seqs":"int8multirange"},
  data_gaps: {"gap_id":"int8","instrument_id":"int4","from_seq":"int8?","to_seq":"int8?","from_ts":"timestamptz?","to_ts":"timestamptz?","status":"text","reason":"text","detected_at":"timestamptz","closed_at":"timestamptz?","expected":"int8?","recovered":"int8?"},
  backfill_jobs: {"job_id":"text","next_ts":"timestamptz","rows":"int8","pages":"int8","done_at":"timestamptz?","updated_at":"timestamptz"},
  audit_runs: {"run_id":"int8","exchange":"text","since":"timestamptz","until":"timestamptz","asked_at":"timestamptz","asked_by":"text","reason":"text","started_at":"timestamptz","ended_at":"timestamptz?","compared":"int8","verdict":"text?","detail":"text?"},
  audit_findings: {"finding_id":"int8","run_id":"int8","exchange":"text","market_id":"text","symbol":"text","instrument_id":"int4","kind":"text","candle":"text?","open_ts":"timestamptz?","from_seq":"int8?","to_seq":"int8?","ours":"jsonb?","theirs":"jsonb?","found_at":"timestamptz","resolution":"text","detail":"text","resolved_at":"timestamptz?"},
  state_log: {"exchange":"text","ver":"int8","epoch":"int8","from_state":"text?","to_state":"text","at":"timestamptz","by":"text","reason":"text"},
  orders: {"order_id":"int8","label":"text","signal_id":"text?","account":"text","strategy":"text","origin":"text","market_id":"text","symbol":"text","instrument_id":"int4?","side":"text","amount":"numeric","order_type":"text","price":"numeric?","time_in_force":"text?","post_only":"bool","reduce_only":"bool","state":"text","version":"int4","cancel_state":"text?","exchange_order_id":"text?","filled_amount":"numeric","average_price":"numeric?","code":"text?","reason":"text?","lookups":"int4","epoch":"int8","created_at":"timestamptz","sent_at":"timestamptz?","valid_until":"timestamptz","updated_at":"timestamptz"},
  order_events: {"order_id":"int8","version":"int4","at":"timestamptz","from_state":"text?","to_state":"text","event":"text","detail":"jsonb?"},
  fills: {"account":"text","trade_id":"text","order_id":"int8?","exchange_order_id":"text","market_id":"text","symbol":"text","ts":"timestamptz","seq":"int8?","side":"text","price":"numeric","amount":"numeric","liquidity":"text","fee":"numeric","fee_currency":"text","kind":"text","source":"text","recorded_at":"timestamptz"},
  positions: {"account":"text","market_id":"text","symbol":"text","amount":"numeric","cost":"numeric","average_price":"numeric?","realised":"numeric","fees":"numeric","funding":"numeric","settle":"text?","updated_at":"timestamptz","version":"int8"},
  account_log: {"account":"text","log_id":"text","ts":"timestamptz","currency":"text","type":"text","symbol":"text?","trade_id":"text?","change":"numeric","balance":"numeric?","commission":"numeric?","raw":"jsonb","market_id":"text","exchange_order_id":"text?","side":"text?","price":"numeric?","amount":"numeric?","liquidity":"text?","funding":"numeric?"},
  account_log_reads: {"account":"text","market_id":"text","through":"timestamptz"},
  fills_to_book: {"account":"text","trade_id":"text"},
  trading_cases: {"case_id":"int8","account":"text","kind":"text","market_id":"text?","symbol":"text?","ours":"jsonb","theirs":"jsonb","evidence":"jsonb","status":"text","decision":"text?","attempts":"int4","opened_at":"timestamptz","updated_at":"timestamptz","closed_at":"timestamptz?"},
  risk_refusals: {"refusal_id":"int8","at":"timestamptz","account":"text","signal_id":"text?","strategy":"text?","market_id":"text?","symbol":"text?","code":"text","reason":"text","signal":"jsonb"},
  trading_flags: {"name":"text","value":"text","at":"timestamptz","by":"text","reason":"text?"},
  equity_marks: {"account":"text","currency":"text","day":"date","equity":"numeric","at":"timestamptz"},
  operator_actions: {"action_id":"int8","at":"timestamptz","actor":"text","action":"text","target":"text","reason":"text?","detail":"jsonb?"},
} as const;
