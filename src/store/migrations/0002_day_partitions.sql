-- Day partitions, made ahead. A row beyond them lands in the default partition and is moved when its day is made.
-- Up Migration

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

-- Down Migration

DROP FUNCTION ensure_day_partitions(text, date, date);
