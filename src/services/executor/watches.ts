// What is looked at over and over while the process lives, whoever leads: the flags, the state, the guard, prices, money, clocks.
import { systemStateSimpleKey } from '../../contracts/index.ts';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import { every } from './every.ts';
import type { KillSwitch } from './kill_switch.ts';
import type { Observing, Opened, Trading } from './parts.ts';
import type { ServiceContext } from '../../runtime/service.ts';

const FLAGS_MS = 500;
const STATE_MS = 500;
const GUARD_MS = 1_000;
const QUOTES_MS = 200;
const FUNDS_MS = 3_000;
const CLOCK_MS = 30_000;
const TERMS_MS = 300_000;

/** The kill switch's flag, read and where it is wanted raised; and the third confirmation of live mode. */
export function watchFlags(ctx: ServiceContext, parts: Opened, kill: KillSwitch, account: () => string | null): Promise<void> {
  const { store, current } = parts;
  return every(ctx, FLAGS_MS, 'flags', async () => {
    const wanted = kill.wantsFlag;
    if (wanted !== null) await store.setFlag('kill_switch', 'on', `executor ${process.pid}`, wanted, ctx.clock.nowMicros());
    kill.flag(await store.flag('kill_switch'));
    const mine = account();
    if (ctx.config.trading.mode !== 'live' || mine === null) return;
    const live = await store.flag('live_trading');
    current.modeRefused = live === mine ? null : `trading_flags.live_trading is ${live ?? 'not set'}, not ${mine}`;
  });
}

/** Everything that the gate sees. */
export function watchAll(parts: Trading): Promise<unknown> {
  const { ctx, view, state, guard, current } = parts;
  const { scope, config, log, random, signal } = ctx;
  const subscriber = scope.own(connectRedis(config.redisUrl, { name: 'executor-events', log, random, blocking: true, signal }), closeRedis);
  state.hear(subscriber, log);
  return Promise.all([
    every(ctx, STATE_MS, systemStateSimpleKey, () => state.look()),
    every(ctx, GUARD_MS, 'guard', () => guard.look()),
    every(ctx, TERMS_MS, 'instruments', () => view.refreshTerms()),
    every(ctx, QUOTES_MS, 'prices', () => view.refreshQuotes(current.trader?.book ?? null)),
    every(ctx, FUNDS_MS, 'account', () => view.refreshFunds()),
    every(ctx, CLOCK_MS, 'clock', () => view.measureClock()),
  ]);
}

/** Gauges of both kinds of executor. */
export function showRole({ ctx, metrics, kill, current }: Trading | Observing): Promise<void> {
  return every(ctx, 1_000, 'figures', () => {
    metrics.leader.set(current.role === 'leader' ? 1 : 0);
    metrics.killed.set(kill.cause === null ? 0 : 1);
    metrics.liveOrders.set(current.trader?.book.live.length ?? 0);
    ctx.health.set('trading', current.trader === null || current.trader.locked === null, current.trader?.locked ?? current.role);
    return Promise.resolve();
  });
}
