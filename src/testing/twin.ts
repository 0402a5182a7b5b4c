// A twin of a database, on a server of the installed clients' version: pg_dump refuses a server that is newer than it is, and Debian's
// clients are older than the embedded server. The twin has the same tables and rows, so its dump is one of them; psql and
// pg_restore take any newer server and need no twin.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from, to } from 'pg-copy-streams';
import { ownPostgres } from './servers.ts';

const INIT_SQL = join(import.meta.dirname, '../../init.sql');
/** Where Debian puts its servers, one folder for each major version. */
const DEBIAN = '/usr/lib/postgresql';
const REMEDY = 'Debian, Ubuntu: apt-get install postgresql';

/** Where the installed pg_dump can dump: the test's own database, a twin of it on the server of `installation`, or nowhere. */
export type DumpPlace = { kind: 'own' } | { kind: 'twin'; installation: string } | { kind: 'nowhere'; why: string };

/** Looks at the programs of this machine; `server` is the major version that the test runs on. */
export function dumpPlace(server: number): DumpPlace {
  const { status, stdout } = spawnSync('pg_dump', ['--version'], { encoding: 'utf8' });
  const clients = status === 0 ? Number(/\d+/.exec(stdout)?.[0]) : NaN;
  if (Number.isNaN(clients)) return { kind: 'nowhere', why: `pg_dump is not on this machine (${REMEDY})` };
  if (clients >= server) return { kind: 'own' };
  const installed = existsSync(DEBIAN) ? readdirSync(DEBIAN).map(Number) : [];
  const usable = installed.filter((major) => major <= clients && existsSync(join(DEBIAN, String(major), 'bin/initdb'))).sort((a, b) => b - a);
  if (usable[0] !== undefined) return { kind: 'twin', installation: join(DEBIAN, String(usable[0])) };
  return { kind: 'nowhere', why: `pg_dump ${clients} cannot dump PostgreSQL ${server}, and there is no server of its version (${REMEDY})` };
}

/** Starts a server of `installation` with the tables and rows of `source` as of one moment. `remove()` it in the end. */
export async function openTwin(installation: string, source: pg.Client): Promise<{ url: string; remove: () => Promise<void> }> {
  const server = await ownPostgres({ installation, database: 'tapekeeper' });
  const target = new pg.Client(server.url);
  try {
    await target.connect();
    // A right that came with PostgreSQL 17; everything else of the schema is older.
    await target.query(readFileSync(INIT_SQL, 'utf8').replaceAll(/^GRANT MAINTAIN .*;$/gm, ''));
    await copyRows(source, target);
  } catch (error) {
    await server.remove();
    throw error;
  } finally {
    await target.end();
  }
  return server;
}

interface Table {
  name: string;
  columns: string;
}

/** Makes the tables of `target`, which has the same schema, hold the rows of `source` and nothing else. */
async function copyRows(source: pg.Client, target: pg.Client): Promise<void> {
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const all = await tables(source);
  await target.query(`BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE ${all.map(({ name }) => name).join(', ')}`);
  for (const { name, columns } of all) {
    await pipeline(source.query(to(`COPY (SELECT ${columns} FROM ${name}) TO STDOUT`)), target.query(from(`COPY ${name} (${columns}) FROM STDIN`)));
  }
  await source.query('COMMIT');
  const { rows } = await target.query<{ sql: string }>(
    `SELECT format('SELECT setval(%L, coalesce((SELECT max(%I) FROM %I), 0) + 1, false)', sequence, column_name, table_name) AS sql
     FROM information_schema.columns, pg_get_serial_sequence(quote_ident(table_name), column_name) AS sequence
     WHERE table_schema = 'public' AND sequence IS NOT NULL`);
  for (const { sql } of rows) await target.query(sql);
  await target.query('COMMIT');
}

/** Tables with the columns that can be written; a partitioned one stands for its partitions. */
async function tables(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY 1 ORDER BY 1`);
  return rows;
}
