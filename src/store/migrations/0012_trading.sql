-- Orders, fills and the books. The intent is written before the request; events are append only.
-- Up Migration

CREATE TABLE orders (
  order_id          int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  label             text NOT NULL UNIQUE CHECK (length(label) BETWEEN 1 AND 64),
  signal_id         text UNIQUE,
  account           text NOT NULL,
  strategy          text NOT NULL,
  origin            text NOT NULL CHECK (origin IN ('own', 'external')),
  market_id         text NOT NULL,
  symbol            text NOT NULL,
  instrument_id     int4 REFERENCES instruments,
  side              text NOT NULL CHECK (side IN ('buy', 'sell')),
  amount            numeric NOT NULL CHECK (amount > 0),
  order_type        text NOT NULL,
  price             numeric,
  time_in_force     text,
  post_only         bool NOT NULL DEFAULT false,
  reduce_only       bool NOT NULL DEFAULT false,
  state             text NOT NULL CHECK (state IN
    ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'FILLED', 'CANCELLED', 'REJECTED', 'EXPIRED', 'UNKNOWN', 'ABANDONED')),
  version           int4 NOT NULL DEFAULT 1,
  cancel_state      text CHECK (cancel_state IN ('REQUESTED', 'SENDING', 'UNKNOWN')),
  exchange_order_id text,
  filled_amount     numeric NOT NULL DEFAULT 0,
  average_price     numeric,
  code              text,
  reason            text,
  lookups           int4 NOT NULL DEFAULT 0,
  epoch             int8 NOT NULL,
  created_at        timestamptz NOT NULL,
  sent_at           timestamptz,
  valid_until       timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  CONSTRAINT orders_exchange_key UNIQUE (account, exchange_order_id)
);
CREATE INDEX orders_live_idx ON orders (account, state) WHERE state IN ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN');
CREATE INDEX orders_created_idx ON orders (created_at);
COMMENT ON TABLE orders IS 'Every intent and what became of it; external: made by somebody else on our account';
COMMENT ON COLUMN orders.amount IS 'In the instrument''s amount_unit';
COMMENT ON COLUMN orders.lookups IS 'Look-ups after valid_until that did not find it; two make ABANDONED';

CREATE TABLE order_events (
  order_id   int8 NOT NULL REFERENCES orders,
  version    int4 NOT NULL,
  at         timestamptz NOT NULL,
  from_state text,
  to_state   text NOT NULL,
  event      text NOT NULL,
  detail     jsonb,
  PRIMARY KEY (order_id, version)
);
COMMENT ON TABLE order_events IS 'Every change of an order, one per version; append only';

CREATE TABLE fills (
  account           text NOT NULL,
  trade_id          text NOT NULL,
  order_id          int8 REFERENCES orders,
  exchange_order_id text NOT NULL,
  market_id         text NOT NULL,
  symbol            text NOT NULL,
  ts                timestamptz NOT NULL,
  seq               int8,
  side              text NOT NULL CHECK (side IN ('buy', 'sell')),
  price             numeric NOT NULL,
  amount            numeric NOT NULL CHECK (amount > 0),
  liquidity         text NOT NULL CHECK (liquidity IN ('maker', 'taker')),
  fee               numeric NOT NULL,
  fee_currency      text NOT NULL,
  kind              text NOT NULL CHECK (kind IN ('trade', 'liquidation', 'settlement', 'delivery')),
  source            text NOT NULL CHECK (source IN ('response', 'stream', 'rest', 'transaction_log')),
  recorded_at       timestamptz NOT NULL,
  PRIMARY KEY (account, trade_id)
);
CREATE INDEX fills_order_idx ON fills (order_id);
CREATE INDEX fills_ts_idx ON fills (account, ts);
COMMENT ON TABLE fills IS 'Our own trades, each once; side is ours, a positive fee is a cost';

CREATE TABLE positions (
  account       text NOT NULL,
  market_id     text NOT NULL,
  symbol        text NOT NULL,
  amount        numeric NOT NULL,
  cost          numeric NOT NULL,
  average_price numeric,
  realised      numeric NOT NULL,
  fees          numeric NOT NULL,
  funding       numeric NOT NULL,
  settle        text,
  updated_at    timestamptz NOT NULL,
  PRIMARY KEY (account, market_id, symbol)
);
COMMENT ON TABLE positions IS 'Derived from fills, written in the transaction that records them; signed, in the amount unit';

CREATE TABLE account_log (
  account    text NOT NULL,
  log_id     text NOT NULL,
  ts         timestamptz NOT NULL,
  currency   text NOT NULL,
  type       text NOT NULL,
  symbol     text,
  trade_id   text,
  change     numeric NOT NULL,
  balance    numeric,
  commission numeric,
  raw        jsonb NOT NULL,
  PRIMARY KEY (account, log_id)
);
CREATE INDEX account_log_ts_idx ON account_log (account, currency, ts);
COMMENT ON TABLE account_log IS 'The exchange''s transaction log, row by row';

CREATE TABLE trading_cases (
  case_id    int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account    text NOT NULL,
  kind       text NOT NULL,
  market_id  text,
  symbol     text,
  ours       jsonb NOT NULL,
  theirs     jsonb NOT NULL,
  evidence   jsonb NOT NULL,
  status     text NOT NULL CHECK (status IN ('open', 'healed', 'locked', 'closed')),
  decision   text,
  attempts   int4 NOT NULL DEFAULT 0,
  opened_at  timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  closed_at  timestamptz
);
CREATE UNIQUE INDEX trading_cases_open_key ON trading_cases (account, kind, market_id, symbol) NULLS NOT DISTINCT
  WHERE status IN ('open', 'locked');
COMMENT ON TABLE trading_cases IS 'Disagreements with the exchange: both views, the evidence and the decision';

CREATE TABLE risk_refusals (
  refusal_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL,
  account    text NOT NULL,
  signal_id  text,
  strategy   text,
  market_id  text,
  symbol     text,
  code       text NOT NULL,
  reason     text NOT NULL,
  signal     jsonb NOT NULL
);
CREATE INDEX risk_refusals_at_idx ON risk_refusals (at);
COMMENT ON TABLE risk_refusals IS 'Signals that were not sent, and which check refused them; append only';

CREATE TABLE trading_flags (
  name   text PRIMARY KEY,
  value  text NOT NULL,
  at     timestamptz NOT NULL DEFAULT now(),
  by     text NOT NULL,
  reason text
);
COMMENT ON TABLE trading_flags IS 'kill_switch = on stops all sending; live_trading = <account> is the second key of live mode';

CREATE TABLE equity_marks (
  account  text NOT NULL,
  currency text NOT NULL,
  day      date NOT NULL,
  equity   numeric NOT NULL,
  at       timestamptz NOT NULL,
  PRIMARY KEY (account, currency, day)
);
COMMENT ON TABLE equity_marks IS 'Equity at the first look of each UTC day: what the daily loss limit counts from';

-- Fencing token of executors: a later one stands above all earlier ones.
CREATE SEQUENCE executor_epoch;

CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE ON order_events EXECUTE FUNCTION refuse_change();
CREATE TRIGGER fills_append_only BEFORE UPDATE OR DELETE ON fills EXECUTE FUNCTION refuse_change();
CREATE TRIGGER risk_refusals_append_only BEFORE UPDATE OR DELETE ON risk_refusals EXECUTE FUNCTION refuse_change();

-- Down Migration

DROP SEQUENCE executor_epoch;
DROP TABLE equity_marks, trading_flags, risk_refusals, trading_cases, account_log, positions, fills, order_events, orders;
