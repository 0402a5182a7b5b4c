// A batch of trades made ready for the database, without touching it: which rows are candidates, which repeat or overlap
// another row of the batch, which sequence runs they cover, and the bytes of the COPY. Pure and CPU-lean: this runs while
// the server is busy with the batch before.
import type { Trade } from '../contracts/index.ts';
import { dayOfMicros } from '../core/days.ts';
import { CopyWriter } from './binary.ts';

export interface TradeRow {
  readonly instrumentId: number;
  readonly message: Trade;
}

/** Both ends belong to the range. */
export type SeqRange = readonly [from: number, to: number];

/** What the batch adds to one row of trade_coverage. */
export interface CoverageKey {
  readonly instrumentId: number;
  readonly day: number;
  /** Ascending and apart. */
  readonly runs: SeqRange[];
}

/** A row that cannot simply be stored: its range meets that of another row, of this batch or in the database. */
export interface Suspect<R> {
  readonly row: R;
  /** The row of this batch it met; null when it met the database. */
  readonly against: R | null;
}

export interface TradePlan<R extends TradeRow> {
  /** Candidates by instrument and then seq: no two of them overlap. */
  readonly candidates: R[];
  readonly suspects: Suspect<R>[];
  /** In key order: the order in which every writer locks them. */
  readonly coverage: CoverageKey[];
  /** COPY bytes of all candidates, per UTC day. */
  readonly copies: TradeCopy[];
  /** Rows of venues without a sequence: they take the ON CONFLICT path. */
  readonly unsequenced: R[];
}

export interface TradeCopy {
  readonly day: number;
  readonly rows: number;
  readonly bytes: Buffer;
}

export const TRADE_COLUMNS = [
  'instrument_id', 'seq', 'ts', 'received_at', 'seq_last', 'side', 'trade_id', 'price', 'amount',
  'mark_price', 'index_price', 'iv', 'liquidation', 'block_trade_id', 'combo_id',
] as const;

/** Largest encoded row with ordinary values; the buffer grows past it. */
const BYTES_PER_ROW = 190;

/** Last sequence number a row stands for. */
export function lastSeq(row: TradeRow): number {
  const { seq, seq_last } = row.message;
  return seq_last ?? seq ?? -1;
}

/** Sorts, groups and encodes. Of rows that overlap each other the one that came first in the batch is the candidate. */
export function planTrades<R extends TradeRow>(rows: readonly R[]): TradePlan<R> {
  const byInstrument = new Map<number, R[]>();
  const suspects: Suspect<R>[] = [];
  const unsequenced: R[] = [];
  for (const row of rows) {
    if (row.message.seq === null) {
      unsequenced.push(row);
      continue;
    }
    const accepted = byInstrument.get(row.instrumentId);
    if (accepted === undefined) byInstrument.set(row.instrumentId, [row]);
    else admit(accepted, row, suspects);
  }
  const candidates: R[] = [];
  const coverage: CoverageKey[] = [];
  for (const instrumentId of [...byInstrument.keys()].sort((a, b) => a - b)) {
    const accepted = byInstrument.get(instrumentId) ?? [];
    for (const row of accepted) candidates.push(row);
    coverage.push(...coverageOf(instrumentId, accepted));
  }
  return { candidates, suspects, coverage, copies: encodeCopies(candidates), unsequenced };
}

/** Puts a row at its place among accepted ones (ascending, no overlap), or among the suspects. */
function admit<R extends TradeRow>(accepted: R[], row: R, suspects: Suspect<R>[]): void {
  const from = row.message.seq ?? 0;
  const newest = accepted[accepted.length - 1];
  if (newest === undefined || from > lastSeq(newest)) {
    accepted.push(row);
    return;
  }
  // Out of order or repeated: find the first accepted row that ends at or after our start.
  let low = 0;
  let high = accepted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const other = accepted[middle];
    if (other !== undefined && lastSeq(other) < from) low = middle + 1;
    else high = middle;
  }
  const next = accepted[low];
  if (next !== undefined && (next.message.seq ?? 0) <= lastSeq(row)) suspects.push({ row, against: next });
  else accepted.splice(low, 0, row);
}

/** Runs per day of one instrument's accepted rows, days ascending. */
function coverageOf(instrumentId: number, accepted: readonly TradeRow[]): CoverageKey[] {
  const byDay = new Map<number, { runs: [number, number][] }>();
  let day = Number.NaN;
  let runs: [number, number][] = [];
  for (const row of accepted) {
    const rowDay = dayOfMicros(row.message.exchange_ts);
    if (rowDay !== day) {
      day = rowDay;
      const known = byDay.get(day);
      runs = known?.runs ?? [];
      if (known === undefined) byDay.set(day, { runs });
    }
    const from = row.message.seq ?? 0;
    const run = runs[runs.length - 1];
    if (run !== undefined && run[1] + 1 === from) run[1] = lastSeq(row);
    else runs.push([from, lastSeq(row)]);
  }
  return [...byDay].sort(([a], [b]) => a - b).map(([key, value]) => ({ instrumentId, day: key, runs: value.runs }));
}

/** The COPY bytes of rows in their order, one copy per UTC day, without those in `except`. */
export function encodeCopies<R extends TradeRow>(rows: readonly R[], except?: ReadonlySet<R>): TradeCopy[] {
  const byDay = new Map<number, { writer: CopyWriter; rows: number }>();
  let day = Number.NaN;
  let target = { writer: new CopyWriter(0), rows: 0 };
  for (const row of rows) {
    if (except?.has(row) === true) continue;
    const rowDay = dayOfMicros(row.message.exchange_ts);
    if (rowDay !== day) {
      day = rowDay;
      target = byDay.get(day) ?? { writer: new CopyWriter((rows.length + 1) * BYTES_PER_ROW), rows: 0 };
      byDay.set(day, target);
    }
    encodeTrade(target.writer, row);
    target.rows++;
  }
  return [...byDay].map(([key, { writer, rows: count }]) => ({ day: key, rows: count, bytes: writer.finish() }));
}

function encodeTrade(writer: CopyWriter, { instrumentId, message }: TradeRow): void {
  writer.row(TRADE_COLUMNS.length);
  writer.int4(instrumentId);
  if (message.seq === null) writer.null();
  else writer.int8(message.seq);
  writer.micros(message.exchange_ts);
  writer.micros(message.received_ts);
  if (message.seq_last === undefined) writer.null();
  else writer.int8(message.seq_last);
  writer.text(message.side);
  writer.text(message.trade_id);
  writer.numeric(message.price);
  writer.numeric(message.amount);
  writer.optionalNumeric(message.mark_price);
  writer.optionalNumeric(message.index_price);
  writer.optionalNumeric(message.iv);
  writer.optionalText(message.liquidation);
  writer.optionalText(message.block_trade_id);
  writer.optionalText(message.combo_id);
}
