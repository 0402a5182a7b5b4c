-- `npm run cases -- close` is the operator's: he ends a case with his word, and changes nothing of what was found.
-- Up Migration

GRANT UPDATE (status, decision, updated_at, closed_at) ON trading_cases TO tk_operator;

-- Down Migration

REVOKE UPDATE (status, decision, updated_at, closed_at) ON trading_cases FROM tk_operator;
