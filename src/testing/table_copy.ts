// A database's rows in files, by COPY alone: what stands in for pg_dump and pg_restore where those are older than the server.
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from, to } from 'pg-copy-streams';

interface Table {
  name: string;
  columns: string;
}

/** Tables with the columns that can be written; a partitioned one stands for its partitions. */
async function tables(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY 1 ORDER BY 1`);
  return rows;
}

/** Writes every table into a file of `folder`, all as of one moment. */
export async function copyOut(client: pg.Client, folder: string): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  for (const { name, columns } of await tables(client)) {
    await pipeline(client.query(to(`COPY (SELECT ${columns} FROM ${name}) TO STDOUT`)), createWriteStream(join(folder, name)));
  }
  await client.query('COMMIT');
}

/** Makes the tables of a database with the same schema hold what `copyOut` wrote, and nothing else. */
export async function copyIn(client: pg.Client, folder: string): Promise<void> {
  await client.query(`BEGIN; SET LOCAL session_replication_role = replica`);
  const all = await tables(client);
  await client.query(`TRUNCATE ${all.map(({ name }) => name).join(', ')}`);
  for (const { name, columns } of all) {
    await pipeline(createReadStream(join(folder, name)), client.query(from(`COPY ${name} (${columns}) FROM STDIN`)));
  }
  const { rows } = await client.query<{ sql: string }>(
    `SELECT format('SELECT setval(%L, coalesce((SELECT max(%I) FROM %I), 0) + 1, false)', sequence, column_name, table_name) AS sql
     FROM information_schema.columns, pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence
     WHERE table_schema = 'public' AND sequence IS NOT NULL`);
  for (const { sql } of rows) await client.query(sql);
  await client.query('COMMIT');
}
