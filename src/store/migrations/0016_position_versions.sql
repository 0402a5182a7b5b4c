-- News of a position may overtake each other between the commit and whoever keeps it in memory; the version tells, as that of orders.
-- Up Migration

ALTER TABLE positions ADD COLUMN version bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN positions.version IS 'Counts every write of the row';

-- Down Migration

ALTER TABLE positions DROP COLUMN version;
