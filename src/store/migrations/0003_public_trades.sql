-- The tape. Fixed-width columns first: no padding between them, and a row without the optional fields is 24 bytes of
-- header and bitmap and about 70 of data.
-- Up Migration

CREATE TABLE public_trades (
  instrument_id  int4 NOT NULL,
  seq            int8,
  ts             timestamptz NOT NULL,
  received_at    timestamptz NOT NULL,
  seq_last       int8,
  side           text NOT NULL,
  trade_id       text NOT NULL,
  price          numeric NOT NULL,
  amount         numeric NOT NULL,
  mark_price     numeric,
  index_price    numeric,
  iv             numeric,
  liquidation    text,
  block_trade_id text,
  combo_id       text
) PARTITION BY RANGE (ts);

-- The exchange's own counter is the identity where there is one: three narrow columns in insertion order cost about one
-- heap write, text ids four. ts is in the key because a partitioned table demands it.
CREATE UNIQUE INDEX public_trades_seq_key ON public_trades (instrument_id, seq, ts);
CREATE UNIQUE INDEX public_trades_trade_id_key ON public_trades (instrument_id, trade_id, ts) WHERE seq IS NULL;

CREATE TABLE public_trades_default PARTITION OF public_trades DEFAULT;

COMMENT ON TABLE public_trades IS 'Every public trade once; amount is in instruments.amount_unit, times are UTC microseconds';
COMMENT ON COLUMN public_trades.seq IS 'The exchange''s contiguous counter per instrument; the first one of the run for aggregates; null where the venue has none';
COMMENT ON COLUMN public_trades.seq_last IS 'Aggregates: last counter of the run';
COMMENT ON COLUMN public_trades.side IS 'The taker''s side';

-- Which sequence numbers of an instrument and UTC day are stored, kept in the transaction that inserts the trades. Its row
-- is rewritten by every batch: half-empty pages let that happen in place (HOT).
CREATE TABLE trade_coverage (
  instrument_id int4 NOT NULL,
  day           date NOT NULL,
  seqs          int8multirange NOT NULL,
  PRIMARY KEY (instrument_id, day)
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);

COMMENT ON TABLE trade_coverage IS 'Which sequence numbers are stored, per instrument and UTC day of the trade';

-- Down Migration

DROP TABLE trade_coverage;
DROP TABLE public_trades;
