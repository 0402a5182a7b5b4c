// Completeness by hour, and the gaps of one instrument: where in a day something is missing, and what is known of it.
import type { Client } from './connect.ts';

type Db = Pick<Client, 'query'>;

export interface HourCompleteness {
  readonly marketId: string;
  readonly symbol: string;
  /** 0..23, UTC. */
  readonly hour: number;
  readonly expected: number;
  readonly missing: number;
  /** Of the stored ones, those inside gaps that have ended. */
  readonly healed: number;
  /** Reasons of the gaps that touch what is missing; null: none. */
  readonly why: string | null;
}

/**
 * Of every instrument with trades on a UTC day (`YYYY-MM-DD`), at most `limit` of them, chosen with holes first. The trades themselves are
 * not counted: of each hour the first sequence number is searched for by halving, some twenty steps down the key, and coverage tells what
 * lies between. Hours without a number are left out. Rejects with the database's error.
 */
export async function readHours(db: Db, day: string, limit: number): Promise<HourCompleteness[]> {
  const { rows } = await db.query<Record<'marketId' | 'symbol' | 'expected' | 'missing' | 'healed', string> & { hour: number; why: string | null }>({
    name: 'hours_of_day',
    text: `WITH RECURSIVE days AS (
        SELECT instrument_id, lower(seqs) AS lo, upper(seqs) AS hi, seqs FROM trade_coverage
        WHERE day = $1::date AND NOT isempty(seqs) ORDER BY seqs = int8multirange(range_merge(seqs)), instrument_id LIMIT $2
      ), search AS (
        SELECT instrument_id, h AS hour, ($1::date + make_interval(hours => h)) AT TIME ZONE 'UTC' AS starts, lo, hi FROM days, generate_series(1, 23) AS h
        UNION ALL
        SELECT s.instrument_id, s.hour, s.starts,
          CASE WHEN t.ts < s.starts THEN coalesce(t.seq_last, t.seq) + 1 ELSE s.lo END, CASE WHEN t.ts < s.starts THEN s.hi ELSE m.mid END
        FROM search s CROSS JOIN LATERAL (SELECT (s.lo + s.hi) / 2 AS mid) AS m
        LEFT JOIN LATERAL (
          SELECT p.seq, p.seq_last, p.ts FROM public_trades p
          WHERE p.instrument_id = s.instrument_id AND p.seq >= m.mid AND p.seq < s.hi
            AND p.ts >= $1::date::timestamp AT TIME ZONE 'UTC' AND p.ts < ($1::date + 1)::timestamp AT TIME ZONE 'UTC'
          ORDER BY p.seq LIMIT 1) AS t ON true
        WHERE s.lo < s.hi
      ), bounds AS (
        SELECT instrument_id, 0 AS hour, lo AS at FROM days
        UNION ALL SELECT instrument_id, hour, max(lo) FROM search WHERE lo >= hi GROUP BY 1, 2
      ), hours AS (
        SELECT instrument_id, hour, at AS lo, coalesce(lead(at) OVER (PARTITION BY instrument_id ORDER BY hour), hi) AS hi, seqs
        FROM bounds JOIN days USING (instrument_id)
      )
      SELECT i.market_id AS "marketId", i.symbol, h.hour, h.hi - h.lo AS expected, h.hi - h.lo - n.stored AS missing, e.healed,
        CASE WHEN h.hi - h.lo > n.stored THEN e.why END AS why
      FROM hours h JOIN instruments i USING (instrument_id)
      CROSS JOIN LATERAL (
        SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 AS stored FROM unnest(h.seqs * int8multirange(int8range(h.lo, h.hi))) AS r
      ) AS n
      CROSS JOIN LATERAL (
        SELECT (SELECT coalesce(sum(upper(r) - lower(r)), 0)::int8 FROM unnest(h.seqs * int8multirange(int8range(h.lo, h.hi)) * told.ended) AS r) AS healed,
          told.why
        FROM (
          SELECT range_agg(int8range(g.from_seq, g.to_seq, '[]')) FILTER (WHERE g.status IN ('closed', 'unfillable')) AS ended,
            string_agg(DISTINCT g.reason, '; ') FILTER (WHERE g.status <> 'closed') AS why
          FROM data_gaps g WHERE g.instrument_id = h.instrument_id AND g.from_seq < h.hi AND g.to_seq >= h.lo
        ) AS told
      ) AS e
      WHERE h.hi > h.lo ORDER BY 1, 2, 3`,
    values: [day, limit],
  });
  return rows.map(({ expected, missing, healed, ...rest }) => ({ ...rest, expected: Number(expected), missing: Number(missing), healed: Number(healed) }));
}

/** How many instruments have trades on a UTC day. Rejects with the database's error. */
export async function countCovered(db: Db, day: string): Promise<number> {
  const { rows } = await db.query<{ n: number }>({
    name: 'covered_of_day', text: 'SELECT count(*)::int AS n FROM trade_coverage WHERE day = $1::date AND NOT isempty(seqs)', values: [day],
  });
  return rows[0]?.n ?? 0;
}

export interface InstrumentGap {
  readonly gapId: string;
  readonly fromSeq: number | null;
  readonly toSeq: number | null;
  /** µs; null where only numbers are known. */
  readonly fromTs: number | null;
  readonly toTs: number | null;
  readonly status: string;
  readonly reason: string;
  readonly detectedTs: number;
  readonly closedTs: number | null;
  readonly expected: number | null;
  readonly recovered: number | null;
}

const micros = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::int8`;

/**
 * Gaps of an instrument that were noticed from one moment (µs) to another, or whose time or numbers lie there, unsettled and newest
 * first, at most `limit`. Rejects with the database's error.
 */
export async function gapsBetween(db: Db, marketId: string, symbol: string, fromTs: number, toTs: number, limit: number): Promise<InstrumentGap[]> {
  const { rows } = await db.query<Record<keyof InstrumentGap, string | null>>({
    name: 'gaps_between',
    text: `SELECT g.gap_id AS "gapId", g.from_seq AS "fromSeq", g.to_seq AS "toSeq", ${micros('g.from_ts')} AS "fromTs", ${micros('g.to_ts')} AS "toTs",
        g.status, g.reason, ${micros('g.detected_at')} AS "detectedTs", ${micros('g.closed_at')} AS "closedTs", g.expected, g.recovered
      FROM data_gaps g, (SELECT to_timestamp($3::int8 / 1000000.0) AS f, to_timestamp($4::int8 / 1000000.0) AS t) AS w
      WHERE g.instrument_id = (SELECT instrument_id FROM instruments WHERE market_id = $1 AND symbol = $2)
        AND (g.detected_at >= w.f AND g.detected_at < w.t OR g.from_ts < w.t AND g.to_ts >= w.f OR EXISTS (
          SELECT FROM trade_coverage c WHERE c.instrument_id = g.instrument_id AND NOT isempty(c.seqs)
            AND c.day >= (w.f AT TIME ZONE 'UTC')::date AND c.day < (w.t AT TIME ZONE 'UTC')
            AND g.from_seq < upper(c.seqs) AND g.to_seq >= lower(c.seqs) AND w.t - w.f >= interval '1 day'))
      ORDER BY g.status IN ('open', 'healing') DESC, g.detected_at DESC LIMIT $5`,
    values: [marketId, symbol, fromTs, toTs, limit],
  });
  const number = (value: string | null): number | null => (value === null ? null : Number(value));
  return rows.map((row) => ({
    gapId: row.gapId!, fromSeq: number(row.fromSeq), toSeq: number(row.toSeq), fromTs: number(row.fromTs), toTs: number(row.toTs),
    status: row.status!, reason: row.reason!, detectedTs: Number(row.detectedTs), closedTs: number(row.closedTs),
    expected: number(row.expected), recovered: number(row.recovered),
  }));
}

/** How many gaps there are by status. */
export async function countGaps(db: Db): Promise<{ open: number; unfillable: number }> {
  const { rows } = await db.query<{ open: string; unfillable: string }>(
    `SELECT count(*) FILTER (WHERE status IN ('open', 'healing')) AS open, count(*) FILTER (WHERE status = 'unfillable') AS unfillable
     FROM data_gaps WHERE status <> 'closed'`);
  return { open: Number(rows[0]?.open ?? 0), unfillable: Number(rows[0]?.unfillable ?? 0) };
}
