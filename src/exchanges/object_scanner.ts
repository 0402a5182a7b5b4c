// The hot reader of a message object: one pass, no JSON.parse, nothing built but the values that are asked for.
//
// A key is recognised by comparing it with the one that followed the same key last time; an exchange writes its keys in
// one order for months, so the guess nearly always holds. A wrong guess costs a Map lookup, a new key is learned.
// A position of -1 means "unusual": duplicate keys, escapes, no JSON at all …; the caller goes to the exact reader.
import {
  CLOSE_BRACE, COLON, COMMA, MINUS, NINE, OPEN_BRACE, OPEN_BRACKET, QUOTE, ZERO,
  endOfLiteral, endOfNumber, endOfString, endOfValue, skipSpace, type AsciiText,
} from '../core/scan.ts';
import {
  ABSENT, EXPONENT, FALSE, Fields, MAX_PLAIN, NESTED, NULL, NUMBER, STRING, TRUE, contractDecimal, type Word,
} from './fields.ts';
import type { KnownSymbol, SymbolTable } from './symbols.ts';

/** Keys beyond the known ones that are remembered for guessing; the rest are looked up each time. */
const MAX_LEARNED = 64;
const UNKNOWN = -1;
const MAX_KEY = 128;
/** Number.MAX_SAFE_INTEGER has as many. */
const MAX_DIGITS = 16;

export class ObjectScanner extends Fields {
  /** Slot whose value has to be read by the caller: see `next`. */
  halted = UNKNOWN;
  readonly #text: AsciiText;
  readonly #known: number;
  readonly #ids = new Map<string, number>();
  /** Bytes of key id with quotes and colon, so 4 or more; their last four as one word; all but the last four in words
   *  from #words[#wordsAt[id]] on, the last of which may reach into those four. */
  readonly #length: Int32Array;
  readonly #last: Int32Array;
  readonly #wordsAt: Int32Array;
  readonly #words = new Int32Array(1024);
  /** Id of the key that followed key id last time; the last element: the first key of an object. */
  readonly #follower: Int16Array;
  readonly #start: Int32Array;
  readonly #end: Int32Array;
  readonly #kind: Uint8Array;
  /** By slot: 1 when the value's text is a number without exponent, quoted or not. */
  readonly #plain: Uint8Array;
  readonly #halts: Uint8Array;
  /** Bit by slot: the object has that key. */
  #seen = 0;
  /** Where `next` goes on in #follower. */
  #previous = 0;
  /** Behind the closing quote of the key that #lookUp has just read. */
  #keyEnd = 0;

  /** `keys`, at most 32, get the slots 0, 1, …; a nested value under one of `halts` stops the scan for the caller to read it. */
  constructor(text: AsciiText, keys: readonly string[], halts: readonly string[] = []) {
    super();
    const room = keys.length + MAX_LEARNED;
    this.#text = text;
    this.#known = keys.length;
    this.#length = new Int32Array(room);
    this.#last = new Int32Array(room);
    this.#wordsAt = new Int32Array(room + 1);
    this.#follower = new Int16Array(room + 1);
    this.#start = new Int32Array(room);
    this.#end = new Int32Array(room);
    this.#kind = new Uint8Array(room);
    this.#plain = new Uint8Array(room);
    this.#halts = new Uint8Array(room);
    for (const key of keys) this.#learn(key);
    for (const key of halts) this.#halts[keys.indexOf(key)] = 1;
  }

  override kind(slot: number): number {
    return (this.#seen & (1 << slot)) === 0 ? ABSENT : this.#kind[slot]!;
  }

  override text(slot: number): string {
    return this.#text.source.slice(this.#start[slot], this.#end[slot]);
  }

  override whole(slot: number): number {
    const bytes = this.#text.bytes;
    const end = this.#end[slot]!;
    let p = this.#start[slot]!;
    const first = bytes[p]!;
    const length = end - p;
    if (length === 0 || length > MAX_DIGITS || (first === ZERO && length > 1)) return -1;
    let value = 0;
    for (; p < end; p++) {
      const digit = bytes[p]! - ZERO;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value <= Number.MAX_SAFE_INTEGER ? value : -1;
  }

  override decimal(slot: number): string | null {
    const start = this.#start[slot]!;
    const end = this.#end[slot]!;
    const text = this.#text.source.slice(start, end);
    return this.#plain[slot] === 1 && end - start <= MAX_PLAIN ? text : contractDecimal(text);
  }

  override is(slot: number, word: Word): boolean {
    return this.#end[slot]! - this.#start[slot]! === word.codes.length && this.startsWith(slot, word);
  }

  override startsWith(slot: number, word: Word): boolean {
    if (this.kind(slot) !== STRING) return false;
    const bytes = this.#text.bytes;
    const codes = word.codes;
    let p = this.#start[slot]!;
    // A word never reaches past the value: the quote behind it is in no word.
    for (let c = 0; c < codes.length; c++) if (bytes[p++] !== codes[c]) return false;
    return true;
  }

  override symbol(slot: number, symbols: SymbolTable): KnownSymbol | null {
    if (this.kind(slot) !== STRING) return null;
    const known = symbols.findBytes(this.#text.bytes, this.#start[slot]!, this.#end[slot]!);
    return known ?? symbols.remember(this.text(slot));
  }

  /** Reads the object at `at`. The position behind it, or -1; or, `halted` set, the position of a value for the caller. */
  scan(at: number): number {
    const bytes = this.#text.bytes;
    this.bad = false;
    this.halted = UNKNOWN;
    this.#seen = 0;
    this.#previous = this.#follower.length - 1;
    if (bytes[at] !== OPEN_BRACE) return -1;
    const p = skipSpace(bytes, at + 1);
    return bytes[p] === CLOSE_BRACE ? p + 1 : this.#members(bytes, p);
  }

  /** Goes on behind a value that the caller has read; answers as `scan` does. */
  next(behind: number): number {
    const bytes = this.#text.bytes;
    this.halted = UNKNOWN;
    const p = skipSpace(bytes, behind);
    const c = bytes[p]!;
    if (c === CLOSE_BRACE) return p + 1;
    return c === COMMA ? this.#members(bytes, skipSpace(bytes, p + 1)) : -1;
  }

  /** One loop, on purpose: split into calls it was 3 times slower, beyond what the compiler inlines. */
  #members(bytes: Uint8Array, at: number): number {
    const view = this.#text.view;
    let previous = this.#previous;
    for (let p = at; ;) {
      let id: number = this.#follower[previous]!;
      const key = p;
      const last = p + this.#length[id]! - 4;
      let same = view.getInt32(last, true) === this.#last[id];
      for (let word = this.#wordsAt[id]!; same && p < last; p += 4) same = view.getInt32(p, true) === this.#words[word++];
      if (same) {
        previous = id;
        p = last + 4;
      } else {
        id = this.#lookUp(bytes, key, previous);
        if (id < UNKNOWN) return -1;
        if (id >= 0) previous = id;
        p = skipSpace(bytes, this.#keyEnd);
        if (bytes[p++] !== COLON) return -1;
      }
      if (bytes[p]! <= 32) p = skipSpace(bytes, p);

      let start = p;
      let end: number;
      let kind: number;
      let plain = 0;
      const c = bytes[p]!;
      if (c === QUOTE) {
        kind = STRING;
        const first = bytes[++start]!;
        const number = first <= NINE && first >= MINUS ? endOfNumber(bytes, start) : -1;
        plain = (number & 1) === 0 && bytes[number >> 1] === QUOTE ? 1 : 0;
        end = plain === 1 ? number >> 1 : endOfString(bytes, start);
        p = end + 1;
      } else if ((c >= ZERO && c <= NINE) || c === MINUS) {
        const number = endOfNumber(bytes, p);
        kind = (number & 1) === 0 ? NUMBER : EXPONENT;
        plain = 1 - (number & 1);
        end = p = number >> 1;
      } else if (c !== OPEN_BRACE && c !== OPEN_BRACKET) {
        kind = c === 116 ? TRUE : c === 102 ? FALSE : NULL;
        end = p = endOfLiteral(bytes, p);
      } else {
        kind = NESTED;
        if (id >= 0 && this.#halts[id] === 1) end = p;
        else end = p = endOfValue(bytes, p);
      }
      if (end < 0) return -1;
      if (id >= 0 && id < this.#known) {
        if ((this.#seen & (1 << id)) !== 0) return -1;
        this.#seen |= 1 << id;
        this.#kind[id] = kind;
        this.#start[id] = start;
        this.#end[id] = end;
        this.#plain[id] = plain;
        if (kind === NESTED && this.#halts[id] === 1) {
          this.halted = id;
          this.#previous = previous;
          return p;
        }
      }
      if (bytes[p]! <= 32) p = skipSpace(bytes, p);
      const after = bytes[p]!;
      if (after !== COMMA) return after === CLOSE_BRACE ? p + 1 : -1;
      if (bytes[++p]! <= 32) p = skipSpace(bytes, p);
    }
  }

  /** The id of the key that starts at `at`; UNKNOWN for one that is not remembered, less when unusual. */
  #lookUp(bytes: Uint8Array, at: number, previous: number): number {
    const end = bytes[at] === QUOTE ? endOfString(bytes, at + 1) : -1;
    if (end < 0) return UNKNOWN - 1;
    this.#keyEnd = end + 1;
    const key = this.#text.source.slice(at + 1, end);
    const id = this.#ids.get(key) ?? this.#learn(key);
    if (id >= 0) this.#follower[previous] = id;
    return id;
  }

  #learn(key: string): number {
    const id = this.#ids.size;
    const at = this.#wordsAt[id]!;
    const length = key.length + 3;
    const count = (length - 4 + 3) >> 2;
    if (id >= this.#start.length || key.length === 0 || key.length > MAX_KEY || at + count > this.#words.length) return UNKNOWN;
    // A copy of its own: a slice would keep the whole frame alive.
    this.#ids.set(key.split('').join(''), id);
    const bytes = new DataView(new TextEncoder().encode(`"${key}":`).buffer);
    for (let i = 0; i < count; i++) this.#words[at + i] = bytes.getInt32(4 * i, true);
    this.#wordsAt[id + 1] = at + count;
    this.#length[id] = length;
    this.#last[id] = bytes.getInt32(length - 4, true);
    return id;
  }
}
