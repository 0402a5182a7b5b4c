// audit_runs and audit_findings: what audits compared, what they found, and what became of it.
import type { Client } from './connect.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

type Db = Pick<Client, 'query'>;

export type FindingKind =
  | 'candle_missing' | 'candle_differs' | 'candle_unknown' | 'trades_differ' | 'trades_missing'
  | 'own_trade_missing' | 'own_trade_differs' | 'own_trade_unknown';
export type FindingResolution = 'repaired' | 'queued' | 'explained' | 'unexplained';
export type AuditVerdict = 'good' | 'repairing' | 'unexplained' | 'failed';

/** One difference. Times are µs; `ours` and `theirs` hold the fields that differ, as decimal text. */
export interface AuditFinding {
  readonly marketId: string;
  readonly symbol: string;
  readonly instrumentId: number;
  readonly kind: FindingKind;
  /** Resolution of the candle, where it is about one. */
  readonly candle: string | null;
  readonly openTs: number | null;
  readonly fromSeq: number | null;
  readonly toSeq: number | null;
  readonly ours: Readonly<Record<string, string>> | null;
  readonly theirs: Readonly<Record<string, string>> | null;
  readonly resolution: FindingResolution;
  readonly detail: string;
}

export interface AuditRun {
  readonly exchange: string;
  readonly sinceMicros: number;
  readonly untilMicros: number;
  readonly askedAt: number;
  readonly by: string;
  readonly reason: string;
}

/** Whoever takes an interrupted run over begins a new one: this one is nobody's answer. */
const INTERRUPTED = 'interrupted';

/** Notes that a run begins; returns its number. A run of the exchange that never came to its end failed. */
export async function beginAudit(db: Db, { exchange, sinceMicros, untilMicros, askedAt, by, reason }: AuditRun): Promise<string> {
  await db.query(
    `UPDATE audit_runs SET ended_at = now(), verdict = 'failed', detail = '${INTERRUPTED}' WHERE exchange = $1 AND ended_at IS NULL`, [exchange]);
  const { rows } = await db.query<{ run_id: string }>(
    `INSERT INTO audit_runs (exchange, since, until, asked_at, asked_by, reason)
     VALUES ($1, ${timestampOf('$2::int8')}, ${timestampOf('$3::int8')}, ${timestampOf('$4::int8')}, $5, $6) RETURNING run_id`,
    [exchange, sinceMicros, untilMicros, askedAt, by, reason]);
  return rows[0]!.run_id;
}

const TYPES: ColumnTypes = {
  run_id: 'int8', exchange: 'text', market_id: 'text', symbol: 'text', instrument_id: 'int4', kind: 'text', candle: 'text', open_ts: 'micros',
  from_seq: 'int8', to_seq: 'int8', ours: 'jsonb', theirs: 'jsonb', resolution: 'text', detail: 'text', resolved_at: 'micros',
};
const INSERT = { name: 'insert_audit_findings', text: unnestInsert('audit_findings', TYPES, 'u.market_id, u.symbol, u.open_ts, u.from_seq', '') };

/** Stores findings of a run; those that are not `queued` or `unexplained` are resolved at `nowMicros`. */
export async function insertFindings(db: Db, runId: string, exchange: string, findings: readonly AuditFinding[], nowMicros: number): Promise<void> {
  if (findings.length === 0) return;
  const json = (value: object | null): string | null => (value === null ? null : JSON.stringify(value));
  const cell = (row: AuditFinding, column: string): Cell => {
    switch (column) {
      case 'run_id': return runId;
      case 'exchange': return exchange;
      case 'market_id': return row.marketId;
      case 'symbol': return row.symbol;
      case 'instrument_id': return row.instrumentId;
      case 'kind': return row.kind;
      case 'candle': return row.candle;
      case 'open_ts': return row.openTs;
      case 'from_seq': return row.fromSeq;
      case 'to_seq': return row.toSeq;
      case 'ours': return json(row.ours);
      case 'theirs': return json(row.theirs);
      case 'resolution': return row.resolution;
      case 'detail': return row.detail.slice(0, 500);
      default: return row.resolution === 'repaired' || row.resolution === 'explained' ? nowMicros : null;
    }
  };
  await db.query({ ...INSERT, values: columnArrays(TYPES, findings, cell) });
}

/** Notes how a run ended. */
export async function endAudit(db: Db, runId: string, verdict: AuditVerdict, compared: number, detail: string): Promise<void> {
  await db.query('UPDATE audit_runs SET ended_at = now(), verdict = $2, compared = $3, detail = $4 WHERE run_id = $1',
    [runId, verdict, compared, detail.slice(0, 1_000)]);
}

/** Differences of an exchange that are being repaired, and those of its last run that nobody can explain. */
export async function countFindings(db: Db, exchange: string): Promise<{ queued: number; unexplained: number }> {
  const { rows } = await db.query<{ queued: number; unexplained: number }>(
    `SELECT (SELECT count(*)::int FROM audit_findings WHERE exchange = $1 AND resolution = 'queued') AS queued,
       (SELECT count(*)::int FROM audit_findings WHERE resolution = 'unexplained'
         AND run_id = (SELECT max(run_id) FROM audit_runs WHERE exchange = $1 AND ended_at IS NOT NULL)) AS unexplained`, [exchange]);
  return rows[0] ?? { queued: 0, unexplained: 0 };
}

/**
 * Findings that waited for gaps which are settled by now: repaired where all of them were closed, explained where the exchange
 * does not have the trades. Returns how many.
 */
export async function settleFindings(db: Db): Promise<number> {
  const { rowCount } = await db.query(
    `UPDATE audit_findings f SET resolved_at = now(), resolution = CASE WHEN lost.n = 0 THEN 'repaired' ELSE 'explained' END,
       detail = CASE WHEN lost.n = 0 THEN f.detail ELSE left(f.detail || '; the exchange does not have them', 500) END
     FROM (
       SELECT q.finding_id, count(*) FILTER (WHERE g.status IN ('open', 'healing')) AS waiting, count(*) FILTER (WHERE g.status = 'unfillable') AS n
       FROM audit_findings q LEFT JOIN data_gaps g ON g.instrument_id = q.instrument_id AND g.from_seq <= q.to_seq AND g.to_seq >= q.from_seq
       WHERE q.resolution = 'queued' GROUP BY 1
     ) AS lost WHERE lost.finding_id = f.finding_id AND lost.waiting = 0`);
  return rowCount ?? 0;
}

/** Whether the last audit of an exchange, or its first state on record where there was none, is `hours` ago. */
export async function isAuditDue(db: Db, exchange: string, hours: number): Promise<boolean> {
  const { rows } = await db.query<{ due: boolean | null }>(
    `SELECT coalesce((SELECT max(started_at) FROM audit_runs WHERE exchange = $1), (SELECT min(at) FROM state_log WHERE exchange = $1))
       < now() - $2::int * interval '1 hour' AS due`, [exchange, hours]);
  return rows[0]?.due === true;
}

export interface EndedAudit {
  readonly runId: string;
  readonly verdict: AuditVerdict;
  readonly detail: string;
  readonly compared: number;
  /** ISO 8601, UTC. */
  readonly since: string;
  readonly until: string;
}

/**
 * The first run of an exchange that has ended and was asked for at `askedAt` (µs) or later; with null, that ended after `since`.
 * null while there is none.
 */
export async function findEndedAudit(db: Db, exchange: string, askedAt: number | null, since: number): Promise<EndedAudit | null> {
  const { rows } = await db.query<{ run_id: string; verdict: AuditVerdict; detail: string | null; compared: string; since: Date; until: Date }>(
    `SELECT run_id, verdict, detail, compared, since, until FROM audit_runs
     WHERE exchange = $1 AND CASE WHEN $2::int8 IS NULL THEN ended_at >= ${timestampOf('$3::int8')} ELSE asked_at >= ${timestampOf('$2::int8')} END
       AND ended_at IS NOT NULL AND detail IS DISTINCT FROM '${INTERRUPTED}' ORDER BY run_id LIMIT 1`, [exchange, askedAt, since]);
  const [row] = rows;
  return row === undefined ? null : {
    runId: row.run_id, verdict: row.verdict, detail: row.detail ?? '', compared: Number(row.compared),
    since: row.since.toISOString(), until: row.until.toISOString(),
  };
}

export interface StoredFinding extends Omit<AuditFinding, 'openTs' | 'instrumentId'> {
  /** ISO 8601, UTC. */
  readonly openTs: string | null;
}

/** The findings of a run, as they are by now. */
export async function loadFindings(db: Db, runId: string): Promise<StoredFinding[]> {
  const { rows } = await db.query<Omit<StoredFinding, 'fromSeq' | 'toSeq'> & { fromSeq: string | null; toSeq: string | null }>(
    `SELECT market_id AS "marketId", symbol, kind, candle, to_char(open_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "openTs",
       from_seq AS "fromSeq", to_seq AS "toSeq", ours, theirs, resolution, detail
     FROM audit_findings WHERE run_id = $1 ORDER BY market_id, symbol, open_ts, from_seq`, [runId]);
  const whole = (text: string | null): number | null => (text === null ? null : Number(text));
  return rows.map((row) => ({ ...row, fromSeq: whole(row.fromSeq), toSeq: whole(row.toSeq) }));
}
