// What becomes of a job that failed. Attempts count what the job, or the exchange's answer to it, is at fault for.
import type { JobFailure } from '../../bus/queue.ts';
import { classify } from '../../core/errors.ts';
import { ExchangeHttpError, type HttpErrorKind } from '../../net/http.ts';
import { DeadJobError } from './job.ts';

/**
 * again: once more, one attempt gone. later: something of ours is away. unanswered: the exchange did not answer; `waitingSince` is
 * since when, µs. turn: it is not our turn there, for as long as the exchange said.
 */
export type Verdict =
  | ({ kind: 'dead' } & JobFailure)
  | { kind: 'again' | 'later' | 'turn' }
  | { kind: 'unanswered'; waitingSince: number };

const MAX_ATTEMPTS = 10;
/** An exchange that is away for so long may be gone for good, or the address is wrong: somebody should look. */
const PATIENCE_MICROS = 24 * 3_600_000_000;
/** What no attempt is the right count for: it says nothing of the job. */
const WITHOUT_ANSWER: ReadonlySet<HttpErrorKind> = new Set(['server', 'network']);
const NOT_OUR_TURN: ReadonlySet<HttpErrorKind> = new Set(['rate_limited', 'banned']);

/** `waitingSince`: since when the exchange had not answered before this attempt, µs; null: it had. */
export function judge(attempts: number, waitingSince: number | null, error: Error, nowMicros: number): Verdict {
  if (error instanceof DeadJobError) return { kind: 'dead', error: error.message, errorClass: error.errorClass };
  if (error instanceof ExchangeHttpError) {
    if (NOT_OUR_TURN.has(error.kind)) return { kind: 'turn' };
    if (WITHOUT_ANSWER.has(error.kind)) {
      const since = waitingSince ?? nowMicros;
      if (nowMicros - since < PATIENCE_MICROS) return { kind: 'unanswered', waitingSince: since };
      const hours = Math.floor((nowMicros - since) / 3_600_000_000);
      return { kind: 'dead', error: `given up after ${hours} hours without an answer: ${error.message}`, errorClass: 'unanswered' };
    }
  } else if (classify(error) === 'infrastructure') return { kind: 'later' };
  if (attempts + 1 < MAX_ATTEMPTS) return { kind: 'again' };
  // A refusal, too, is only believed when it stays: the exchange may be in maintenance. An error under status 200 is never one.
  const errorClass = error instanceof ExchangeHttpError && error.kind === 'refused' && error.status !== 200 ? 'refused' : 'attempts';
  return { kind: 'dead', error: `given up after ${attempts + 1} attempts: ${error.message}`, errorClass };
}
