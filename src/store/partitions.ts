// Day partitions of the big tables: made ahead by SQL function ensure_day_partitions, and known here by name.
import { dayText } from '../core/days.ts';
import type { Client } from './connect.ts';

export const PARTITIONED_TABLES = ['public_trades', 'tickers'] as const;
export type PartitionedTable = (typeof PARTITIONED_TABLES)[number];

/**
 * Makes the missing day partitions of `table` for days since the epoch `fromDay..untilDay` (UTC, inclusive) and moves rows
 * that already wait in its default partition. Returns how many it made. Safe to run from several processes at once.
 */
export async function ensureDayPartitions(client: Pick<Client, 'query'>, table: PartitionedTable, fromDay: number, untilDay: number): Promise<number> {
  const { rows } = await client.query<{ made: number }>('SELECT ensure_day_partitions($1, $2, $3) AS made', [
    table, dayText(fromDay), dayText(untilDay),
  ]);
  return rows[0]?.made ?? 0;
}

/** Days (since the epoch) that have a partition of their own. */
export async function loadPartitionDays(client: Pick<Client, 'query'>, table: PartitionedTable): Promise<Set<number>> {
  const { rows } = await client.query<{ day: number }>(
    `SELECT (substring(c.relname FROM '_p(\\d{8})$')::date - date '1970-01-01') AS day
     FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass($1) AND c.relname ~ '_p\\d{8}$'`,
    [table],
  );
  return new Set(rows.map((row) => row.day));
}

/** First and last day (since the epoch) on which trades can be: partitions, and what waits in the default one; null before the first. */
export async function loadTradeDays(client: Pick<Client, 'query'>): Promise<{ first: number; last: number } | null> {
  const { rows } = await client.query<{ day: number | null }>(
    `SELECT (at AT TIME ZONE 'UTC')::date - date '1970-01-01' AS day
     FROM (SELECT min(ts), max(ts) FROM public_trades_default) AS d(first, last), LATERAL (VALUES (first), (last)) AS v(at)`);
  const days = [...rows.flatMap(({ day }) => day ?? []), ...await loadPartitionDays(client, 'public_trades')];
  return days.length === 0 ? null : { first: Math.min(...days), last: Math.max(...days) };
}

/** Rows that no day partition would take: visible, and moved as soon as their day is made. */
export async function countDefaultRows(client: Pick<Client, 'query'>, table: PartitionedTable): Promise<number> {
  const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM (SELECT FROM ${table}_default LIMIT 100000) AS d`);
  return Number(rows[0]?.n ?? 0);
}

/** Name of the partition of one day, as ensure_day_partitions makes it. */
export function partitionName(table: PartitionedTable, day: number): string {
  return `${table}_p${dayText(day).replaceAll('-', '')}`;
}

/** Unsettled gaps that may lie on a day: those of whose neighbours trade_coverage does not say that they are on other days. */
export async function countGapsOfDay(client: Pick<Client, 'query'>, day: number): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM data_gaps g WHERE g.status IN ('open', 'healing') AND CASE
       WHEN g.from_seq IS NULL THEN g.from_ts < $2::date::timestamptz AND g.to_ts >= $1::date::timestamptz
       ELSE coalesce((SELECT max(c.day) FROM trade_coverage c WHERE c.instrument_id = g.instrument_id AND lower(c.seqs) <= g.from_seq),
                     '-infinity') <= $1::date
        AND coalesce((SELECT min(c.day) FROM trade_coverage c WHERE c.instrument_id = g.instrument_id AND upper(c.seqs) > g.to_seq),
                     'infinity') >= $1::date END`, [dayText(day), dayText(day + 1)]);
  return rows[0]?.n ?? 0;
}

export interface PartitionSize {
  partition: string;
  /** The planner's estimate. */
  rows: number;
  bytes: number;
}

/** How big the partition of one day is; null when there is none. */
export async function sizeOfPartition(client: Pick<Client, 'query'>, table: PartitionedTable, day: number): Promise<PartitionSize | null> {
  const partition = partitionName(table, day);
  const { rows } = await client.query<{ rows: string; bytes: string }>(
    `SELECT CASE WHEN reltuples < 0 THEN pg_stat_get_live_tuples(oid) ELSE reltuples::int8 END AS rows, pg_total_relation_size(oid) AS bytes
     FROM pg_class WHERE oid = to_regclass($1)`, [partition]);
  return rows[0] === undefined ? null : { partition, rows: Number(rows[0].rows), bytes: Number(rows[0].bytes) };
}

/**
 * Drops the partition of one day in the caller's transaction; null when there is none. Waits two seconds at most for
 * writers of the table, which wait for it meanwhile. What trade_coverage says of the day stays: those trades were stored.
 */
export async function dropDayPartition(client: Client, table: PartitionedTable, day: number): Promise<PartitionSize | null> {
  await client.query(`SET LOCAL lock_timeout = '2s'`);
  // The lock of ensure_day_partitions: of two droppers the second one finds nothing.
  await client.query(`SELECT pg_advisory_xact_lock(hashtext('ensure_day_partitions'), hashtext($1))`, [table]);
  const size = await sizeOfPartition(client, table, day);
  // With the owner's rights: a service has none to drop a table.
  if (size !== null) await client.query('SELECT drop_day_partition($1, $2)', [table, dayText(day)]);
  return size;
}
