// POST of JSON to somebody's webhook. Its address is a secret: it never gets into a message.
import type { Clock } from '../core/clock.ts';
import { toError } from '../core/errors.ts';
import { retryAfter } from './http.ts';

/** told: it was taken. later: not now, try again. refused: this body will never be taken. */
export type Posted =
  | { kind: 'told' }
  | { kind: 'later'; reason: string; retryAfterMs: number | null }
  | { kind: 'refused'; reason: string };

export interface PostOptions {
  /** From the first byte sent to the answer's head. */
  timeoutMs: number;
  clock: Clock;
  signal: AbortSignal;
}

/** Answers that are about the body. Others of 4xx (401, 403, 404, 429 …) end when somebody mends the receiving side. */
const ABOUT_THE_BODY = new Set([400, 413, 415, 422]);

/** Never rejects. */
export async function postJson(url: string, body: unknown, { timeoutMs, clock, signal }: PostOptions): Promise<Posted> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method: 'POST', redirect: 'manual', signal: AbortSignal.any([deadline, signal]), headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    if (response.ok) return { kind: 'told' };
    const reason = `HTTP ${response.status}`;
    if (ABOUT_THE_BODY.has(response.status)) return { kind: 'refused', reason };
    return { kind: 'later', reason, retryAfterMs: retryAfter(response.headers.get('retry-after'), clock) };
  } catch (error) {
    const { cause, name } = toError(error);
    const code = (cause as { code?: unknown } | undefined)?.code;
    const reason = deadline.aborted ? `no answer within ${timeoutMs} ms` : typeof code === 'string' ? code : name;
    return { kind: 'later', reason, retryAfterMs: null };
  }
}
