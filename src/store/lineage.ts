// What the database knows of one trade's way: its row, when that was committed, whether it was healed, and what is known of a number
// that is not stored.
import { dayText } from '../core/days.ts';
import { sqlState, type Client } from './connect.ts';
import { parseMultirange } from './coverage.ts';
import type { SeqRange } from './trade_plan.ts';

type Db = Pick<Client, 'query'>;

/** A stored trade; times are µs since the epoch. */
export interface StoredTrade {
  readonly tradeId: string;
  readonly seq: number | null;
  readonly seqLast: number | null;
  readonly exchangeTs: number;
  readonly receivedTs: number;
  readonly side: string;
  readonly price: string;
  readonly amount: string;
  readonly partition: string;
  /** The transaction that wrote the row. */
  readonly xid: string;
}

interface Row {
  trade_id: string;
  seq: string | null;
  seq_last: string | null;
  ts: string;
  received: string;
  side: string;
  price: string;
  amount: string;
  partition: string;
  xid: string;
}

const MICROS = (column: string): string => `(extract(epoch FROM t.${column}) * 1000000)::int8`;
const COLUMNS = `t.trade_id, t.seq, t.seq_last, ${MICROS('ts')} AS ts, ${MICROS('received_at')} AS received, t.side, t.price::text, t.amount::text,
  t.tableoid::regclass::text AS partition, t.xmin::text AS xid`;

function tradeOf(row: Row | undefined): StoredTrade | null {
  if (row === undefined) return null;
  const { trade_id: tradeId, seq, seq_last: last, ts, received, side, price, amount, partition, xid } = row;
  return {
    tradeId, seq: seq === null ? null : Number(seq), seqLast: last === null ? null : Number(last), exchangeTs: Number(ts), receivedTs: Number(received),
    side, price, amount, partition, xid,
  };
}

/** The trade of a number, or the aggregate whose run holds it; null: none is stored. */
export async function tradeBySeq(db: Db, instrumentId: number, seq: number): Promise<StoredTrade | null> {
  const { rows } = await db.query<Row>(
    `SELECT ${COLUMNS} FROM public_trades t WHERE t.instrument_id = $1 AND t.seq <= $2 ORDER BY t.seq DESC LIMIT 1`, [instrumentId, seq]);
  const found = tradeOf(rows[0]);
  return found !== null && (found.seqLast ?? found.seq ?? -1) >= seq ? found : null;
}

/**
 * The trade of an exchange's id; null: none is stored. Ids have an index only where the venue has no numbers: elsewhere the id is tried
 * as a number first, and then day after day is looked through, the newest first.
 */
export async function tradeById(db: Db, instrumentId: number, tradeId: string): Promise<StoredTrade | null> {
  if (/^\d{1,15}$/.test(tradeId)) {
    const found = await tradeBySeq(db, instrumentId, Number(tradeId));
    if (found?.tradeId === tradeId) return found;
  }
  const { rows: [unnumbered] } = await db.query<Row>(
    `SELECT ${COLUMNS} FROM public_trades t WHERE t.instrument_id = $1 AND t.trade_id = $2 AND t.seq IS NULL LIMIT 1`, [instrumentId, tradeId]);
  if (unnumbered !== undefined) return tradeOf(unnumbered);
  const { rows: days } = await db.query<{ day: string }>('SELECT day FROM trade_coverage WHERE instrument_id = $1 ORDER BY day DESC', [instrumentId]);
  for (const { day } of days) {
    const { rows: [row] } = await db.query<Row>(
      `SELECT ${COLUMNS} FROM public_trades t WHERE t.instrument_id = $1 AND t.trade_id = $2 AND t.ts >= $3::date::timestamptz
         AND t.ts < ($3::date + 1)::timestamptz LIMIT 1`, [instrumentId, tradeId, day]);
    if (row !== undefined) return tradeOf(row);
  }
  return null;
}

/** When a transaction was committed, µs since the epoch; null: the server does not keep that, or not for so long. */
export async function commitTime(db: Db, xid: string): Promise<number | null> {
  try {
    const { rows } = await db.query<{ at: string | null }>(`SELECT (extract(epoch FROM pg_xact_commit_timestamp($1::xid)) * 1000000)::int8 AS at`, [xid]);
    const at = rows[0]?.at ?? null;
    return at === null ? null : Number(at);
  } catch (error) {
    if (sqlState(error) === '55000') return null; // object_not_in_prerequisite_state: track_commit_timestamp is off
    throw error;
  }
}

/** Whether the numbers from..to of a day are among those that were missing in a gap and were fetched. */
export async function isHealed(db: Db, instrumentId: number, day: number, from: number, to: number): Promise<boolean> {
  const { rows } = await db.query<{ healed: boolean }>(
    `SELECT coalesce(healed && int8range($3, $4, '[]'), false) AS healed FROM trade_coverage WHERE instrument_id = $1 AND day = $2`,
    [instrumentId, dayText(day), from, to]);
  return rows[0]?.healed ?? false;
}

/** A gap that holds a number; times are µs since the epoch. */
export interface HoldingGap {
  readonly gapId: string;
  readonly from: number;
  readonly to: number;
  readonly status: string;
  readonly reason: string;
  readonly detectedTs: number;
  readonly closedTs: number | null;
}

/** The gaps that touch from..to, the oldest first. */
export async function gapsOfSeq(db: Db, instrumentId: number, from: number, to: number): Promise<HoldingGap[]> {
  const { rows } = await db.query<Record<'gap_id' | 'from_seq' | 'to_seq' | 'status' | 'reason' | 'detected', string> & { closed: string | null }>(
    `SELECT gap_id, from_seq, to_seq, status, reason, (extract(epoch FROM detected_at) * 1000000)::int8 AS detected,
       (extract(epoch FROM closed_at) * 1000000)::int8 AS closed
     FROM data_gaps WHERE instrument_id = $1 AND from_seq <= $3 AND to_seq >= $2 ORDER BY detected_at, gap_id`, [instrumentId, from, to]);
  return rows.map((row) => ({
    gapId: row.gap_id, from: Number(row.from_seq), to: Number(row.to_seq), status: row.status, reason: row.reason, detectedTs: Number(row.detected),
    closedTs: row.closed === null ? null : Number(row.closed),
  }));
}

/** What surrounds a number that is not stored. */
export interface Surroundings {
  /** Days that say that they hold it, although there is no row: the partition is gone. */
  readonly coveredOn: string[];
  /** Lowest and highest number stored of the instrument; null: none is. */
  readonly stored: SeqRange | null;
}

/** How a number lies among those stored of its instrument. */
export async function surroundings(db: Db, instrumentId: number, seq: number): Promise<Surroundings> {
  const { rows: days } = await db.query<{ day: string }>(
    'SELECT day FROM trade_coverage WHERE instrument_id = $1 AND seqs @> $2::int8 ORDER BY day', [instrumentId, seq]);
  const { rows } = await db.query<{ seqs: string | null }>('SELECT seqs::text AS seqs FROM trade_extent WHERE instrument_id = $1', [instrumentId]);
  const ranges = parseMultirange(rows[0]?.seqs ?? '{}');
  const [first, last] = [ranges[0], ranges.at(-1)];
  return { coveredOn: days.map(({ day }) => day), stored: first === undefined || last === undefined ? null : [first[0], last[1]] };
}
