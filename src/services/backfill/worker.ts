// One worker on one queue: takes a job under a lease, keeps the lease while it works, and decides what becomes of a job that
// failed. What is nobody's fault (a rate limit, a database or an exchange that is away) waits and costs no attempt; what the job or
// the exchange will never mend goes to the dead jobs at once; everything else is tried again, a bounded number of times.
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobFailure, Leased, WorkQueue } from '../../bus/queue.ts';
import { Backoff } from '../../core/backoff.ts';
import { classify, toError } from '../../core/errors.ts';
import type { Parsed } from '../../contracts/index.ts';
import { ExchangeHttpError, type HttpErrorKind } from '../../net/http.ts';
import { DeadJobError, type JobContext } from './job.ts';

/** What jobs of every queue have. */
interface AnyJob {
  job_id: string;
  market_id: string;
  symbol: string;
  attempts: number;
}

export interface WorkerOptions<J extends AnyJob> {
  name: string;
  queue: WorkQueue;
  parse: (value: unknown) => Parsed<J>;
  run: (job: J, ctx: JobContext) => Promise<void>;
  /** A job is given up; before it is filed. */
  onDead?: (job: J, failure: JobFailure) => Promise<void>;
  /** Whether no job may be taken now; those in hand go on. */
  paused: () => boolean;
  ctx: JobContext;
  random: () => number;
}

const IDLE_MS = 250;
const MAX_ATTEMPTS = 10;
const RETRY = { baseMs: 200, maxMs: 10_000 };
/** Answers that say nothing of the job: it is not its turn, or nobody is there. */
const WAITING: ReadonlySet<HttpErrorKind> = new Set(['rate_limited', 'banned', 'network']);

type Verdict =
  | ({ kind: 'dead' } & JobFailure)
  | { kind: 'again'; counts: boolean };

/** Works until `signal` of the context aborts; never rejects. */
export async function work<J extends AnyJob>(options: WorkerOptions<J>): Promise<void> {
  const { ctx, queue, random } = options;
  const { signal, log } = ctx;
  const backoff = new Backoff({ ...RETRY, random });
  const away = new Backoff({ ...RETRY, random });
  while (!signal.aborted) {
    try {
      const leased = options.paused() ? null : await queue.pop();
      backoff.reset();
      if (leased === null) await sleep(IDLE_MS * (0.5 + random()), undefined, { signal });
      else await handle(options, leased, away);
    } catch (error) {
      if (ctx.signal.aborted) return;
      if (backoff.attempts === 0) log.warn({ err: toError(error), queue: options.name }, 'the queue cannot be reached, trying again');
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** `away` is how long what nobody is to blame for goes on already. */
async function handle<J extends AnyJob>(options: WorkerOptions<J>, leased: Leased, away: Backoff): Promise<void> {
  const { queue, ctx, name } = options;
  const read = readJob(options.parse, leased.payload);
  if ('errorClass' in read) {
    await queue.dead(leased, null, read);
    tellDead(options, read.error, leased.payload);
    return;
  }
  const { job } = read;
  const ended = new AbortController();
  const kept = queue.keep(leased, ended.signal);
  try {
    await options.run(job, ctx);
    away.reset();
    await queue.done(leased, job.job_id);
    ctx.metrics.jobs.inc({ queue: name, outcome: 'done' });
  } catch (error) {
    await failed(options, leased, job, toError(error), away);
  } finally {
    ended.abort();
    await kept;
  }
}

async function failed<J extends AnyJob>(options: WorkerOptions<J>, leased: Leased, job: J, error: Error, away: Backoff): Promise<void> {
  const { queue, ctx, name, random } = options;
  const { signal, log, metrics } = ctx;
  // We are leaving: the job goes back as it was.
  if (signal.aborted) {
    await queue.again(leased, leased.payload);
    return;
  }
  const verdict = judge(job, error);
  if (verdict.kind === 'dead') {
    await options.onDead?.(job, verdict);
    await queue.dead(leased, job.job_id, verdict);
    tellDead(options, verdict.error, leased.payload);
    return;
  }
  log.warn({ queue: name, job_id: job.job_id, attempts: job.attempts, reason: error.message }, 'job is tried again later');
  metrics.jobs.inc({ queue: name, outcome: 'again' });
  const wait = verdict.counts ? Math.min(RETRY.maxMs, RETRY.baseMs * 2 ** job.attempts) * (0.5 + random() / 2) : away.next();
  await sleep(wait, undefined, { signal }).catch(() => undefined);
  await queue.again(leased, JSON.stringify({ ...job, attempts: job.attempts + (verdict.counts ? 1 : 0) }));
}

function judge({ attempts }: AnyJob, error: Error): Verdict {
  if (error instanceof DeadJobError) return { kind: 'dead', error: error.message, errorClass: error.errorClass };
  if (error instanceof ExchangeHttpError) {
    if (WAITING.has(error.kind)) return { kind: 'again', counts: false };
  } else if (classify(error) === 'infrastructure') return { kind: 'again', counts: false };
  if (attempts + 1 >= MAX_ATTEMPTS) {
    // A refusal, too, is only believed when it stays: the exchange may be in maintenance. An error under status 200 is never one.
    const errorClass = error instanceof ExchangeHttpError && error.kind === 'refused' && error.status !== 200 ? 'refused' : 'attempts';
    return { kind: 'dead', error: `given up after ${attempts + 1} attempts: ${error.message}`, errorClass };
  }
  return { kind: 'again', counts: true };
}

function readJob<J>(parse: (value: unknown) => Parsed<J>, payload: string): { job: J } | { error: string; errorClass: 'not_json' | 'schema' } {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch (error) {
    return { error: `not JSON: ${toError(error).message}`, errorClass: 'not_json' };
  }
  const parsed = parse(value);
  return parsed.ok ? { job: parsed.value } : { error: parsed.error, errorClass: 'schema' };
}

function tellDead<J extends AnyJob>({ ctx, name }: WorkerOptions<J>, error: string, payload: string): void {
  ctx.metrics.jobs.inc({ queue: name, outcome: 'dead' });
  ctx.log.warn({ queue: name, error }, 'dead job');
  ctx.events.emit({ type: 'job.dead', severity: 'error', data: { queue: name, error, payload: payload.slice(0, 1_000) } });
}
