// One life of the executor in virtual time, which may be killed between any two steps. A killed life's ports never answer again, so
// that whatever it was about to do is not done, as after kill -9; what it had committed or sent stays.
import type { FillRecord, TradingStore } from '../../core/trading/records.ts';
import { DeribitVenue } from '../../exchanges/deribit/trading/venue.ts';
import { oneFillSchema, oneOrderSchema, readAnswer } from '../../exchanges/deribit/trading/reports.ts';
import type { PrivateEvent, TradingVenue } from '../../exchanges/trading.ts';
import type { RpcCall } from '../../net/json_rpc.ts';
import type { InstrumentTerms } from '../../services/executor/ports.ts';
import type { Reference } from '../../services/executor/risk/gate.ts';
import type { RiskLimits } from '../../services/executor/risk/limits.ts';
import { LockKeeper } from '../../services/executor/lock_keeper.ts';
import { Trader } from '../../services/executor/trader.ts';
import { decText } from '../../simulator/deribit/private/money.ts';
import type { VirtualExchange } from './exchange.ts';
import type { VirtualTime } from './time.ts';

export interface LifeOptions {
  time: VirtualTime;
  exchange: VirtualExchange;
  store: TradingStore;
  random: () => number;
  limits: RiskLimits;
  account: string;
  /** Steps after which it dies; null: it lives on. */
  dieAfter: number | null;
  /** The database answers badly with this probability per call. */
  storeFaults: () => number;
  healthy: () => boolean;
  /** Requests that leave, as they leave. */
  onWire: (method: string, params: Readonly<Record<string, unknown>>) => void;
  onLock: (reason: string) => void;
  /** A planted bug, to prove that the checker sees it. */
  plant: Plant | null;
}

/**
 * resend: an unanswered order is sent again (ccxt#2599 and many others). forget: it counts as refused and is tracked no more
 * (hummingbot#4738). double: a looked-up fill is booked beside the streamed one (nautilus#3493).
 */
export const PLANTS = ['resend', 'forget', 'double'] as const;
export type Plant = (typeof PLANTS)[number];

const never = new Promise<never>(() => undefined);

export class Life {
  readonly trader: Trader;
  readonly #keeper: LockKeeper;
  readonly options: LifeOptions;
  alive = true;
  #steps = 0;
  #labels = 0;
  readonly #died: () => void;

  private constructor(options: LifeOptions, epoch: number, died: () => void) {
    this.options = options;
    this.#died = died;
    const { time, random, limits, account } = options;
    const store = this.#killable(plantedStore(options.store, options.plant));
    const pause = (ms: number): Promise<void> => this.#step(() => time.pause(ms));
    this.#keeper = new LockKeeper({
      store, clock: time.clock, log: silent, account, marketId: 'deribit', pause, lockSystem: () => Promise.resolve(), told: () => undefined,
    });
    this.trader = new Trader({
      store, clock: time.clock, account, epoch, limits, marketId: 'deribit', log: silent, venue: plantedVenue(this.#venue(), options.plant),
      pause, terms: { of: (symbol) => this.#terms(symbol) }, tell: () => undefined,
      mintLabel: (strategy) => `t-${strategy}-${epoch}-${++this.#labels}-${Math.floor(random() * 1e9).toString(36)}`,
      view: (book, symbol) => Promise.resolve({
        reduceOnlyBecause: options.healthy() ? null : 'not HEALTHY', clockOffsetMs: 0, terms: this.#terms(symbol), termsOf: (name) => this.#terms(name),
        reference: (name) => this.#reference(name), positions: book.positions(), working: book.working(), now: time.clock.nowMicros(),
        account: () => ({ equity: '1000000', available: '1000000', mark: '1000000', ageMs: 0 }),
      }),
      barred: () => null, onRunaway: () => undefined,
      reduceOnlyBecause: () => (options.healthy() ? null : 'not HEALTHY'), signalKey: null, sendWithinMs: 2_000, refused: () => undefined,
      askAudit: () => Promise.resolve(), signal: new AbortController().signal,
      onLock: (reason) => {
        options.onLock(reason);
        this.#keeper.locked(reason);
      },
    });
  }

  /** Starts a life; `died` is called when its time has come. */
  static async start(options: LifeOptions, died: () => void): Promise<Life> {
    const life = new Life(options, await options.store.nextEpoch(), died);
    void life.#run();
    return life;
  }

  /** What an earlier life locked for holds before anything else is done. */
  async #run(): Promise<void> {
    let found: string | null | undefined;
    while (found === undefined) found = await this.#keeper.found().catch(() => undefined);
    if (found !== null) this.trader.lock(found);
    void this.#keeper.run(this.trader);
    await this.trader.run();
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.options.exchange.listener = null;
    this.#died();
  }

  /** One step of the process: it may die before it or after it, with the effect but without the knowledge. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    if (this.#dies()) return never;
    const result = await work();
    return this.#dies() ? never : result;
  }

  #dies(): boolean {
    if (!this.alive) return true;
    if (this.options.dieAfter !== null && ++this.#steps >= this.options.dieAfter) this.kill();
    return !this.alive;
  }

  /** The store behind a network: slow, sometimes failing before or after its commit. */
  #killable(store: TradingStore): TradingStore {
    const { time, random, storeFaults } = this.options;
    return new Proxy(store, {
      get: (target, name) => (...args: unknown[]) => this.#step(async () => {
        await time.pause(1);
        const dice = random();
        const failing = storeFaults();
        if (dice < failing) throw lost();
        if (this.#dies()) return never;
        const method = (target as unknown as Record<PropertyKey, (...a: unknown[]) => Promise<unknown>>)[name]!;
        const result = await method.apply(target, args);
        if (dice < failing * 2) throw lost();
        return result;
      }),
    });
  }

  #venue(): TradingVenue {
    const { time, exchange, onWire } = this.options;
    const rpc = exchange.rpc(() => this.alive);
    const watched: RpcCall = (method, params, options) => this.#step(() => {
      onWire(method, params);
      return rpc(method, params, options);
    });
    return new DeribitVenue({
      rpc: watched, credentials: { clientId: 'sim', clientSecret: 'sim-secret' }, clock: time.clock, currencies: ['BTC', 'ETH', 'USDC'], offset: () => 0,
      pause: (ms) => this.#step(() => time.pause(ms)), events: () => this.#events(),
    });
  }

  /** The private stream; an interruption loses what happens meanwhile. */
  async *#events(): AsyncIterable<PrivateEvent> {
    const queue: PrivateEvent[] = [];
    let wake: (() => void) | null = null;
    const push = (event: PrivateEvent): void => {
      queue.push(event);
      wake?.();
    };
    const listen = ({ kind, data }: { kind: 'order' | 'fill'; data: unknown }): void => {
      if (kind === 'order') push({ kind, order: readAnswer(oneOrderSchema, data, 'user.orders') });
      else push({ kind, fill: readAnswer(oneFillSchema, data, 'user.trades') });
    };
    const { exchange } = this.options;
    exchange.listener = listen;
    exchange.interrupted = (lost) => {
      if (!this.alive) return;
      exchange.listener = lost ? null : listen;
      push(lost ? { kind: 'interrupted', reason: 'cut' } : { kind: 'ready' });
    };
    for (;;) {
      const event = queue.shift();
      if (event !== undefined) {
        yield await this.#step(() => Promise.resolve(event));
        continue;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  #terms(symbol: string): InstrumentTerms | null {
    const contract = this.options.exchange.desk.engine.markets.contract(symbol);
    if (contract === null) return null;
    return {
      marketId: 'deribit', symbol, kind: contract.kind, reciprocal: contract.reciprocal, settle: contract.currency, quote: contract.quote,
      tickSize: decText(contract.tick), tickSteps: contract.steps.map(({ above, tick }) => ({ above: decText(above), tick: decText(tick) })),
      minAmount: decText(contract.lot), amountStep: decText(contract.lot), expiryTs: contract.expiry === null ? null : contract.expiry * 1000, status: 'open',
    };
  }

  #reference(symbol: string): Reference | null {
    const { markets } = this.options.exchange.desk.engine;
    if (markets.contract(symbol) === null) return null;
    const mark = decText(markets.mark(symbol));
    return { mark, last: mark, index: decText(markets.index(symbol)), ageMs: 0, fresh: true };
  }
}

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

function lost(): Error {
  return Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' });
}

function plantedVenue(venue: TradingVenue, plant: Plant | null): TradingVenue {
  if (plant !== 'resend' && plant !== 'forget') return venue;
  return new Proxy(venue, {
    get: (target, name) => {
      const method = (target as unknown as Record<PropertyKey, unknown>)[name];
      if (name !== 'submit') return typeof method === 'function' ? (method as (...a: unknown[]) => unknown).bind(target) : method;
      return async (request: Parameters<TradingVenue['submit']>[0]) => {
        const outcome = await target.submit(request);
        if (outcome.kind !== 'unknown') return outcome;
        return plant === 'resend' ? target.submit(request) : { kind: 'refused', code: 'lost', reason: outcome.reason };
      };
    },
  });
}

function plantedStore(store: TradingStore, plant: Plant | null): TradingStore {
  if (plant !== 'double' && plant !== 'forget') return store;
  const altered = (fill: FillRecord): FillRecord =>
    plant === 'forget' ? { ...fill, label: '' } : fill.source === 'rest' ? { ...fill, tradeId: `${fill.tradeId}-again` } : fill;
  return new Proxy(store, {
    get: (target, name) => {
      const method = (target as unknown as Record<PropertyKey, (...a: unknown[]) => unknown>)[name]!;
      if (name === 'applyFills') {
        return (...[account, fills, terms]: Parameters<TradingStore['applyFills']>) => target.applyFills(account, fills.map(altered), terms);
      }
      if (name !== 'orderByLabel' || plant !== 'forget') return method.bind(target);
      return async (label: string) => {
        const order = await target.orderByLabel(label);
        return order?.code === 'lost' ? null : order;
      };
    },
  });
}

