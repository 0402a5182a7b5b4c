// From what was opened and what the exchange said to an executor that trades, or one that observes.
import type { AccountIdentity } from '../../exchanges/trading.ts';
import { marketOf } from '../../exchanges/registry.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { GuardWatch } from './guard_watch.ts';
import type { KillSwitch } from './kill_switch.ts';
import { MarketView } from './market_view.ts';
import { OBSERVER } from './observe.ts';
import type { Observing, Opened, Trading } from './parts.ts';
import type { RiskLimits } from './risk/limits.ts';
import type { Runner } from './runners.ts';
import { StateWatch } from './state_watch.ts';
import type { Access } from './venue_access.ts';

export interface Found {
  access: Access;
  /** Who we are; or why the exchange, or the mode, refuses us. */
  identity: AccountIdentity | string;
  limits: RiskLimits | null;
  /** A text: why it cannot be had. */
  signalKey: Buffer | null | string;
  runners: readonly Runner[];
  kill: KillSwitch;
}

export function assemble(ctx: ServiceContext, opened: Opened, found: Found): Trading | Observing {
  const { config, log, clock } = ctx;
  const { access, identity, limits, signalKey, runners, kill } = found;
  const market = config.trading.market;
  const shared = { ...opened, ctx, kill, runners, instance: '', marketId: market?.marketId ?? 'none', exchange: market?.exchange ?? 'none' };
  const observing = (reason: string): Observing => {
    if (config.trading.mode !== 'observe') log.error({ wanted: config.trading.mode, reason }, `only observing: ${reason}`);
    // Whose signals they are cannot be told without the key: none is taken for authentic.
    const key = typeof signalKey === 'string' ? Buffer.alloc(0) : signalKey;
    return { ...shared, mode: 'observe', reason, account: OBSERVER, signalKey: key };
  };
  if (typeof identity === 'string') return observing(identity);
  if (typeof signalKey === 'string') return observing(signalKey);
  if (access.mode === 'observe' || access.venue === null || limits === null || market === null) return observing(access.reason ?? 'no limits');
  const state = new StateWatch(opened.redis, market.exchange, clock);
  const view = new MarketView({
    redis: opened.redis, pool: opened.pool, store: opened.store, venue: access.venue, clock, marketId: market.marketId, account: identity.account,
    tickSteps: (raw) => marketOf(market.marketId)?.trading?.tickSteps(raw) ?? [], symbols: limits.instruments.map(({ symbol }) => symbol),
    named: (symbol) => marketOf(market.marketId)?.trading?.named(symbol) ?? { reciprocal: false, settle: null, position: true },
    reduceOnlyBecause: () => state.why,
  });
  return {
    ...shared, mode: access.mode, account: identity.account, signalKey, limits, venue: access.venue, state, view,
    guard: new GuardWatch(opened.redis, clock, { account: identity.account, boot: opened.boot }),
  };
}

/** What the heartbeat says of it: the guard and operators read this. */
export function describe(parts: Trading | Observing): Record<string, unknown> {
  const { current, kill } = parts;
  return {
    boot: parts.boot, mode: parts.mode, account: parts.account, role: current.role, epoch: current.epoch, locked: current.trader?.locked ?? null,
    reconciled: current.trader?.reconciled ?? false, kill_switch: kill.cause, ...(parts.mode === 'observe' ? { reason: parts.reason } : {}),
  };
}
