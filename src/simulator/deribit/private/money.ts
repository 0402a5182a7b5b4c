// Exact decimals of the simulated books: whole numbers of 1e-18, so that sums, products on tick and lot and comparisons are exact
// and cheap enough for thousands of runs in one process. Deliberately not the arithmetic of the fleet: the books of the two are
// compared, and a mistake in a shared part would be the same on both sides.
import { plainDecimal } from '../../../core/decimal.ts';

/** A decimal in units of 1e-18. */
export type Dec = bigint;

const SCALE = 18;
export const ONE: Dec = 10n ** 18n;
/** What is booked to a balance is a whole number of these: the wire shows eight decimals of coin. */
export const BOOKED_DECIMALS = 8;

/** Reads a JSON number's text; null when it is no number or finer than 1e-18. */
export function readDec(text: string): Dec | null {
  const plain = plainDecimal(text);
  if (plain === null) return null;
  const negative = plain.startsWith('-');
  const [whole = '0', fraction = ''] = plain.slice(negative ? 1 : 0).split('.');
  if (fraction.length > SCALE) return null;
  const value = BigInt(whole + fraction.padEnd(SCALE, '0'));
  return negative ? -value : value;
}

/** As `readDec` for text that is known to be good. Throws RangeError. */
export function dec(text: string): Dec {
  const value = readDec(text);
  if (value === null) throw new RangeError(`${text}: not a decimal of at most ${SCALE} decimals`);
  return value;
}

/** The last of so many decimals, in units; looked up, since a power costs more than all else here. */
const UNITS: readonly Dec[] = Array.from({ length: SCALE + 1 }, (_, decimals) => 10n ** BigInt(SCALE - decimals));
const unit = (decimals: number): Dec => UNITS[decimals] ?? 1n;

/** A whole number with `decimals` decimals: `scaled(855, 1)` is 85.5. */
export const scaled = (value: number, decimals: number): Dec => BigInt(value) * unit(decimals);

/** The whole number of 10^-decimals in `value`, which must be a multiple of it. */
export const unscaled = (value: Dec, decimals: number): number => Number(value / unit(decimals));

/** Plain text with at least one decimal: `10.0`, `-0.00005`. */
export function decText(value: Dec): string {
  const digits = String(abs(value)).padStart(SCALE + 1, '0');
  const fraction = digits.slice(-SCALE).replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -SCALE)}.${fraction === '' ? '0' : fraction}`;
}

export const abs = (value: Dec): Dec => (value < 0n ? -value : value);
export const min = (a: Dec, b: Dec): Dec => (a < b ? a : b);
export const max = (a: Dec, b: Dec): Dec => (a > b ? a : b);
export const mul = (a: Dec, b: Dec): Dec => ratio(a, b, ONE);
export const div = (a: Dec, b: Dec): Dec => ratio(a, ONE, b);

/** a × b / c, halves away from zero. */
export function ratio(a: Dec, b: Dec, c: Dec): Dec {
  const n = abs(a * b);
  const d = abs(c);
  const rounded = (n * 2n + d) / (d * 2n);
  return a < 0n !== b < 0n !== c < 0n ? -rounded : rounded;
}

/** Rounded to `decimals`, halves away from zero. */
export function round(value: Dec, decimals: number): Dec {
  return ratio(value, 1n, unit(decimals)) * unit(decimals);
}

/** As it is booked. */
export const booked = (value: Dec): Dec => round(value, BOOKED_DECIMALS);

export const floorTo = (value: Dec, step: Dec): Dec => value - (((value % step) + step) % step);
export const ceilTo = (value: Dec, step: Dec): Dec => -floorTo(-value, step);
