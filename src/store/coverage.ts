// trade_coverage and trade_extent: which sequence numbers are stored, by day and over all days. Written before the trades in the
// same transaction: their rows, locked in key order, make writers of one instrument take turns, and what they held before
// tells new trades from repeated ones.
import { dayText } from '../core/days.ts';
import type { Client } from './connect.ts';
import type { CoverageKey, SeqRange } from './trade_plan.ts';

/** What of a key's runs was stored before this transaction. */
export interface Overlap {
  readonly key: CoverageKey;
  /** Ranges stored under the same day. */
  readonly sameDay: SeqRange[];
  /** Ranges stored under any other day: a time that moved must not store a trade twice. */
  readonly elsewhere: SeqRange[];
  /** The days of `elsewhere`. */
  readonly days: number[];
}

/** What extendCoverage() told. */
export interface Before {
  readonly overlaps: Overlap[];
  /** Ranges that trade_extent has of other days; it may have filled holes: findElsewhere() looks precisely. */
  readonly doubtful: { readonly key: CoverageKey; readonly seqs: string }[];
}

/**
 * The statement that adds the runs and tells which parts of them were there before: give its rows to beforeOf(). Keys must
 * be in key order and not empty. Without parameters, so that it can travel with BEGIN: all it holds are numbers and dates.
 * RETURNING old.* (PostgreSQL 18) gives the state before in the statement that locks and changes it. The extents are locked
 * first, all of them (the sort waits for the last one): then whoever waits holds nothing of the instrument that others want.
 * With `mustBeNew` it fails with STORED_ALREADY instead when any part was, or may have been, there.
 */
export function extendCoverage(keys: readonly CoverageKey[], mustBeNew = false): string {
  const array = (items: readonly (string | number)[], type: string): string => `'{${items.map((item) => `"${item}"`).join(',')}}'::${type}[]`;
  return `WITH input AS (
      SELECT * FROM unnest(${array(keys.map((key) => key.instrumentId), 'int4')}, ${array(keys.map((key) => dayText(key.day)), 'date')},
        ${array(keys.map((key) => multirange(key.runs)), 'int8multirange')}) WITH ORDINALITY AS t(instrument_id, day, seqs, n)
    ), extent AS (
      INSERT INTO trade_extent AS e (instrument_id, seqs)
      SELECT instrument_id, range_agg(seqs) FROM input GROUP BY instrument_id ORDER BY instrument_id
      ON CONFLICT (instrument_id) DO UPDATE SET seqs =
        CASE WHEN pg_column_size(e.seqs) < ${EXTENT_BYTES} THEN e.seqs + excluded.seqs ELSE loosen_seqs(e.seqs + excluded.seqs) END
      RETURNING e.instrument_id, old.seqs AS before
    ), merged AS (
      INSERT INTO trade_coverage AS c (instrument_id, day, seqs)
      SELECT instrument_id, day, input.seqs FROM input JOIN extent USING (instrument_id) ORDER BY instrument_id, day
      ON CONFLICT (instrument_id, day) DO UPDATE SET seqs = c.seqs + excluded.seqs
      RETURNING c.instrument_id, c.day, old.seqs AS before
    ), met AS (
    SELECT n::int4 AS n, true AS same_day, (before * input.seqs)::text AS seqs
    FROM merged JOIN input USING (instrument_id, day) WHERE before && input.seqs
    UNION ALL
    SELECT n::int4, false, (extent.before * input.seqs - coalesce(merged.before, '{}'))::text
    FROM input JOIN extent USING (instrument_id) LEFT JOIN merged USING (instrument_id, day)
    WHERE extent.before && input.seqs AND NOT extent.before * input.seqs <@ coalesce(merged.before, '{}')
    ) SELECT ${mustBeNew ? 'stop_stored_already() FROM met LIMIT 1' : '* FROM met'}`;
}

/** About seventy ranges: rewritten in place, and loosened every few dozen new holes. */
const EXTENT_BYTES = 1_500;

interface OverlapRow {
  n: number;
  same_day: boolean;
  seqs: string;
}

/** What the rows of extendCoverage() say; empty when all is new. */
export function beforeOf(keys: readonly CoverageKey[], rows: readonly unknown[]): Before {
  const overlaps: Overlap[] = [];
  const doubtful: Before['doubtful'][number][] = [];
  for (const row of rows as readonly OverlapRow[]) {
    const key = keys[row.n - 1];
    if (key === undefined) continue;
    if (row.same_day) overlaps.push({ key, sameDay: parseMultirange(row.seqs), elsewhere: [], days: [] });
    else doubtful.push({ key, seqs: row.seqs });
  }
  return { overlaps, doubtful };
}

/**
 * Adds to the overlaps what of the doubtful is stored under other days. A statement of its own: it must see what was committed
 * until we held the locks.
 */
export async function findElsewhere(client: Client, { overlaps, doubtful }: Before): Promise<Overlap[]> {
  if (doubtful.length === 0) return overlaps;
  const { rows } = await client.query<{ n: number; day: number; seqs: string }>(
    `SELECT k.n::int4 AS n, c.day - date '1970-01-01' AS day, (c.seqs * k.seqs)::text AS seqs
     FROM unnest($1::int4[], $2::date[], $3::int8multirange[]) WITH ORDINALITY AS k(instrument_id, day, seqs, n)
     JOIN trade_coverage c ON c.instrument_id = k.instrument_id AND c.day <> k.day AND c.seqs && k.seqs`,
    [doubtful.map(({ key }) => key.instrumentId), doubtful.map(({ key }) => dayText(key.day)), doubtful.map(({ seqs }) => seqs)],
  );
  const byKey = new Map(overlaps.map((overlap) => [overlap.key, overlap]));
  for (const { n, day, seqs } of rows) {
    const key = doubtful[n - 1]?.key;
    if (key === undefined) continue;
    const overlap = byKey.get(key) ?? { key, sameDay: [], elsewhere: [], days: [] };
    overlap.elsewhere.push(...parseMultirange(seqs));
    overlap.days.push(day);
    byKey.set(key, overlap);
  }
  return [...byKey.values()];
}

/**
 * Takes ranges back that were added a moment ago in this transaction, for rows that were refused after all. The extent keeps
 * them: it may say too much.
 */
export async function retractCoverage(client: Client, instrumentId: number, day: number, ranges: readonly SeqRange[]): Promise<void> {
  await client.query('UPDATE trade_coverage SET seqs = seqs - $3::int8multirange WHERE instrument_id = $1 AND day = $2', [
    instrumentId, dayText(day), multirange(ranges),
  ]);
}

/** The stored ranges of one instrument and day. */
export async function readCoverage(client: Pick<Client, 'query'>, instrumentId: number, day: number): Promise<SeqRange[]> {
  const { rows } = await client.query<{ seqs: string }>(
    'SELECT seqs::text AS seqs FROM trade_coverage WHERE instrument_id = $1 AND day = $2', [instrumentId, dayText(day)],
  );
  return parseMultirange(rows[0]?.seqs ?? '{}');
}

/** `{[1,4],[7,7]}`, as an int8multirange is written. */
export function multirange(ranges: readonly SeqRange[]): string {
  return `{${ranges.map(([from, to]) => `[${from},${to}]`).join(',')}}`;
}

/** Ranges of an int8multirange as the server writes it: its canonical form has exclusive upper ends: `{[1,5),[7,8)}`. */
export function parseMultirange(text: string): SeqRange[] {
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, from, to]): SeqRange => [Number(from), Number(to) - 1]);
}

/** What of `range` is in none of `others` (in any order). */
export function subtractRanges(range: SeqRange, others: readonly SeqRange[]): SeqRange[] {
  let rest: SeqRange[] = [range];
  for (const [from, to] of others) {
    rest = rest.flatMap(([a, b]): SeqRange[] => {
      if (to < a || from > b) return [[a, b]];
      const pieces: SeqRange[] = [];
      if (a < from) pieces.push([a, from - 1]);
      if (b > to) pieces.push([to + 1, b]);
      return pieces;
    });
  }
  return rest;
}

/** Whether ascending, separate `ranges` meet [from, to]. */
export function meets(ranges: readonly SeqRange[], from: number, to: number): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[1] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  const candidate = ranges[low];
  return candidate !== undefined && candidate[0] <= to;
}
