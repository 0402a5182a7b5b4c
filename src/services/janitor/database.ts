// The database's part of a bootstrap: schema at head, partitions made ahead, the state changes on record.
import { classify } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import type { Pool } from '../../store/connect.ts';
import { migrateUp, migrationStatus } from '../../store/migrate.ts';
import { PARTITIONED_TABLES, ensureDayPartitions } from '../../store/partitions.ts';
import { insertStateChanges, type StateChangeRow } from '../../store/state_log.ts';
import { retry } from './retry.ts';

const MICROS_PER_DAY = 86_400_000_000;
/** Yesterday for what arrives late over midnight; a week ahead, so that a week without maintenance loses no day. */
const DAYS_BACK = 1;
const DAYS_AHEAD = 7;
const ATTEMPTS = 12;

const overDatabase = (what: string): Parameters<typeof retry>[1] =>
  ({ what, attempts: ATTEMPTS, worthRepeating: (error) => classify(error) === 'infrastructure' });

/** Brings the schema to this build's head, and refuses a database that is ahead of it. */
export async function migrate(ctx: ServiceContext, pool: Pool): Promise<void> {
  const { databaseUrl } = ctx.config;
  const where = new URL(databaseUrl).host;
  const status = await retry(ctx, overDatabase(`database at ${where}`), () => migrationStatus(pool));
  if (status.unknown.length > 0) {
    throw new Error(`the database at ${where} is newer than this build: it has ${status.unknown.join(', ')}; deploy the newer build`);
  }
  // The governor bootstraps again with the rights of a service, and finds nothing to apply.
  if (status.pending.length === 0) {
    ctx.log.info({ applied: [] }, 'schema is up to date');
    return;
  }
  const applied = await retry(ctx, overDatabase(`migrations at ${where}`), () =>
    migrateUp(databaseUrl, (line) => ctx.log.warn({ migration: line }, 'migration says')));
  ctx.log.info({ applied }, 'migrations applied');
}

/** Day partitions from yesterday to a week ahead. */
export async function makePartitions(ctx: ServiceContext, pool: Pool): Promise<void> {
  const today = Math.floor(ctx.clock.nowMicros() / MICROS_PER_DAY);
  for (const table of PARTITIONED_TABLES) {
    const made = await retry(ctx, overDatabase(`partitions of ${table}`), () =>
      ensureDayPartitions(pool, table, today - DAYS_BACK, today + DAYS_AHEAD));
    ctx.log.info({ table, made, until_day: today + DAYS_AHEAD }, 'partitions made ahead');
  }
}

/** Throws when the schema is not at head any more: the last check before the states say that all is well. */
export async function checkSchema(ctx: ServiceContext, pool: Pool): Promise<void> {
  const { pending, unknown } = await retry(ctx, overDatabase('migration status'), () => migrationStatus(pool));
  if (pending.length > 0 || unknown.length > 0) throw new Error(`migrations are not at head: pending ${pending.join(', ')}; unknown ${unknown.join(', ')}`);
}

export async function logStates(ctx: ServiceContext, pool: Pool, changes: readonly StateChangeRow[]): Promise<void> {
  await retry(ctx, overDatabase('state_log'), () => insertStateChanges(pool, changes));
}
