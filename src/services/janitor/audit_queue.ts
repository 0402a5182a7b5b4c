// Audits that were asked for, one at a time, and those that are due by the clock.
import { auditQueue, requestAudit } from '../../bus/audits.ts';
import { peekState } from '../../bus/state.ts';
import type { Leased, WorkQueue } from '../../bus/queue.ts';
import { parseAuditJob, type AuditJob } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { isAuditDue } from '../../store/audits.ts';
import { runHistoricalAudit, type AuditParts } from './audit.ts';

/** Each attempt has been patient already. */
const MAX_ATTEMPTS = 3;

export class AuditKeeper {
  readonly #ctx: ServiceContext;
  readonly #parts: AuditParts;
  readonly #queue: WorkQueue;
  readonly #by: string;

  constructor(ctx: ServiceContext, parts: AuditParts, by: string) {
    this.#ctx = ctx;
    this.#parts = parts;
    this.#by = by;
    this.#queue = auditQueue(parts.redis, by, ctx.config.jobLeaseMs, () => ctx.clock.nowMicros());
  }

  /** Runs the audits that wait. Rejects when Redis or the database do not answer; a job in hand returns to the queue. */
  async work(): Promise<void> {
    await this.#queue.reap();
    // A job that has just been put back must not be taken again by whoever leaves.
    while (!this.#ctx.signal.aborted) {
      const leased = await this.#queue.pop();
      if (leased === null) return;
      await this.#handle(leased);
    }
  }

  /** Asks for the daily audit of every healthy exchange whose last one is long enough ago. */
  async schedule(): Promise<void> {
    const { everyHours, hours } = this.#ctx.config.audit;
    if (everyHours === 0) return;
    const { redis, pool, exchanges } = this.#parts;
    for (const exchange of exchanges) {
      const { state } = await peekState(redis, exchange);
      if (state !== 'HEALTHY' || !(await isAuditDue(pool, exchange, everyHours))) continue;
      await requestAudit(redis, { exchange, hours, by: this.#by, reason: `every ${everyHours} hours` }, this.#ctx.clock.nowMicros());
    }
  }

  async #handle(leased: Leased): Promise<void> {
    const job = this.#read(leased.payload);
    if (typeof job === 'string') {
      this.#ctx.log.warn({ error: job }, 'dead audit');
      await this.#queue.dead(leased, null, { error: job, errorClass: 'schema' });
      return;
    }
    const ended = new AbortController();
    const kept = this.#queue.keep(leased, ended.signal);
    try {
      await runHistoricalAudit(this.#ctx, this.#parts, job);
      await this.#queue.done(leased, job.job_id);
    } catch (thrown) {
      await this.#failed(leased, job, toError(thrown));
    } finally {
      ended.abort();
      await kept;
    }
  }

  #read(payload: string): AuditJob | string {
    let value: unknown;
    try {
      value = JSON.parse(payload);
    } catch (error) {
      return `not JSON: ${toError(error).message}`;
    }
    const parsed = parseAuditJob(value);
    if (!parsed.ok) return parsed.error;
    const { exchanges } = this.#parts;
    return exchanges.includes(parsed.value.exchange) ? parsed.value : `exchange: "${parsed.value.exchange}" is not one of ${exchanges.join(', ')}`;
  }

  async #failed(leased: Leased, job: AuditJob, error: Error): Promise<void> {
    const { signal, log } = this.#ctx;
    if (signal.aborted) {
      await this.#queue.again(leased, leased.payload);
      return;
    }
    log.warn({ exchange: job.exchange, attempts: job.attempts, reason: error.message }, 'an audit failed');
    const attempts = job.attempts + 1;
    if (attempts >= MAX_ATTEMPTS) await this.#queue.dead(leased, job.job_id, { error: error.message, errorClass: 'attempts' });
    else await this.#queue.again(leased, JSON.stringify({ ...job, attempts }));
  }
}
