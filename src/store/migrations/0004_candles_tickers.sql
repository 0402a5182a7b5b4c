-- Candles and sampled quotes.
-- Up Migration

CREATE TABLE ohlc (
  instrument_id int4 NOT NULL,
  resolution    text NOT NULL,
  open_ts       timestamptz NOT NULL,
  open          numeric NOT NULL,
  high          numeric NOT NULL,
  low           numeric NOT NULL,
  close         numeric NOT NULL,
  volume        numeric NOT NULL,
  quote_volume  numeric,
  trade_count   int8,
  is_final      bool NOT NULL,
  source        text NOT NULL CHECK (source IN ('stream', 'rest', 'trades')),
  updated_at    timestamptz NOT NULL,
  PRIMARY KEY (instrument_id, resolution, open_ts)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE ohlc IS 'Candles; is_final false is the forming one. A final candle is never overwritten by a provisional one';

CREATE TABLE tickers (
  instrument_id    int4 NOT NULL,
  ts               timestamptz NOT NULL,
  received_at      timestamptz NOT NULL,
  best_bid_price   numeric,
  best_bid_amount  numeric,
  best_ask_price   numeric,
  best_ask_amount  numeric,
  last_price       numeric,
  mark_price       numeric,
  index_price      numeric,
  open_interest    numeric,
  funding_rate     numeric,
  volume_24h       numeric,
  underlying_price numeric,
  bid_iv           numeric,
  ask_iv           numeric,
  mark_iv          numeric,
  delta            numeric,
  gamma            numeric,
  vega             numeric,
  theta            numeric,
  rho              numeric,
  PRIMARY KEY (instrument_id, ts)
) PARTITION BY RANGE (ts);
CREATE TABLE tickers_default PARTITION OF tickers DEFAULT;

COMMENT ON TABLE tickers IS 'Sampled history of quotes (TICKER_SAMPLE_MS); an absent quote is null, never 0';

-- Down Migration

DROP TABLE tickers;
DROP TABLE ohlc;
