// The candles that a bootstrap asks for, and the governor for new listings: of every symbol and resolution that the configuration
// wants, by name or by pattern, from the last stored one on, or of the last BACKFILL_DAYS where there is none.
import type { WorkQueue } from '../../bus/queue.ts';
import type { OhlcJob, Resolution } from '../../contracts/index.ts';
import { matchingAny } from '../../core/patterns.ts';
import { marketOf } from '../../exchanges/registry.ts';
import { resolutionMs } from '../../exchanges/rest_reader.ts';
import type { Config, MarketConfig } from '../../runtime/env.ts';
import type { Pool } from '../../store/connect.ts';
import { lastFinalCandles } from '../../store/ohlc.ts';
import type { Listed, MarketList } from './instruments.ts';

const DAY = 86_400_000_000;
const MINUTE = 60_000_000;

export type HistoryConfig = Pick<Config, 'markets' | 'resolutions' | 'channels' | 'backfillDays'>;

export interface HistoryOptions {
  pool: Pool;
  queue: Pick<WorkQueue, 'push'>;
  nowMicros: number;
  reason: string;
  /** Symbols that the configuration names count even where they are not listed: they may be, under another status. */
  namedAnyway: boolean;
}

/** Jobs for what is missing up to now; none when candles are not recorded or BACKFILL_DAYS is 0. Pure. */
export function historyJobs(
  config: HistoryConfig, lists: readonly MarketList[], last: ReadonlyMap<string, number>, options: Omit<HistoryOptions, 'pool' | 'queue'>,
): OhlcJob[] {
  const { markets, resolutions, channels, backfillDays } = config;
  if (backfillDays === 0 || !channels.includes('ohlc')) return [];
  const end = Math.floor(options.nowMicros / MINUTE) * MINUTE;
  const oldest = end - backfillDays * DAY;
  return lists.flatMap(({ marketId, listed }) => {
    const market = markets.find((one) => one.marketId === marketId);
    const symbols = market === undefined ? [] : wanted(market, listed).filter(({ kind }) => options.namedAnyway || kind !== null);
    return symbols.flatMap(({ symbol, listedTs }) => servedBy(marketId, resolutions).flatMap((resolution): OhlcJob[] => {
      const known = last.get(`${marketId} ${symbol} ${resolution}`);
      // After a long rest only so much as a new installation would get: the rest is asked for by hand.
      const start = Math.max(known === undefined ? firstOpening(resolution, listedTs) : known + 1, oldest);
      if (start >= end) return [];
      const job_id = `history:${marketId}:${symbol}:${resolution}:${start}:${end}`;
      return [{ job_id, market_id: marketId, symbol, resolution, start, end, reason: options.reason, attempts: 0 }];
    }));
  });
}

/** No candle opened before: the first one holds the listing. */
const firstOpening = (resolution: Resolution, listedTs: number | null): number =>
  listedTs === null ? 0 : Math.max(0, listedTs + 1 - (resolution === '1M' ? 31 * DAY : resolutionMs(resolution) * 1_000));

/** What the configuration names, in its order, then what its patterns match. kind null: not listed. */
function wanted({ symbols, patterns }: MarketConfig, listed: readonly Listed[]): { symbol: string; kind: string | null; listedTs: number | null }[] {
  const bySymbol = new Map(listed.map((one) => [one.symbol, one]));
  const named = new Set(symbols);
  return [
    ...symbols.map((symbol) => bySymbol.get(symbol) ?? { symbol, kind: null, listedTs: null }),
    ...matchingAny(patterns, listed).filter(({ symbol }) => !named.has(symbol)),
  ];
}

const servedBy = (marketId: string, resolutions: readonly Resolution[]): Resolution[] =>
  resolutions.filter((resolution) => marketOf(marketId)?.candleResolutions.includes(resolution) === true);

/** Queues the jobs; returns how many. Rejects when PostgreSQL or Redis does not answer. */
export async function queueHistory(config: HistoryConfig, lists: readonly MarketList[], options: HistoryOptions): Promise<number> {
  if (lists.every(({ listed }) => listed.length === 0)) return 0;
  const jobs = historyJobs(config, lists, await lastFinalCandles(options.pool), options);
  let queued = 0;
  for (const job of jobs) if (await options.queue.push(job)) queued++;
  return queued;
}
