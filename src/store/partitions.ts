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

/** Rows that no day partition would take: visible, and moved as soon as their day is made. */
export async function countDefaultRows(client: Pick<Client, 'query'>, table: PartitionedTable): Promise<number> {
  const { rows } = await client.query<{ n: string }>(`SELECT count(*) AS n FROM (SELECT FROM ${table}_default LIMIT 100000) AS d`);
  return Number(rows[0]?.n ?? 0);
}

/** Name of the partition of one day, as ensure_day_partitions makes it. */
export function partitionName(table: PartitionedTable, day: number): string {
  return `${table}_p${dayText(day).replaceAll('-', '')}`;
}
