// Vacuum by hand, and what takes up the disk.
import { toError } from '../core/errors.ts';
import type { Pool } from './connect.ts';

/** A day of trades is gigabytes. */
const TIMEOUT_MS = 3_600_000;

/** Those of `tables` that exist. */
export async function existingTables(pool: Pick<Pool, 'query'>, tables: readonly string[]): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>('SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL', [tables]);
  return rows.map(({ name }) => name);
}

/**
 * VACUUM (ANALYZE) of one table, which may take an hour; when `signal` aborts it is cancelled on the server. Names are ours,
 * never a stranger's. Rejects with the database's error; the table is as it was, or a bit tidier.
 */
export async function vacuumTable(pool: Pool, table: string, signal: AbortSignal): Promise<void> {
  const client = await pool.connect();
  let failed = true;
  const asked = new AbortController();
  try {
    const { rows } = await client.query<{ pid: number }>(`SELECT pg_backend_pid() AS pid, set_config('statement_timeout', $1, false)`, [`${TIMEOUT_MS}`]);
    const pid = rows[0]?.pid ?? 0;
    const cancel = (): void => void pool.query('SELECT pg_cancel_backend($1)', [pid]).catch(toError);
    signal.throwIfAborted();
    signal.addEventListener('abort', cancel, { once: true, signal: asked.signal });
    await client.query({ text: `VACUUM (ANALYZE) ${table}`, query_timeout: TIMEOUT_MS } as { text: string });
    await client.query('RESET statement_timeout');
    failed = false;
  } finally {
    asked.abort();
    // A connection that failed half-way might keep the long timeout.
    client.release(failed);
  }
}

export interface TableSize {
  table: string;
  bytes: number;
  /** The planner's estimate. */
  rows: number;
}

/** Bytes of the database. */
export async function databaseSize(pool: Pick<Pool, 'query'>): Promise<number> {
  const { rows } = await pool.query<{ bytes: string }>('SELECT pg_database_size(current_database()) AS bytes');
  return Number(rows[0]?.bytes ?? 0);
}

/** The biggest tables with their indexes, partitions by themselves. */
export async function biggestTables(pool: Pick<Pool, 'query'>, limit: number): Promise<TableSize[]> {
  const { rows } = await pool.query<{ table: string; bytes: string; rows: string }>(
    `SELECT relname AS table, pg_total_relation_size(oid) AS bytes, greatest(reltuples, 0)::int8 AS rows
     FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC, 1 LIMIT $1`, [limit]);
  return rows.map((row) => ({ table: row.table, bytes: Number(row.bytes), rows: Number(row.rows) }));
}
