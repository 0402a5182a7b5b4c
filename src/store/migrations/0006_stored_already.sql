-- Lets one statement stop a transaction whose next statements are on their way already (store/flight.ts).
-- Up Migration

CREATE FUNCTION stop_stored_already() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'trades of this batch are stored already' USING ERRCODE = 'TK001';
END $$;

COMMENT ON FUNCTION stop_stored_already IS 'Raises TK001: the batch has to be compared with what is stored';

-- Down Migration

DROP FUNCTION stop_stored_already();
