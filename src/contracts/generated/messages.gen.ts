// Generated from docs/system_contracts.yml by `npm run contracts`. Do not edit.

import { z } from 'zod';

/** The taker's side. */
export const sideValues = ["buy","sell"] as const;
export type Side = (typeof sideValues)[number];

export const resolutionValues = ["1s","1m","3m","5m","10m","15m","30m","1h","2h","3h","4h","6h","8h","12h","1d","3d","1w","1M"] as const;
export type Resolution = (typeof resolutionValues)[number];

export const channelValues = ["trade","ticker","ohlc"] as const;
export type Channel = (typeof channelValues)[number];

/** An order's life; src/core/trading/order.ts holds the edges */
export const orderStateValues = ["PENDING","SENDING","OPEN","PARTIALLY_FILLED","FILLED","CANCELLED","REJECTED","EXPIRED","UNKNOWN","ABANDONED"] as const;
export type OrderState = (typeof orderStateValues)[number];

export const systemStateValues = ["BOOTSTRAPPING","RECONCILING","HEALTHY","LOCKED","AUDITING"] as const;
export type SystemState = (typeof systemStateValues)[number];

/** How full Redis is, lowest first; each level does what the ones before it do, and more (src/core/memory_ladder.ts). */
export const memoryLevelValues = ["normal","warn","pause_backfill","shed_tickers","shed_symbols","locked"] as const;
export type MemoryLevel = (typeof memoryLevelValues)[number];

/** One public trade, or one taker order's run of trades at one price (aggregates). */
export const tradeSchema = z.strictObject({
  v: z.literal(1),
  type: z.literal("trade"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept."),
  exchange_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  received_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  trade_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,64}$")),
  seq: z.number().int().gte(0).lte(9007199254740991).nullable().describe("Deribit trade_seq, Binance spot trade id, first trade id of a USD-M aggregate; null where the venue has none"),
  seq_last: z.number().int().gte(0).lte(9007199254740991).describe("Aggregates: last trade id of the run").optional(),
  price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  amount: z.string().regex(new RegExp("^(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(61).describe("Unsigned decimal without exponent, in the unit that the instrument row states."),
  side: z.enum(["buy","sell"]).describe("The taker's side."),
  mark_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  index_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  iv: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Implied volatility in percent (options)").optional(),
  liquidation: z.enum(["maker","taker","both"]).optional(),
  block_trade_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,64}$")).optional(),
  combo_id: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept.").optional(),
});
export type Trade = z.infer<typeof tradeSchema>;

/** The latest known state of an instrument. Core fields are always there and null where the venue gives no quote or does not publish the field; option fields only on options. */
export const tickerSchema = z.strictObject({
  v: z.literal(1),
  type: z.literal("ticker"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept."),
  exchange_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Where the venue sends no time (Binance spot bookTicker) the receive time"),
  received_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  best_bid_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  best_bid_amount: z.string().regex(new RegExp("^(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(61).nullable().describe("Unsigned decimal without exponent, in the unit that the instrument row states."),
  best_ask_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  best_ask_amount: z.string().regex(new RegExp("^(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(61).nullable().describe("Unsigned decimal without exponent, in the unit that the instrument row states."),
  last_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  mark_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  index_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  open_interest: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  funding_rate: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Fraction per funding interval of the venue (Deribit: funding_8h)"),
  volume_24h: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Rolling 24 h volume in base currency"),
  underlying_price: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  bid_iv: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("percent").optional(),
  ask_iv: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("percent").optional(),
  mark_iv: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("percent").optional(),
  delta: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  gamma: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  vega: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  theta: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
  rho: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).nullable().describe("Signed decimal without exponent. Combos may have negative or zero prices.").optional(),
});
export type Ticker = z.infer<typeof tickerSchema>;

/** One candle. A final candle is never overwritten by a provisional one. */
export const ohlcSchema = z.strictObject({
  v: z.literal(1),
  type: z.literal("ohlc"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept."),
  exchange_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Where the venue sends no event time (Deribit) the receive time"),
  received_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  resolution: z.enum(["1s","1m","3m","5m","10m","15m","30m","1h","2h","3h","4h","6h","8h","12h","1d","3d","1w","1M"]),
  open_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  open: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  high: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  low: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  close: z.string().regex(new RegExp("^-?(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(62).describe("Signed decimal without exponent. Combos may have negative or zero prices."),
  volume: z.string().regex(new RegExp("^(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(61).describe("base currency"),
  quote_volume: z.string().regex(new RegExp("^(0|[1-9]\\d{0,29})(\\.\\d{1,30})?$")).max(61).nullable().describe("Unsigned decimal without exponent, in the unit that the instrument row states."),
  trade_count: z.number().int().gte(0).nullable(),
  closed: z.boolean(),
  source: z.enum(["stream","rest","trades"]),
});
export type Ohlc = z.infer<typeof ohlcSchema>;

/** In-band news of the feed itself, in order with the data it is about. connected of a market comes before its first data; disconnected when nobody carries it any more; a gap only when no other receiver of the market has published the missing trades meanwhile. */
export const feedStatusSchema = z.strictObject({
  v: z.literal(1),
  type: z.literal("feed_status"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).nullable().describe("null means the whole market"),
  exchange_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("The last time the exchange told, or our own"),
  received_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  status: z.enum(["connected","disconnected","stale","fresh","gap"]),
  from_seq: z.number().int().gte(0).lte(9007199254740991).describe("gap: first missing seq").optional(),
  to_seq: z.number().int().gte(0).lte(9007199254740991).describe("gap: last missing seq").optional(),
  reason: z.string().max(512),
});
export type FeedStatus = z.infer<typeof feedStatusSchema>;

/** What users publish on control:<market_id>:subscriptions. */
export const subscriptionCommandSchema = z.strictObject({
  action: z.enum(["subscribe","unsubscribe"]),
  symbols: z.array(z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept.")).min(1).max(1000).describe("symbols, or patterns: BTC-*-C, kind:perpetual"),
  channels: z.array(z.enum(["trade","ticker","ohlc"])).min(1).max(3),
  request_id: z.string().max(128).optional(),
});
export type SubscriptionCommand = z.infer<typeof subscriptionCommandSchema>;

/** What goes out on channel:system_events and, durably, to stream:system_events. */
export const systemEventSchema = z.strictObject({
  event_id: z.string().max(128),
  type: z.enum(["market.price_spike","market.volume_spike","market.spread_blowout","market.crossed_quote","market.divergence","market.stale_feed","market.liquidation_cascade","market.volatility_regime","market.funding_jump","market.open_interest_jump","market.iv_move","analyzer.quarantined","analyzer.resumed","subscription.accepted","subscription.rejected","subscription.removed","subscription.invalid","subscription.pattern","feed.connected","feed.disconnected","feed.stale","feed.fresh","feed.gap","feed.overflow","feed.malformed","feed.platform","capture.paused","capture.resumed","dlq.entry","dlq.trimmed","instrument.unknown","state.changed","audit.requested","audit.finished","gap.closed","gap.unfillable","job.dead","backfill.waiting","backfill.resumed","rate.banned","memory.level","executor.mode","executor.locked","executor.unlocked","kill.switch","case.opened","guard.fired","service.started","service.stopped"]),
  severity: z.enum(["info","warning","error","critical"]),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts).").optional(),
  symbol: z.string().max(96).optional(),
  ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  data: z.record(z.string(), z.unknown()),
});
export type SystemEvent = z.infer<typeof systemEventSchema>;

/** One job of queue:trade_work. Fetches the trades from_seq..to_seq (both included) over REST, and stores what is missing. */
export const tradeJobSchema = z.strictObject({
  job_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,128}$")).describe("the same id is queued once at a time"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept."),
  from_seq: z.number().int().gte(0).lte(9007199254740991).describe("The exchange's contiguous per-symbol trade counter."),
  to_seq: z.number().int().gte(0).lte(9007199254740991).describe("The exchange's contiguous per-symbol trade counter."),
  gaps: z.boolean().describe("true: only what data_gaps tells inside the range is fetched, and those gaps are settled").optional(),
  reason: z.string().max(512),
  attempts: z.number().int().gte(0),
  waiting_since: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("since when its exchange has not answered; absent: it has").optional(),
});
export type TradeJob = z.infer<typeof tradeJobSchema>;

/** One job of queue:ohlc_work. Fetches the final candles with start ≤ open_ts < end over REST. */
export const ohlcJobSchema = z.strictObject({
  job_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,128}$")).describe("the same id is queued once at a time"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts)."),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept."),
  resolution: z.enum(["1s","1m","3m","5m","10m","15m","30m","1h","2h","3h","4h","6h","8h","12h","1d","3d","1w","1M"]),
  start: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  end: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  reason: z.string().max(512),
  attempts: z.number().int().gte(0),
  waiting_since: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("since when its exchange has not answered; absent: it has").optional(),
});
export type OhlcJob = z.infer<typeof ohlcJobSchema>;

/** One job of queue:audit. Compares what is stored of an exchange since `hours` ago with what the exchange says; the run is in audit_runs. */
export const auditJobSchema = z.strictObject({
  job_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,128}$")).describe("audit:<exchange>: one at a time is queued or in hand"),
  exchange: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")),
  hours: z.number().int().gte(1).lte(744),
  by: z.string().max(128).describe("who asks"),
  reason: z.string().max(512),
  asked_at: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  attempts: z.number().int().gte(0),
});
export type AuditJob = z.infer<typeof auditJobSchema>;

/** One job in dlq:queue:ohlc_work, dlq:queue:trade_work or dlq:queue:audit. Every value is a string, as Redis keeps it. */
export const deadJobSchema = z.strictObject({
  payload: z.string().describe("as taken from the queue"),
  error: z.string().describe("One line that names the field and the value"),
  error_class: z.enum(["not_json","schema","range","unknown_market","unknown_symbol","refused","attempts","unanswered"]),
  worker: z.string(),
  failed_at: z.string().describe("microseconds since the epoch"),
});
export type DeadJob = z.infer<typeof deadJobSchema>;

/** What a strategy asks for, in stream:signals. An order needs market_id, symbol, side, amount and order_type (a limit its price); a cancellation needs cancel_label alone. Numbers are checked by the executor, which answers a bad one by a refusal with its code. */
export const signalSchema = z.strictObject({
  v: z.literal(1),
  signal_id: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,64}$")).describe("One intent per signal_id, for ever"),
  strategy: z.string().regex(new RegExp("^[a-z][a-z0-9-]{0,19}$")).describe("a name that the risk file allows"),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts).").optional(),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept.").optional(),
  side: z.enum(["buy","sell"]).optional(),
  amount: z.string().max(80).describe("decimal text in the instrument's amount unit").optional(),
  order_type: z.enum(["limit","market"]).optional(),
  price: z.string().max(80).describe("limit price").optional(),
  time_in_force: z.enum(["good_til_cancelled","good_til_day","immediate_or_cancel","fill_or_kill"]).optional(),
  post_only: z.boolean().optional(),
  reduce_only: z.boolean().optional(),
  cancel_label: z.string().max(64).describe("label of the order to cancel").optional(),
  created_ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  valid_for_ms: z.number().int().gte(1).lte(86400000).describe("later than created_ts plus this nothing is sent"),
});
export type Signal = z.infer<typeof signalSchema>;

/** One change of an order, fill, position, case, refusal or of the executor itself, in stream:order_updates. */
export const orderUpdateSchema = z.strictObject({
  v: z.literal(1),
  kind: z.enum(["order","fill","position","case","refusal","executor"]),
  ts: z.number().int().gte(1230768000000000).lte(4102444800000000).describe("Microseconds since the epoch, between 2009 and 2100. A value in s, ms or ns falls outside."),
  account: z.string().max(64),
  signal_id: z.string().max(64).optional(),
  label: z.string().regex(new RegExp("^[\\x21-\\x7e]{1,64}$")).describe("Ours, one per intent; the exchange carries it").optional(),
  market_id: z.string().regex(new RegExp("^[a-z][a-z0-9_]{1,31}$")).describe("One venue of an exchange. The closed set is the registry in code (src/exchanges/registry.ts).").optional(),
  symbol: z.string().regex(new RegExp("^[^\\s\\x00-\\x1f\\x7f\"\\\\]{1,96}$")).describe("The exchange's own name of the instrument, its case kept.").optional(),
  state: z.enum(["PENDING","SENDING","OPEN","PARTIALLY_FILLED","FILLED","CANCELLED","REJECTED","EXPIRED","UNKNOWN","ABANDONED"]).describe("kind order: the state after the change").optional(),
  code: z.string().max(40).describe("kind refusal: which check; kind order: the exchange's refusal code").optional(),
  reason: z.string().max(512).optional(),
  data: z.record(z.string(), z.unknown()).describe("the row after the change; decimals are strings"),
});
export type OrderUpdate = z.infer<typeof orderUpdateSchema>;

/** One dead letter in dlq:stream:market_data. Every value is a string, as Redis keeps it. */
export const dlqEntrySchema = z.strictObject({
  payload: z.string().describe("as received"),
  error: z.string().describe("One line that names the field and the value"),
  error_class: z.enum(["not_json","schema","range","conflict","database","poison"]),
  source_id: z.string().describe("id of the entry in stream:market_data"),
  group: z.string(),
  consumer: z.string(),
  deliveries: z.string(),
  failed_at: z.string().describe("microseconds since the epoch"),
});
export type DlqEntry = z.infer<typeof dlqEntrySchema>;
