-- What is recorded: one row per instrument of a market. Rows are never deleted; everything else refers to them by number.
-- Up Migration

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

-- Down Migration

DROP VIEW v_instruments;
DROP TABLE instruments;
