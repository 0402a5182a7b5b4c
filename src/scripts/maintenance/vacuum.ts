// vacuum: tables whose rows are rewritten, and the day that has just ended: it is read from now on, and hardly written.
import { dayOfMicros } from '../../core/days.ts';
import { toError } from '../../core/errors.ts';
import { PARTITIONED_TABLES, partitionName } from '../../store/partitions.ts';
import { existingTables, vacuumTable } from '../../store/upkeep.ts';
import { verb, type TaskContext, type TaskReport } from './task.ts';

const REWRITTEN = ['trade_coverage', 'trade_extent', 'ohlc', 'instruments'];

/** One table after the other; one that fails does not keep the others from their turn, and fails the task in the end. */
export async function vacuum(ctx: TaskContext): Promise<TaskReport> {
  const { pool, clock, log, signal, dryRun } = ctx;
  const yesterday = dayOfMicros(clock.nowMicros()) - 1;
  const tables = await existingTables(pool, [...REWRITTEN, ...PARTITIONED_TABLES.map((table) => partitionName(table, yesterday))]);
  const failed: string[] = [];
  for (const table of dryRun ? [] : tables) {
    signal.throwIfAborted();
    try {
      await vacuumTable(pool, table, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ err: toError(error), table }, 'a table could not be vacuumed');
      failed.push(`${table} (${toError(error).message})`);
    }
  }
  if (failed.length > 0) throw new Error(`not vacuumed: ${failed.join(', ')}`);
  return { lines: [`${verb(ctx, 'vacuumed', 'vacuum')} ${tables.join(', ')}`], facts: { tables }, changed: tables.length > 0 };
}
