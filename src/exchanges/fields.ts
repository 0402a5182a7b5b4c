// The members of one message object, by slot, however the object was read. Two readers exist: ObjectScanner
// (object_scanner.ts, the hot path: positions in the frame's text) and TreeFields (JSON.parse, for whatever is unusual).
// Mapping code is written once, over Fields; a property test holds both readers to the same answers.
//
// Value helpers never throw: they set `bad`, and whoever maps the message looks at it once, before emitting.
import { plainDecimal } from '../core/decimal.ts';
import { JsonNumber, type Json, type JsonObject } from '../core/json.ts';
import type { KnownSymbol, SymbolTable } from './symbols.ts';

export const ABSENT = 0;
export const STRING = 1;
export const NUMBER = 2;
/** A number with an exponent: 8.55e4. */
export const EXPONENT = 3;
export const TRUE = 4;
export const FALSE = 5;
export const NULL = 6;
/** An object or an array. */
export const NESTED = 7;

/** Contract bounds: 30 digits before and after the point. A plain number's text this short can break neither. */
export const MAX_PLAIN = 30;
const CONTRACT_DECIMAL = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?$/;
const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const MIN_MILLIS = MIN_MICROS / 1000;
const MAX_MILLIS = MAX_MICROS / 1000;

/** A word that mapping compares values with. */
export class Word {
  readonly text: string;
  readonly codes: Uint8Array;

  constructor(text: string) {
    this.text = text;
    this.codes = Buffer.from(text);
  }
}

export abstract class Fields {
  /** A value cannot be what the venue documents. */
  bad = false;
  abstract kind(slot: number): number;
  /** A string's content, or a number as it was written. Only after `kind` said so. */
  abstract text(slot: number): string;
  /** A whole number of up to 2^53 - 1, or -1. */
  abstract whole(slot: number): number;
  /** The contract's decimal of a number or of a string; null when it is none. */
  abstract decimal(slot: number): string | null;
  /** Whether the slot is a string and it is this word. */
  abstract is(slot: number, word: Word): boolean;
  /** Whether the slot is a string that starts with this word. */
  abstract startsWith(slot: number, word: Word): boolean;
  /** The symbol in a slot; null when it is none. */
  abstract symbol(slot: number, symbols: SymbolTable): KnownSymbol | null;
}

/** Fields over a parsed object. */
export class TreeFields extends Fields {
  readonly #keys: readonly string[];
  readonly #object: JsonObject;

  constructor(keys: readonly string[], object: JsonObject) {
    super();
    this.#keys = keys;
    this.#object = object;
  }

  value(slot: number): Json | undefined {
    const key = this.#keys[slot] ?? '';
    return Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
  }

  override kind(slot: number): number {
    const value = this.value(slot);
    if (value === undefined) return ABSENT;
    if (typeof value === 'string') return STRING;
    if (value instanceof JsonNumber) return /[eE]/.test(value.text) ? EXPONENT : NUMBER;
    if (typeof value === 'boolean') return value ? TRUE : FALSE;
    return value === null ? NULL : NESTED;
  }

  override text(slot: number): string {
    const value = this.value(slot);
    return value instanceof JsonNumber ? value.text : typeof value === 'string' ? value : '';
  }

  override whole(slot: number): number {
    const text = this.text(slot);
    const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : -1;
    return value <= Number.MAX_SAFE_INTEGER ? value : -1;
  }

  override decimal(slot: number): string | null {
    return contractDecimal(this.text(slot));
  }

  override is(slot: number, word: Word): boolean {
    return this.value(slot) === word.text;
  }

  override startsWith(slot: number, word: Word): boolean {
    const value = this.value(slot);
    return typeof value === 'string' && value.startsWith(word.text);
  }

  override symbol(slot: number, symbols: SymbolTable): KnownSymbol | null {
    const value = this.value(slot);
    return typeof value === 'string' ? symbols.find(value) : null;
  }
}

/** Slot numbers by key, for keys in the order in which a reader was given them. */
export function slotsOf<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key, slot) => [key, slot])) as Record<K, number>;
}

/** The contract's decimal of a number or of a number in a string; null when it is none or too long for the contract. */
export function contractDecimal(text: string): string | null {
  const plain = plainDecimal(text);
  return plain !== null && CONTRACT_DECIMAL.test(plain) ? plain : null;
}

/** Digits that a statistic (a greek, a funding rate) may lose: float noise such as 5.551115123125783e-17 has more. */
function statisticDecimal(text: string): string | null {
  const match = /^(-?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return null;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const shift = Number(exponent);
  if (shift > 30 || shift < -400) return shift > 30 ? null : '0';
  const digits = whole + fraction;
  const point = whole.length + shift;
  const integer = (point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0').replace(/^0+(?=\d)/, '');
  const rest = (point > 0 ? digits.slice(point) : '0'.repeat(-point) + digits).slice(0, 30).replace(/0+$/, '');
  const cut = rest === '' ? integer : `${integer}.${rest}`;
  return integer.length > 30 ? null : (isZero(cut) ? '' : sign) + cut;
}

/** How a venue writes decimals: Deribit as JSON numbers, Binance as strings. */
export type Wire = 'numbers' | 'strings';

function isDecimalKind(kind: number, wire: Wire): boolean {
  return wire === 'numbers' ? kind === NUMBER || kind === EXPONENT : kind === STRING;
}

/** A decimal that has to be there. */
export function decimal(f: Fields, slot: number, wire: Wire): string {
  const value = isDecimalKind(f.kind(slot), wire) ? f.decimal(slot) : null;
  if (value === null) f.bad = true;
  return value ?? '';
}

/** An unsigned decimal that has to be there. */
export function amount(f: Fields, slot: number, wire: Wire): string {
  const value = decimal(f, slot, wire);
  if (value.charCodeAt(0) === 45) f.bad = true;
  return value;
}

/** A decimal that may be missing (undefined) or told to be absent (null; venues that write strings also say ''). */
export function optional(f: Fields, slot: number, wire: Wire): string | null | undefined {
  const kind = f.kind(slot);
  if (kind === ABSENT) return undefined;
  if (kind === NULL) return null;
  if (!isDecimalKind(kind, wire)) {
    f.bad = true;
    return null;
  }
  return f.decimal(slot) ?? longOrEmpty(f, f.text(slot));
}

function longOrEmpty(f: Fields, text: string): string | null {
  const value = text === '' ? null : statisticDecimal(text);
  if (value === null && text !== '') f.bad = true;
  return value;
}

/** A whole number that has to be there; -1 and `bad` otherwise. Its text is `f.text(slot)` unless it has an exponent. */
export function whole(f: Fields, slot: number): number {
  const value = f.kind(slot) === NUMBER ? f.whole(slot) : -1;
  if (value < 0) f.bad = true;
  return value;
}

/** A time in ms or µs that has to be there, as µs. */
export function micros(f: Fields, slot: number): number {
  const value = f.kind(slot) === NUMBER ? microsOf(f.whole(slot)) : -1;
  if (value < 0) f.bad = true;
  return value;
}

/** True for a text of 1–64 printable ASCII characters that needs no escape in JSON: trade_id, block_trade_id. */
export function isId(text: string): boolean {
  const n = text.length;
  if (n === 0 || n > 64) return false;
  for (let p = 0; p < n; p++) {
    const c = text.charCodeAt(p);
    if (c < 33 || c > 126 || c === 34 || c === 92) return false;
  }
  return true;
}

/** Zero, however it is written: 0, 0.0, 0.00000000, -0.0. */
export function isZero(decimal: string): boolean {
  for (let p = 0; p < decimal.length; p++) {
    const c = decimal.charCodeAt(p);
    if (c !== 48 && c !== 46 && c !== 45) return false;
  }
  return true;
}

/** A time in ms or µs, told apart by its magnitude, as µs; -1 outside 2009–2100. */
export function microsOf(time: number): number {
  if (time >= MIN_MILLIS && time <= MAX_MILLIS) return time * 1000;
  return time >= MIN_MICROS && time <= MAX_MICROS ? time : -1;
}
