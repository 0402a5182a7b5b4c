// Trades of a batch in columns, encoded for COPY as they come in. One object per row would survive until the commit and be
// copied by the garbage collector twice: that alone cost 1.1 µs per trade.
import type { Trade } from '../contracts/index.ts';
import { CopyWriter } from './binary.ts';

/** Columns in the order in which the contract's payload names their fields. */
export const TRADE_COLUMNS = [
  'instrument_id', 'ts', 'received_at', 'trade_id', 'seq', 'seq_last', 'price', 'amount', 'side',
  'mark_price', 'index_price', 'iv', 'liquidation', 'block_trade_id', 'combo_id',
] as const;

/** instrument_id, the first field: after the count of columns and its own length. */
const INSTRUMENT_AT = 6;
const FIRST_CAPACITY = 256;

export class TradeTable {
  length = 0;
  instrumentId = new Int32Array(FIRST_CAPACITY);
  /** NaN where the venue has none. */
  seq = new Float64Array(FIRST_CAPACITY);
  /** Last sequence number the row stands for. */
  last = new Float64Array(FIRST_CAPACITY);
  /** The exchange's time, µs. */
  ts = new Float64Array(FIRST_CAPACITY);
  /** Where each encoded row begins; one more than there are rows. */
  offset = new Int32Array(FIRST_CAPACITY + 1);
  readonly writer = new CopyWriter();
  /** Room for the same rows in another order: see encodeCopies(). */
  readonly inKeyOrder = new CopyWriter();
  #message: (row: number) => Trade = noMessage;

  constructor() {
    this.offset[0] = this.writer.at;
  }

  /** Empties the table for another batch; `message` finds a row's message again. */
  reuse(message: (row: number) => Trade): void {
    this.length = 0;
    this.writer.at = this.offset[0] ?? 0;
    this.#message = message;
  }

  /** A table of messages. */
  static of(rows: Iterable<{ instrumentId: number; message: Trade }>): TradeTable {
    const table = new TradeTable();
    const messages: Trade[] = [];
    table.#message = (row) => messages[row] ?? noMessage(row);
    for (const { instrumentId, message } of rows) {
      messages.push(message);
      table.add(instrumentId, message);
    }
    return table;
  }

  /** The row's message: for the few rows that must be looked at one by one. */
  message(row: number): Trade {
    return this.#message(row);
  }

  /** Encodes one message. */
  add(instrumentId: number, message: Trade): void {
    const { writer } = this;
    writer.row(TRADE_COLUMNS.length);
    writer.int4(instrumentId);
    writer.micros(message.exchange_ts);
    writer.micros(message.received_ts);
    writer.text(message.trade_id);
    if (message.seq === null) writer.null();
    else writer.int8(message.seq);
    if (message.seq_last === undefined) writer.null();
    else writer.int8(message.seq_last);
    writer.numeric(message.price);
    writer.numeric(message.amount);
    writer.text(message.side);
    writer.optionalNumeric(message.mark_price);
    writer.optionalNumeric(message.index_price);
    writer.optionalNumeric(message.iv);
    writer.optionalText(message.liquidation);
    writer.optionalText(message.block_trade_id);
    writer.optionalText(message.combo_id);
    this.commit(instrumentId, message.seq ?? Number.NaN, message.seq_last ?? message.seq ?? Number.NaN, message.exchange_ts);
  }

  /** Files the row that was just written through `writer` (by somebody who encodes himself). */
  commit(instrumentId: number, seq: number, last: number, ts: number): void {
    const row = this.length;
    if (row === this.seq.length) this.#grow();
    this.instrumentId[row] = instrumentId;
    this.seq[row] = seq;
    this.last[row] = last;
    this.ts[row] = ts;
    this.length = row + 1;
    this.offset[row + 1] = this.writer.at;
  }

  /** Forgets what was written since the last commit(). */
  rollback(): void {
    this.writer.at = this.offset[this.length] ?? 0;
  }

  /** Sets the instrument of a row that was filed before it was known. */
  resolve(row: number, instrumentId: number): void {
    this.instrumentId[row] = instrumentId;
    this.writer.buffer.writeInt32BE(instrumentId, (this.offset[row] ?? 0) + INSTRUMENT_AT);
  }

  #grow(): void {
    const capacity = this.seq.length * 2;
    const wider = <T extends Int32Array | Float64Array>(from: T, to: T): T => (to.set(from), to);
    this.instrumentId = wider(this.instrumentId, new Int32Array(capacity));
    this.seq = wider(this.seq, new Float64Array(capacity));
    this.last = wider(this.last, new Float64Array(capacity));
    this.ts = wider(this.ts, new Float64Array(capacity));
    this.offset = wider(this.offset, new Int32Array(capacity + 1));
  }
}

function noMessage(row: number): never {
  throw new RangeError(`no message for row ${row}`);
}
