// One life: from the leader's seat to its loss, or to the end of the process. What outlives it (venue, watches, sinks) is given.
import { setTimeout as sleep } from 'node:timers/promises';
import { requestAudit } from '../../bus/audits.ts';
import { SignalReader } from '../../bus/signals.ts';
import { changeState } from '../../bus/state.ts';
import { toError } from '../../core/errors.ts';
import { mintLabel } from '../../core/trading/label.ts';
import { insertStateChanges } from '../../store/state_log.ts';
import type { Leadership } from '../../store/trading/leadership.ts';
import { AccountBook } from './account_book.ts';
import { IntakeLoop } from './intake_loop.ts';
import { LockKeeper } from './lock_keeper.ts';
import { logKeeperOf } from './log_wiring.ts';
import { metered } from './metered.ts';
import { Observer } from './observe.ts';
import type { Observing, Parts, Trading } from './parts.ts';
import { refuse, type Refused } from './risk/codes.ts';
import type { RunnerHost } from './runners.ts';
import { Trader } from './trader.ts';

/** How long the exchange may take a request after the gate. */
export const SEND_WITHIN_MS = 2_000;
/** At the end: longer than a request may take to be answered, shorter than supervisors wait. */
const SETTLE_MS = 5_500;
const AUDIT_HOURS = 24;

/** Trades until leadership is lost or the process shall end. */
export async function trade(parts: Trading, leadership: Leadership): Promise<void> {
  const { ctx, store, metrics, updates, pauseUntil } = parts;
  const { log, clock } = ctx;
  const life = new AbortController();
  const ends = AbortSignal.any([ctx.signal, life.signal]);
  const pause = pauseUntil(life.signal);
  void leadership.lost.then((reason) => {
    if (!ends.aborted) log.warn({ reason, epoch: leadership.epoch }, 'not the leader any more');
    life.abort();
  });
  const keeper = lockKeeperOf(parts, pause);
  const passedAt = new Map<string, number>();
  const trader = new Trader({
    ...parts, clock, log, pause, epoch: leadership.epoch, terms: parts.view, signal: life.signal, sendWithinMs: SEND_WITHIN_MS,
    venue: metered(parts.venue, metrics, clock, passedAt),
    view: (book, symbol) => parts.view.view(book, symbol),
    mintLabel: (strategy) => {
      const label = mintLabel(parts.mode, strategy, clock.nowMicros() / 1000, ctx.random);
      // What the fence holds back never gets to the wire.
      if (passedAt.size > 1_000) passedAt.clear();
      passedAt.set(label, clock.monotonicMs());
      return label;
    },
    barred: () => barredBy(parts, leadership),
    reduceOnlyBecause: () => parts.state.why,
    tell: (update) => parts.tell(parts.account, update),
    askAudit: (reason) => askAudit(parts, reason),
    logThrough: () => logKeeper.through,
    refused: (code) => metrics.refusals.inc({ code }),
    onRunaway: (reason) => {
      if (parts.kill.cause === null) log.error({ reason }, 'the risk gate pulls the kill switch');
      parts.kill.pull(reason);
    },
    onLock: (reason) => keeper.locked(reason),
  });
  const logKeeper = logKeeperOf(parts, trader, life.signal);
  parts.current.trader = trader;
  const found = await untilAnswered(() => keeper.found(), pause, life.signal);
  if (found !== null && found !== undefined) trader.lock(found);
  const intake = new IntakeLoop({
    reader: readerOf(parts), store, account: parts.account, clock, log, metrics,
    handle: (payload, mac, delivery) => trader.entry(payload, mac, delivery), tell: (update) => parts.tell(parts.account, update),
  });
  const host: RunnerHost = {
    mode: parts.mode, marketId: parts.marketId, redis: parts.redis, pool: parts.pool, clock, log, signal: ends, book: trader.book,
    send: (signal) => trader.signal(signal),
  };
  const running = trader.run().catch((error: unknown) => {
    if (!life.signal.aborted) ctx.fail(error);
  });
  const beside = Promise.all([keeper.run(trader), logKeeper.run(), ...parts.runners.map((runner) => runSafely(parts, runner.name, () => runner.run(host)))]);
  await intake.run(ends);
  // What is on the wire is worth its answer: until then this stays the leader's business.
  await Promise.race([intake.settled(), sleep(SETTLE_MS, undefined, { ref: false })]);
  life.abort();
  await Promise.race([Promise.all([running, beside]), sleep(SETTLE_MS, undefined, { ref: false })]);
  parts.current.trader = null;
  await updates.flushed(500);
}

/** Answers signals without ever sending one, until leadership is lost or the process shall end. */
export async function observe(parts: Observing, leadership: Leadership): Promise<void> {
  const { ctx, store, metrics } = parts;
  const { clock, log } = ctx;
  const life = new AbortController();
  void leadership.lost.then(() => life.abort());
  const ends = AbortSignal.any([ctx.signal, life.signal]);
  const observer = new Observer({
    store, clock, signalKey: parts.signalKey, reason: parts.reason, tell: (update) => parts.tell(parts.account, update),
    refused: (code) => metrics.refusals.inc({ code }),
  });
  const intake = new IntakeLoop({
    reader: readerOf(parts), store, account: parts.account, clock, log, metrics, handle: (payload, mac) => observer.entry(payload, mac),
    tell: (update) => parts.tell(parts.account, update),
  });
  const host: RunnerHost = {
    mode: 'observe', marketId: parts.marketId, redis: parts.redis, pool: parts.pool, clock, log, signal: ends, book: new AccountBook(),
    send: (signal) => observer.signal(signal),
  };
  const beside = Promise.all(parts.runners.map((runner) => runSafely(parts, runner.name, () => runner.run(host))));
  await intake.run(ends);
  await Promise.race([Promise.all([intake.settled(), beside]), sleep(SETTLE_MS, undefined, { ref: false })]);
}

function barredBy(parts: Trading, leadership: Leadership): Refused | null {
  const { bars } = parts.kill;
  if (bars !== null) return refuse('KILL_SWITCH', bars);
  if (leadership.over !== null) return refuse('NOT_LEADER', leadership.over);
  if (parts.current.modeRefused !== null) return refuse('OBSERVE', parts.current.modeRefused);
  const { why } = parts.guard;
  return why === null ? null : refuse('NO_GUARD', why);
}

const readerOf = ({ ctx, redis, instance }: Parts): SignalReader =>
  new SignalReader({ redis, url: ctx.config.redisUrl, consumer: `executor-${instance}`, clock: ctx.clock, random: ctx.random, log: ctx.log });

async function askAudit({ ctx, redis, exchange, instance }: Trading, reason: string): Promise<void> {
  // Durable, and a hint beside it; while Redis is away the next round asks again.
  await requestAudit(redis, { exchange, hours: AUDIT_HOURS, by: `executor ${instance}`, reason }, ctx.clock.nowMicros()).catch((error: unknown) =>
    ctx.log.warn({ err: toError(error) }, 'the audit is not asked for yet'));
}

function lockKeeperOf(parts: Trading, pause: (ms: number) => Promise<void>): LockKeeper {
  const { ctx, store, account, marketId, metrics, events } = parts;
  return new LockKeeper({
    store, clock: ctx.clock, log: ctx.log, account, marketId, pause,
    lockSystem: (reason) => lockSystem(parts, reason),
    told: (locked, reason) => {
      metrics.locked.set(locked ? 1 : 0);
      events.emit({
        type: locked ? 'executor.locked' : 'executor.unlocked', severity: locked ? 'critical' : 'info', market_id: marketId, data: { account, reason },
      });
      parts.tell(account, { kind: 'executor', code: locked ? 'LOCKED' : 'UNLOCKED', reason: reason.slice(0, 512), data: {} });
    },
  });
}

/** Nothing adds risk on an exchange whose books we cannot explain: its state is locked until an operator has looked. */
async function lockSystem({ ctx, redis, pool, exchange, instance }: Trading, reason: string): Promise<void> {
  const exchanges = [...new Set(ctx.config.markets.map((market) => market.exchange))];
  const [atMicros, by] = [ctx.clock.nowMicros(), `executor ${instance}`];
  // Whoever holds the fence: a lock is nobody's to refuse.
  const change = { exchange, expected: '*' as const, to: 'LOCKED' as const, atMicros, by, reason: reason.slice(0, 512) };
  let outcome = await changeState(redis, { ...change, epoch: 0 }, exchanges);
  if (!outcome.ok && outcome.why === 'FENCED') outcome = await changeState(redis, { ...change, epoch: outcome.epoch }, exchanges);
  if (!outcome.ok) {
    if (outcome.actual === 'LOCKED') return;
    throw new Error(`the state of ${exchange} could not be locked: ${outcome.why}`);
  }
  await insertStateChanges(pool, [{
    exchange, ver: outcome.ver, epoch: outcome.epoch, from: outcome.from, to: 'LOCKED', atMicros, by, reason: change.reason,
  }]);
}

/** The answer of the store, however long it takes; undefined when this life ends before. */
async function untilAnswered<T>(ask: () => Promise<T>, pause: (ms: number) => Promise<void>, signal: AbortSignal): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch {
      await pause(500).catch(() => undefined);
    }
  }
  return undefined;
}

async function runSafely({ ctx }: Parts, name: string, run: () => Promise<void>): Promise<void> {
  await run().catch((error: unknown) => ctx.log.error({ err: toError(error), strategy: name }, 'a strategy has failed and is not run any more'));
}
