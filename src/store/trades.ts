// public_trades: every trade once. Coverage first (coverage.ts), then the new rows in one binary COPY; only rows whose
// sequence is stored already are looked up and compared. The same key with other content is a conflict, never an overwrite,
// whatever the day it was stored under: trade_extent knows the numbers of all days.
//
// The key is the sequence, and the trade id only where there is none. A trade id that comes under two sequences is stored under
// both: nothing but an index of the ids would see it, and that writes at 0.67 of the speed (0.59 as numbers; 7 rounds of 200,000
// trades of 50 instruments, medians; trade_extent itself 0.99). On Binance the id is the sequence.
//
// Aggregates stand for the run seq..seq_last. A run that overlaps stored trades without being the same run can neither be
// stored (its overlap would count twice) nor dropped (its rest would be lost): it is a conflict, and what it alone covers
// is taken out of the coverage again, so that completeness reports it as missing.
import { dayOfMicros } from '../core/days.ts';
import { sqlState, withTransaction, type Client, type Pool } from './connect.ts';
import { copyBinary, copyStatement } from './copy.ts';
import { beforeOf, extendCoverage, findElsewhere, meets, retractCoverage, subtractRanges, type Overlap } from './coverage.ts';
import { STORED_ALREADY, fly } from './flight.ts';
import { partitionName } from './partitions.ts';
import { encodeCopies, planTrades, type SeqRange, type Suspect, type TradeCopy, type TradePlan } from './trade_plan.ts';
import { compareStored, findStored, insertOneByOne, type StoredTrade, type TradeRow } from './trade_rows.ts';
import { TRADE_COLUMNS, type TradeTable } from './trade_table.ts';

export interface TradeConflict {
  /** Number of the row in the plan's table. */
  readonly row: number;
  /** One line that names the field and both values. */
  readonly error: string;
}

export interface TradeOutcome {
  stored: number;
  duplicates: number;
  conflicts: TradeConflict[];
  /** Whether COMMIT is done. */
  committed: boolean;
}

export interface TradeOptions {
  /** Days that have a partition of their own (loadPartitionDays); rows of other days go through the parent table. */
  readonly partitionDays: ReadonlySet<number>;
  /** Expect rows that are stored but not covered (a COPY answered 23505): INSERT … ON CONFLICT, and repair the coverage. */
  readonly careful: boolean;
  /** Rows that openTrades(plan) returned, where that statement was sent already (with BEGIN). */
  readonly opened?: readonly unknown[];
  /** These trades are the last work of the transaction: let the COPY carry COMMIT along where nothing comes after it. */
  readonly commit?: boolean;
  /** Told each run of sequence numbers that was not stored before, under the day it is stored. */
  readonly onNew?: (day: number, range: SeqRange) => void;
}

/** The first statement of storeTrades(), without parameters; '' when there is none. */
export const openTrades = ({ coverage }: TradePlan): string => (coverage.length === 0 ? '' : extendCoverage(coverage));

/**
 * Stores a plan in a transaction of its own, in one flight; null, and nothing stored, when that is not possible: the plan has
 * rows that need a look, or some of them are stored already.
 */
export async function flyTrades(pool: Pool, plan: TradePlan, { partitionDays }: Pick<TradeOptions, 'partitionDays'>): Promise<TradeOutcome | null> {
  const [copy] = plan.copies;
  if (copy === undefined || plan.copies.length > 1 || plan.suspects.length + plan.unsequenced.length > 0) return null;
  const text = `BEGIN; ${extendCoverage(plan.coverage, true)}; ${copyStatement(copyTarget(copy, partitionDays), TRADE_COLUMNS)}; COMMIT`;
  try {
    const stored = await withTransaction(pool, (client) => fly(client, text, copy.bytes));
    return { stored, duplicates: 0, conflicts: [], committed: true };
  } catch (error) {
    if (sqlState(error) === STORED_ALREADY) return null;
    throw error;
  }
}

const copyTarget = ({ day }: TradeCopy, partitionDays: ReadonlySet<number>): string =>
  partitionDays.has(day) ? partitionName('public_trades', day) : 'public_trades';

/** Stores a plan inside the caller's transaction. Repeating it after a commit stores nothing and counts duplicates. */
export async function storeTrades(client: Client, plan: TradePlan, options: TradeOptions): Promise<TradeOutcome> {
  const outcome: TradeOutcome = { stored: 0, duplicates: 0, conflicts: [], committed: false };
  // Each round settles at least the first row of every knot of overlapping rows, so this ends.
  let next = await storeSequenced(client, plan, options, outcome);
  while (next !== null) next = await storeSequenced(client, next, { ...options, opened: undefined }, outcome);
  await storeUnsequenced(client, plan, outcome);
  return outcome;
}

type RoundOptions = Omit<TradeOptions, 'opened'> & { readonly opened?: readonly unknown[] | undefined };

/** One round; returns a plan of the rows that met only rows which turned out to be refused. */
async function storeSequenced(client: Client, plan: TradePlan, options: RoundOptions, outcome: TradeOutcome): Promise<TradePlan | null> {
  const { table, candidates, coverage } = plan;
  const statement = options.opened === undefined ? openTrades(plan) : '';
  const rows = statement === '' ? (options.opened ?? []) : (await client.query(statement)).rows;
  const overlaps = await findElsewhere(client, beforeOf(coverage, rows));
  const met = new Set(overlaps.length === 0 ? [] : candidatesIn(plan, overlaps));
  const suspects: Suspect[] = [...met].map((row) => ({ row, against: null }));
  if (options.careful) {
    const fresh = candidates.filter((row) => !met.has(row));
    const refused = await insertOneByOne(client, rowsOf(table, fresh));
    outcome.stored += fresh.length - refused.length;
    for (const n of refused) suspects.push({ row: fresh[n] ?? 0, against: null });
    tellNew(table, fresh.filter((_row, n) => !refused.includes(n)), options);
  } else {
    const copies = met.size === 0 ? plan.copies : encodeCopies(table, candidates, met);
    const last = options.commit === true && copies.length === 1 && suspects.length + plan.suspects.length + plan.unsequenced.length === 0;
    outcome.stored += await copyTrades(client, copies, options, last);
    outcome.committed = last;
    tellNew(table, candidates, options, met);
  }
  suspects.push(...plan.suspects);
  return suspects.length === 0 ? null : settle(client, table, suspects, overlaps, outcome);
}

function tellNew(table: TradeTable, rows: readonly number[], { onNew }: RoundOptions, except: ReadonlySet<number> = new Set()): void {
  if (onNew === undefined) return;
  for (const row of rows) if (!except.has(row)) onNew(dayOf(table, row), rangeOf(table, row));
}

async function copyTrades(client: Client, copies: readonly TradeCopy[], { partitionDays }: RoundOptions, commit: boolean): Promise<number> {
  let stored = 0;
  for (const copy of copies) stored += await copyBinary(client, copyTarget(copy, partitionDays), TRADE_COLUMNS, copy.bytes, commit);
  return stored;
}

/** Decides on rows that met stored ones: duplicate, conflict, or (nothing stored stands in the way) another round. */
async function settle(
  client: Client, table: TradeTable, suspects: readonly Suspect[], overlaps: readonly Overlap[], outcome: TradeOutcome,
): Promise<TradePlan | null> {
  const stored = await findStored(client, rowsOf(table, suspects.map(({ row }) => row)), overlaps.flatMap(({ days }) => days));
  const refused = new Set<number>();
  const again: number[] = [];
  for (const [n, { row, against }] of suspects.entries()) {
    const found = stored[n];
    if (found === undefined && against !== null && refused.has(against)) {
      again.push(row);
      continue;
    }
    const error = found === undefined ? overlapError(table, row, against) : compareStored(rowOf(table, row), found);
    if (error === null) {
      outcome.duplicates++;
      continue;
    }
    refused.add(row);
    outcome.conflicts.push({ row, error });
    if (against === null) await retract(client, table, row, found, overlaps);
  }
  return again.length === 0 ? null : planTrades(table, again);
}

/** A refused candidate was counted as covered: takes back what it alone would have covered. */
async function retract(
  client: Client, table: TradeTable, row: number, found: StoredTrade | undefined, overlaps: readonly Overlap[],
): Promise<void> {
  const day = dayOf(table, row);
  const instrumentId = table.instrumentId[row] ?? 0;
  const before = overlaps.find(({ key }) => key.instrumentId === instrumentId && key.day === day)?.sameDay ?? [];
  const holds = found !== undefined && dayOfMicros(found.ts) === day ? [...before, found.range] : before;
  const alone = subtractRanges(rangeOf(table, row), holds);
  if (alone.length > 0) await retractCoverage(client, instrumentId, day, alone);
}

function overlapError(table: TradeTable, row: number, against: number | null): string {
  const [from, to] = rangeOf(table, row);
  const other = against === null ? 'stored trades' : `trades ${rangeOf(table, against).join('..')}`;
  return `seq: ${from}..${to} overlaps ${other} of another run (instrument ${table.instrumentId[row]})`;
}

const rangeOf = (table: TradeTable, row: number): SeqRange => [table.seq[row] ?? 0, table.last[row] ?? 0];
const dayOf = (table: TradeTable, row: number): number => dayOfMicros(table.ts[row] ?? 0);
const rowOf = (table: TradeTable, row: number): TradeRow => ({ instrumentId: table.instrumentId[row] ?? 0, message: table.message(row) });
const rowsOf = (table: TradeTable, rows: readonly number[]): TradeRow[] => rows.map((row) => rowOf(table, row));

/** Candidates whose run meets what was stored before. */
function candidatesIn({ table, candidates }: TradePlan, overlaps: readonly Overlap[]): number[] {
  const ranges = new Map<string, SeqRange[]>();
  for (const { key, sameDay, elsewhere } of overlaps) {
    ranges.set(`${key.instrumentId}:${key.day}`, [...sameDay, ...elsewhere].sort(([a], [b]) => a - b));
  }
  return candidates.filter((row) => {
    const stored = ranges.get(`${table.instrumentId[row]}:${dayOf(table, row)}`);
    return stored !== undefined && meets(stored, ...rangeOf(table, row));
  });
}

/** Venues without a contiguous sequence: the trade id is the key, and no coverage is kept. */
async function storeUnsequenced(client: Client, { table, unsequenced }: TradePlan, outcome: TradeOutcome): Promise<void> {
  if (unsequenced.length === 0) return;
  const first = new Map<string, number>();
  const repeated: number[] = [];
  for (const row of unsequenced) {
    const key = `${table.instrumentId[row]}:${table.message(row).trade_id}`;
    if (first.has(key)) repeated.push(row);
    else first.set(key, row);
  }
  const candidates = [...first.values()];
  const known = await findStored(client, rowsOf(table, candidates));
  const fresh = candidates.filter((_row, n) => known[n] === undefined);
  const refused = await insertOneByOne(client, rowsOf(table, fresh));
  outcome.stored += fresh.length - refused.length;
  const suspects = [...candidates.filter((_row, n) => known[n] !== undefined), ...refused.map((n) => fresh[n] ?? 0), ...repeated];
  const stored = await findStored(client, rowsOf(table, suspects));
  for (const [n, row] of suspects.entries()) {
    const found = stored[n];
    const error = found === undefined ? 'trade_id: is stored and not to be found' : compareStored(rowOf(table, row), found);
    if (error === null) outcome.duplicates++;
    else outcome.conflicts.push({ row, error });
  }
}
