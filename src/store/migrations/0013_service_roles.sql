-- One role per service with the rights that its statements need, none of which owns anything. Roles belong to the whole server: they
-- are made here without a login where they are missing; a deployment gives them one (store/logins.ts). Receiver, guard and notifier have
-- no business in the database, and no role.
-- Up Migration

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

-- Down Migration

DROP FUNCTION drop_day_partition(text, date);
CREATE OR REPLACE FUNCTION ensure_day_partitions(parent text, from_day date, until_day date) RETURNS int
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
DROP FUNCTION copy_table_rights(text, text);
DROP POLICY trading_flags_operate ON trading_flags;
DROP POLICY trading_flags_stop_again ON trading_flags;
DROP POLICY trading_flags_stop ON trading_flags;
DROP POLICY trading_flags_read ON trading_flags;
ALTER TABLE trading_flags DISABLE ROW LEVEL SECURITY;
-- Other databases of this server may use the roles: they stay.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;
REVOKE ALL ON SCHEMA public FROM
  tk_distributor, tk_analyzer, tk_backfill, tk_executor, tk_governor, tk_maintenance, tk_console, tk_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
