// The figures of the fleet that no service knows by itself: what is missing, how far off the clocks are, who has banned us.
import type { Redis } from 'ioredis';
import { banLeftMs } from '../../bus/budget.ts';
import { readState } from '../../bus/state.ts';
import { systemStateValues } from '../../contracts/index.ts';
import { clockOffset } from '../../exchanges/clock_offset.ts';
import type { Clock } from '../../core/clock.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import type { Pool } from '../../store/connect.ts';
import { lastingGaps } from '../../store/gaps.ts';
import type { GovernorMetrics } from './metrics.ts';

export interface FiguresOptions {
  pool: Pool;
  redis: Redis;
  markets: readonly MarketConfig[];
  exchanges: readonly string[];
  clock: Clock;
  metrics: GovernorMetrics;
}

const STATUSES = ['open', 'healing', 'unfillable'] as const;

export class Figures {
  readonly #options: FiguresOptions;

  constructor(options: FiguresOptions) {
    this.#options = options;
  }

  /** Gaps, states and bans. Rejects when a server does not answer; the figures then stay what they were. */
  async look(): Promise<void> {
    const { pool, redis, markets, exchanges, metrics } = this.#options;
    const gaps = await lastingGaps(pool);
    for (const { marketId } of markets) {
      const own = gaps.filter((each) => each.marketId === marketId);
      for (const status of STATUSES) metrics.gaps.set({ market: marketId, status }, own.find((each) => each.status === status)?.count ?? 0);
      const ages = own.filter(({ status }) => status !== 'unfillable').map(({ oldestSeconds }) => oldestSeconds);
      metrics.oldestGap.set({ market: marketId }, Math.max(0, ...ages));
    }
    for (const exchange of exchanges) {
      const [current, banMs] = await Promise.all([readState(redis, exchange), banLeftMs(redis, exchange)]);
      for (const state of systemStateValues) metrics.state.set({ exchange, state }, state === current ? 1 : 0);
      metrics.ban.set({ exchange }, banMs / 1_000);
    }
  }

  /**
   * How far off our clock is: one cheap request per market, none while its exchange has banned us. Rejects when an exchange does not
   * answer; what the others said counts all the same.
   */
  async measureClocks(): Promise<void> {
    const { redis, markets: all, clock, metrics } = this.#options;
    const bans = await Promise.all(all.map(({ exchange }) => banLeftMs(redis, exchange)));
    const markets = all.filter((_market, n) => bans[n] === 0);
    const measured = await Promise.allSettled(markets.map(async (market) => {
      const { offsetMs } = await clockOffset(market, clock);
      metrics.clockOffset.set({ market: market.marketId }, offsetMs / 1_000);
    }));
    const failed = measured.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}
