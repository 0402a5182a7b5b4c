// What mapping reads from the fields of a message. Nothing here throws: a value that cannot be what the venue documents
// sets `bad`, and whoever maps the message looks at that once, before emitting.
import type { Fields } from './fields.ts';
import { ABSENT, EXPONENT, NULL, NUMBER, STRING } from './kinds.ts';

const MIN_MICROS = 1_230_768_000_000_000;
const MAX_MICROS = 4_102_444_800_000_000;
const MIN_MILLIS = MIN_MICROS / 1000;
const MAX_MILLIS = MAX_MICROS / 1000;

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
