// The hot reader of a message object: one pass, no JSON.parse, nothing built but the values that are asked for.
//
// A key is recognised by comparing it with the one that followed the same key last time; an exchange writes its keys in
// one order for months, so the guess nearly always holds. A wrong guess costs a Map lookup, a new key is learned.
// A position of -1 means "unusual": duplicate keys, escapes, no JSON at all …; the caller goes to the exact reader.
import {
  CLOSE_BRACE, COLON, COMMA, MINUS, OPEN_BRACE, OPEN_BRACKET, QUOTE,
  codeAt, endOfLiteral, endOfNumber, endOfString, endOfValue, isDigit, skipSpace,
} from '../core/scan.ts';
import { ABSENT, EXPONENT, FALSE, Fields, NESTED, NULL, NUMBER, STRING, TRUE } from './fields.ts';

/** Keys beyond the known ones that are remembered for guessing; the rest are looked up each time. */
const MAX_LEARNED = 64;
const UNKNOWN = -1;

export class ObjectScanner extends Fields {
  /** Slot whose value has to be read by the caller: see `next`. */
  halted = UNKNOWN;
  #source = '';
  /** After `scan`: where `next` goes on. */
  #previous = 0;
  readonly #known: number;
  readonly #ids = new Map<string, number>();
  /** Keys as codes, one after the other; #offset[id] … #offset[id + 1] is key id. */
  #codes = new Uint8Array(1024);
  readonly #offset: Int32Array;
  /** Id of the key that followed key id last time; the last element: the first key of an object. */
  readonly #follower: Int16Array;
  readonly #start: Int32Array;
  readonly #end: Int32Array;
  readonly #kind: Uint8Array;
  readonly #halts: Uint8Array;

  /** `keys` get the slots 0, 1, …; a nested value under one of `halts` stops the scan for the caller to read it. */
  constructor(keys: readonly string[], halts: readonly string[] = []) {
    super();
    const room = keys.length + MAX_LEARNED;
    this.#known = keys.length;
    this.#offset = new Int32Array(room + 1);
    this.#follower = new Int16Array(room + 1);
    this.#start = new Int32Array(room);
    this.#end = new Int32Array(room);
    this.#kind = new Uint8Array(room);
    this.#halts = new Uint8Array(room);
    for (const key of keys) this.#learn(key);
    for (const key of halts) this.#halts[keys.indexOf(key)] = 1;
  }

  override kind(slot: number): number {
    return this.#kind[slot] ?? ABSENT;
  }

  override text(slot: number): string {
    return this.#source.slice(this.#start[slot], this.#end[slot]);
  }

  /** Where the slot's value starts (of a string: its first character). */
  startOf(slot: number): number {
    return this.#start[slot] ?? 0;
  }

  endOf(slot: number): number {
    return this.#end[slot] ?? 0;
  }

  /** Reads the object at `at`. The position behind it, or -1; or, `halted` set, the position of a value for the caller. */
  scan(source: string, at: number): number {
    this.#source = source;
    this.bad = false;
    this.halted = UNKNOWN;
    this.#kind.fill(ABSENT, 0, this.#known);
    this.#previous = this.#offset.length - 1;
    if (codeAt(source, at) !== OPEN_BRACE) return -1;
    const p = skipSpace(source, at + 1);
    return codeAt(source, p) === CLOSE_BRACE ? p + 1 : this.#members(source, p);
  }

  /** Goes on behind a value that the caller has read; answers as `scan` does. */
  next(behind: number): number {
    const source = this.#source;
    const slot = this.halted;
    this.halted = UNKNOWN;
    this.#end[slot] = behind;
    const p = skipSpace(source, behind);
    const c = codeAt(source, p);
    if (c === CLOSE_BRACE) return p + 1;
    return c === COMMA ? this.#members(source, skipSpace(source, p + 1)) : -1;
  }

  #members(source: string, at: number): number {
    let p = at;
    for (;;) {
      if (codeAt(source, p) !== QUOTE) return -1;
      const id = this.#key(source, p + 1);
      if (id < UNKNOWN) return -1;
      p = skipSpace(source, this.#keyEnd + 1);
      if (codeAt(source, p) !== COLON) return -1;
      p = skipSpace(source, p + 1);
      if (id < 0 || id >= this.#known) {
        p = endOfValue(source, p);
      } else {
        if (this.#kind[id] !== ABSENT) return -1;
        p = this.#value(source, p, id);
        if (this.halted >= 0) return p;
      }
      if (p < 0) return -1;
      let c = codeAt(source, p);
      if (c <= 32) {
        p = skipSpace(source, p);
        c = codeAt(source, p);
      }
      if (c === CLOSE_BRACE) return p + 1;
      if (c !== COMMA) return -1;
      p = skipSpace(source, p + 1);
    }
  }

  #value(source: string, at: number, slot: number): number {
    const c = codeAt(source, at);
    if (c === QUOTE) {
      const end = endOfString(source, at + 1);
      this.#put(slot, STRING, at + 1, end);
      return end < 0 ? -1 : end + 1;
    }
    if (c === MINUS || isDigit(c)) {
      const end = endOfNumber(source, at);
      this.#put(slot, (end & 1) === 1 ? EXPONENT : NUMBER, at, end >> 1);
      return end < 0 ? -1 : end >> 1;
    }
    if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if (this.#halts[slot] === 1) {
        this.halted = slot;
        this.#put(slot, NESTED, at, at);
        return at;
      }
      const end = endOfValue(source, at);
      this.#put(slot, NESTED, at, end);
      return end;
    }
    this.#put(slot, c === 116 ? TRUE : c === 102 ? FALSE : NULL, at, at);
    return endOfLiteral(source, at);
  }

  #put(slot: number, kind: number, start: number, end: number): void {
    this.#kind[slot] = kind;
    this.#start[slot] = start;
    this.#end[slot] = end;
  }

  /** Position of the closing quote of the key that #key has just read. */
  #keyEnd = 0;

  /** The id of the key whose first character is at `at`; UNKNOWN for one that is not remembered, less when unusual. */
  #key(source: string, at: number): number {
    const codes = this.#codes;
    const guess = this.#follower[this.#previous] ?? 0;
    let c = this.#offset[guess] ?? 0;
    const stop = this.#offset[guess + 1] ?? 0;
    let p = at;
    while (c < stop && codeAt(source, p) === codes[c]) {
      c++;
      p++;
    }
    if (c === stop && codeAt(source, p) === QUOTE) {
      this.#keyEnd = p;
      this.#previous = guess;
      return guess;
    }
    return this.#lookUp(source, at);
  }

  #lookUp(source: string, at: number): number {
    const end = endOfString(source, at);
    if (end < 0) return UNKNOWN - 1;
    this.#keyEnd = end;
    const key = source.slice(at, end);
    const id = this.#ids.get(key) ?? this.#learn(key);
    if (id < 0) return UNKNOWN;
    this.#follower[this.#previous] = id;
    this.#previous = id;
    return id;
  }

  #learn(key: string): number {
    const id = this.#ids.size;
    const at = this.#offset[id] ?? 0;
    if (id >= this.#start.length || at + key.length > this.#codes.length) return UNKNOWN;
    // A copy of its own: a slice would keep the whole frame alive.
    this.#ids.set(key.split('').join(''), id);
    for (let i = 0; i < key.length; i++) this.#codes[at + i] = key.charCodeAt(i);
    this.#offset[id + 1] = at + key.length;
    return id;
  }
}
