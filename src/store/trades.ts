// public_trades: every trade once. Coverage first (coverage.ts), then the new rows in one binary COPY; only rows whose
// sequence is stored already are looked up and compared. The same key with other content is a conflict, never an overwrite.
//
// Aggregates stand for the run seq..seq_last. A run that overlaps stored trades without being the same run can neither be
// stored (its overlap would count twice) nor dropped (its rest would be lost): it is a conflict, and what it alone covers
// is taken out of the coverage again, so that completeness reports it as missing.
import { dayOfMicros } from '../core/days.ts';
import type { Client } from './connect.ts';
import { copyBinary } from './copy.ts';
import { extendCoverage, meets, retractCoverage, subtractRanges, type Overlap } from './coverage.ts';
import { partitionName } from './partitions.ts';
import { TRADE_COLUMNS, encodeCopies, lastSeq, planTrades, type SeqRange, type Suspect, type TradeCopy, type TradePlan, type TradeRow } from './trade_plan.ts';
import { compareStored, findStored, insertOneByOne, type StoredTrade } from './trade_rows.ts';

export interface TradeConflict<R> {
  readonly row: R;
  /** One line that names the field and both values. */
  readonly error: string;
}

export interface TradeOutcome<R> {
  stored: number;
  duplicates: number;
  conflicts: TradeConflict<R>[];
}

export interface TradeOptions {
  /** Days that have a partition of their own (loadPartitionDays); rows of other days go through the parent table. */
  readonly partitionDays: ReadonlySet<number>;
  /** Expect rows that are stored but not covered (a COPY answered 23505): INSERT … ON CONFLICT, and repair the coverage. */
  readonly careful: boolean;
}

/** Stores a plan inside the caller's transaction. Repeating it after a commit stores nothing and counts duplicates. */
export async function storeTrades<R extends TradeRow>(client: Client, plan: TradePlan<R>, options: TradeOptions): Promise<TradeOutcome<R>> {
  const outcome: TradeOutcome<R> = { stored: 0, duplicates: 0, conflicts: [] };
  let next: TradePlan<R> | null = plan;
  // Each round settles at least the first row of every knot of overlapping rows, so this ends.
  while (next !== null) next = await storeSequenced(client, next, options, outcome);
  await storeUnsequenced(client, plan.unsequenced, outcome);
  return outcome;
}

/** One round; returns a plan of the rows that met only rows which turned out to be refused. */
async function storeSequenced<R extends TradeRow>(
  client: Client, plan: TradePlan<R>, options: TradeOptions, outcome: TradeOutcome<R>,
): Promise<TradePlan<R> | null> {
  const overlaps = await extendCoverage(client, plan.coverage);
  const met = overlaps.length === 0 ? [] : candidatesIn(plan.candidates, overlaps);
  const suspects: Suspect<R>[] = met.map((row) => ({ row, against: null }));
  if (options.careful) {
    const fresh = met.length === 0 ? plan.candidates : without(plan.candidates, met);
    const refused = await insertOneByOne(client, fresh);
    outcome.stored += fresh.length - refused.length;
    for (const row of refused) suspects.push({ row, against: null });
  } else {
    outcome.stored += await copyTrades(client, met.length === 0 ? plan.copies : encodeCopies(plan.candidates, new Set(met)), options);
  }
  suspects.push(...plan.suspects);
  return suspects.length === 0 ? null : settle(client, suspects, overlaps, outcome);
}

async function copyTrades(client: Client, copies: readonly TradeCopy[], { partitionDays }: TradeOptions): Promise<number> {
  let stored = 0;
  for (const { day, bytes } of copies) {
    const table = partitionDays.has(day) ? partitionName('public_trades', day) : 'public_trades';
    stored += await copyBinary(client, table, TRADE_COLUMNS, bytes);
  }
  return stored;
}

/** Decides on rows that met stored ones: duplicate, conflict, or (nothing stored stands in the way) another round. */
async function settle<R extends TradeRow>(
  client: Client, suspects: readonly Suspect<R>[], overlaps: readonly Overlap[], outcome: TradeOutcome<R>,
): Promise<TradePlan<R> | null> {
  const stored = await findStored(client, suspects.map((suspect) => suspect.row));
  const refused = new Set<R>();
  const again: R[] = [];
  for (const [n, { row, against }] of suspects.entries()) {
    const found = stored[n];
    if (found === undefined && against !== null && refused.has(against)) {
      again.push(row);
      continue;
    }
    const error = found === undefined ? overlapError(row, against) : compareStored(row, found);
    if (error === null) {
      outcome.duplicates++;
      continue;
    }
    refused.add(row);
    outcome.conflicts.push({ row, error });
    if (against === null) await retract(client, row, found, overlaps);
  }
  return again.length === 0 ? null : planTrades(again);
}

/** A refused candidate was counted as covered: takes back what it alone would have covered. */
async function retract(client: Client, row: TradeRow, found: StoredTrade | undefined, overlaps: readonly Overlap[]): Promise<void> {
  const day = dayOfMicros(row.message.exchange_ts);
  const before = overlaps.find(({ key }) => key.instrumentId === row.instrumentId && key.day === day)?.sameDay ?? [];
  const holds = found !== undefined && dayOfMicros(found.ts) === day ? [...before, found.range] : before;
  const alone = subtractRanges(rangeOf(row), holds);
  if (alone.length > 0) await retractCoverage(client, row.instrumentId, day, alone);
}

function overlapError(row: TradeRow, against: TradeRow | null): string {
  const [from, to] = rangeOf(row);
  const other = against === null ? 'stored trades' : `trades ${rangeOf(against).join('..')}`;
  return `seq: ${from}..${to} overlaps ${other} of another run (instrument ${row.instrumentId})`;
}

const rangeOf = (row: TradeRow): SeqRange => [row.message.seq ?? 0, lastSeq(row)];

function without<R>(rows: readonly R[], some: readonly R[]): R[] {
  const set = new Set(some);
  return rows.filter((row) => !set.has(row));
}

/** Candidates whose run meets what was stored before. */
function candidatesIn<R extends TradeRow>(candidates: readonly R[], overlaps: readonly Overlap[]): R[] {
  const ranges = new Map<string, SeqRange[]>();
  for (const { key, sameDay, nextDoor } of overlaps) {
    ranges.set(`${key.instrumentId}:${key.day}`, [...sameDay, ...nextDoor].sort(([a], [b]) => a - b));
  }
  return candidates.filter((row) => {
    const stored = ranges.get(`${row.instrumentId}:${dayOfMicros(row.message.exchange_ts)}`);
    return stored !== undefined && meets(stored, ...rangeOf(row));
  });
}

/** Venues without a contiguous sequence: the trade id is the key, and no coverage is kept. */
async function storeUnsequenced<R extends TradeRow>(client: Client, rows: readonly R[], outcome: TradeOutcome<R>): Promise<void> {
  if (rows.length === 0) return;
  const first = new Map<string, R>();
  const repeated: R[] = [];
  for (const row of rows) {
    const key = `${row.instrumentId}:${row.message.trade_id}`;
    if (first.has(key)) repeated.push(row);
    else first.set(key, row);
  }
  // In key order: two writers must not wait for each other.
  const candidates = [...first.values()].sort(byTradeId);
  const known = await findStored(client, candidates);
  const fresh = candidates.filter((_row, n) => known[n] === undefined);
  const refused = await insertOneByOne(client, fresh);
  outcome.stored += fresh.length - refused.length;
  const suspects = [...candidates.filter((_row, n) => known[n] !== undefined), ...refused, ...repeated];
  const stored = await findStored(client, suspects);
  for (const [n, row] of suspects.entries()) {
    const found = stored[n];
    const error = found === undefined ? `trade_id: ${row.message.trade_id} is stored and not to be found` : compareStored(row, found);
    if (error === null) outcome.duplicates++;
    else outcome.conflicts.push({ row, error });
  }
}

function byTradeId(a: TradeRow, b: TradeRow): number {
  if (a.instrumentId !== b.instrumentId) return a.instrumentId - b.instrumentId;
  return a.message.trade_id < b.message.trade_id ? -1 : a.message.trade_id > b.message.trade_id ? 1 : 0;
}
