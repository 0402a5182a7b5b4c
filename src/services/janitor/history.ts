// The candles that a bootstrap asks for: of every configured symbol and resolution from the last stored one on, or of the last
// BACKFILL_DAYS where there is none.
import type { WorkQueue } from '../../bus/queue.ts';
import type { OhlcJob, Resolution } from '../../contracts/index.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { Config } from '../../runtime/env.ts';
import type { Pool } from '../../store/connect.ts';
import { lastFinalCandles } from '../../store/ohlc.ts';

const DAY = 86_400_000_000;
const MINUTE = 60_000_000;

export type HistoryConfig = Pick<Config, 'markets' | 'resolutions' | 'channels' | 'backfillDays'>;

/** Jobs for what is missing up to now; none when candles are not recorded or BACKFILL_DAYS is 0. Pure. */
export function historyJobs(config: HistoryConfig, last: ReadonlyMap<string, number>, nowMicros: number): OhlcJob[] {
  const { markets, resolutions, channels, backfillDays } = config;
  if (backfillDays === 0 || !channels.includes('ohlc')) return [];
  const end = Math.floor(nowMicros / MINUTE) * MINUTE;
  const oldest = end - backfillDays * DAY;
  return markets.flatMap(({ marketId, symbols }) => symbols.flatMap((symbol) => servedBy(marketId, resolutions).flatMap((resolution): OhlcJob[] => {
    const known = last.get(`${marketId} ${symbol} ${resolution}`);
    // After a long rest only so much as a new installation would get: the rest is asked for by hand.
    const start = known === undefined ? oldest : Math.max(known + 1, oldest);
    if (start >= end) return [];
    const job_id = `history:${marketId}:${symbol}:${resolution}:${start}:${end}`;
    return [{ job_id, market_id: marketId, symbol, resolution, start, end, reason: 'bootstrap', attempts: 0 }];
  })));
}

const servedBy = (marketId: string, resolutions: readonly Resolution[]): Resolution[] =>
  resolutions.filter((resolution) => marketOf(marketId)?.candleResolutions.includes(resolution) === true);

/** Queues the jobs; returns how many. */
export async function queueHistory(config: HistoryConfig, pool: Pool, queue: Pick<WorkQueue, 'push'>, nowMicros: number): Promise<number> {
  const jobs = historyJobs(config, await lastFinalCandles(pool), nowMicros);
  let queued = 0;
  for (const job of jobs) if (await queue.push(job)) queued++;
  return queued;
}
