// The members of one message object, by slot. Two ways fill it: `scan`, the hot one (a single pass over the frame's bytes,
// no JSON.parse, nothing built but the values that are asked for), and `take`, an object that a real parser read. It is one
// class so that the compiled mapping code sees one shape; a property test holds both ways to the same answers.
//
// A key is recognised by comparing it with the ones that followed the same key before; an exchange writes its keys in one
// order for months, so the guess nearly always holds. A wrong guess costs a Map lookup, a new key is learned.
// A position of -1 means "unusual": duplicate keys, escapes, no JSON at all …; the caller goes to the real parser.
import type { JsonObject } from '../core/json.ts';
import {
  CLOSE_BRACE, COLON, COMMA, MINUS, NINE, OPEN_BRACE, OPEN_BRACKET, QUOTE, ZERO,
  endOfLiteral, endOfNumber, endOfString, endOfValue, skipSpace, type AsciiText,
} from '../core/scan.ts';
import {
  ABSENT, EXPONENT, FALSE, MAX_PLAIN, NESTED, NULL, NUMBER, STRING, TRUE, contractDecimal, kindOf, textOf, wholeOf, type Word,
} from './kinds.ts';
import type { KnownSymbol, SymbolTable } from './symbols.ts';


/** Keys beyond the known ones that are remembered for guessing; the rest are looked up each time. */
const MAX_LEARNED = 64;
const UNKNOWN = -1;
const MAX_KEY = 128;
/** Number.MAX_SAFE_INTEGER has as many. */
const MAX_DIGITS = 16;

export class Fields {
  /** A value cannot be what the venue documents. */
  bad = false;
  /** Slot whose value has to be read by the caller: see `next`. */
  halted = UNKNOWN;
  readonly #text: AsciiText;
  readonly #keys: readonly string[];
  readonly #known: number;
  /** The parsed object that was taken; null after a scan. */
  #tree: JsonObject | null = null;
  readonly #ids = new Map<string, number>();
  /** Bytes of key id with quotes and colon, so 4 or more; their last four as one word; all but the last four in words
   *  from #words[#wordsAt[id]] on, the last of which may reach into those four. */
  readonly #length: Int32Array;
  readonly #last: Int32Array;
  readonly #wordsAt: Int32Array;
  readonly #words = new Int32Array(1024);
  /** Id of the key that followed key id last time, and the other one that did; the last element: the object's first key. */
  readonly #follower: Int16Array;
  readonly #runnerUp: Int16Array;
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
  /** Behind the colon of the key that #otherKey has just read. */
  #keyEnd = 0;

  /** `keys`, at most 32, get the slots 0, 1, …; a nested value under one of `halts` stops the scan for the caller to read it. */
  constructor(text: AsciiText, keys: readonly string[], halts: readonly string[] = []) {
    const room = keys.length + MAX_LEARNED;
    this.#text = text;
    this.#keys = keys;
    this.#known = keys.length;
    this.#length = new Int32Array(room);
    this.#last = new Int32Array(room);
    this.#wordsAt = new Int32Array(room + 1);
    this.#follower = new Int16Array(room + 1);
    this.#runnerUp = new Int16Array(room + 1);
    this.#start = new Int32Array(room);
    this.#end = new Int32Array(room);
    this.#kind = new Uint8Array(room);
    this.#plain = new Uint8Array(room);
    this.#halts = new Uint8Array(room);
    for (const key of keys) this.#learn(key);
    for (const key of halts) this.#halts[keys.indexOf(key)] = 1;
  }

  kind(slot: number): number {
    if (this.#tree !== null) return kindOf(this.#tree[this.#keys[slot]!]);
    return (this.#seen & (1 << slot)) === 0 ? ABSENT : this.#kind[slot]!;
  }

  /** A string's content, or a number as it was written. Only after `kind` said so. */
  text(slot: number): string {
    if (this.#tree !== null) return textOf(this.#tree[this.#keys[slot]!]);
    return this.#text.source.slice(this.#start[slot], this.#end[slot]);
  }

  /** A whole number of up to 2^53 - 1, or -1. */
  whole(slot: number): number {
    if (this.#tree !== null) return wholeOf(this.text(slot));
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

  /** The contract's decimal of a number or of a string; null when it is none. */
  decimal(slot: number): string | null {
    if (this.#tree !== null) return contractDecimal(this.text(slot));
    const start = this.#start[slot]!;
    const end = this.#end[slot]!;
    const text = this.#text.source.slice(start, end);
    return this.#plain[slot] === 1 && end - start <= MAX_PLAIN ? text : contractDecimal(text);
  }

  /** Whether the slot is a string and it is this word. */
  is(slot: number, word: Word): boolean {
    if (this.#tree !== null) return this.kind(slot) === STRING && this.text(slot) === word.text;
    return this.#end[slot]! - this.#start[slot]! === word.codes.length && this.startsWith(slot, word);
  }

  /** Whether the slot is a string that starts with this word. */
  startsWith(slot: number, word: Word): boolean {
    if (this.kind(slot) !== STRING) return false;
    if (this.#tree !== null) return this.text(slot).startsWith(word.text);
    const bytes = this.#text.bytes;
    const codes = word.codes;
    let p = this.#start[slot]!;
    // A word never reaches past the value: the quote behind it is in no word.
    for (let c = 0; c < codes.length; c++) if (bytes[p++] !== codes[c]) return false;
    return true;
  }

  /** The symbol in a slot; null when it is none. */
  symbol(slot: number, symbols: SymbolTable): KnownSymbol | null {
    if (this.kind(slot) !== STRING) return null;
    if (this.#tree !== null) return symbols.find(this.text(slot));
    const known = symbols.findBytes(this.#text.bytes, this.#start[slot]!, this.#end[slot]!);
    return known ?? symbols.remember(this.text(slot));
  }

  /** Fills the slots from a parsed object. */
  take(object: JsonObject): this {
    this.bad = false;
    this.#tree = object;
    return this;
  }

  /** Reads the object at `at`. The position behind it, or -1; or, `halted` set, the position of a value for the caller. */
  scan(at: number): number {
    const bytes = this.#text.bytes;
    this.bad = false;
    this.halted = UNKNOWN;
    this.#tree = null;
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
      if (this.#isKey(view, p, id)) {
        p += this.#length[id]!;
      } else {
        id = this.#otherKey(bytes, view, p, previous);
        if (id < UNKNOWN) return -1;
        p = this.#keyEnd;
      }
      if (id >= 0) previous = id;
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

  /** Whether key id, its quotes and a colon stand at `at`. */
  #isKey(view: DataView, at: number, id: number): boolean {
    const last = at + this.#length[id]! - 4;
    if (view.getInt32(last, true) !== this.#last[id]) return false;
    let word = this.#wordsAt[id]!;
    for (let p = at; p < last; p += 4) if (view.getInt32(p, true) !== this.#words[word++]) return false;
    return true;
  }

  /** The id of a key that the first guess missed. */
  #otherKey(bytes: Uint8Array, view: DataView, at: number, previous: number): number {
    const second = this.#runnerUp[previous]!;
    if (!this.#isKey(view, at, second)) return this.#lookUp(bytes, at, previous);
    this.#follow(previous, second);
    this.#keyEnd = at + this.#length[second]!;
    return second;
  }

  #follow(previous: number, id: number): void {
    this.#runnerUp[previous] = this.#follower[previous]!;
    this.#follower[previous] = id;
  }

  /** The id of the key that starts at `at`; UNKNOWN for one that is not remembered, less when unusual. */
  #lookUp(bytes: Uint8Array, at: number, previous: number): number {
    const end = bytes[at] === QUOTE ? endOfString(bytes, at + 1) : -1;
    if (end < 0) return UNKNOWN - 1;
    const colon = skipSpace(bytes, end + 1);
    if (bytes[colon] !== COLON) return UNKNOWN - 1;
    this.#keyEnd = colon + 1;
    const key = this.#text.source.slice(at + 1, end);
    const id = this.#ids.get(key) ?? this.#learn(key);
    if (id >= 0) this.#follow(previous, id);
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
