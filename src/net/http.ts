// GET against an exchange's REST: a total deadline, a size limit, no redirects, and errors as a closed list. An error
// is never an empty page.
import type { Clock } from '../core/clock.ts';
import { toError } from '../core/errors.ts';

/**
 * rate_limited: slow down (429). banned: stop altogether (418, 403 of a firewall). refused: the exchange understood and
 * said no. server: its failure, the outcome of a read is simply unknown. network: no complete answer. malformed: an
 * answer that is no JSON.
 */
export type HttpErrorKind = 'rate_limited' | 'banned' | 'refused' | 'server' | 'network' | 'malformed';

export interface HttpErrorFacts {
  kind: HttpErrorKind;
  /** HTTP status; 0 when there was no answer. */
  status: number;
  /** The exchange's own error code, when its body tells one. */
  code: number | null;
  /** From Retry-After; null when it was not told. */
  retryAfterMs: number | null;
  /** The beginning of the body. */
  body: string;
}

export class ExchangeHttpError extends Error {
  override name = 'ExchangeHttpError';
  readonly kind: HttpErrorKind;
  readonly status: number;
  readonly code: number | null;
  readonly retryAfterMs: number | null;
  readonly body: string;

  constructor(message: string, facts: HttpErrorFacts, options?: ErrorOptions) {
    super(message, options);
    this.kind = facts.kind;
    this.status = facts.status;
    this.code = facts.code;
    this.retryAfterMs = facts.retryAfterMs;
    this.body = facts.body;
  }
}

export interface HttpOptions {
  /** From the first byte sent to the last byte read. */
  timeoutMs: number;
  maxBytes: number;
  clock: Clock;
  /** Called with the headers of every answer, good or bad: how much of the rate budget is used. */
  onHeaders?: (headers: Headers, status: number) => void;
  signal?: AbortSignal;
}

const BODY_SHOWN = 300;

/**
 * A function that GETs a URL and returns the text of a 200 answer that looks like JSON; throws ExchangeHttpError
 * otherwise. Query strings (they may carry signatures) never get into messages.
 */
export function createHttp(options: HttpOptions): (url: string) => Promise<string> {
  return async (url) => {
    const where = withoutQuery(url);
    const deadline = AbortSignal.timeout(options.timeoutMs);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
    let response: Response;
    let body: string;
    try {
      response = await fetch(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } });
      options.onHeaders?.(response.headers, response.status);
      body = await readBody(response, options.maxBytes);
    } catch (error) {
      const cause = toError(error);
      if (cause instanceof ExchangeHttpError) throw cause;
      const why = deadline.aborted ? `no complete answer within ${options.timeoutMs} ms` : networkReason(cause);
      throw new ExchangeHttpError(`GET ${where}: ${why}`, { ...nothing, kind: 'network' }, { cause });
    }
    if (response.status === 200 && looksLikeJson(body)) return body;
    throw refusal(where, response, body, options.clock);
  };
}

const nothing = { status: 0, code: null, retryAfterMs: null, body: '' };

function refusal(where: string, response: Response, body: string, clock: Clock): ExchangeHttpError {
  const { status } = response;
  const facts: HttpErrorFacts = {
    kind: kindOf(status, body),
    status,
    code: errorCode(body),
    retryAfterMs: retryAfter(response.headers.get('retry-after'), clock),
    body: body.slice(0, BODY_SHOWN),
  };
  const detail = status === 200 ? (body.trim() === '' ? 'empty body' : 'the body is no JSON') : `HTTP ${status}`;
  return new ExchangeHttpError(`GET ${where}: ${detail}${facts.code === null ? '' : ` code ${facts.code}`}`, facts);
}

function kindOf(status: number, body: string): HttpErrorKind {
  if (status === 200) return 'malformed';
  if (status === 429) return 'rate_limited';
  // A 403 that is not the exchange's own JSON comes from the firewall before it.
  if (status === 418 || (status === 403 && !looksLikeJson(body))) return 'banned';
  // 408: a timeout behind its door.
  if (status >= 500 || status === 408) return 'server';
  return 'refused';
}

async function readBody(response: Response, maxBytes: number): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > maxBytes) {
      throw new ExchangeHttpError(`the answer is larger than ${maxBytes} bytes`, {
        ...nothing,
        kind: 'malformed',
        status: response.status,
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** Cheap and sufficient: a page of HTML, an empty or a cut body does not pass; parsing is the caller's. */
function looksLikeJson(body: string): boolean {
  const text = body.trim();
  return (text.startsWith('{') && text.endsWith('}')) || (text.startsWith('[') && text.endsWith(']'));
}

/** `{"code":-1121,…}` and `{"error":{"code":10009,…}}`. */
function errorCode(body: string): number | null {
  if (body.length > 10_000 || !looksLikeJson(body)) return null;
  const match = /"code"\s*:\s*(-?\d{1,9})\b/.exec(body);
  return match === null ? null : Number(match[1]);
}

/** Seconds, or an HTTP date. */
export function retryAfter(header: string | null, clock: Clock): number | null {
  if (header === null || header === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - clock.nowMicros() / 1000);
}

function networkReason(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
