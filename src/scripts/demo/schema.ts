// The database after a run: at the build's version, no index broken, nobody left with a transaction or a lock.
import type { Pool } from '../../store/connect.ts';
import { migrationStatus } from '../../store/migrate.ts';
import { settle } from './settle.ts';
import { verdict, type Verdict } from './verdict.ts';

/** A living session is between two statements of a transaction for moments only. */
const IDLE = '1 second';

/** What is wrong with the schema and the sessions of a database. */
export async function schemaProblems(pool: Pool): Promise<string[]> {
  const { pending, unknown } = await migrationStatus(pool);
  const { rows } = await pool.query<{ line: string }>(
    `SELECT 'index ' || indexrelid::regclass || ' is invalid' AS line FROM pg_index WHERE NOT indisvalid
     UNION ALL SELECT coalesce(nullif(application_name, ''), 'session') || ' (pid ' || pid || ') is ' || state || ' since ' || state_change
       FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND state_change < now() - $1::interval
     UNION ALL SELECT 'pid ' || pid || ' holds the advisory lock ' || classid || ' ' || objid FROM pg_locks
       WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, [IDLE]);
  return [...pending.map((name) => `${name} is not applied`), ...unknown.map((name) => `${name} is unknown to this build`), ...rows.map(({ line }) => line)];
}

/** Waits for locks that are just being released; what stays is wrong. */
export async function checkSchema(pool: Pool, seconds: number): Promise<Verdict> {
  let problems: string[] = [];
  const complaint = await settle(seconds, async () => {
    problems = await schemaProblems(pool);
    return problems[0] ?? null;
  });
  const offenders = complaint === null ? [] : [...new Set([complaint, ...problems])];
  const { applied } = await migrationStatus(pool);
  return verdict('schema', offenders, `${applied.length} migrations, the head among them; ${offenders.length} broken indexes, idle transactions or locks left`,
    { migrations: applied.length, problems: offenders.length });
}
