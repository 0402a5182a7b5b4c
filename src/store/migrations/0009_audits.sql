-- Historical audits: each run, and each difference between what is stored and what the exchange says, with what became of it.
-- Up Migration

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

-- Down Migration

DROP TABLE audit_findings;
DROP TABLE audit_runs;
