// `npm run migrate -- up|status|init-sql [--check]`: schema versions by hand.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { loadConfig } from '../runtime/env.ts';
import { clientConfig } from '../store/connect.ts';
import { initSql, migrateUp, migrationStatus } from '../store/migrate.ts';

const USAGE = 'usage: npm run migrate -- up | status | init-sql [--check]';
const INIT_SQL = join(import.meta.dirname, '../../init.sql');
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function up(): Promise<number> {
  const done = await migrateUp(loadConfig(MARKETS).databaseUrl, (line) => process.stderr.write(`${line}\n`));
  say(done.length === 0 ? 'nothing to do: the database is up to date' : `applied ${done.join(', ')}`);
  return 0;
}

async function status(): Promise<number> {
  const client = new pg.Client(clientConfig(loadConfig(MARKETS).databaseUrl, 'migrate'));
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { applied, pending, unknown } = await migrationStatus(client);
    for (const name of applied) say(`${unknown.includes(name) ? 'unknown' : 'applied'}  ${name}`);
    for (const name of pending) say(`pending  ${name}`);
    return pending.length === 0 && unknown.length === 0 ? 0 : 1;
  } finally {
    await client.end();
  }
}

function writeInitSql(check: boolean): number {
  const text = initSql();
  if (!check) {
    writeFileSync(INIT_SQL, text);
    return 0;
  }
  if (readFileSync(INIT_SQL, 'utf8') === text) return 0;
  process.stderr.write('init.sql is stale: run npm run migrate -- init-sql\n');
  return 1;
}

async function main(args: readonly string[]): Promise<number> {
  const [command, flag, ...rest] = args;
  if (rest.length > 0 || (flag !== undefined && !(command === 'init-sql' && flag === '--check'))) throw new UsageError(USAGE);
  switch (command) {
    case 'up':
      return up();
    case 'status':
      return status();
    case 'init-sql':
      return writeInitSql(flag === '--check');
    default:
      throw new UsageError(USAGE);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`migrate: ${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
