-- Generated from src/store/migrations by `npm run migrate -- init-sql`. Do not edit.
-- For the first start of an empty database; an existing one is brought forward by `npm run migrate -- up`.

BEGIN;

CREATE TABLE pgmigrations (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);

-- 0001_instruments
CREATE TABLE instruments (
  instrument_id  int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  market_id      text NOT NULL,
  symbol         text NOT NULL,
  exchange       text NOT NULL,
  unified_symbol text,
  kind           text CHECK (kind IN ('spot', 'perpetual', 'future', 'option', 'combo')),
  base           text,
  quote          text,
  settle         text,
  inverse        bool,
  contract_size  numeric,
  amount_unit    text,
  tick_size      numeric,
  min_amount     numeric,
  amount_step    numeric,
  strike         numeric,
  option_type    text CHECK (option_type IN ('call', 'put')),
  expiry         timestamptz,
  status         text NOT NULL,
  first_seen     timestamptz NOT NULL DEFAULT now(),
  updated_at     timestamptz NOT NULL DEFAULT now(),
  raw            jsonb,
  CONSTRAINT instruments_market_symbol_key UNIQUE (market_id, symbol)
);
CREATE INDEX instruments_unified_symbol_idx ON instruments (unified_symbol);

COMMENT ON TABLE instruments IS 'One row per instrument of a market; status open is tradable, stub was met in the data before the exchange''s list told of it';
COMMENT ON COLUMN instruments.contract_size IS 'What one contract stands for, in amount_unit (in quote when inverse); null on spot';
COMMENT ON COLUMN instruments.amount_unit IS 'Unit of amount in trades and orders';

CREATE VIEW v_instruments AS SELECT * FROM instruments WHERE status = 'open';
COMMENT ON VIEW v_instruments IS 'Tradable instruments only';

-- 0002_day_partitions
-- Makes <parent>_pYYYYMMDD for each UTC day from..until (inclusive) that has none; returns how many it made. Rows that
-- already wait in <parent>_default move along. Writers of existing days go on meanwhile: LIKE + ATTACH takes no lock that an
-- INSERT or a COPY conflicts with, except on the default partition, which is locked from before it is looked at.
CREATE FUNCTION ensure_day_partitions(parent text, from_day date, until_day date) RETURNS int
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
  d        date := from_day;
  child    text;
  spare    text := parent || '_default';
  starts   timestamptz;
  ends     timestamptz;
  made     int := 0;
BEGIN
  IF until_day - from_day > 4000 THEN
    RAISE EXCEPTION 'ensure_day_partitions: % days at once', until_day - from_day USING ERRCODE = 'program_limit_exceeded';
  END IF;
  -- Two makers at once would collide on the table's name.
  PERFORM pg_advisory_xact_lock(hashtext('ensure_day_partitions'), hashtext(parent));
  WHILE d <= until_day LOOP
    child := parent || to_char(d, '"_p"YYYYMMDD');
    starts := d::timestamptz;
    ends := (d + 1)::timestamptz;
    IF to_regclass(quote_ident(child)) IS NULL THEN
      EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', spare);
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
      EXECUTE format('WITH moved AS (DELETE FROM %I WHERE ts >= %L AND ts < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                     spare, starts, ends, child);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, starts, ends);
      made := made + 1;
    END IF;
    d := d + 1;
  END LOOP;
  RETURN made;
END $$;

COMMENT ON FUNCTION ensure_day_partitions IS 'Makes the UTC day partitions of a table that are missing in a range of days; moves rows out of its default partition';

-- 0003_public_trades
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

-- 0004_candles_tickers
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

-- 0005_gaps_and_audit
CREATE TABLE data_gaps (
  gap_id        int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  instrument_id int4 NOT NULL REFERENCES instruments,
  from_seq      int8,
  to_seq        int8,
  from_ts       timestamptz,
  to_ts         timestamptz,
  status        text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'healing', 'closed', 'unfillable')),
  reason        text NOT NULL,
  detected_at   timestamptz NOT NULL,
  closed_at     timestamptz,
  expected      int8,
  recovered     int8,
  CONSTRAINT data_gaps_range CHECK (
    (from_seq IS NOT NULL AND to_seq IS NOT NULL AND from_seq <= to_seq)
    OR (from_ts IS NOT NULL AND to_ts IS NOT NULL AND from_ts <= to_ts)),
  -- The same gap told twice is one row.
  CONSTRAINT data_gaps_key UNIQUE NULLS NOT DISTINCT (instrument_id, from_seq, to_seq, from_ts, to_ts)
);
CREATE INDEX data_gaps_unsettled_idx ON data_gaps (detected_at) WHERE status IN ('open', 'healing');
COMMENT ON TABLE data_gaps IS 'Sequence or time ranges known to be missing, and what became of them; ranges include both ends';

CREATE TABLE state_log (
  exchange   text NOT NULL,
  ver        int8 NOT NULL,
  epoch      int8 NOT NULL,
  from_state text,
  to_state   text NOT NULL,
  at         timestamptz NOT NULL,
  by         text NOT NULL,
  reason     text NOT NULL,
  PRIMARY KEY (exchange, ver)
);
COMMENT ON TABLE state_log IS 'Every change of an exchange''s state; append only';

CREATE TABLE operator_actions (
  action_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at        timestamptz NOT NULL DEFAULT now(),
  actor     text NOT NULL,
  action    text NOT NULL,
  target    text NOT NULL,
  reason    text,
  detail    jsonb
);
COMMENT ON TABLE operator_actions IS 'What a human did to the fleet; append only';

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER state_log_append_only BEFORE UPDATE OR DELETE ON state_log EXECUTE FUNCTION refuse_change();
CREATE TRIGGER operator_actions_append_only BEFORE UPDATE OR DELETE ON operator_actions EXECUTE FUNCTION refuse_change();

-- 0006_stored_already
CREATE FUNCTION stop_stored_already() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'trades of this batch are stored already' USING ERRCODE = 'TK001';
END $$;

COMMENT ON FUNCTION stop_stored_already IS 'Raises TK001: the batch has to be compared with what is stored';

-- 0007_backfill_jobs
CREATE TABLE backfill_jobs (
  job_id     text PRIMARY KEY,
  next_ts    timestamptz NOT NULL,
  rows       int8 NOT NULL,
  pages      int8 NOT NULL,
  done_at    timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE backfill_jobs IS 'Candle jobs: next_ts is the first open time not fetched yet';

-- 0008_completeness
CREATE VIEW v_completeness AS
SELECT i.market_id, i.symbol, c.day, lower(c.seqs) AS first_seq, upper(c.seqs) - 1 AS last_seq,
       stored.n + holes.n AS expected, stored.n AS stored, healed.n AS healed, holes.n AS missing,
       CASE WHEN holes.n > 0 THEN coalesce((
         SELECT string_agg(DISTINCT g.reason, '; ') FROM data_gaps g
         WHERE g.instrument_id = c.instrument_id AND g.from_seq < upper(holes.seqs) AND g.to_seq >= lower(holes.seqs)
           AND int8range(g.from_seq, g.to_seq, '[]') && holes.seqs
       ), 'hole between stored trades') END AS why,
       coalesce(holes.seqs, '{}') AS missing_seqs
FROM trade_coverage c
JOIN instruments i USING (instrument_id)
LEFT JOIN LATERAL (
  SELECT upper(seqs) AS ends FROM trade_coverage
  WHERE instrument_id = c.instrument_id AND day < c.day AND NOT isempty(seqs) ORDER BY day DESC LIMIT 1
) AS before ON true
LEFT JOIN LATERAL (
  SELECT seqs FROM trade_coverage WHERE instrument_id = c.instrument_id AND day > c.day AND NOT isempty(seqs) ORDER BY day LIMIT 1
) AS after ON true
CROSS JOIN LATERAL (SELECT sum(upper(r) - lower(r))::int8 AS n FROM unnest(c.seqs) AS r) AS stored
-- A day begins behind what the day before holds. What the next day holds of its numbers (trades of one moment, at midnight) is not
-- missing.
CROSS JOIN LATERAL (
  SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 AS n, range_agg(r) AS seqs
  FROM unnest(int8multirange(int8range(least(coalesce(before.ends, lower(c.seqs)), upper(c.seqs)), upper(c.seqs)))
              - c.seqs - coalesce(after.seqs, '{}')) AS r
) AS holes
CROSS JOIN LATERAL (
  SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 AS n
  FROM (
    SELECT range_agg(int8range(g.from_seq, g.to_seq, '[]')) AS seqs FROM data_gaps g
    WHERE g.instrument_id = c.instrument_id AND g.from_seq < upper(c.seqs) AND g.to_seq >= lower(c.seqs) AND g.status IN ('closed', 'unfillable')
  ) AS ended, unnest(c.seqs * ended.seqs) AS r
) AS healed
WHERE NOT isempty(c.seqs);

COMMENT ON VIEW v_completeness IS 'How complete the trades are: a row per instrument and UTC day on which anything is stored.
All counts are of the exchange''s sequence numbers; for aggregates that is more than rows, because one row covers seq..seq_last.
expected: the numbers that belong to the day: stored + missing.
stored: the numbers whose trades are stored under this day.
healed: those of the stored numbers that lie inside gaps that have ended: closed ones, or the recovered part of unfillable ones.
missing: numbers between the first and the last stored one of the day that are not stored, and those between the last number of the
  stored day before and the first of this day. What the next stored day holds of them is not missing. What is missing before the
  first or behind the last stored number of an instrument cannot be seen here; data_gaps may tell of it.
why: reasons of the gaps that touch the missing numbers, else "hole between stored trades"; null when nothing is missing.';
COMMENT ON COLUMN v_completeness.first_seq IS 'Lowest number stored under this day';
COMMENT ON COLUMN v_completeness.last_seq IS 'Highest number stored under this day';
COMMENT ON COLUMN v_completeness.expected IS 'Numbers that belong to this day: stored + missing';
COMMENT ON COLUMN v_completeness.stored IS 'Numbers stored under this day';
COMMENT ON COLUMN v_completeness.healed IS 'Stored numbers inside closed gaps, or the recovered part of unfillable ones';
COMMENT ON COLUMN v_completeness.missing IS 'expected - stored, a hole in front of the day''s first number included';
COMMENT ON COLUMN v_completeness.why IS 'Reasons of the gaps that touch the missing numbers; null when nothing is missing';
COMMENT ON COLUMN v_completeness.missing_seqs IS 'The missing numbers themselves';

-- 0009_audits
CREATE TABLE audit_runs (
  run_id     int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  exchange   text NOT NULL,
  since      timestamptz NOT NULL,
  until      timestamptz NOT NULL,
  asked_at   timestamptz NOT NULL,
  asked_by   text NOT NULL,
  reason     text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at   timestamptz,
  compared   int8 NOT NULL DEFAULT 0,
  -- good: nothing open; repairing: jobs are queued; unexplained: nobody knows why; failed: it did not come to its end.
  verdict    text CHECK (verdict IN ('good', 'repairing', 'unexplained', 'failed')),
  detail     text,
  CONSTRAINT audit_runs_ended CHECK ((ended_at IS NULL) = (verdict IS NULL))
);
CREATE INDEX audit_runs_exchange_idx ON audit_runs (exchange, started_at);
COMMENT ON TABLE audit_runs IS 'Historical audits; compared counts the candles that both sides had';

CREATE TABLE audit_findings (
  finding_id    int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  run_id        int8 NOT NULL REFERENCES audit_runs,
  exchange      text NOT NULL,
  market_id     text NOT NULL,
  symbol        text NOT NULL,
  instrument_id int4 NOT NULL REFERENCES instruments,
  kind          text NOT NULL CHECK (kind IN ('candle_missing', 'candle_differs', 'candle_unknown', 'trades_differ', 'trades_missing')),
  candle        text,
  open_ts       timestamptz,
  from_seq      int8,
  to_seq        int8,
  ours          jsonb,
  theirs        jsonb,
  found_at      timestamptz NOT NULL DEFAULT now(),
  resolution    text NOT NULL CHECK (resolution IN ('repaired', 'queued', 'explained', 'unexplained')),
  detail        text NOT NULL,
  resolved_at   timestamptz,
  CONSTRAINT audit_findings_place CHECK (open_ts IS NOT NULL OR (from_seq IS NOT NULL AND to_seq IS NOT NULL AND from_seq <= to_seq))
);
CREATE INDEX audit_findings_run_idx ON audit_findings (run_id);
CREATE INDEX audit_findings_queued_idx ON audit_findings (exchange) WHERE resolution = 'queued';
COMMENT ON TABLE audit_findings IS 'Differences that audits found; a row stays when its difference is repaired';

-- 0010_trade_extent
CREATE TABLE trade_extent (
  instrument_id int4 PRIMARY KEY,
  seqs          int8multirange NOT NULL
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);

COMMENT ON TABLE trade_extent IS 'Sequence numbers that may be stored, over all days: what trade_coverage holds, its narrower holes filled when they are many';

-- Holes that the exchange never fills would make a row of years grow without end, and it is rewritten by every batch. The widest
-- stay; numbers of a filled one are looked up in trade_coverage, where there is nothing, and are stored a little later.
CREATE FUNCTION loosen_seqs(seqs int8multirange) RETURNS int8multirange LANGUAGE sql IMMUTABLE AS $$
  SELECT around - coalesce((
    SELECT range_agg(hole) FROM (SELECT hole FROM unnest(around - seqs) AS hole ORDER BY upper(hole) - lower(hole) DESC LIMIT 32) AS widest
  ), '{}')
  FROM (SELECT int8multirange(int8range(lower(seqs), upper(seqs))) AS around) AS whole
$$;

COMMENT ON FUNCTION loosen_seqs IS 'Fills all but the 32 widest holes of what is not empty';

-- Whoever empties the one means the other.
CREATE FUNCTION empty_trade_extent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE trade_extent;
  RETURN NULL;
END $$;
CREATE TRIGGER trade_coverage_emptied AFTER TRUNCATE ON trade_coverage EXECUTE FUNCTION empty_trade_extent();

-- No writer in between.
LOCK TABLE trade_coverage IN SHARE MODE;
INSERT INTO trade_extent SELECT instrument_id, loosen_seqs(range_agg(seqs)) FROM trade_coverage WHERE NOT isempty(seqs) GROUP BY instrument_id;

-- 0011_healed
ALTER TABLE trade_coverage ADD COLUMN healed int8multirange;
COMMENT ON COLUMN trade_coverage.healed IS 'Numbers that were missing in a gap and were fetched; null: none';

-- What ended before is taken as it was counted until now.
UPDATE trade_coverage c SET healed = c.seqs * g.seqs
FROM (
  SELECT instrument_id, range_agg(int8range(from_seq, to_seq, '[]')) AS seqs FROM data_gaps
  WHERE status IN ('closed', 'unfillable') AND from_seq IS NOT NULL GROUP BY instrument_id
) AS g WHERE g.instrument_id = c.instrument_id AND c.seqs && g.seqs;

CREATE INDEX data_gaps_lasting_idx ON data_gaps (instrument_id, to_seq, from_seq) WHERE status <> 'closed';

CREATE OR REPLACE VIEW v_completeness AS
SELECT i.market_id, i.symbol, c.day, lower(c.seqs) AS first_seq, upper(c.seqs) - 1 AS last_seq,
       stored.n + holes.n AS expected, stored.n AS stored, healed.n AS healed, holes.n AS missing,
       CASE WHEN holes.n > 0 THEN coalesce((
         SELECT string_agg(DISTINCT g.reason, '; ') FROM data_gaps g
         WHERE g.instrument_id = c.instrument_id AND g.to_seq >= lower(holes.seqs) AND g.from_seq < upper(holes.seqs)
           AND g.status <> 'closed' AND int8range(g.from_seq, g.to_seq, '[]') && holes.seqs
       ), 'hole between stored trades') END AS why,
       coalesce(holes.seqs, '{}') AS missing_seqs
FROM trade_coverage c
JOIN instruments i USING (instrument_id)
-- The day next to this one first: a search for the nearest one reads all index entries of the instrument that share its page.
CROSS JOIN LATERAL (SELECT
  coalesce(
    (SELECT upper(seqs) FROM trade_coverage WHERE instrument_id = c.instrument_id AND day = c.day - 1 AND NOT isempty(seqs)),
    (SELECT upper(seqs) FROM trade_coverage WHERE instrument_id = c.instrument_id AND day < c.day - 1 AND NOT isempty(seqs)
     ORDER BY day DESC LIMIT 1)) AS before,
  coalesce(
    (SELECT seqs FROM trade_coverage WHERE instrument_id = c.instrument_id AND day = c.day + 1 AND NOT isempty(seqs)),
    (SELECT seqs FROM trade_coverage WHERE instrument_id = c.instrument_id AND day > c.day + 1 AND NOT isempty(seqs)
     ORDER BY day LIMIT 1), '{}') AS after
) AS near
CROSS JOIN LATERAL (SELECT sum(upper(r) - lower(r))::int8 AS n FROM unnest(c.seqs) AS r) AS stored
-- A day begins behind what the day before holds. What the next day holds of its numbers (trades of one moment, at midnight) is not
-- missing.
CROSS JOIN LATERAL (
  SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 AS n, range_agg(r) AS seqs
  FROM unnest(int8multirange(int8range(least(coalesce(near.before, lower(c.seqs)), upper(c.seqs)), upper(c.seqs)))
              - c.seqs - near.after) AS r
) AS holes
CROSS JOIN LATERAL (SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 AS n FROM unnest(c.healed * c.seqs) AS r) AS healed
WHERE NOT isempty(c.seqs);

COMMENT ON VIEW v_completeness IS 'How complete the trades are: a row per instrument and UTC day on which anything is stored.
All counts are of the exchange''s sequence numbers; for aggregates that is more than rows, because one row covers seq..seq_last.
expected: the numbers that belong to the day: stored + missing.
stored: the numbers whose trades are stored under this day.
healed: those of the stored numbers that were missing in a gap and were fetched. What came by the stream after all, late or from
  another receiver, is not among them; a number inside several gaps counts once.
missing: numbers between the first and the last stored one of the day that are not stored, and those between the last number of the
  stored day before and the first of this day. What the next stored day holds of them is not missing. What is missing before the
  first or behind the last stored number of an instrument cannot be seen here; data_gaps may tell of it.
why: reasons of the gaps not closed that touch the missing numbers, else "hole between stored trades"; null when nothing is missing.';
COMMENT ON COLUMN v_completeness.first_seq IS 'Lowest number stored under this day';
COMMENT ON COLUMN v_completeness.last_seq IS 'Highest number stored under this day';
COMMENT ON COLUMN v_completeness.expected IS 'Numbers that belong to this day: stored + missing';
COMMENT ON COLUMN v_completeness.stored IS 'Numbers stored under this day';
COMMENT ON COLUMN v_completeness.healed IS 'Stored numbers that were missing in a gap and were fetched';
COMMENT ON COLUMN v_completeness.missing IS 'expected - stored, a hole in front of the day''s first number included';
COMMENT ON COLUMN v_completeness.why IS 'Reasons of the gaps not closed that touch the missing numbers; null when nothing is missing';
COMMENT ON COLUMN v_completeness.missing_seqs IS 'The missing numbers themselves';

-- 0012_trading
CREATE TABLE orders (
  order_id          int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  label             text NOT NULL UNIQUE CHECK (length(label) BETWEEN 1 AND 64),
  signal_id         text UNIQUE,
  account           text NOT NULL,
  strategy          text NOT NULL,
  origin            text NOT NULL CHECK (origin IN ('own', 'external')),
  market_id         text NOT NULL,
  symbol            text NOT NULL,
  instrument_id     int4 REFERENCES instruments,
  side              text NOT NULL CHECK (side IN ('buy', 'sell')),
  amount            numeric NOT NULL CHECK (amount > 0),
  order_type        text NOT NULL,
  price             numeric,
  time_in_force     text,
  post_only         bool NOT NULL DEFAULT false,
  reduce_only       bool NOT NULL DEFAULT false,
  state             text NOT NULL CHECK (state IN
    ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'UNKNOWN', 'ABANDONED')),
  version           int4 NOT NULL DEFAULT 1,
  cancel_state      text CHECK (cancel_state IN ('REQUESTED', 'SENDING', 'UNKNOWN')),
  exchange_order_id text,
  filled_amount     numeric NOT NULL DEFAULT 0,
  average_price     numeric,
  code              text,
  reason            text,
  lookups           int4 NOT NULL DEFAULT 0,
  epoch             int8 NOT NULL,
  created_at        timestamptz NOT NULL,
  sent_at           timestamptz,
  valid_until       timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  CONSTRAINT orders_exchange_key UNIQUE (account, exchange_order_id)
);
CREATE INDEX orders_live_idx ON orders (account, state) WHERE state IN ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN');
CREATE INDEX orders_created_idx ON orders (created_at);
COMMENT ON TABLE orders IS 'Every intent and what became of it; external: made by somebody else on our account';
COMMENT ON COLUMN orders.amount IS 'In the instrument''s amount_unit';
COMMENT ON COLUMN orders.lookups IS 'Look-ups after valid_until that did not find it; two make ABANDONED';

CREATE TABLE order_events (
  order_id   int8 NOT NULL REFERENCES orders,
  version    int4 NOT NULL,
  at         timestamptz NOT NULL,
  from_state text,
  to_state   text NOT NULL,
  event      text NOT NULL,
  detail     jsonb,
  PRIMARY KEY (order_id, version)
);
COMMENT ON TABLE order_events IS 'Every change of an order, one per version; append only';

CREATE TABLE fills (
  account           text NOT NULL,
  trade_id          text NOT NULL,
  order_id          int8 REFERENCES orders,
  exchange_order_id text NOT NULL,
  market_id         text NOT NULL,
  symbol            text NOT NULL,
  ts                timestamptz NOT NULL,
  seq               int8,
  side              text NOT NULL CHECK (side IN ('buy', 'sell')),
  price             numeric NOT NULL,
  amount            numeric NOT NULL CHECK (amount > 0),
  liquidity         text NOT NULL CHECK (liquidity IN ('maker', 'taker')),
  fee               numeric NOT NULL,
  fee_currency      text NOT NULL,
  kind              text NOT NULL CHECK (kind IN ('trade', 'liquidation', 'settlement', 'delivery')),
  source            text NOT NULL CHECK (source IN ('response', 'stream', 'rest', 'transaction_log')),
  recorded_at       timestamptz NOT NULL,
  PRIMARY KEY (account, trade_id)
);
CREATE INDEX fills_order_idx ON fills (order_id);
CREATE INDEX fills_ts_idx ON fills (account, ts);
COMMENT ON TABLE fills IS 'Our own trades, each once; side is ours, a positive fee is a cost';

CREATE TABLE positions (
  account       text NOT NULL,
  market_id     text NOT NULL,
  symbol        text NOT NULL,
  amount        numeric NOT NULL,
  cost          numeric NOT NULL,
  average_price numeric,
  realised      numeric NOT NULL,
  fees          numeric NOT NULL,
  funding       numeric NOT NULL,
  settle        text,
  updated_at    timestamptz NOT NULL,
  PRIMARY KEY (account, market_id, symbol)
);
COMMENT ON TABLE positions IS 'Derived from fills, written in the transaction that records them; signed, in the amount unit';

CREATE TABLE account_log (
  account    text NOT NULL,
  log_id     text NOT NULL,
  ts         timestamptz NOT NULL,
  currency   text NOT NULL,
  type       text NOT NULL,
  symbol     text,
  trade_id   text,
  change     numeric NOT NULL,
  balance    numeric,
  commission numeric,
  raw        jsonb NOT NULL,
  PRIMARY KEY (account, log_id)
);
CREATE INDEX account_log_ts_idx ON account_log (account, currency, ts);
COMMENT ON TABLE account_log IS 'The exchange''s transaction log, row by row';

CREATE TABLE trading_cases (
  case_id    int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    text NOT NULL,
  kind       text NOT NULL,
  market_id  text,
  symbol     text,
  ours       jsonb NOT NULL,
  theirs     jsonb NOT NULL,
  evidence   jsonb NOT NULL,
  status     text NOT NULL CHECK (status IN ('open', 'healed', 'locked', 'closed')),
  decision   text,
  attempts   int4 NOT NULL DEFAULT 0,
  opened_at  timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  closed_at  timestamptz
);
CREATE UNIQUE INDEX trading_cases_open_key ON trading_cases (account, kind, market_id, symbol) NULLS NOT DISTINCT
  WHERE status IN ('open', 'locked');
COMMENT ON TABLE trading_cases IS 'Disagreements with the exchange: both views, the evidence and the decision';

CREATE TABLE risk_refusals (
  refusal_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL,
  account    text NOT NULL,
  signal_id  text,
  strategy   text,
  market_id  text,
  symbol     text,
  code       text NOT NULL,
  reason     text NOT NULL,
  signal     jsonb NOT NULL
);
CREATE INDEX risk_refusals_at_idx ON risk_refusals (at);
COMMENT ON TABLE risk_refusals IS 'Signals that were not sent, and which check refused them; append only';

CREATE TABLE trading_flags (
  name   text PRIMARY KEY,
  value  text NOT NULL,
  at     timestamptz NOT NULL DEFAULT now(),
  by     text NOT NULL,
  reason text
);
COMMENT ON TABLE trading_flags IS 'kill_switch = on stops all sending; live_trading = <account> is the second key of live mode';

CREATE TABLE equity_marks (
  account  text NOT NULL,
  currency text NOT NULL,
  day      date NOT NULL,
  equity   numeric NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (account, currency, day)
);
COMMENT ON TABLE equity_marks IS 'Equity at the first look of each UTC day: what the daily loss limit counts from';

-- Fencing token of executors: a later one stands above all earlier ones.
CREATE SEQUENCE executor_epoch;

CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE ON order_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fills_append_only BEFORE UPDATE OR DELETE ON fills EXECUTE FUNCTION refuse_change();
CREATE TRIGGER risk_refusals_append_only BEFORE UPDATE OR DELETE ON risk_refusals EXECUTE FUNCTION refuse_change();

-- 0013_service_roles
DO $$
DECLARE
  service text;
BEGIN
  FOREACH service IN ARRAY ARRAY['distributor', 'analyzer', 'backfill', 'executor', 'governor', 'maintenance', 'console', 'operator'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'tk_' || service);
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', 'tk_' || service);
    EXCEPTION
      -- Another database of this server is being migrated too.
      WHEN duplicate_object OR unique_violation THEN NULL;
      WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'role tk_% is missing and % may not make it: have an administrator run the logins.sql of `npm run secrets` first', service, current_user
          USING ERRCODE = 'insufficient_privilege';
    END;
  END LOOP;
END $$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;
-- Every service asks whether the schema is its build's.
GRANT SELECT ON pgmigrations TO
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;

GRANT SELECT, INSERT ON public_trades, tickers TO tk_distributor;
GRANT SELECT, INSERT, UPDATE ON trade_coverage, trade_extent, ohlc TO tk_distributor;
GRANT SELECT, INSERT ON instruments, data_gaps TO tk_distributor;

GRANT SELECT ON instruments, v_instruments, public_trades, ohlc, tickers, trade_coverage, data_gaps, v_completeness TO tk_analyzer;

GRANT SELECT, INSERT ON public_trades TO tk_backfill;
GRANT SELECT, INSERT, UPDATE ON trade_coverage, trade_extent, ohlc, backfill_jobs TO tk_backfill;
GRANT SELECT, UPDATE ON data_gaps TO tk_backfill;
GRANT SELECT ON instruments TO tk_backfill;

GRANT SELECT, INSERT, UPDATE ON orders, positions, trading_cases TO tk_executor;
GRANT SELECT, INSERT ON order_events, fills, account_log, risk_refusals, equity_marks, state_log TO tk_executor;
GRANT SELECT, INSERT, UPDATE ON trading_flags TO tk_executor;
GRANT SELECT ON instruments, v_instruments, public_trades, ohlc, tickers, trade_coverage, data_gaps TO tk_executor;
GRANT USAGE, SELECT ON SEQUENCE executor_epoch TO tk_executor;

GRANT SELECT, INSERT, UPDATE ON instruments, ohlc, data_gaps, audit_runs, audit_findings TO tk_governor;
GRANT SELECT, INSERT ON state_log, operator_actions TO tk_governor;
GRANT SELECT ON v_instruments, public_trades, trade_coverage, trade_extent, backfill_jobs, v_completeness TO tk_governor;

GRANT SELECT, UPDATE ON instruments TO tk_maintenance;
GRANT SELECT, INSERT ON state_log, operator_actions TO tk_maintenance;
GRANT SELECT ON data_gaps, trade_coverage TO tk_maintenance;
-- VACUUM and ANALYZE, and no look at what is in there.
GRANT MAINTAIN ON public_trades, tickers, ohlc, trade_coverage, trade_extent, instruments TO tk_maintenance;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO tk_console, tk_operator;
GRANT SELECT ON SEQUENCE executor_epoch TO tk_console, tk_operator;
GRANT INSERT ON state_log, operator_actions TO tk_operator;
GRANT INSERT, UPDATE ON trading_flags TO tk_operator;

-- The executor may stop everything, and let go of nothing: what starts trading is an operator's.
ALTER TABLE trading_flags ENABLE ROW LEVEL SECURITY;
CREATE POLICY trading_flags_read ON trading_flags FOR SELECT USING (true);
CREATE POLICY trading_flags_stop ON trading_flags FOR INSERT TO tk_executor WITH CHECK (name = 'kill_switch' AND value = 'on');
CREATE POLICY trading_flags_stop_again ON trading_flags FOR UPDATE TO tk_executor
  USING (name = 'kill_switch') WITH CHECK (name = 'kill_switch' AND value = 'on');
CREATE POLICY trading_flags_operate ON trading_flags TO tk_operator USING (true) WITH CHECK (true);

-- A partition is a table of its own: who writes straight into one needs the parent's rights on it too.
CREATE FUNCTION copy_table_rights(parent text, child text) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
  r record;
BEGIN
  FOR r IN
    SELECT a.grantee::regrole::text AS role, string_agg(a.privilege_type, ', ') AS rights
    FROM pg_class c, aclexplode(c.relacl) AS a
    WHERE c.oid = to_regclass(quote_ident(parent)) AND a.grantee <> 0 AND a.grantee <> c.relowner GROUP BY 1
  LOOP
    EXECUTE format('GRANT %s ON %I TO %s', r.rights, child, r.role);
  END LOOP;
END $$;

DO $$
DECLARE
  r record;
BEGIN
  FOR r IN SELECT p.relname AS parent, c.relname AS child FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid
    WHERE p.relname IN ('public_trades', 'tickers') AND c.relkind = 'r'
  LOOP
    PERFORM copy_table_rights(r.parent, r.child);
  END LOOP;
END $$;

-- As before (0002), but with the owner's rights, for these two tables only: services make partitions and own none.
CREATE OR REPLACE FUNCTION ensure_day_partitions(parent text, from_day date, until_day date) RETURNS int
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
  d        date := from_day;
  child    text;
  spare    text := parent || '_default';
  starts   timestamptz;
  ends     timestamptz;
  made     int := 0;
BEGIN
  IF parent NOT IN ('public_trades', 'tickers') THEN
    RAISE EXCEPTION 'ensure_day_partitions: % has no day partitions', parent USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF until_day - from_day > 4000 THEN
    RAISE EXCEPTION 'ensure_day_partitions: % days at once', until_day - from_day USING ERRCODE = 'program_limit_exceeded';
  END IF;
  -- Two makers at once would collide on the table's name.
  PERFORM pg_advisory_xact_lock(hashtext('ensure_day_partitions'), hashtext(parent));
  WHILE d <= until_day LOOP
    child := parent || to_char(d, '"_p"YYYYMMDD');
    starts := d::timestamptz;
    ends := (d + 1)::timestamptz;
    IF to_regclass(quote_ident(child)) IS NULL THEN
      EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', spare);
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', child, parent);
      PERFORM copy_table_rights(parent, child);
      EXECUTE format('WITH moved AS (DELETE FROM %I WHERE ts >= %L AND ts < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                     spare, starts, ends, child);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child, starts, ends);
      made := made + 1;
    END IF;
    d := d + 1;
  END LOOP;
  RETURN made;
END $$;

-- Drops the partition of one day with the owner's rights; false when there is none.
CREATE FUNCTION drop_day_partition(parent text, of_day date) RETURNS bool
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
  child text := parent || to_char(of_day, '"_p"YYYYMMDD');
BEGIN
  IF parent NOT IN ('public_trades', 'tickers') THEN
    RAISE EXCEPTION 'drop_day_partition: % has no day partitions', parent USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = to_regclass(parent) AND inhrelid = to_regclass(child)) THEN RETURN false; END IF;
  EXECUTE format('DROP TABLE %I', child);
  RETURN true;
END $$;
COMMENT ON FUNCTION drop_day_partition IS 'Drops one UTC day of a table, with all its rows';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_day_partitions(text, date, date) TO tk_distributor, tk_backfill, tk_governor, tk_maintenance;
GRANT EXECUTE ON FUNCTION drop_day_partition(text, date) TO tk_maintenance;
GRANT EXECUTE ON FUNCTION stop_stored_already() TO tk_distributor, tk_backfill;
GRANT EXECUTE ON FUNCTION loosen_seqs(int8multirange) TO tk_distributor, tk_backfill, tk_governor;

-- 0014_operator_cases
GRANT UPDATE (status, decision, updated_at, closed_at) ON trading_cases TO tk_operator;

-- 0015_own_trades
-- Nobody has written it so far. Numbers of rows may count by currency.
ALTER TABLE account_log
  ADD COLUMN market_id         text NOT NULL,
  ADD COLUMN exchange_order_id text,
  ADD COLUMN side              text CHECK (side IN ('buy', 'sell')),
  ADD COLUMN price             numeric,
  ADD COLUMN amount            numeric,
  ADD COLUMN liquidity         text CHECK (liquidity IN ('maker', 'taker')),
  ADD COLUMN funding           numeric,
  DROP CONSTRAINT account_log_pkey,
  ADD PRIMARY KEY (account, currency, log_id);
CREATE INDEX account_log_trade_idx ON account_log (account, trade_id) WHERE trade_id IS NOT NULL;
CREATE TRIGGER account_log_append_only BEFORE UPDATE OR DELETE ON account_log EXECUTE FUNCTION refuse_change();
COMMENT ON COLUMN account_log.side IS 'Ours: what was bought or sold; of a delivery, what closes the position';
COMMENT ON COLUMN account_log.funding IS 'Of the session that the row settles, received above zero; null: the row settles none';

CREATE TABLE account_log_reads (
  account   text NOT NULL,
  market_id text NOT NULL,
  through   timestamptz NOT NULL,
  PRIMARY KEY (account, market_id)
);
COMMENT ON TABLE account_log_reads IS 'What the exchange told of before this time is in account_log';

-- A fill moves the position in the transaction that takes its row away here: never lost, never counted twice.
CREATE TABLE fills_to_book (
  account  text NOT NULL,
  trade_id text NOT NULL,
  PRIMARY KEY (account, trade_id),
  FOREIGN KEY (account, trade_id) REFERENCES fills
);
COMMENT ON TABLE fills_to_book IS 'Fills that an audit inserted and the executor has not booked yet';

ALTER TABLE fills DROP CONSTRAINT fills_source_check,
  ADD CONSTRAINT fills_source_check CHECK (source IN ('response', 'stream', 'rest', 'transaction_log', 'audit'));
ALTER TABLE audit_findings DROP CONSTRAINT audit_findings_kind_check,
  ADD CONSTRAINT audit_findings_kind_check CHECK (kind IN (
    'candle_missing', 'candle_differs', 'candle_unknown', 'trades_differ', 'trades_missing', 'own_trade_missing', 'own_trade_differs', 'own_trade_unknown'));

GRANT SELECT, INSERT, UPDATE ON account_log_reads TO tk_executor;
GRANT SELECT, DELETE ON fills_to_book TO tk_executor;
GRANT SELECT ON orders, account_log, account_log_reads TO tk_governor;
GRANT SELECT, INSERT ON fills, fills_to_book TO tk_governor;
GRANT SELECT ON account_log_reads, fills_to_book TO tk_console, tk_operator;

-- 0016_position_versions
ALTER TABLE positions ADD COLUMN version bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN positions.version IS 'Counts every write of the row';

INSERT INTO pgmigrations (name, run_on) VALUES
  ('0001_instruments', now()),
  ('0002_day_partitions', now()),
  ('0003_public_trades', now()),
  ('0004_candles_tickers', now()),
  ('0005_gaps_and_audit', now()),
  ('0006_stored_already', now()),
  ('0007_backfill_jobs', now()),
  ('0008_completeness', now()),
  ('0009_audits', now()),
  ('0010_trade_extent', now()),
  ('0011_healed', now()),
  ('0012_trading', now()),
  ('0013_service_roles', now()),
  ('0014_operator_cases', now()),
  ('0015_own_trades', now()),
  ('0016_position_versions', now());

COMMIT;
