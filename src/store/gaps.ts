// data_gaps: what is known to be missing.
import type { FeedStatus } from '../contracts/index.ts';
import { dayText } from '../core/days.ts';
import type { Client } from './connect.ts';
import { multirange, parseMultirange } from './coverage.ts';
import type { SeqRange } from './trade_plan.ts';
import { columnArrays, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

export interface GapRow {
  readonly instrumentId: number;
  /** A feed_status of status `gap`. */
  readonly message: FeedStatus;
}

const TYPES: ColumnTypes = {
  instrument_id: 'int4', from_seq: 'int8', to_seq: 'int8', from_ts: 'micros', to_ts: 'micros', reason: 'text',
  detected_at: 'micros', expected: 'int8',
};
const INSERT = {
  name: 'insert_gaps',
  // A receiver beside another one, or killed just after its start, tells gaps of what the other has published: nothing is missing then.
  text: unnestInsert('data_gaps', TYPES, 'u.instrument_id, u.from_seq, u.from_ts', 'ON CONFLICT ON CONSTRAINT data_gaps_key DO NOTHING',
    `u.from_seq IS NULL OR NOT coalesce((SELECT range_agg(c.seqs) @> int8range(u.from_seq, u.to_seq, '[]') FROM trade_coverage c
       WHERE c.instrument_id = u.instrument_id AND c.seqs && int8range(u.from_seq, u.to_seq, '[]')), false)`),
};

/** Without sequence numbers the hole lies between the last time the exchange told and our noticing. */
function cell({ instrumentId, message }: GapRow, column: string): Cell {
  const { from_seq: from, to_seq: to } = message;
  const bySeq = from !== undefined && to !== undefined;
  switch (column) {
    case 'instrument_id':
      return instrumentId;
    case 'from_seq':
      return bySeq ? from : null;
    case 'to_seq':
      return bySeq ? to : null;
    case 'from_ts':
      return bySeq ? null : Math.min(message.exchange_ts, message.received_ts);
    case 'to_ts':
      return bySeq ? null : message.received_ts;
    case 'detected_at':
      return message.received_ts;
    case 'expected':
      return bySeq ? to - from + 1 : null;
    default:
      return message.reason;
  }
}

/**
 * Stores gaps as open; the same gap told again is the same row, whatever became of it, and one of which everything is stored is none.
 * Returns how many are new.
 */
export async function insertGaps(client: Client, rows: readonly GapRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { rowCount } = await client.query({ ...INSERT, values: columnArrays(TYPES, rows, cell) });
  return rowCount ?? 0;
}

/** A gap that can be healed by sequence numbers. */
export interface SeqGap {
  readonly gapId: string;
  readonly marketId: string;
  readonly symbol: string;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly reason: string;
}

/** Gaps to be healed, oldest first; those that were open are `healing` from now on. Any number of callers do no harm. */
export async function claimGaps(client: Pick<Client, 'query'>, limit: number): Promise<SeqGap[]> {
  const { rows } = await client.query<{ gap_id: string; market_id: string; symbol: string; from_seq: string; to_seq: string; reason: string }>(
    `WITH picked AS (
       SELECT gap_id FROM data_gaps WHERE status IN ('open', 'healing') AND from_seq IS NOT NULL ORDER BY detected_at, gap_id LIMIT $1
     ), opened AS (
       UPDATE data_gaps SET status = 'healing' WHERE gap_id IN (SELECT gap_id FROM picked) AND status = 'open'
     )
     SELECT g.gap_id, i.market_id, i.symbol, g.from_seq, g.to_seq, g.reason
     FROM data_gaps g JOIN picked USING (gap_id) JOIN instruments i USING (instrument_id) ORDER BY g.detected_at, g.gap_id`, [limit]);
  return rows.map((row) => ({
    gapId: row.gap_id, marketId: row.market_id, symbol: row.symbol, fromSeq: Number(row.from_seq), toSeq: Number(row.to_seq), reason: row.reason,
  }));
}

const COVERED = `coalesce((SELECT range_agg(c.seqs) FROM trade_coverage c WHERE c.instrument_id = $1 AND c.seqs && int8range($2, $3, '[]')), '{}')`;

/** Which of from..to (both included) are not stored, over all days. */
export async function missingRanges(client: Pick<Client, 'query'>, instrumentId: number, from: number, to: number): Promise<SeqRange[]> {
  const { rows } = await client.query<{ seqs: string }>(
    `SELECT (int8multirange(int8range($2, $3, '[]')) - ${COVERED})::text AS seqs`, [instrumentId, from, to]);
  return parseMultirange(rows[0]?.seqs ?? '{}');
}

/** The same of the unsettled gaps that lie inside from..to. */
export async function missingInGaps(client: Pick<Client, 'query'>, instrumentId: number, from: number, to: number): Promise<SeqRange[]> {
  const { rows } = await client.query<{ seqs: string }>(
    `SELECT (coalesce((SELECT range_agg(int8range(g.from_seq, g.to_seq, '[]')) FROM data_gaps g
       WHERE g.instrument_id = $1 AND g.status IN ('open', 'healing') AND g.from_seq >= $2 AND g.to_seq <= $3), '{}') - ${COVERED})::text AS seqs`,
    [instrumentId, from, to]);
  return parseMultirange(rows[0]?.seqs ?? '{}');
}

/**
 * Notes, in the transaction that stores them, what of the numbers `stored` under a day was `missing` in gaps: it is healed. A
 * number is healed once, however many gaps hold it.
 */
export async function markHealed(
  client: Pick<Client, 'query'>, instrumentId: number, day: number, stored: readonly SeqRange[], missing: readonly SeqRange[],
): Promise<void> {
  await client.query(
    `UPDATE trade_coverage SET healed = coalesce(healed, '{}') + $3::int8multirange * $4::int8multirange
     WHERE instrument_id = $1 AND day = $2 AND $3::int8multirange && $4::int8multirange`,
    [instrumentId, dayText(day), multirange(stored), multirange(missing)]);
}

export interface SettledGap {
  readonly gapId: string;
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly status: 'closed' | 'unfillable';
  readonly recovered: number;
}

/**
 * Settles, in the caller's transaction, the unsettled gaps inside from..to of which nothing is `missing`: closed. With `why` the
 * others, too: unfillable, with that reason beside their own.
 */
export async function settleGaps(
  client: Pick<Client, 'query'>, instrumentId: number, [from, to]: SeqRange, missing: readonly SeqRange[], why: string | null,
): Promise<SettledGap[]> {
  const { rows } = await client.query<{ gap_id: string; from_seq: string; to_seq: string; status: SettledGap['status']; recovered: string }>(
    `WITH judged AS (
       SELECT gap_id, (SELECT coalesce(sum(upper(r) - lower(r)), 0)
         FROM unnest(int8multirange(int8range(from_seq, to_seq, '[]')) * $4::int8multirange) AS r) AS lost
       FROM data_gaps WHERE instrument_id = $1 AND status IN ('open', 'healing') AND from_seq >= $2 AND to_seq <= $3
     )
     UPDATE data_gaps g SET status = CASE WHEN lost = 0 THEN 'closed' ELSE 'unfillable' END, closed_at = now(), recovered = expected - lost,
       reason = CASE WHEN lost = 0 THEN reason ELSE left(reason || '; ' || $5, 1000) END
     FROM judged j WHERE j.gap_id = g.gap_id AND (lost = 0 OR $5::text IS NOT NULL)
       -- Somebody else may have settled it since: then it is his.
       AND g.status IN ('open', 'healing')
     RETURNING g.gap_id, g.from_seq, g.to_seq, g.status, g.recovered`, [instrumentId, from, to, multirange(missing), why]);
  return rows.map((row) => ({
    gapId: row.gap_id, fromSeq: Number(row.from_seq), toSeq: Number(row.to_seq), status: row.status, recovered: Number(row.recovered),
  }));
}

/** A run of sequence numbers that lies between stored ones and that no gap tells of. */
export interface Hole {
  readonly instrumentId: number;
  readonly from: number;
  readonly to: number;
}

/** Holes in what is stored since `days` ago, within a day or across days, that data_gaps does not know; at most `limit`. */
export async function findHoles(client: Pick<Client, 'query'>, days: number, limit: number): Promise<Hole[]> {
  const { rows } = await client.query<{ instrument_id: number; from_seq: string; to_seq: string }>(
    `WITH stored AS (
       SELECT instrument_id, range_agg(seqs) AS seqs FROM trade_coverage
       WHERE day >= (now() AT TIME ZONE 'UTC')::date - $1::int GROUP BY instrument_id
     ), holed AS (
       SELECT instrument_id, int8multirange(int8range(lower(seqs), upper(seqs))) - seqs AS holes FROM stored WHERE NOT isempty(seqs)
     ), told AS (
       SELECT h.instrument_id, range_agg(int8range(g.from_seq, g.to_seq, '[]')) AS seqs
       FROM holed h JOIN data_gaps g ON g.instrument_id = h.instrument_id AND g.from_seq IS NOT NULL AND h.holes && int8range(g.from_seq, g.to_seq, '[]')
       WHERE NOT isempty(h.holes) GROUP BY 1
     )
     SELECT h.instrument_id, lower(r) AS from_seq, upper(r) - 1 AS to_seq
     FROM holed h LEFT JOIN told t USING (instrument_id), unnest(h.holes - coalesce(t.seqs, '{}')) AS r
     ORDER BY 1, 2 LIMIT $2`, [days, limit]);
  return rows.map((row) => ({ instrumentId: row.instrument_id, from: Number(row.from_seq), to: Number(row.to_seq) }));
}

/** Stores holes as open gaps; returns how many are new. */
export async function insertHoles(client: Pick<Client, 'query'>, holes: readonly Hole[], reason: string): Promise<number> {
  if (holes.length === 0) return 0;
  const { rowCount } = await client.query(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
     SELECT u.i, u.f, u.t, $4, now(), u.t - u.f + 1 FROM unnest($1::int4[], $2::int8[], $3::int8[]) AS u(i, f, t) ORDER BY 1, 2
     ON CONFLICT ON CONSTRAINT data_gaps_key DO NOTHING`,
    [holes.map((h) => h.instrumentId), holes.map((h) => h.from), holes.map((h) => h.to), reason]);
  return rowCount ?? 0;
}

/** A gap that is known by time alone: candles, or trades of a venue without sequence numbers. */
export interface TimeGap {
  readonly gapId: string;
  readonly marketId: string;
  readonly symbol: string;
  /** µs since the epoch. */
  readonly fromTs: number;
  readonly toTs: number;
}

/** Gaps by time that are over since `settleSeconds`, oldest first; those that were open are `healing` from now on. */
export async function claimTimeGaps(client: Pick<Client, 'query'>, settleSeconds: number, limit: number): Promise<TimeGap[]> {
  const { rows } = await client.query<{ gap_id: string; market_id: string; symbol: string; from_us: string; to_us: string }>(
    `WITH picked AS (
       SELECT gap_id FROM data_gaps WHERE status IN ('open', 'healing') AND from_seq IS NULL AND to_ts < now() - $1::int * interval '1 second'
       ORDER BY detected_at, gap_id LIMIT $2
     ), opened AS (
       UPDATE data_gaps SET status = 'healing' WHERE gap_id IN (SELECT gap_id FROM picked) AND status = 'open'
     )
     SELECT g.gap_id, i.market_id, i.symbol, (extract(epoch FROM g.from_ts) * 1000000)::int8 AS from_us, (extract(epoch FROM g.to_ts) * 1000000)::int8 AS to_us
     FROM data_gaps g JOIN picked USING (gap_id) JOIN instruments i USING (instrument_id) ORDER BY g.detected_at, g.gap_id`, [settleSeconds, limit]);
  return rows.map((row) => ({ gapId: row.gap_id, marketId: row.market_id, symbol: row.symbol, fromTs: Number(row.from_us), toTs: Number(row.to_us) }));
}

/** Closes a gap by time whose candles were all fetched. */
export async function closeTimeGap(client: Pick<Client, 'query'>, gapId: string): Promise<void> {
  await client.query(`UPDATE data_gaps SET status = 'closed', closed_at = now() WHERE gap_id = $1 AND status IN ('open', 'healing')`, [gapId]);
}

export interface GapCounts {
  /** Open or being healed for longer than asked, and shorter. */
  old: number;
  young: number;
  unfillable: number;
}

/** Unsettled gaps of an exchange, and those that can never be filled. */
export async function countGapsOf(client: Pick<Client, 'query'>, exchange: string, minutes: number): Promise<GapCounts> {
  const { rows } = await client.query<GapCounts>(
    `SELECT count(*) FILTER (WHERE g.status IN ('open', 'healing') AND g.detected_at < now() - $2::int * interval '1 minute')::int AS old,
       count(*) FILTER (WHERE g.status IN ('open', 'healing') AND g.detected_at >= now() - $2::int * interval '1 minute')::int AS young,
       count(*) FILTER (WHERE g.status = 'unfillable')::int AS unfillable
     FROM data_gaps g JOIN instruments i USING (instrument_id) WHERE i.exchange = $1`, [exchange, minutes]);
  return rows[0] ?? { old: 0, young: 0, unfillable: 0 };
}

export interface LastingGaps {
  readonly marketId: string;
  readonly status: string;
  readonly count: number;
  /** Since the first of them was noticed. */
  readonly oldestSeconds: number;
}

/** The gaps that are not closed, by market and status. */
export async function lastingGaps(client: Pick<Client, 'query'>): Promise<LastingGaps[]> {
  const { rows } = await client.query<LastingGaps>(
    `SELECT i.market_id AS "marketId", g.status, count(*)::int AS count,
       greatest(0, extract(epoch FROM now() - min(g.detected_at)))::float8 AS "oldestSeconds"
     FROM data_gaps g JOIN instruments i USING (instrument_id) WHERE g.status <> 'closed' GROUP BY 1, 2 ORDER BY 1, 2`);
  return rows;
}
