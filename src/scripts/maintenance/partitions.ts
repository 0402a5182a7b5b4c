// partitions: days ahead are made, days past their retention are dropped, unless something of them is still being healed.
import { dayOfMicros, dayText } from '../../core/days.ts';
import { transaction } from '../../store/connect.ts';
import {
  PARTITIONED_TABLES, countGapsOfDay, dropDayPartition, ensureDayPartitions, loadPartitionDays, partitionName, sizeOfPartition,
  type PartitionSize, type PartitionedTable,
} from '../../store/partitions.ts';
import { insertOperatorAction } from '../../store/state_log.ts';
import { verb, type TaskContext, type TaskReport } from './task.ts';

/** As the janitor's: yesterday for what arrives late over midnight, a week ahead. */
const DAYS_BACK = 1;
const DAYS_AHEAD = 7;

interface Held {
  partition: string;
  gaps: number;
}

/** A retention of 0 days keeps a table's days for ever; today and as many days before it as the retention says always stay. */
export async function partitions(ctx: TaskContext): Promise<TaskReport> {
  const { settings } = ctx;
  const retention: Record<PartitionedTable, number> = { public_trades: settings.tradesRetentionDays, tickers: settings.tickersRetentionDays };
  const lines: string[] = [];
  const facts: Record<string, unknown> = {};
  let changed = false;
  for (const table of PARTITIONED_TABLES) {
    const made = await makeAhead(ctx, table);
    const { dropped, held } = await dropOld(ctx, table, retention[table]);
    changed ||= made > 0 || dropped.length > 0;
    facts[table] = { made, dropped, held };
    lines.push(`${table}: ${verb(ctx, 'made', 'make')} ${made} day partitions ahead`);
    for (const { partition, rows } of dropped) lines.push(`${table}: ${verb(ctx, 'dropped', 'drop')} ${partition} (about ${rows} rows)`);
    for (const { partition, gaps } of held) lines.push(`${table}: ${partition} stays: ${gaps} gaps of that day are not settled`);
  }
  return { lines, facts, changed };
}

async function makeAhead({ pool, clock, dryRun }: TaskContext, table: PartitionedTable): Promise<number> {
  const today = dayOfMicros(clock.nowMicros());
  if (!dryRun) return ensureDayPartitions(pool, table, today - DAYS_BACK, today + DAYS_AHEAD);
  const days = await loadPartitionDays(pool, table);
  return Array.from({ length: DAYS_BACK + DAYS_AHEAD + 1 }, (_day, n) => today - DAYS_BACK + n).filter((day) => !days.has(day)).length;
}

async function dropOld(ctx: TaskContext, table: PartitionedTable, retentionDays: number): Promise<{ dropped: PartitionSize[]; held: Held[] }> {
  const { pool, clock, metrics } = ctx;
  const dropped: PartitionSize[] = [];
  const held: Held[] = [];
  const keepFrom = dayOfMicros(clock.nowMicros()) - retentionDays;
  const days = retentionDays === 0 ? [] : [...(await loadPartitionDays(pool, table))].filter((day) => day < keepFrom).sort((a, b) => a - b);
  for (const day of days) {
    ctx.signal.throwIfAborted();
    const outcome = await dropDay(ctx, table, day, retentionDays);
    if (outcome === null) continue;
    if ('gaps' in outcome) held.push(outcome);
    else dropped.push(outcome);
  }
  metrics.heldDays.set({ table }, held.length);
  return { dropped, held };
}

/** One transaction: what was dropped is on record, or it is still there. Null when somebody else dropped it. */
async function dropDay({ pool, log, metrics, dryRun }: TaskContext, table: PartitionedTable, day: number, retentionDays: number) {
  const gaps = await countGapsOfDay(pool, day);
  if (gaps > 0) return { partition: partitionName(table, day), gaps } satisfies Held;
  if (dryRun) return sizeOfPartition(pool, table, day);
  const dropped = await transaction(pool, async (client) => {
    const size = await dropDayPartition(client, table, day);
    if (size === null) return null;
    await insertOperatorAction(client, {
      actor: 'maintenance', action: 'drop_partition', target: size.partition,
      reason: `older than ${retentionDays} days`, detail: { table, day: dayText(day), rows: size.rows, bytes: size.bytes },
    });
    return size;
  });
  if (dropped === null) return null;
  metrics.dropped.inc({ table });
  log.info({ table, ...dropped }, 'day partition dropped');
  return dropped;
}
