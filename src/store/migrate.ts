// Schema versions: numbered SQL files in migrations/, applied by node-pg-migrate under its advisory lock, and init.sql,
// which is the same files for the first start of an empty container.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { UsageError, classify, toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { clientConfig, pingDatabase, sqlState, type Client } from './connect.ts';

const FOLDER = join(import.meta.dirname, 'migrations');
const TABLE = 'pgmigrations';
/** Two migrators: the second one waits this long for the first. */
const LOCK_WAIT_MS = 60_000;
const UNDEFINED_TABLE = '42P01';

export interface MigrationStatus {
  applied: string[];
  pending: string[];
  /** Applied, but not known to this build: the database is newer than the code. */
  unknown: string[];
}

/** Names of the migrations of this build, in order. */
export function migrationNames(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith('.sql')).sort().map((name) => basename(name, '.sql'));
}

/**
 * Applies what is pending, each file in its own transaction; returns the names. Safe to run from several processes at once.
 * Rejects with one clear line, before anything is applied, when the database is newer than this build.
 */
export async function migrateUp(url: string, log: (line: string) => void = () => undefined): Promise<string[]> {
  const client = new pg.Client({ ...clientConfig(url, 'migrate'), query_timeout: LOCK_WAIT_MS * 2 });
  client.on('error', () => undefined);
  await client.connect();
  try {
    await pingDatabase(client);
    refuseNewer(await migrationStatus(client));
    await client.query(`SET statement_timeout = 0; SET lock_timeout = ${LOCK_WAIT_MS}`);
    const done = await runner({
      dbClient: client,
      dir: FOLDER,
      direction: 'up',
      migrationsTable: TABLE,
      advisoryLockMode: 'wait',
      singleTransaction: false,
      verbose: false,
      logger: { debug: () => undefined, info: () => undefined, warn: log, error: log },
    });
    return done.map(({ name }) => name);
  } finally {
    // Ends the lock too, whatever state a failed file left the session in.
    await client.end();
  }
}

/** Compares what the database has with what this build knows. Changes nothing. */
export async function migrationStatus(client: Pick<Client, 'query'>): Promise<MigrationStatus> {
  const known = migrationNames();
  const applied = await appliedNames(client);
  return {
    applied,
    pending: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

async function appliedNames(client: Pick<Client, 'query'>): Promise<string[]> {
  try {
    const { rows } = await client.query<{ name: string }>(`SELECT name FROM ${TABLE} ORDER BY id`);
    return rows.map((row) => row.name);
  } catch (error) {
    if (sqlState(error) === UNDEFINED_TABLE) return [];
    throw error;
  }
}

function refuseNewer({ unknown }: MigrationStatus): void {
  if (unknown.length > 0) throw new UsageError(`the database is newer than this build: it has ${unknown.join(', ')}; deploy the newer build`);
}

export interface WaitOptions {
  log: Pick<Logger, 'info' | 'warn'>;
  signal?: AbortSignal;
  /** Told why it waits; null once the schema is right. */
  report?: (why: string | null) => void;
  retryMs?: number;
}

/**
 * Resolves when the database is reachable and has exactly this build's migrations. Waits for a database that is away or
 * behind (somebody is about to migrate it); rejects with one clear line when it is newer than this build.
 */
export async function assertMigrated(client: Pick<Client, 'query'>, options: WaitOptions): Promise<void> {
  let said = '';
  for (;;) {
    const why = await whyNotReady(client);
    options.report?.(why);
    if (why === null) return;
    if (why !== said) options.log.warn({ reason: why }, 'waiting for the database');
    said = why;
    await sleep(options.retryMs ?? 1_000, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

async function whyNotReady(client: Pick<Client, 'query'>): Promise<string | null> {
  let status: MigrationStatus;
  try {
    await pingDatabase(client);
    status = await migrationStatus(client);
  } catch (error) {
    if (classify(error) !== 'infrastructure') throw error;
    return `database not reachable: ${toError(error).message}`;
  }
  refuseNewer(status);
  if (status.pending.length > 0) return `migrations pending: ${status.pending.join(', ')} (npm run migrate -- up)`;
  return null;
}

/** The text of /init.sql: all migrations in one transaction, recorded as applied, so that a later `migrate up` has nothing to do. */
export function initSql(): string {
  const names = migrationNames();
  const parts = names.map((name) => `-- ${name}\n${upPart(readFileSync(join(FOLDER, `${name}.sql`), 'utf8')).trim()}\n`);
  return [
    '-- Generated from src/store/migrations by `npm run migrate -- init-sql`. Do not edit.',
    '-- For the first start of an empty database; an existing one is brought forward by `npm run migrate -- up`.\n',
    'BEGIN;\n',
    `CREATE TABLE ${TABLE} (id SERIAL PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);\n`,
    ...parts,
    `INSERT INTO ${TABLE} (name, run_on) VALUES\n${names.map((name) => `  ('${name}', now())`).join(',\n')};\n`,
    'COMMIT;\n',
  ].join('\n');
}

function upPart(sql: string): string {
  const start = sql.search(/^-- Up Migration$/m);
  const end = sql.search(/^-- Down Migration$/m);
  if (start < 0 || end < start) throw new Error('a migration needs "-- Up Migration" and then "-- Down Migration"');
  return sql.slice(start + '-- Up Migration'.length, end);
}
