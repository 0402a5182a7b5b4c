// The members of one message object, by slot, however the object was read. Two readers exist: ObjectScanner
// (object_scanner.ts, the hot path: positions in the frame's text) and TreeFields (JSON.parse, for whatever is unusual).
// Mapping code is written once, over Fields; a property test holds both readers to the same answers.
//
// Value helpers never throw: they set `bad`, and whoever maps the message looks at it once, before emitting.
import { plainDecimal } from '../core/decimal.ts';
import { JsonNumber, type Json, type JsonObject } from '../core/json.ts';

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

/** Contract bounds: 30 digits before and after the point. A text this short can break neither. */
const SAFE_LENGTH = 31;
const CONTRACT_DECIMAL = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?$/;
const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const MIN_MILLIS = MIN_MICROS / 1000;
const MAX_MILLIS = MAX_MICROS / 1000;

export abstract class Fields {
  /** A value cannot be what the venue documents. */
  bad = false;
  abstract kind(slot: number): number;
  /** A string's content, or a number as it was written. Only after `kind` said so. */
  abstract text(slot: number): string;
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
}

/** Slot numbers by key, for keys in the order in which a reader was given them. */
export function slotsOf<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key, slot) => [key, slot])) as Record<K, number>;
}

/** The contract's decimal of a number or of a number in a string; null when it is none or too long for the contract. */
export function contractDecimal(text: string): string | null {
  if (isShortPlain(text)) return text;
  const plain = plainDecimal(text);
  return plain !== null && CONTRACT_DECIMAL.test(plain) ? plain : null;
}

/** True when the text surely is a contract decimal; false means look closer. */
function isShortPlain(text: string): boolean {
  const n = text.length;
  if (n === 0 || n > SAFE_LENGTH - 1) return false;
  let p = 0;
  let c = text.charCodeAt(0);
  if (c === 45) {
    if (n === 1) return false;
    c = text.charCodeAt(++p);
  }
  if (c === 48) {
    p++;
  } else {
    const first = p;
    while (p < n && isDigitAt(text, p)) p++;
    if (p === first) return false;
  }
  if (p === n) return true;
  if (text.charCodeAt(p) !== 46 || p + 1 === n) return false;
  for (p++; p < n; p++) if (!isDigitAt(text, p)) return false;
  return true;
}

function isDigitAt(text: string, at: number): boolean {
  const c = text.charCodeAt(at);
  return c >= 48 && c <= 57;
}

/** Digits that a statistic (a greek, a funding rate) may lose: float noise such as 5.551115123125783e-17 has more. */
function statisticDecimal(text: string): string | null {
  const exact = contractDecimal(text);
  if (exact !== null) return exact;
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
  const value = isDecimalKind(f.kind(slot), wire) ? contractDecimal(f.text(slot)) : null;
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
  const text = isDecimalKind(kind, wire) ? f.text(slot) : 'x';
  if (text === '') return null;
  const value = statisticDecimal(text);
  if (value === null) f.bad = true;
  return value;
}

/** A whole number that has to be there; -1 and `bad` otherwise. Its text is `f.text(slot)` unless it has an exponent. */
export function whole(f: Fields, slot: number): number {
  const value = f.kind(slot) === NUMBER ? parseWhole(f.text(slot)) : -1;
  if (value < 0) f.bad = true;
  return value;
}

/** A time in ms or µs that has to be there, as µs. */
export function micros(f: Fields, slot: number): number {
  const value = f.kind(slot) === NUMBER ? microsOf(parseWhole(f.text(slot))) : -1;
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

/** A whole number of up to 2^53 - 1, or -1. */
export function parseWhole(text: string): number {
  const n = text.length;
  if (n === 0 || n > 16 || (n > 1 && text.charCodeAt(0) === 48)) return -1;
  let value = 0;
  for (let p = 0; p < n; p++) {
    const digit = text.charCodeAt(p) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

/** A time in ms or µs, told apart by its magnitude, as µs; -1 outside 2009–2100. */
export function microsOf(time: number): number {
  if (time >= MIN_MILLIS && time <= MAX_MILLIS) return time * 1000;
  return time >= MIN_MICROS && time <= MAX_MICROS ? time : -1;
}
