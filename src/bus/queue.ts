// Work queues: a list, popped under a lease. A worker that dies loses its lease, and the job returns; so a job may be done
// twice, and must bear that. Everything here works when Redis is full.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { dlqKey, jobsKey, leasedKey, leasesKey, type DeadJob } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const pushScript = loadScript('job_push');
const popScript = loadScript('job_pop');
const extendScript = loadScript('job_extend');
const settleScript = loadScript('job_settle');
const reapScript = loadScript('job_reap');

export type JobErrorClass = DeadJob['error_class'];

export interface WorkQueueOptions {
  redis: Redis;
  /** `queue:trade_work` or `queue:ohlc_work`. */
  queue: string;
  /** Names this worker in leases and dead jobs; unique in the fleet. */
  worker: string;
  leaseMs: number;
  nowMicros: () => number;
}

/** A job in hand. */
export interface Leased {
  readonly lease: string;
  /** As it was queued: may be anything. */
  readonly payload: string;
}

export interface JobFailure {
  error: string;
  errorClass: JobErrorClass;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #keys: { queue: string; leased: string; leases: string; jobs: string; dlq: string };
  #taken = 0;

  constructor(options: WorkQueueOptions) {
    const { queue } = options;
    this.#options = options;
    this.#keys = { queue, leased: leasedKey(queue), leases: leasesKey(queue), jobs: jobsKey(queue), dlq: dlqKey(queue) };
  }

  /** Queues a job, before those that wait or behind them; false when one of its id is queued or in hand already. */
  async push(job: { job_id: string }, place: 'first' | 'last' = 'last'): Promise<boolean> {
    const { queue, jobs } = this.#keys;
    return (await runScript(this.#options.redis, pushScript, [queue, jobs], [job.job_id, JSON.stringify(job), place])) === 1;
  }

  /** The oldest job, or null when there is none. */
  async pop(): Promise<Leased | null> {
    const { redis, worker, leaseMs, nowMicros } = this.#options;
    const { queue, leased, leases } = this.#keys;
    const lease = `${worker}:${nowMicros()}:${++this.#taken}`;
    const payload = (await runScript(redis, popScript, [queue, leased, leases], [lease, leaseMs])) as string | null;
    return payload === null ? null : { lease, payload };
  }

  /** Keeps a lease alive until `signal` aborts. Resolves early with false when the job was taken away meanwhile. */
  async keep({ lease }: Leased, signal: AbortSignal): Promise<boolean> {
    const { redis, leaseMs } = this.#options;
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      await sleep(leaseMs / 3, undefined, { signal }).catch(() => undefined);
      if (ended()) return true;
      const held = await runScript(redis, extendScript, [this.#keys.leases], [lease, leaseMs]).catch(() => 1);
      if (held === 0) return false;
    }
    return true;
  }

  /** The job is done. False when the lease had run out: somebody else does it again. */
  done({ lease, payload }: Leased, jobId: string): Promise<boolean> {
    return this.#settle([lease, 'done', jobId, payload]);
  }

  /** Puts the job back, as `payload` (with one attempt more, say). */
  again({ lease }: Leased, payload: string): Promise<boolean> {
    return this.#settle([lease, 'again', '', payload]);
  }

  /** Files the job among the dead ones. */
  dead({ lease, payload }: Leased, jobId: string | null, { error, errorClass }: JobFailure): Promise<boolean> {
    const { worker, nowMicros } = this.#options;
    return this.#settle([lease, 'dead', jobId ?? '', payload, error.slice(0, 1_000), errorClass, worker, nowMicros()]);
  }

  /** Returns the jobs of dead workers to the queue, and forgets the ids of jobs that are nowhere; any number of processes may call it. */
  async reap(): Promise<number> {
    const { queue, leased, leases, jobs } = this.#keys;
    return (await runScript(this.#options.redis, reapScript, [queue, leased, leases, jobs], [])) as number;
  }

  /** Jobs that nobody has in hand. */
  waiting(): Promise<number> {
    return this.#options.redis.llen(this.#keys.queue);
  }

  /** Jobs waiting and in hand, and dead ones. */
  async sizes(): Promise<{ waiting: number; leased: number; dead: number }> {
    const { redis } = this.#options;
    const [waiting, leased, dead] = await Promise.all([
      redis.llen(this.#keys.queue), redis.hlen(this.#keys.leased), redis.xlen(this.#keys.dlq),
    ]);
    return { waiting, leased, dead };
  }

  async #settle(args: readonly (string | number)[]): Promise<boolean> {
    const { queue, leased, leases, jobs, dlq } = this.#keys;
    return (await runScript(this.#options.redis, settleScript, [queue, leased, leases, jobs, dlq], args)) === 1;
  }
}
