// How complete the trades are: what v_completeness says, what data_gaps says of it, and what only data_gaps can know.
import { withTransaction, type Client, type Pool } from './connect.ts';
import { parseMultirange } from './coverage.ts';
import type { SeqRange } from './trade_plan.ts';

/** What to look at; null stands for all. Days are `YYYY-MM-DD`, UTC, both included. */
export interface Scope {
  readonly marketId: string | null;
  readonly symbol: string | null;
  readonly from: string;
  readonly to: string;
}

/** A row of v_completeness; the view's comment says what each figure means. */
export interface DayCompleteness {
  readonly marketId: string;
  readonly symbol: string;
  readonly day: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly expected: number;
  readonly stored: number;
  readonly healed: number;
  readonly missing: number;
  readonly why: string | null;
  readonly missingSeqs: SeqRange[];
}

/** A gap as far as completeness is concerned with it. */
export interface ToldGap {
  readonly marketId: string;
  readonly symbol: string;
  readonly from: number;
  readonly to: number;
  readonly status: string;
  readonly reason: string;
}

/** A gap that v_completeness cannot place; `seqs` is null where only its times are known (ISO 8601, UTC). */
export interface StrayGap {
  readonly marketId: string;
  readonly symbol: string;
  readonly day: string;
  readonly seqs: SeqRange[] | null;
  readonly fromTs: string | null;
  readonly toTs: string | null;
  readonly status: string;
  readonly reason: string;
}

const IN_SCOPE = '($1::text IS NULL OR i.market_id = $1) AND ($2::text IS NULL OR i.symbol = $2)';
const ISO = `'YYYY-MM-DD"T"HH24:MI:SS"Z"'`;

type Db = Pick<Client, 'query'>;
type Row<Name extends string> = Record<Name, string>;
type DayRow = Row<'market_id' | 'symbol' | 'day' | 'first_seq' | 'last_seq' | 'expected' | 'stored' | 'healed' | 'missing' | 'missing_seqs'>
  & { why: string | null };

/** Lets several questions look at the same moment: gaps close while one asks. */
export function atOneMoment<T>(pool: Pool, ask: (db: Db) => Promise<T>): Promise<T> {
  return withTransaction(pool, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const answer = await ask(client);
    await client.query('COMMIT');
    return answer;
  });
}

/** Days of the scope on which anything is stored, by market, symbol and day. */
export async function readCompleteness(db: Db, { marketId, symbol, from, to }: Scope): Promise<DayCompleteness[]> {
  const { rows } = await db.query<DayRow>(
    `SELECT i.*, i.missing_seqs::text AS missing_seqs FROM v_completeness i
     WHERE ${IN_SCOPE} AND i.day BETWEEN $3::date AND $4::date ORDER BY i.market_id, i.symbol, i.day`, [marketId, symbol, from, to]);
  return rows.map((row) => ({
    marketId: row.market_id, symbol: row.symbol, day: row.day, firstSeq: Number(row.first_seq), lastSeq: Number(row.last_seq),
    expected: Number(row.expected), stored: Number(row.stored), healed: Number(row.healed), missing: Number(row.missing), why: row.why,
    missingSeqs: parseMultirange(row.missing_seqs),
  }));
}

/** Days of the scope whose trades (of the instrument, or of any) were stored, and dropped by retention since. `YYYY-MM-DD`, in order. */
export async function droppedDays(db: Db, { from, to }: Pick<Scope, 'from' | 'to'>, instrumentId: number | null = null): Promise<string[]> {
  const { rows } = await db.query<{ day: string }>(
    `SELECT DISTINCT detail->>'day' AS day FROM operator_actions
     WHERE action = 'drop_partition' AND detail->>'table' = 'public_trades' AND detail->>'day' BETWEEN $1 AND $2
       AND to_regclass('public_trades_p' || replace(detail->>'day', '-', '')) IS NULL
       AND ($3::int IS NULL OR EXISTS (SELECT FROM trade_coverage c
         WHERE c.instrument_id = $3 AND c.day = (detail->>'day')::date AND NOT isempty(c.seqs)))
     ORDER BY day`, [from, to, instrumentId]);
  return rows.map(({ day }) => day);
}

/** The gaps that touch missing numbers of `days`, those that still wait for something first. */
export async function gapsOfMissing(db: Db, days: readonly DayCompleteness[]): Promise<ToldGap[]> {
  const runs = days.flatMap((day) => day.missingSeqs.map((seqs) => ({ day, seqs })));
  if (runs.length === 0) return [];
  const { rows } = await db.query<Row<'market_id' | 'symbol' | 'from_seq' | 'to_seq' | 'status' | 'reason'>>(
    `SELECT DISTINCT g.gap_id, i.market_id, i.symbol, g.from_seq, g.to_seq, g.status, g.reason,
       array_position('{open,healing,unfillable,closed}', g.status) AS rank
     FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) AS u(market_id, symbol, f, t)
     JOIN instruments i USING (market_id, symbol)
     JOIN data_gaps g ON g.instrument_id = i.instrument_id AND g.from_seq <= u.t AND g.to_seq >= u.f
     ORDER BY rank, g.gap_id`,
    [runs.map(({ day }) => day.marketId), runs.map(({ day }) => day.symbol), runs.map(({ seqs }) => seqs[0]), runs.map(({ seqs }) => seqs[1])]);
  return rows.map((row) => ({
    marketId: row.market_id, symbol: row.symbol, from: Number(row.from_seq), to: Number(row.to_seq), status: row.status, reason: row.reason,
  }));
}

/**
 * Gaps not closed that lie outside everything stored of their instrument, by the day they were noticed on, and gaps known by
 * their times alone that meet the days of the scope.
 */
export async function strayGaps(db: Db, { marketId, symbol, from, to }: Scope): Promise<StrayGap[]> {
  const { rows } = await db.query<Row<'market_id' | 'symbol' | 'day' | 'status' | 'reason'> & Record<'seqs' | 'from_ts' | 'to_ts', string | null>>(
    `SELECT i.market_id, i.symbol, coalesce(g.from_ts, g.detected_at)::date AS day, s.seqs::text AS seqs,
       to_char(g.from_ts, ${ISO}) AS from_ts, to_char(g.to_ts, ${ISO}) AS to_ts, g.status, g.reason
     FROM data_gaps g JOIN instruments i USING (instrument_id)
     CROSS JOIN LATERAL (
       SELECT int8multirange(int8range(g.from_seq, g.to_seq, '[]'))
         - coalesce(int8multirange(range_merge(range_agg(c.seqs))), '{}') AS seqs
       FROM trade_coverage c WHERE c.instrument_id = g.instrument_id AND NOT isempty(c.seqs) HAVING g.from_seq IS NOT NULL
       UNION ALL SELECT NULL WHERE g.from_seq IS NULL
     ) AS s
     WHERE ${IN_SCOPE} AND g.status <> 'closed' AND (s.seqs IS NULL OR NOT isempty(s.seqs))
       AND coalesce(g.to_ts, g.detected_at) >= $3::date AND coalesce(g.from_ts, g.detected_at) < $4::date + 1
     ORDER BY i.market_id, i.symbol, g.gap_id`, [marketId, symbol, from, to]);
  return rows.map((row) => ({
    marketId: row.market_id, symbol: row.symbol, day: row.day, seqs: row.seqs === null ? null : parseMultirange(row.seqs),
    fromTs: row.from_ts, toTs: row.to_ts, status: row.status, reason: row.reason,
  }));
}

/** An instrument of the scope. */
export interface ScopeInstrument {
  readonly instrumentId: number;
  readonly marketId: string;
  readonly symbol: string;
  /** Unit of candle volumes, and of trade amounts; null where the exchange's list has not told yet. */
  readonly base: string | null;
  readonly amountUnit: string | null;
  /** It can trade now, and trades of it are stored on some day. */
  readonly recorded: boolean;
}

/** All instruments of the scope, by market and symbol. */
export async function instrumentsOf(db: Db, { marketId, symbol }: Pick<Scope, 'marketId' | 'symbol'>): Promise<ScopeInstrument[]> {
  const { rows } = await db.query<ScopeInstrument>(
    `SELECT i.instrument_id AS "instrumentId", i.market_id AS "marketId", i.symbol, i.base, i.amount_unit AS "amountUnit",
       i.status IN ('open', 'stub') AND EXISTS (SELECT FROM trade_coverage c WHERE c.instrument_id = i.instrument_id) AS recorded
     FROM instruments i WHERE ${IN_SCOPE} ORDER BY i.market_id, i.symbol`, [marketId, symbol]);
  return rows;
}
