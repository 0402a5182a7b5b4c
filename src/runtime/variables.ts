// Every environment variable with its default and meaning; `.env.example` holds the same list (src/runtime/env.test.ts compares).
// Per market there are also <MARKET_ID>_SYMBOLS, <MARKET_ID>_PRIORITY, <MARKET_ID>_WS_URL and <MARKET_ID>_REST_URL.
export const VARIABLES = {
  DATABASE_URL: { default: 'postgres://tapekeeper:tapekeeper@127.0.0.1:5432/tapekeeper', help: 'PostgreSQL 18' },
  REDIS_URL: { default: 'redis://127.0.0.1:6379', help: 'Redis 7' },
  STREAM_REDIS_URL: { default: '', help: 'Redis of stream:market_data when it is another one; empty: REDIS_URL' },
  EXCHANGE_MODE: { default: 'live', help: 'live: the real exchanges; sim: the simulator at SIM_URL' },
  SIM_URL: { default: 'http://127.0.0.1:7600', help: 'Base of the simulator' },
  MARKETS: { default: 'deribit,binance_spot,binance_usdm', help: 'Markets to serve' },
  CHANNELS: { default: 'trade,ticker,ohlc', help: 'Channels subscribed for configured symbols' },
  OHLC_RESOLUTIONS: { default: '1m', help: 'Candle resolutions subscribed' },
  TICKER_INTERVAL_MS: { default: '100', help: 'At most one ticker message per symbol and interval' },
  TICKER_SAMPLE_MS: { default: '1000', help: 'At most one row in tickers per instrument and interval' },
  CLAIM_IDLE_MS: { default: '60000', help: 'Entries pending longer than this are claimed from their consumer' },
  BATCH_MAX_ROWS: { default: '8000', help: 'Largest batch of one transaction' },
  RECEIVER_BUFFER_MESSAGES: {
    default: '200000',
    help: 'Messages held in memory while Redis is away; beyond it gaps are reported',
  },
  CAPTURE_DIR: { default: '', help: 'Folder of the raw capture: every frame as received, for SIM_REPLAY; empty: none' },
  CAPTURE_MAX_MB: { default: '10240', help: 'Disk that the capture may take; beyond it the oldest files are removed' },
  UNLOCK_POLICY: {
    default: '',
    help:
      'After a bootstrap: manual (LOCKED until system-unlock) or auto (HEALTHY when the data checks pass); ' +
      'empty: manual where EXECUTOR_MODE is test or live',
  },
  EXECUTOR_MODE: { default: 'observe', help: 'observe, paper, test or live' },
  BACKFILL_DAYS: { default: '1', help: 'Candles that a bootstrap asks for where none are stored; 0: none' },
  BACKFILL_WORKERS: { default: '2', help: 'Jobs that one backfill process works on at once, per queue' },
  JOB_LEASE_MS: { default: '30000', help: 'A job of a dead worker returns to its queue after this long' },
  AUDIT_HOURS: { default: '24', help: 'How far back an audit compares what is stored with what the exchange says' },
  AUDIT_EVERY_HOURS: { default: '24', help: 'An audit of every healthy exchange this often; 0: only when it is asked for' },
  STREAM_RETAIN_MS: { default: '3600000', help: 'Entries of stream:market_data younger than this stay, even when every consumer group has them' },
  DLQ_MAX: { default: '100000', help: 'Dead letters kept; the oldest beyond it are removed, with a warning' },
  TRADES_RETENTION_DAYS: { default: '0', help: 'Days of public_trades kept before today; 0: all, for ever' },
  TICKERS_RETENTION_DAYS: { default: '0', help: 'Days of tickers kept before today; 0: all, for ever' },
  INSTANCE_ID: { default: '', help: 'Name of this instance; empty: a free slot is leased' },
  LOG_LEVEL: { default: 'info', help: 'trace, debug, info, warn, error, fatal or silent' },
  METRICS_PORT: { default: '0', help: 'Port of /metrics, /healthz and /readyz; 0 picks a free one' },
  METRICS_HOST: { default: '127.0.0.1', help: 'Address they listen on' },
  SIM_HOST: { default: '127.0.0.1', help: 'Address the simulator listens on' },
  SIM_PORT: { default: '7600', help: 'Port the simulator listens on' },
  SIM_SEED: { default: '1', help: 'Seed of the generated markets' },
  SIM_LEDGER: { default: '', help: 'File of the ledger of truth (NDJSON); empty: memory only' },
  SIM_REPLAY: { default: '', help: 'Folder of recordings to replay beside the generated markets' },
  SIM_FAULTS: { default: 'none', help: 'none, or random: a schedule of faults by the seed' },
  SIM_SPEED: { default: '1', help: 'Replay speed' },
  SIM_RATE: { default: '200', help: 'Generated trades per second over all markets' },
} as const satisfies Record<string, { default: string; help: string }>;

export type VariableName = keyof typeof VARIABLES;
