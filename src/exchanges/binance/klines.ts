// Candles as Binance's REST tells them, the quick way: half of what a page of history costs would be reading its numbers as text and
// asking a schema of twelve fields a thousand times. Every number of a row is an integer, and those that a double cannot hold exactly
// are told apart. What looks unusual is left to the schema, which says what is wrong.
import { z } from 'zod';
import { plainDecimal } from '../../core/decimal.ts';
import { parsePlain } from '../../core/json.ts';
import { decimalText, whole } from '../rest_reader.ts';

export const klineSchema = z.tuple(
  [whole, decimalText, decimalText, decimalText, decimalText, decimalText, whole, decimalText, whole], z.unknown());
/** Open time (ms), open, high, low, close, volume, close time (ms), quote volume, trades. */
export type Kline = readonly [number, string, string, string, string, string, number, string, number, ...unknown[]];

const TEXTS = [1, 2, 3, 4, 5, 7];
const WHOLES = [0, 6, 8];

/** The rows of a body, each as klineSchema would read it; null: not for this way. */
export function quickKlines(body: string): Kline[] | null {
  const rows = parsePlain(body);
  if (!Array.isArray(rows)) return null;
  for (const row of rows as unknown[]) {
    if (!Array.isArray(row) || row.length < 9 || !WHOLES.every((n) => Number.isSafeInteger(row[n]))) return null;
    for (const n of TEXTS) {
      const text: unknown = row[n];
      if (typeof text !== 'string') return null;
      const plain = plainDecimal(text);
      if (plain === null) return null;
      row[n] = plain;
    }
  }
  return rows as Kline[];
}
