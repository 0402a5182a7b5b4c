// What an executor is made of, beyond one life: opened once, closed with the process.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { EventSink } from '../../bus/events.ts';
import { UpdateSink } from '../../bus/updates.ts';
import type { TradingMode } from '../../core/trading/mode.ts';
import type { TradingStore } from '../../core/trading/records.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { closePool, createPool, type Pool } from '../../store/connect.ts';
import { PgTradingStore } from '../../store/trading/store.ts';
import type { GuardWatch } from './guard_watch.ts';
import type { KillSwitch } from './kill_switch.ts';
import type { MarketView } from './market_view.ts';
import { executorMetrics, type ExecutorMetrics } from './metrics.ts';
import type { RiskLimits } from './risk/limits.ts';
import type { Runner } from './runners.ts';
import type { StateWatch } from './state_watch.ts';
import type { Trader } from './trader.ts';
import type { Update } from './updates.ts';

export interface Parts {
  ctx: ServiceContext;
  redis: Redis;
  pool: Pool;
  store: TradingStore;
  events: EventSink;
  updates: UpdateSink;
  metrics: ExecutorMetrics;
  /** Tells this process from an earlier one under the same instance number. */
  boot: string;
  instance: string;
  marketId: string;
  exchange: string;
  account: string;
  kill: KillSwitch;
  runners: readonly Runner[];
  signalKey: Buffer | null;
  tell: (account: string, update: Update) => void;
  /** Pauses that reject when `signal` aborts. */
  pauseUntil: (signal: AbortSignal) => (ms: number) => Promise<void>;
  /** What changes from life to life. */
  current: { trader: Trader | null; role: 'starting' | 'standby' | 'leader'; epoch: number; modeRefused: string | null };
}

export interface Observing extends Parts {
  mode: 'observe';
  reason: string;
}

export interface Trading extends Parts {
  mode: Exclude<TradingMode, 'observe'>;
  venue: TradingVenue;
  limits: RiskLimits;
  view: MarketView;
  state: StateWatch;
  guard: GuardWatch;
}

export type Opened = Pick<Parts, 'redis' | 'pool' | 'store' | 'events' | 'updates' | 'metrics' | 'boot' | 'tell' | 'pauseUntil' | 'current'>;

/** Opens what needs no answer yet: connections come when their servers do. */
export function openParts(ctx: ServiceContext): Opened {
  const { config, scope, log, clock, random, signal } = ctx;
  const redis = scope.own(connectRedis(config.redisUrl, { name: 'executor', log, random, signal }), closeRedis);
  const pool = scope.own(createPool(config.databaseUrl, { name: 'executor', log, max: 10, signal }), closePool);
  const intents = scope.own(createPool(config.databaseUrl, { name: 'executor-intents', log, max: 4, signal }), closePool);
  const boot = randomUUID();
  const events = scope.own(new EventSink(redis, { source: `executor-${boot}`, nowMicros: () => clock.nowMicros(), random, log }), (sink) => sink.close(1_000));
  const updates = scope.own(new UpdateSink(redis, { log, random }), (sink) => sink.close(1_000));
  const metrics = executorMetrics(ctx.metrics);
  return {
    redis, pool, events, updates, metrics, boot, store: new PgTradingStore(pool, intents),
    tell: (account, update) => {
      metrics.updates.inc({ kind: update.kind });
      updates.push({ v: 1, account, ts: clock.nowMicros(), ...update });
      if (update.kind !== 'case' || update.data['status'] !== 'open' || update.data['attempts'] !== 1) return;
      events.emit({
        type: 'case.opened', severity: 'error', data: { account, kind: update.code ?? '', ...update.data },
        ...(update.market_id === undefined ? {} : { market_id: update.market_id }), ...(update.symbol === undefined ? {} : { symbol: update.symbol }),
      });
    },
    pauseUntil: (until) => (ms) => sleep(ms, undefined, { signal: until }),
    current: { trader: null, role: 'starting', epoch: 0, modeRefused: null },
  };
}
