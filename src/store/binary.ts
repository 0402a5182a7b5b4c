// PostgreSQL's binary COPY format (protocol documentation, "COPY", Binary Format; src/backend/utils/adt/numeric.c for the
// numeric layout). Parsing binary costs the server a fifth less than text, and the encoder allocates nothing per row.
// Numbers go in exactly: decimal text becomes base-10000 digits with its display scale, no float in between.

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
/** 2000-01-01 UTC, where PostgreSQL counts timestamps from, in µs of the Unix epoch. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;
const NUMERIC_NEGATIVE = 0x4000;
const TWO_32 = 4_294_967_296;
const ZERO = 48;
const MINUS = 45;

/** Rows of one COPY … FROM STDIN (FORMAT binary), written field by field in column order. Grows as needed. */
export class CopyWriter {
  #buffer: Buffer;
  #at: number;

  constructor(capacity = 1 << 16) {
    this.#buffer = Buffer.allocUnsafe(Math.max(capacity, 64));
    this.#at = SIGNATURE.copy(this.#buffer);
  }

  /** Starts a row of `columns` fields. */
  row(columns: number): void {
    this.#reserve(2);
    this.#int16(columns);
  }

  null(): void {
    this.#reserve(4);
    this.#int32(-1);
  }

  int4(value: number): void {
    this.#reserve(8);
    this.#int32(4);
    this.#int32(value);
  }

  /** An integer up to 2^53 in size. */
  int8(value: number): void {
    this.#reserve(12);
    this.#int32(8);
    this.#int32(Math.floor(value / TWO_32));
    this.#int32(value);
  }

  /** A timestamptz from µs since the Unix epoch. */
  micros(value: number): void {
    this.int8(value - POSTGRES_EPOCH_MICROS);
  }

  text(value: string): void {
    const { length } = value;
    this.#reserve(4 + length * 3);
    const buffer = this.#buffer;
    const start = this.#at + 4;
    let at = start;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        at = start + buffer.write(value, start, 'utf8');
        break;
      }
      buffer[at++] = code;
    }
    this.#int32(at - start);
    this.#at = at;
  }

  /** A numeric from plain decimal text (`-12.500`; contract type decimal), value and scale kept. */
  numeric(value: string): void {
    const { length } = value;
    this.#reserve(20 + length);
    const negative = value.charCodeAt(0) === MINUS;
    const first = negative ? 1 : 0;
    let point = value.indexOf('.');
    if (point < 0) point = length;
    const head = this.#at;
    this.#at = head + 12;
    const weight = this.#digits(value, first, point);
    const count = (this.#at - head - 12) >> 1;
    const end = this.#at;
    this.#at = head;
    this.#int32(end - head - 4);
    this.#int16(count);
    this.#int16(count === 0 ? 0 : weight);
    this.#int16(negative && count > 0 ? NUMERIC_NEGATIVE : 0);
    this.#int16(point === length ? 0 : length - point - 1);
    this.#at = end;
  }

  optionalText(value: string | undefined): void {
    if (value === undefined) this.null();
    else this.text(value);
  }

  optionalNumeric(value: string | undefined): void {
    if (value === undefined) this.null();
    else this.numeric(value);
  }

  /** Ends the copy and returns its bytes; the writer must not be used any more. */
  finish(): Buffer {
    this.#reserve(2);
    this.#int16(-1);
    return this.#buffer.subarray(0, this.#at);
  }

  /** Base-10000 digits without leading and trailing zero groups; returns the weight of the first one. */
  #digits(value: string, first: number, point: number): number {
    let weight = Math.ceil((point - first) / 4) - 1;
    let started = false;
    let lastNonZero = this.#at;
    let at = first;
    // The first group is short unless the integer part is a multiple of four digits long.
    let groupEnd = first + (point - first - weight * 4);
    while (at < value.length) {
      if (at === point) {
        at++;
        groupEnd = at + 4;
      }
      let digit = 0;
      for (; at < groupEnd; at++) digit = digit * 10 + (at < value.length ? value.charCodeAt(at) - ZERO : 0);
      groupEnd = at + 4;
      if (digit === 0 && !started) {
        weight--;
        continue;
      }
      started = true;
      this.#int16(digit);
      if (digit !== 0) lastNonZero = this.#at;
    }
    this.#at = started ? lastNonZero : this.#at;
    return weight;
  }

  #int16(value: number): void {
    const buffer = this.#buffer;
    buffer[this.#at++] = value >> 8;
    buffer[this.#at++] = value;
  }

  /** Writes the low 32 bits of an integer up to 2^53 in size, whatever its sign. */
  #int32(value: number): void {
    const low = value | 0;
    const buffer = this.#buffer;
    buffer[this.#at++] = low >> 24;
    buffer[this.#at++] = low >> 16;
    buffer[this.#at++] = low >> 8;
    buffer[this.#at++] = low;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
