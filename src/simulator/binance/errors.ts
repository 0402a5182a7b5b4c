// Error answers of the Binance venues.
import type { Verdict } from './weights.ts';

/** `{code,msg}` under an HTTP status. */
export class BinanceError extends Error {
  readonly status: number;
  readonly code: number;
  constructor(code: number, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const USE_STREAMS = 'Please use WebSocket Streams for live updates';

/** -1100: a parameter with other characters than it may have. */
export const illegal = (name: string, range: string): BinanceError =>
  new BinanceError(-1100, `Illegal characters found in parameter '${name}'; legal range is '${range}'.`);

/** Body of a 429 or 418. */
export function limitBody(verdict: Verdict, limit: number): string {
  const msg = verdict.status === 418
    ? `Way too much request weight used; IP banned until ${verdict.until}. ${USE_STREAMS} to avoid bans.`
    : `Too much request weight used; current limit is ${limit} request weight per 1 MINUTE. ${USE_STREAMS} to avoid polling the API.`;
  return JSON.stringify({ code: -1003, msg });
}

/** What a `rest_status` fault answers under a status. */
export function faultBody(status: number, limit: number, nowMs: number): { body: string; headers?: Record<string, number> } {
  if (status === 429 || status === 418) {
    const verdict: Verdict = { status, used: limit + 1, retryAfterS: status === 418 ? 120 : 2, until: nowMs + 120_000 };
    return { body: limitBody(verdict, limit), headers: { 'retry-after': verdict.retryAfterS } };
  }
  if (status >= 500) return { body: '{"code":-1000,"msg":"An unknown error occurred while processing the request."}' };
  return { body: '{"code":-1102,"msg":"Mandatory parameter \'symbol\' was not sent, was empty/null, or malformed."}' };
}
