// One worker on one queue: takes a job under a lease, keeps the lease while it works, and decides what becomes of a job that
// failed. What is nobody's fault (a rate limit, a database or an exchange that is away) waits and costs no attempt; what the job or
// the exchange will never mend goes to the dead jobs at once; everything else is tried again, a bounded number of times (judge.ts).
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobFailure, Leased, WorkQueue } from '../../bus/queue.ts';
import { Backoff } from '../../core/backoff.ts';
import { classify, toError } from '../../core/errors.ts';
import type { Parsed } from '../../contracts/index.ts';
import type { JobContext, JobParts } from './job.ts';
import { judge, type Verdict } from './judge.ts';
import type { Upstreams } from './upstreams.ts';

/** What jobs of every queue have. */
interface AnyJob {
  job_id: string;
  market_id: string;
  symbol: string;
  attempts: number;
  waiting_since?: number | undefined;
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
  upstreams: Upstreams;
  /** How long a market's exchange wants to be asked nothing, ms. */
  bannedMs: (marketId: string) => Promise<number>;
  ctx: JobParts;
  random: () => number;
}

const IDLE_MS = 250;
/** Jobs looked at in a row that all are for exchanges that are left alone. */
const ROUND = 100;
const RETRY = { baseMs: 200, maxMs: 10_000 };

/** Works until `signal` of the context aborts; never rejects. */
export async function work<J extends AnyJob>(options: WorkerOptions<J>): Promise<void> {
  const { ctx, queue, random } = options;
  const { signal, log } = ctx;
  const backoff = new Backoff({ ...RETRY, random });
  const away = new Backoff({ ...RETRY, random });
  let putBack = 0;
  while (!signal.aborted) {
    try {
      const leased = options.paused() ? null : await queue.pop();
      backoff.reset();
      putBack = leased !== null && await handle(options, leased, away) === 'put back' ? putBack + 1 : 0;
      // Once around, or far enough: nothing of what waits can be done now.
      const isIdle = leased === null || (putBack > 0 && putBack >= Math.min(ROUND, await queue.waiting()));
      if (!isIdle) continue;
      putBack = 0;
      await sleep(IDLE_MS * (0.5 + random()), undefined, { signal });
    } catch (error) {
      if (ctx.signal.aborted) return;
      if (backoff.attempts === 0) log.warn({ err: toError(error), queue: options.name }, 'the queue cannot be reached, trying again');
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** `away` is how long what nobody is to blame for goes on already. */
async function handle<J extends AnyJob>(options: WorkerOptions<J>, leased: Leased, away: Backoff): Promise<'put back' | 'handled'> {
  const { queue, ctx, name } = options;
  const read = readJob(options.parse, leased.payload);
  if ('errorClass' in read) {
    await queue.dead(leased, null, read);
    tellDead(options, read.error, leased.payload);
    return 'handled';
  }
  const { job } = read;
  const { market_id: marketId } = job;
  if (options.upstreams.waitMs(marketId) > 0 || await options.bannedMs(marketId) > 0) {
    // Behind the others: one of those may be for an exchange that answers.
    await queue.again(leased, leased.payload);
    return 'put back';
  }
  const ended = new AbortController();
  const kept = queue.keep(leased, ended.signal);
  let pages = 0;
  const gotPage = (kind: string): void => {
    pages++;
    options.upstreams.answered(marketId);
    ctx.metrics.pages.inc({ market_id: marketId, kind });
  };
  try {
    await options.run(job, { ...ctx, gotPage });
    away.reset();
    await queue.done(leased, job.job_id);
    ctx.metrics.jobs.inc({ queue: name, outcome: 'done' });
  } catch (error) {
    await failed(options, leased, { ...job, waiting_since: pages > 0 ? undefined : job.waiting_since }, toError(error), away);
  } finally {
    ended.abort();
    await kept;
  }
  return 'handled';
}

async function failed<J extends AnyJob>(options: WorkerOptions<J>, leased: Leased, job: J, error: Error, away: Backoff): Promise<void> {
  const { queue, ctx, name } = options;
  const { signal, log } = ctx;
  // We are leaving: the job goes back as it was.
  if (signal.aborted) {
    await queue.again(leased, leased.payload);
    return;
  }
  const verdict = judge(job.attempts, job.waiting_since ?? null, error, ctx.nowMicros());
  if (verdict.kind === 'dead') {
    try {
      await options.onDead?.(job, verdict);
    } catch (thrown) {
      // The job goes back for the database's sake alone; whatever else is wrong would bring it back for ever.
      if (classify(thrown) === 'infrastructure') {
        await tryLater(options, leased, job, { verdict: { kind: 'later' }, reason: toError(thrown).message, away });
        return;
      }
      log.warn({ err: toError(thrown), queue: name, job_id: job.job_id }, 'a dead job could not be given up');
    }
    await queue.dead(leased, job.job_id, verdict);
    tellDead(options, verdict.error, leased.payload);
    return;
  }
  await tryLater(options, leased, job, { verdict, reason: error.message, away });
}

/** Puts the job back, after a wait where it alone, or we, need one. */
async function tryLater<J extends AnyJob>(
  options: WorkerOptions<J>, leased: Leased, job: J, { verdict, reason, away }: { verdict: Exclude<Verdict, { kind: 'dead' }>; reason: string; away: Backoff },
): Promise<void> {
  const { queue, ctx: { signal, log, metrics }, name, random } = options;
  const counts = verdict.kind === 'again';
  log.warn({ queue: name, job_id: job.job_id, attempts: job.attempts, reason }, 'job is tried again later');
  metrics.jobs.inc({ queue: name, outcome: counts ? 'again' : 'waits' });
  const payload = {
    ...job, attempts: job.attempts + (counts ? 1 : 0), waiting_since: verdict.kind === 'unanswered' ? verdict.waitingSince : undefined,
  };
  // Of an exchange that is silent all jobs are left alone for a while; what concerns this job alone, or us, is waited for here.
  if (verdict.kind === 'unanswered') options.upstreams.failed(job.market_id, reason);
  else {
    const wait = counts ? Math.min(RETRY.maxMs, RETRY.baseMs * 2 ** job.attempts) * (0.5 + random() / 2) : away.next();
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
  await queue.again(leased, JSON.stringify(payload));
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
