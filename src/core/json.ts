// JSON with its numbers kept as the text that was sent: 8.55e4, 0.00000001 and 9007199254740993 lose nothing.

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

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber);
}
