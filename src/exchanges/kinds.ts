// The vocabulary of Fields (fields.ts): kinds of values, and how a parsed JSON value is said in it.
import { plainDecimal } from '../core/decimal.ts';
import { JsonNumber, type Json } from '../core/json.ts';

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

export function kindOf(value: Json | undefined): number {
  if (value === undefined) return ABSENT;
  if (typeof value === 'string') return STRING;
  if (value instanceof JsonNumber) return /[eE]/.test(value.text) ? EXPONENT : NUMBER;
  if (typeof value === 'boolean') return value ? TRUE : FALSE;
  return value === null ? NULL : NESTED;
}

export function textOf(value: Json | undefined): string {
  return value instanceof JsonNumber ? value.text : typeof value === 'string' ? value : '';
}

/** A whole number of up to 2^53 - 1, or -1. */
export function wholeOf(text: string): number {
  const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : -1;
  return value <= Number.MAX_SAFE_INTEGER ? value : -1;
}

/** Contract bounds: 30 digits before and after the point. A plain number's text this short can break neither. */
export const MAX_PLAIN = 30;
const CONTRACT_DECIMAL = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{1,30})?$/;

/** A word that mapping compares values with. */
export class Word {
  readonly text: string;
  readonly codes: Uint8Array;

  constructor(text: string) {
    this.text = text;
    this.codes = Buffer.from(text);
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
