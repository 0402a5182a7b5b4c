// Watching, testing itself, and firing.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { EventSink } from '../../bus/events.ts';
import { readHeartbeats, type Heartbeat } from '../../bus/heartbeats.ts';
import { toError } from '../../core/errors.ts';
import { isOwnLabel, mintLabel } from '../../core/trading/label.ts';
import type { TradingMode } from '../../core/trading/mode.ts';
import { cancelThose } from '../../exchanges/cancelling.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import type { ServiceContext } from '../../runtime/service.ts';

export interface GuardOptions {
  ctx: ServiceContext;
  redis: Redis;
  events: EventSink;
  mode: string;
  venue: TradingVenue;
  symbol: string;
}

const LOOK_MS = 500;
/** Executors beat every three seconds; a restart of a few seconds is no death. */
export const LAPSE_MS = 12_000;
const TEST_EVERY_MS = 60_000;
const TEST_RETRY_MS = 2_000;
/** A test that has not succeeded for so long disarms. */
const TEST_STALE_MS = 150_000;

export class Guard {
  readonly #options: GuardOptions;
  readonly #lapses;
  #account: string | null = null;
  #tested: { atMs: number } | null = null;
  #triedAtMs = -Infinity;
  #reason = 'not tested yet';
  /** Ends a firing when an executor leads again. */
  #stopFiring = new AbortController();
  /** Boots of executors since whose start a self-test has succeeded. */
  #watching = new Set<string>();
  #lastBeat = '';
  #lastBeatMs: number;
  #state: 'watching' | 'firing' | 'fired' = 'watching';

  constructor(options: GuardOptions) {
    this.#options = options;
    // Orders may have been left by one that died before this process began: it is as if one had been seen now.
    this.#lastBeatMs = options.ctx.clock.monotonicMs();
    this.#lapses = options.ctx.metrics.counter('guard_lapses_total', 'Times that the executor\'s heartbeat lapsed and its orders were cancelled');
    options.ctx.metrics.gauge('guard_armed', '1 while the guard has lately proven that it can cancel', [], (function collectOf(guard: Guard) {
      return function collect(): void {
        this.set(guard.armed ? 1 : 0);
      };
    })(this));
  }

  get armed(): boolean {
    return this.#tested !== null && this.#options.ctx.clock.monotonicMs() - this.#tested.atMs <= TEST_STALE_MS;
  }

  /** What the heartbeat says. */
  describe(): Record<string, unknown> {
    return { armed: this.armed, account: this.#account, mode: this.#options.mode, watching: [...this.#watching], reason: this.armed ? null : this.#reason };
  }

  /** Watches until the process shall end. */
  async run(): Promise<void> {
    const { ctx } = this.#options;
    while (!ctx.signal.aborted) {
      const beats = await this.#listen();
      await this.#testIfDue(beats);
      this.#judge();
      ctx.health.set('armed', this.armed, this.armed ? `account ${this.#account ?? ''}` : this.#reason);
      await sleep(LOOK_MS, undefined, { signal: ctx.signal }).catch(() => undefined);
    }
  }

  /** What executors of our account say; none when Redis cannot be read. */
  async #listen(): Promise<Heartbeat[]> {
    const { redis, ctx } = this.#options;
    try {
      if (redis.status !== 'ready') return [];
      const beats = (await readHeartbeats(redis, 'executor')).filter(({ says }) => says['account'] === this.#account);
      const leader = beats.find(({ says }) => says['role'] === 'leader');
      const beat = leader === undefined ? '' : `${String(leader.says['boot'])} ${String(leader.says['at'])}`;
      if (beat !== '' && beat !== this.#lastBeat) {
        this.#lastBeat = beat;
        this.#lastBeatMs = ctx.clock.monotonicMs();
        this.#stopFiring.abort();
        if (this.#state === 'fired') this.#state = 'watching';
      }
      return beats;
    } catch {
      return [];
    }
  }

  /** For a new executor at once, else from time to time: logs in, lists, and cancels by a label that nobody has. */
  async #testIfDue(beats: readonly Heartbeat[]): Promise<void> {
    const { ctx, venue, mode, symbol } = this.#options;
    const boots = beats.map(({ says }) => String(says['boot']));
    const nowMs = ctx.clock.monotonicMs();
    const sinceMs = this.#tested === null ? Infinity : nowMs - this.#tested.atMs;
    const isNew = boots.some((boot) => !this.#watching.has(boot));
    if (nowMs - this.#triedAtMs < TEST_RETRY_MS || (!isNew && sinceMs < TEST_EVERY_MS)) return;
    this.#triedAtMs = nowMs;
    try {
      const identity = await venue.identity();
      if (identity.hasWallet) throw new Error('the key has a scope of the wallet, where money moves out');
      if (!identity.mayTrade) throw new Error('the key may not cancel (trade:read_write is missing)');
      await venue.openOrders();
      const probe = mintLabel(mode as TradingMode, 'guard-self-test', ctx.clock.nowMicros() / 1000, ctx.random);
      const outcome = await venue.cancelByLabel(probe, symbol);
      if (outcome.kind !== 'done') throw new Error(`cancelling does not work: ${outcome.reason}`);
      if (this.#tested === null) ctx.log.info({ account: identity.account }, 'armed');
      this.#account = identity.account;
      this.#tested = { atMs: ctx.clock.monotonicMs() };
      this.#watching = new Set(boots);
    } catch (error) {
      const reason = toError(error).message;
      if (reason !== this.#reason) ctx.log.warn({ reason }, 'the self-test failed');
      this.#reason = reason;
    }
  }

  #judge(): void {
    const { ctx } = this.#options;
    if (this.#state !== 'watching' || ctx.clock.monotonicMs() - this.#lastBeatMs < LAPSE_MS) return;
    this.#state = 'firing';
    this.#stopFiring = new AbortController();
    void this.#fire().finally(() => {
      this.#state = 'fired';
    });
  }

  async #fire(): Promise<void> {
    const { ctx, venue, events } = this.#options;
    const { log } = ctx;
    const signal = AbortSignal.any([ctx.signal, this.#stopFiring.signal]);
    let complained = false;
    try {
      const count = await cancelThose(venue, ({ label }) => isOwnLabel(label), {
        pause: (ms) => sleep(ms, undefined, { signal }),
        failed: (reason) => {
          if (!complained) log.error({ reason }, 'the exchange has not confirmed that our orders are cancelled; asking again');
          complained = true;
        },
      });
      // Nothing was open: an executor that was stopped on purpose.
      if (count === 0) return;
      this.#lapses.inc();
      log.error({ orders: count, account: this.#account }, 'the executor\'s heartbeat lapsed: its open orders are cancelled');
      events.emit({ type: 'guard.fired', severity: 'critical', data: { orders: count, account: this.#account ?? '' } });
    } catch {
      // the process ends, or an executor leads again
    }
  }
}
