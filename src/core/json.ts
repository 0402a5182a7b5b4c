// JSON with its numbers kept as the text that was sent: 8.55e4, 0.00000001 and 9007199254740993 lose nothing.
import { plainDecimal } from './decimal.ts';

/** A number of a JSON text, unparsed. */
export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** So that a tree with numbers can be stored as JSON again, digits kept. */
  toJSON(): unknown {
    return rawJson.rawJSON(this.text);
  }
}

// ES2026 parts of JSON that V8 has and the type library does not know yet.
const rawJson = JSON as unknown as { rawJSON(text: string): unknown };

export type Json = null | boolean | string | JsonNumber | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** The value of a JSON text. Throws SyntaxError, or RangeError on absurd nesting. */
export function parseExact(text: string): Json {
  return JSON.parse(text, keepNumberText as (key: string, value: unknown) => unknown) as Json;
}

/** The value of a JSON text, its numbers as doubles: for where all are integers that the caller checks. Undefined when it is no JSON. */
export function parsePlain(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function keepNumberText(_key: string, value: unknown, context: { source: string }): unknown {
  return typeof value === 'number' ? new JsonNumber(context.source) : value;
}

/**
 * As parseExact, for long answers of which the values count and not their spelling: 1.50 may come as 1.5, 1e-7 as 0.0000001. A reviver
 * costs 26 ms for a page of a thousand fills (500 kB); what doubles hold exactly is read without one, in 6.
 */
export function parseValues(text: string): Json {
  return INEXACT.test(text) ? parseExact(text) : numbersOf(JSON.parse(text) as Plain);
}

/** A number token that may lose something as a double: more than fifteen digits, a whole number near 2^53 and above, or a huge exponent. */
const INEXACT = /(?:^|[:[,])\s*-?(?:\d{17}|9\d{15}|(?=\d+\.)[\d.]{17}|\d{16}[eE]|[\d.]+[eE][+-]?\d{3})/;

type Plain = null | boolean | string | number | Plain[] | { [key: string]: Plain };

function numbersOf(value: Plain): Json {
  if (typeof value === 'number') return new JsonNumber(plainOf(value));
  if (typeof value !== 'object' || value === null) return value;
  // In place: the tree is nobody else's yet.
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) (value as Json[])[i] = numbersOf(value[i]!);
    return value as Json[];
  }
  for (const key of Object.keys(value)) {
    const inner = value[key]!;
    if (typeof inner === 'number' || typeof inner === 'object') (value as Record<string, Json>)[key] = numbersOf(inner);
  }
  return value as JsonObject;
}

function plainOf(value: number): string {
  const text = String(value);
  return text.includes('e') ? (plainDecimal(text) ?? text) : text;
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber);
}
