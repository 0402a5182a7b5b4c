import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TABLES } from '../contracts/index.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { clientConfig } from './connect.ts';
import { assertMigrated, initSql, migrateUp, migrationNames, migrationStatus } from './migrate.ts';

let migrated: FreshDatabase;
let initialised: FreshDatabase;
let empty: FreshDatabase;

const withClient = async <T,>({ url }: FreshDatabase, use: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client(clientConfig(url, 'test'));
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
};

beforeAll(async () => {
  [migrated, initialised, empty] = await Promise.all([freshDatabase('up'), freshDatabase('init'), freshDatabase('none')]);
});
afterAll(async () => {
  await Promise.all([migrated.drop(), initialised.drop(), empty.drop()]);
});

/** Everything that makes up the schema, as text. */
const CATALOGUE = `
  SELECT 'column' AS what, format('%s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           a.attidentity, pg_get_expr(d.adbin, d.adrelid)) AS is
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'v')
  UNION ALL SELECT 'relation', format('%s %s %s %s', relname, relkind, reloptions, pg_get_expr(relpartbound, oid)) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'index', indexdef FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL SELECT 'constraint', format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT 'function', pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT 'trigger', pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT 'view', pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'comment', format('%s %s %s', objoid::regclass, objsubid, description) FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND objoid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
  ORDER BY 1, 2`;

describe('migrations', () => {
  it('run once, from whichever of two migrators comes first', async () => {
    const both = await Promise.all([migrateUp(migrated.url), migrateUp(migrated.url)]);
    expect(both.flat()).toEqual(migrationNames());
    expect(await migrateUp(migrated.url)).toEqual([]);
  });

  it('make the same database as init.sql, which leaves nothing to migrate', async () => {
    await withClient(initialised, (client) => client.query(readFileSync(join(import.meta.dirname, '../../init.sql'), 'utf8')));
    expect(await migrateUp(initialised.url)).toEqual([]);
    const [one, other] = await Promise.all([migrated, initialised].map((database) =>
      withClient(database, async (client) => (await client.query<{ what: string; is: string }>(CATALOGUE)).rows)));
    expect(one!.length).toBeGreaterThan(100);
    expect(other).toEqual(one);
  });

  it('are what init.sql was made from', () => {
    expect(readFileSync(join(import.meta.dirname, '../../init.sql'), 'utf8') === initSql(), 'npm run migrate -- init-sql').toBe(true);
  });

  it('make the tables of the contract, column for column', async () => {
    const { rows } = await withClient(migrated, (client) => client.query<{ table: string; column: string; type: string }>(
      `SELECT c.relname AS table, a.attname AS column, t.typname || CASE WHEN a.attnotnull THEN '' ELSE '?' END AS type
       FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
       WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         AND c.relname <> 'pgmigrations' ORDER BY c.relname, a.attnum`));
    const found: Record<string, Record<string, string>> = {};
    for (const { table, column, type } of rows) (found[table] ??= {})[column] = type;
    expect(found).toEqual(TABLES);
    for (const [table, columns] of Object.entries(TABLES)) expect(Object.keys(found[table]!)).toEqual(Object.keys(columns));
  });

  it('can be taken back', async () => {
    const { runner } = await import('node-pg-migrate');
    const gone = await freshDatabase('down');
    await migrateUp(gone.url);
    const log = (): void => undefined;
    const dir = join(import.meta.dirname, 'migrations');
    await runner({
      databaseUrl: gone.url, dir, direction: 'down', count: Infinity, migrationsTable: 'pgmigrations', logger: { debug: log, info: log, warn: log, error: log },
    });
    const { rows: left } = await withClient(gone, (client) => client.query<{ relname: string }>(
      `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')`));
    await gone.drop();
    expect(left).toEqual([{ relname: 'pgmigrations' }]);
  });
});

describe('a service at start', () => {
  const log = { info: () => undefined, warn: () => undefined };

  it('waits for a database that is behind, says why, and goes on when it is migrated', async () => {
    const said: (string | null)[] = [];
    await withClient(empty, async (client) => {
      expect(await migrationStatus(client)).toEqual({ applied: [], pending: migrationNames(), unknown: [] });
      const ready = assertMigrated(client, { log, report: (why) => said.push(why), retryMs: 20 });
      await expect.poll(() => said.length).toBeGreaterThan(1);
      await migrateUp(empty.url);
      await ready;
    });
    expect(said[0]).toMatch(/^migrations pending: 0001_instruments, .*npm run migrate -- up/);
    expect(said.at(-1)).toBeNull();
  });

  it('waits for a database that is away, until it is told to stop', async () => {
    const nowhere = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none' });
    const stop = new AbortController();
    const said: (string | null)[] = [];
    const waiting = assertMigrated(nowhere, { log, signal: stop.signal, report: (why) => said.push(why), retryMs: 10 });
    await expect.poll(() => said.length).toBeGreaterThan(2);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    expect(said[0]).toMatch(/^database not reachable: .*ECONNREFUSED/);
  });

  it('refuses a database that is newer, in one line', async () => {
    await withClient(empty, async (client) => {
      await client.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('9999_future', now())`);
      await expect(assertMigrated(client, { log })).rejects.toThrow(/^the database is newer than this build: it has 9999_future; .*$/);
    });
    await expect(migrateUp(empty.url)).rejects.toThrow(/^the database is newer than this build: it has 9999_future; .*$/);
  });
});
