// Cases (disagreements with the exchange), refusals, flags and equity marks.
import type { CaseRecord, Refusal } from '../../core/trading/records.ts';
import type { Client } from '../connect.ts';
import { timestampOf } from '../unnest.ts';
import { CASE_COLUMNS, caseOf, decimal, type Row } from './rows.ts';

type Querier = Pick<Client, 'query'>;
type CaseRow = Row & { ours: unknown; theirs: unknown; evidence: unknown };
export type NewCase = Pick<CaseRecord, 'account' | 'kind' | 'marketId' | 'symbol' | 'ours' | 'theirs' | 'evidence'>;

/** Opens a case; the open one of the same account, kind and symbol gets the newest views and counts the attempt. */
export async function openCase(client: Querier, entry: NewCase, at: number): Promise<CaseRecord> {
  const { rows } = await client.query<CaseRow>(
    `INSERT INTO trading_cases AS c (account, kind, market_id, symbol, ours, theirs, evidence, status, attempts, opened_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', 1, ${timestampOf('$8::int8')}, ${timestampOf('$8::int8')})
     ON CONFLICT (account, kind, market_id, symbol) WHERE status IN ('open', 'locked') DO UPDATE SET
       ours = excluded.ours, theirs = excluded.theirs, evidence = excluded.evidence, attempts = c.attempts + 1, updated_at = excluded.updated_at
     RETURNING ${CASE_COLUMNS}`,
    [entry.account, entry.kind, entry.marketId, entry.symbol, JSON.stringify(entry.ours), JSON.stringify(entry.theirs), JSON.stringify(entry.evidence), at]);
  return caseOf(rows[0]!);
}

/** `locked` stays open for the operator; the others end it. */
export async function settleCase(client: Querier, caseId: string, status: 'healed' | 'locked' | 'closed', decision: string, at: number): Promise<void> {
  await client.query(
    `UPDATE trading_cases SET status = $2, decision = $3, updated_at = ${timestampOf('$4::int8')},
       closed_at = CASE WHEN $2 = 'locked' THEN NULL ELSE ${timestampOf('$4::int8')} END
     WHERE case_id = $1 AND status IN ('open', 'locked')`, [caseId, status, decision, at]);
}

/** Open and locked cases, oldest first. */
export async function selectOpenCases(client: Querier, account: string): Promise<CaseRecord[]> {
  const { rows } = await client.query<CaseRow>(
    `SELECT ${CASE_COLUMNS} FROM trading_cases WHERE account = $1 AND status IN ('open', 'locked') ORDER BY case_id`, [account]);
  return rows.map(caseOf);
}

export async function insertRefusal(client: Querier, refusal: Refusal): Promise<void> {
  await client.query(
    `INSERT INTO risk_refusals (at, account, signal_id, strategy, market_id, symbol, code, reason, signal)
     VALUES (${timestampOf('$1::int8')}, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [refusal.at, refusal.account, refusal.signalId, refusal.strategy, refusal.marketId, refusal.symbol, refusal.code, refusal.reason,
      JSON.stringify(refusal.signal)]);
}

export async function selectFlag(client: Querier, name: string): Promise<string | null> {
  const { rows } = await client.query<{ value: string }>('SELECT value FROM trading_flags WHERE name = $1', [name]);
  return rows[0]?.value ?? null;
}

export async function upsertFlag(client: Querier, name: string, value: string, by: string, reason: string, at: number): Promise<void> {
  await client.query(
    `INSERT INTO trading_flags (name, value, by, reason, at) VALUES ($1, $2, $3, $4, ${timestampOf('$5::int8')})
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, by = excluded.by, reason = excluded.reason, at = excluded.at`, [name, value, by, reason, at]);
}

/** The equity at the first look of the UTC day of `at` (µs); writes this one as the mark when there is none. */
export async function equityMark(client: Querier, account: string, currency: string, equity: string, at: number): Promise<string> {
  const { rows } = await client.query<{ equity: string }>(
    `WITH fresh AS (
       INSERT INTO equity_marks (account, currency, day, equity, at)
       VALUES ($1, $2, (${timestampOf('$4::int8')})::date, $3, ${timestampOf('$4::int8')}) ON CONFLICT DO NOTHING RETURNING equity)
     SELECT equity FROM fresh UNION ALL
     SELECT equity FROM equity_marks WHERE account = $1 AND currency = $2 AND day = (${timestampOf('$4::int8')})::date LIMIT 1`,
    [account, currency, equity, at]);
  return rows[0] === undefined ? equity : decimal(rows[0].equity);
}
