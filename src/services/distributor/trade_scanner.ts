// The hot path: a trade in the spelling of our own receiver (the contract's key order, no escapes, no spaces) goes from the
// socket's bytes to COPY bytes in one pass that checks every field, without an object or a string in between: 0.5 µs per
// trade where JSON.parse, the schema and the encoder need 3. Anything spelled otherwise is refused here and takes the
// reference path (decode.ts); the scanner may only ever accept what that path accepts, with equal bytes (the test compares).
import { TRADE_COLUMNS, type TradeTable } from '../../store/trade_table.ts';
import { MAX_RUN } from './decode.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

const HEAD = bytes('{"v":1,"type":"trade","market_id":"');
const SYMBOL = bytes('","symbol":"');
const EXCHANGE_TS = bytes('","exchange_ts":');
const RECEIVED_TS = bytes(',"received_ts":');
const TRADE_ID = bytes(',"trade_id":"');
const SEQ = bytes('","seq":');
const NULL = bytes('null');
const SEQ_LAST = bytes(',"seq_last":');
const PRICE = bytes(',"price":"');
const AMOUNT = bytes('","amount":"');
const SIDE = bytes('","side":"');
const BUY = bytes('buy"');
const SELL = bytes('sell"');
const MARK_PRICE = bytes(',"mark_price":"');
const INDEX_PRICE = bytes(',"index_price":"');
const IV = bytes(',"iv":"');
const LIQUIDATION = bytes(',"liquidation":"');
const BLOCK_TRADE_ID = bytes(',"block_trade_id":"');
const COMBO_ID = bytes(',"combo_id":"');
const WORDS = ['maker', 'taker', 'both'].map(bytes);

const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const MAX_DIGITS = 30;
const MAX_ID = 64;
const MAX_SYMBOL = 96;
const MAX_MARKET = 32;
const QUOTE = 34;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const NINE = 57;
const UNDERSCORE = 95;
const BACKSLASH = 92;
const LOWER_A = 97;
const LOWER_Z = 122;
const CLOSE = 125;

/** Scans one payload at a time; the public fields speak of the last one that scan() accepted. */
export class TradeScanner {
  /** Where `<market_id>","symbol":"<symbol>` lies in the source: one key for both. */
  keyStart = 0;
  keyEnd = 0;
  receivedTs = 0;
  exchangeTs = 0;
  seq = Number.NaN;
  last = Number.NaN;

  #source: Uint8Array = new Uint8Array();
  #at = 0;
  #end = 0;
  #number = 0;

  /** Writes the row (with instrument 0) through the table's writer; on false nothing was written. The caller commits it. */
  scan(source: Uint8Array, start: number, end: number, table: TradeTable): boolean {
    this.#source = source;
    this.#at = start;
    this.#end = end;
    if (this.#row(table)) return true;
    table.rollback();
    return false;
  }

  #row(table: TradeTable): boolean {
    const { writer } = table;
    if (!this.#literal(HEAD)) return false;
    this.keyStart = this.#at;
    if (!this.#market() || !this.#literal(SYMBOL) || !this.#word(MAX_SYMBOL)) return false;
    this.keyEnd = this.#at;
    writer.row(TRADE_COLUMNS.length);
    writer.int4(0);
    if (!this.#literal(EXCHANGE_TS) || !this.#micros()) return false;
    this.exchangeTs = this.#number;
    if (!this.#literal(RECEIVED_TS) || !this.#micros()) return false;
    this.receivedTs = this.#number;
    writer.micros(this.exchangeTs);
    writer.micros(this.receivedTs);
    return this.#literal(TRADE_ID) && this.#text(table, MAX_ID) && this.#sequence(table)
      && this.#literal(PRICE) && this.#decimal(table, true)
      && this.#literal(AMOUNT) && this.#decimal(table, false)
      && this.#literal(SIDE) && this.#side(table)
      && this.#optionalDecimal(table, MARK_PRICE) && this.#optionalDecimal(table, INDEX_PRICE) && this.#optionalDecimal(table, IV)
      && this.#liquidation(table) && this.#optionalText(table, BLOCK_TRADE_ID, MAX_ID) && this.#optionalText(table, COMBO_ID, MAX_SYMBOL)
      && this.#source[this.#at] === CLOSE && this.#at + 1 === this.#end;
  }

  /** `"seq":` and `,"seq_last":` with their values. */
  #sequence({ writer }: TradeTable): boolean {
    if (!this.#literal(SEQ)) return false;
    if (this.#literal(NULL)) {
      writer.null();
      this.seq = Number.NaN;
    } else {
      if (!this.#integer()) return false;
      this.seq = this.#number;
      writer.int8(this.seq);
    }
    this.last = this.seq;
    if (!this.#literal(SEQ_LAST)) {
      writer.null();
      return true;
    }
    if (!this.#integer()) return false;
    this.last = this.#number;
    writer.int8(this.last);
    // False for a seq that is NaN, too: the reference path then says why.
    return this.last >= this.seq && this.last - this.seq < MAX_RUN;
  }

  #side({ writer }: TradeTable): boolean {
    const start = this.#at;
    if (!this.#literal(BUY) && !this.#literal(SELL)) return false;
    writer.textBytes(this.#source, start, this.#at - 1);
    return true;
  }

  #liquidation({ writer }: TradeTable): boolean {
    if (!this.#literal(LIQUIDATION)) {
      writer.null();
      return true;
    }
    const start = this.#at;
    for (const word of WORDS) {
      if (!this.#literal(word)) continue;
      writer.textBytes(this.#source, start, this.#at);
      return this.#quote();
    }
    return false;
  }

  #optionalDecimal(table: TradeTable, name: Uint8Array): boolean {
    if (this.#literal(name)) return this.#decimal(table, true) && this.#quote();
    table.writer.null();
    return true;
  }

  #optionalText(table: TradeTable, name: Uint8Array, max: number): boolean {
    if (this.#literal(name)) return this.#text(table, max) && this.#quote();
    table.writer.null();
    return true;
  }

  #text({ writer }: TradeTable, max: number): boolean {
    const start = this.#at;
    if (!this.#word(max)) return false;
    writer.textBytes(this.#source, start, this.#at);
    return true;
  }

  /** `-?(0|[1-9]\d{0,29})(\.\d{1,30})?` */
  #decimal({ writer }: TradeTable, signed: boolean): boolean {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    if (signed && source[at] === MINUS) at++;
    const whole = at;
    while (isDigit(source[at])) at++;
    const length = at - whole;
    if (length === 0 || length > MAX_DIGITS || (length > 1 && source[whole] === ZERO)) return false;
    const point = at;
    if (source[at] === POINT) {
      at++;
      while (isDigit(source[at])) at++;
      if (at - point < 2 || at - point - 1 > MAX_DIGITS) return false;
    }
    if (at > this.#end) return false;
    writer.numericBytes(source, start, point, at);
    this.#at = at;
    return true;
  }

  /** `0|[1-9]\d*` up to 2^53 - 1. */
  #integer(): boolean {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    let value = 0;
    for (let byte = source[at]; isDigit(byte); byte = source[++at]) value = value * 10 + ((byte ?? ZERO) - ZERO);
    const length = at - start;
    if (length === 0 || length > 16 || (length > 1 && source[start] === ZERO) || !Number.isSafeInteger(value)) return false;
    this.#at = at;
    this.#number = value;
    return true;
  }

  #micros(): boolean {
    return this.#integer() && this.#number >= MIN_MICROS && this.#number <= MAX_MICROS;
  }

  /** `[a-z][a-z0-9_]{1,31}` */
  #market(): boolean {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    for (let byte = source[at]; ; byte = source[++at]) {
      if (byte === undefined) return false;
      const letter = byte >= LOWER_A && byte <= LOWER_Z;
      if (!letter && (at === start || !(isDigit(byte) || byte === UNDERSCORE))) break;
    }
    this.#at = at;
    return at - start >= 2 && at - start <= MAX_MARKET;
  }

  /** Visible ASCII without quote and backslash, as ids and symbols are. */
  #word(max: number): boolean {
    const source = this.#source;
    const start = this.#at;
    let at = start;
    for (let byte = source[at]; byte !== undefined && byte > 0x20 && byte < 0x7f && byte !== QUOTE && byte !== BACKSLASH; byte = source[++at]);
    this.#at = at;
    return at > start && at - start <= max;
  }

  #quote(): boolean {
    return this.#source[this.#at++] === QUOTE;
  }

  #literal(text: Uint8Array): boolean {
    const source = this.#source;
    const start = this.#at;
    const { length } = text;
    for (let i = 0; i < length; i++) if (source[start + i] !== text[i]) return false;
    this.#at = start + length;
    return true;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}
