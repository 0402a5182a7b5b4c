-- The exchange's log in the books: what of it is a trade and what is funding, how far it was read, and fills that an audit found in it.
-- Up Migration

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

-- Down Migration

REVOKE ALL ON orders, fills, account_log FROM tk_governor;
DROP TABLE fills_to_book, account_log_reads;
DELETE FROM audit_findings WHERE kind IN ('own_trade_missing', 'own_trade_differs', 'own_trade_unknown');
ALTER TABLE audit_findings DROP CONSTRAINT audit_findings_kind_check,
  ADD CONSTRAINT audit_findings_kind_check CHECK (kind IN ('candle_missing', 'candle_differs', 'candle_unknown', 'trades_differ', 'trades_missing'));
-- A fill that an audit inserted stays a fill: it was told by the log.
ALTER TABLE fills DROP CONSTRAINT fills_source_check;
ALTER TABLE fills DISABLE TRIGGER fills_append_only;
UPDATE fills SET source = 'transaction_log' WHERE source = 'audit';
ALTER TABLE fills ENABLE TRIGGER fills_append_only;
ALTER TABLE fills ADD CONSTRAINT fills_source_check CHECK (source IN ('response', 'stream', 'rest', 'transaction_log'));
DROP TRIGGER account_log_append_only ON account_log;
DROP INDEX account_log_trade_idx;
ALTER TABLE account_log DROP CONSTRAINT account_log_pkey, ADD PRIMARY KEY (account, log_id),
  DROP COLUMN funding, DROP COLUMN liquidity, DROP COLUMN amount, DROP COLUMN price, DROP COLUMN side, DROP COLUMN exchange_order_id, DROP COLUMN market_id;
