// Gaps become work. What the receiver reported in-band is in data_gaps already; independent of it, holes between the stored
// sequence numbers are looked for, so that a gap nobody noticed is found, too.
import type { WorkQueue } from '../../bus/queue.ts';
import type { OhlcJob, Resolution, TradeJob } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import { findDone } from '../../store/backfill_jobs.ts';
import { claimGaps, claimTimeGaps, closeTimeGap, findHoles, insertHoles, type Hole, type TimeGap } from '../../store/gaps.ts';

export interface GapKeeperOptions {
  pool: Pool;
  queue: Pick<WorkQueue, 'push'>;
  candles: Pick<WorkQueue, 'push'>;
  /** Resolutions that are recorded of a market. */
  resolutions: (marketId: string) => readonly Resolution[];
  clock: Pick<Clock, 'monotonicMs'>;
  log: Pick<Logger, 'info'>;
  /** A hole must have been there this long: trades may still be on their way, out of order. */
  settleMs: number;
}

/** Gaps looked at per round: more wait for the next one. */
const ROUND = 1_000;
/**
 * After a restored dump or a long rest a hole may reach back weeks; deeper ones are not filled unasked, since a day that somebody
 * fetched of last year would have all between it and today fetched: npm run completeness tells them.
 */
const DAYS_BACK = 31;
const REASON = 'hole between stored trades';
/** Candles of that time must be final before they are asked for: those of a minute soon are. */
const TIME_SETTLE_S = 90;
const DAY = 86_400_000_000;

export class GapKeeper {
  readonly #options: GapKeeperOptions;
  /** When each hole was seen first, by its place. */
  #seen = new Map<string, number>();

  constructor(options: GapKeeperOptions) {
    this.#options = options;
  }

  /**
   * Queues one job for each instrument with gaps that wait: those near to each other come with the same page of the exchange.
   * While an instrument's job is queued or in hand there is no second one; what came meanwhile is in the next. Returns how many.
   */
  async queueJobs(): Promise<number> {
    const { pool, queue } = this.#options;
    let queued = 0;
    const jobs = new Map<string, TradeJob>();
    for (const { marketId, symbol, fromSeq, toSeq, reason } of await claimGaps(pool, ROUND)) {
      const job_id = `gaps:${marketId}:${symbol}`;
      const job = jobs.get(job_id);
      if (job === undefined) {
        jobs.set(job_id, {
          job_id, market_id: marketId, symbol, from_seq: fromSeq, to_seq: toSeq, gaps: true, reason: reason.slice(0, 512), attempts: 0,
        });
      } else {
        job.from_seq = Math.min(job.from_seq, fromSeq);
        job.to_seq = Math.max(job.to_seq, toSeq);
      }
    }
    for (const job of jobs.values()) if (await queue.push(job)) queued++;
    return queued;
  }

  /** Gaps by time: the candles of that time are fetched again, and the gap closes when all of them were. Returns how many jobs were queued. */
  async queueCandles(): Promise<number> {
    const { pool, candles } = this.#options;
    let queued = 0;
    for (const gap of await claimTimeGaps(pool, TIME_SETTLE_S, ROUND)) {
      const jobs = this.#candleJobs(gap);
      const done = await findDone(pool, jobs.map((job) => job.job_id));
      const open = jobs.filter((job) => !done.has(job.job_id));
      if (open.length === 0) await closeTimeGap(pool, gap.gapId);
      // History may be thousands of jobs; what is missing of today does not wait for it.
      for (const job of open) if (await candles.push(job, 'first')) queued++;
    }
    return queued;
  }

  #candleJobs({ gapId, marketId, symbol, fromTs, toTs }: TimeGap): OhlcJob[] {
    // A day to both sides holds whatever candle the gap lies in, up to that of a day.
    const span = (resolution: Resolution): number => (/[dwM]$/.test(resolution) ? DAY : DAY / 24);
    return this.#options.resolutions(marketId).map((resolution) => ({
      job_id: `gap:${gapId}:${resolution}`, market_id: marketId, symbol, resolution, reason: `gap ${gapId}`, attempts: 0,
      start: fromTs - span(resolution), end: toTs + span(resolution),
    }));
  }

  /** Looks for holes; those that stay become gaps. Returns how many did. */
  async findHoles(): Promise<number> {
    const { pool, clock, settleMs, log } = this.#options;
    const now = clock.monotonicMs();
    const seen = new Map<string, number>();
    const settled: Hole[] = [];
    for (const hole of await findHoles(pool, DAYS_BACK, ROUND)) {
      const place = `${hole.instrumentId}:${hole.from}..${hole.to}`;
      const since = this.#seen.get(place) ?? now;
      if (now - since >= settleMs) settled.push(hole);
      else seen.set(place, since);
    }
    this.#seen = seen;
    const made = await insertHoles(pool, settled, REASON);
    if (made > 0) log.info({ gaps: made }, 'holes between stored trades became gaps');
    return made;
  }
}
