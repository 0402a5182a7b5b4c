// What both dialects' REST readers share: exact JSON (numbers as the wire's text) checked by zod. A body that is not what the
// exchange documents is an error, never "no data".
import { z } from 'zod';
import { explain, type Resolution } from '../contracts/index.ts';
import { plainDecimal } from '../core/decimal.ts';
import { JsonNumber, parseExact } from '../core/json.ts';
import { ExchangeHttpError, type HttpErrorKind } from '../net/http.ts';

/** A JSON number or a string that holds one → decimal text without exponent. */
export const decimalText = z.union([z.instanceof(JsonNumber), z.string()]).transform((value, context) => {
  const plain = plainDecimal(typeof value === 'string' ? value : value.text);
  if (plain !== null) return plain;
  context.addIssue({ code: 'custom', message: 'not a decimal' });
  return z.NEVER;
});

/** A JSON integer (some servers quote it) → number. */
export const whole = z.union([z.instanceof(JsonNumber), z.string()]).transform((value, context) => {
  const number = Number(typeof value === 'string' ? value : value.text);
  if (Number.isSafeInteger(number)) return number;
  context.addIssue({ code: 'custom', message: 'not a whole number' });
  return z.NEVER;
});

/** The last time that an exchange names: Deribit's "never". */
const LAST_MS = 32_503_708_800_000;

/** A time in ms that a calendar can hold. */
export const millis = whole.refine((ms) => ms >= 0 && ms <= LAST_MS, 'not a time in ms');

/** An id, whether the server writes it as a number or as a string. */
export const idText = z.union([z.instanceof(JsonNumber), z.string().min(1)]).transform((value) => (typeof value === 'string' ? value : value.text));

/** Reads a body against a schema. Throws ExchangeHttpError `malformed` that names `what`, the field and the value. */
export function read<T>(schema: z.ZodType<T>, body: string, what: string): T {
  let tree: unknown;
  try {
    tree = parseExact(body);
  } catch (error) {
    throw malformed(`${what}: not JSON`, body, error);
  }
  const result = schema.safeParse(tree);
  if (!result.success) throw malformed(`${what}: ${explain(result.error, tree)}`, body, result.error);
  return result.data;
}

export function malformed(message: string, body: string, cause?: unknown): ExchangeHttpError {
  return new ExchangeHttpError(message, { kind: 'malformed', status: 200, code: null, retryAfterMs: null, body: body.slice(0, 300) }, { cause });
}

/** The answer to a GET; where it is a refusal, its kind is what `kindOf` makes of the exchange's code. */
export async function judged(answer: Promise<string>, kindOf: (code: number) => HttpErrorKind): Promise<string> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof ExchangeHttpError) || error.kind !== 'refused' || error.code === null) throw error;
    const { message, status, code, retryAfterMs, body } = error;
    throw new ExchangeHttpError(message, { kind: kindOf(code), status, code, retryAfterMs, body }, { cause: error });
  }
}

/** Throws unless `values` rise strictly: a page out of order, or one that overlaps itself, hides what is missing. */
export function assertRising(values: readonly number[], what: string, body: string): void {
  const at = values.findIndex((value, i) => i > 0 && value <= values[i - 1]!);
  if (at >= 0) throw malformed(`${what}: out of order at item ${at} (${values[at]} after ${values[at - 1]})`, body);
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const;

/** Length of a candle in milliseconds. Months have no length of their own. */
export function resolutionMs(resolution: Exclude<Resolution, '1M'>): number {
  return Number(resolution.slice(0, -1)) * UNIT_MS[resolution.slice(-1) as keyof typeof UNIT_MS];
}

/** Codes that CCXT writes otherwise than the exchange (its commonCurrencies). */
const CCXT_CODES: Readonly<Record<string, string>> = { XBT: 'BTC', BCHSV: 'BSV', YOYO: 'YOYOW' };
const ccxtCode = (code: string): string => CCXT_CODES[code] ?? code;

/** `BASE/QUOTE:SETTLE-YYMMDD-STRIKE-C`, as CCXT writes it; parts that an instrument has not are left out. */
export function unifiedSymbol(parts: {
  base: string; quote: string; settle?: string | null; expiryMs?: number | null; strike?: string | null; optionType?: 'call' | 'put' | null;
}): string {
  const { base, quote, settle, expiryMs, strike, optionType } = parts;
  let symbol = `${ccxtCode(base)}/${ccxtCode(quote)}`;
  if (settle !== undefined && settle !== null) symbol += `:${ccxtCode(settle)}`;
  if (expiryMs !== undefined && expiryMs !== null) symbol += `-${new Date(expiryMs).toISOString().slice(2, 10).replaceAll('-', '')}`;
  if (strike !== undefined && strike !== null) symbol += `-${trimZeros(strike)}-${optionType === 'call' ? 'C' : 'P'}`;
  return symbol;
}

/** 74000.0 → 74000 */
export function trimZeros(decimal: string): string {
  return decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal;
}
