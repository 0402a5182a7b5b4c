-- What is known to be missing, and who did what.
-- Up Migration

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

-- Down Migration

DROP TABLE operator_actions;
DROP TABLE state_log;
DROP FUNCTION refuse_change();
DROP TABLE data_gaps;
