-- How far each candle job has come: written in the transaction of the page it speaks of, so that a worker that takes over
-- goes on where the dead one stopped. Trade jobs need none: trade_coverage says what is still missing.
-- Up Migration

CREATE TABLE backfill_jobs (
  job_id     text PRIMARY KEY,
  next_ts    timestamptz NOT NULL,
  rows       int8 NOT NULL,
  pages      int8 NOT NULL,
  done_at    timestamptz,
  updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE backfill_jobs IS 'Candle jobs: next_ts is the first open time not fetched yet';

-- Down Migration

DROP TABLE backfill_jobs;
