// Asking for an audit: a durable job in queue:audit, and an event as a hint. Whoever doubts the data may ask; the governor answers.
import type { Redis } from 'ioredis';
import { queueAuditKey, jobsKey, type AuditJob } from '../contracts/index.ts';
import { emitEvent } from './events.ts';
import { WorkQueue } from './queue.ts';

/** What holds the queue for a process of this name. */
export const auditQueue = (redis: Redis, worker: string, leaseMs: number, nowMicros: () => number): WorkQueue =>
  new WorkQueue({ redis, queue: queueAuditKey, worker, leaseMs, nowMicros });

const jobIdOf = (exchange: string): string => `audit:${exchange}`;

export type AuditQuestion = Pick<AuditJob, 'exchange' | 'hours' | 'by' | 'reason'>;

/**
 * Queues an audit of what is stored since `hours` ago; false when one of the exchange is queued or in hand already: its answer comes
 * first. Works when Redis is full. Rejects when Redis does not answer.
 */
export async function requestAudit(redis: Redis, { exchange, hours, by, reason }: AuditQuestion, nowMicros: number): Promise<boolean> {
  const job: AuditJob = {
    job_id: jobIdOf(exchange), exchange, hours, by: by.slice(0, 128), reason: reason.slice(0, 512), asked_at: nowMicros, attempts: 0,
  };
  // A lease is for those who take jobs; asking needs none.
  if (!(await auditQueue(redis, by, 1, () => nowMicros).push(job))) return false;
  await emitEvent(redis, {
    event_id: `audit.requested:${exchange}:${nowMicros}`, type: 'audit.requested', severity: 'info', ts: nowMicros,
    data: { exchange, hours, by: job.by, reason: job.reason },
  });
  return true;
}

/** Whether an audit of the exchange is queued or in hand. */
export const isAuditAsked = async (redis: Redis, exchange: string): Promise<boolean> =>
  (await redis.sismember(jobsKey(queueAuditKey), jobIdOf(exchange))) === 1;
