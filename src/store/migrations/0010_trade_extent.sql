-- Which sequence numbers of an instrument may be stored on whatever day, in one row: trade_coverage is kept by day, and a trade
-- that comes again with a time of another day is found without looking at all of them. Locking the row also makes writers of
-- one instrument take turns whatever the days they write.
-- Up Migration

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

-- Down Migration

DROP TRIGGER trade_coverage_emptied ON trade_coverage;
DROP FUNCTION empty_trade_extent();
DROP TABLE trade_extent;
DROP FUNCTION loosen_seqs(int8multirange);
