// One executor on one simulated account in the replay's time: Trader, risk gate, desk, order states and account book are the
// executor's own; the store is in memory and the venue is the simulator's matching engine.
import type { Signal } from '../../contracts/index.ts';
import type { FillRecord, PositionRecord } from '../../core/trading/records.ts';
import type { AccountBook } from '../../services/executor/account_book.ts';
import type { SignalOutcome } from '../../services/executor/intake.ts';
import type { InstrumentTerms } from '../../services/executor/ports.ts';
import { refuse, type Refused } from '../../services/executor/risk/codes.ts';
import type { RiskView } from '../../services/executor/risk/gate.ts';
import type { RiskLimits } from '../../services/executor/risk/limits.ts';
import { heldIn } from '../../services/executor/strategies/runner.ts';
import type { Held } from '../../services/executor/strategies/strategy.ts';
import { Trader } from '../../services/executor/trader.ts';
import type { Change } from '../../simulator/deribit/private/commands.ts';
import type { Contract } from '../../simulator/deribit/private/contract.ts';
import { MatchingEngine } from '../../simulator/deribit/private/matching.ts';
import { dec } from '../../simulator/deribit/private/money.ts';
import { MemoryTradingStore } from '../chaos/memory_store.ts';
import { ReplayMarket, decOf } from './market.ts';
import { EngineVenue, fillReport, orderReport, text } from './venue.ts';

export interface SessionOptions {
  strategy: string;
  terms: InstrumentTerms;
  contract: Contract;
  limits: RiskLimits;
  /** What the account begins with, in the settlement currency. */
  deposit: string;
  slippageTicks: number;
  /** µs */
  startTs: number;
}

const ACCOUNT = 'backtest';
const quiet = (): void => undefined;

export class Session {
  readonly market: ReplayMarket;
  readonly engine: MatchingEngine;
  readonly store = new MemoryTradingStore();
  readonly trader: Trader;
  /** By code. */
  readonly refusals = new Map<string, number>();
  /** Why the executor locked itself; null: it did not. */
  locked: string | null = null;
  /** µs: the moment of the replay. */
  nowTs: number;
  readonly #options: SessionOptions;
  readonly #venue: EngineVenue;
  readonly #end = new AbortController();
  #held: Held | null = null;
  #killed: Refused | null = null;
  #changes = 0;
  #running: Promise<void> = Promise.resolve();

  private constructor(options: SessionOptions) {
    const { terms, contract, limits } = options;
    this.#options = options;
    this.nowTs = options.startTs;
    this.market = new ReplayMarket(contract, options.slippageTicks);
    // Settling takes no time here: a candle that begins at 08:00 would find the book closed.
    this.engine = new MatchingEngine(this.market, { deposits: { [contract.currency]: dec(options.deposit) }, startMs: this.#nowMs, settlementMs: 0 });
    this.#venue = new EngineVenue(this.engine, () => this.#nowMs);
    let labels = 0;
    this.trader = new Trader({
      store: this.store, venue: this.#venue, clock: { nowMicros: () => this.nowTs, monotonicMs: () => this.nowTs / 1000 },
      log: { info: quiet, warn: quiet, error: quiet }, account: ACCOUNT, marketId: terms.marketId, epoch: 1, terms: { of: (symbol) => this.#termsOf(symbol) },
      // Nothing is in doubt here: what the executor repeats by the clock in real life is asked once, at the end (`reconcile`).
      pause: () => new Promise((resolve) => this.#end.signal.addEventListener('abort', () => resolve(), { once: true })),
      intervals: { inFlightMs: Infinity, ordersMs: Infinity, positionsMs: Infinity },
      tell: quiet, askAudit: () => Promise.resolve(), limits, mintLabel: (strategy) => `bt-${strategy}-${++labels}`,
      view: (book) => this.#view(book), barred: () => this.#killed, onRunaway: (reason) => this.#kill(reason),
      reduceOnlyBecause: () => null, signalKey: null, sendWithinMs: 5_000,
      refused: (code) => this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1),
      onLock: (reason) => (this.locked = reason), signal: this.#end.signal,
    });
  }

  /** As the kill switch does: nothing is sent any more, what works is cancelled. */
  #kill(reason: string): void {
    if (this.#killed !== null) return;
    this.#killed = refuse('KILL_SWITCH', reason);
    this.trader.cancelOwn('cancel_by_kill_switch');
  }

  /** Books loaded and reconciled: ready for signals. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    await session.store.nextEpoch();
    session.#running = session.trader.run();
    while (!session.trader.reconciled) await new Promise((resolve) => setImmediate(resolve));
    return session;
  }

  /** Position and own orders; the same object until something changes. */
  get held(): Held {
    return (this.#held ??= heldIn(this.trader.book, this.#options.strategy, this.#options.terms.symbol));
  }

  /** Grows whenever the account does something. */
  get changes(): number {
    return this.#changes;
  }

  async position(): Promise<PositionRecord | null> {
    return (await this.store.positions(ACCOUNT))[0] ?? null;
  }

  get fills(): readonly FillRecord[] {
    return this.store.fills;
  }

  /** Hands a signal to the executor at `nowTs`; resolves when its outcome is booked. */
  async send(signal: Signal): Promise<SignalOutcome> {
    const outcome = await this.trader.signal(signal);
    await this.#book(this.#venue.take());
    this.#moved();
    return outcome;
  }

  get anyOpen(): boolean {
    return this.engine.orders.anyOpen;
  }

  /** Others traded at `price`: our resting orders there are filled. `sides`: which of ours could be. */
  async print(price: number, amount: number, sides: readonly ('buy' | 'sell')[]): Promise<void> {
    for (const side of sides) {
      if (!this.anyOpen) return;
      const size = decOf(amount);
      if (size > 0n) await this.#book(this.engine.onPrint(this.#nowMs, this.#options.terms.symbol, decOf(price), size, side === 'buy' ? 'sell' : 'buy'));
    }
  }

  /** Time has passed: quotes may have moved through resting orders, the day may have ended. */
  async advance(): Promise<void> {
    await this.#book(this.engine.advance(this.#nowMs));
  }

  /** Asks the exchange about everything once more, as the executor does at its start; what disagrees is in store.cases. */
  async reconcile(): Promise<number> {
    return (await this.trader.agent.full()).length;
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  get #nowMs(): number {
    return Math.floor(this.nowTs / 1000);
  }

  async #book(changes: readonly Change[]): Promise<void> {
    for (const { fills, orders } of changes) {
      if (fills.length > 0) await this.trader.desk.absorbFills(fills.map(fillReport), 'stream');
      for (const order of orders) await this.trader.desk.absorbOrder(orderReport(order), 'told');
    }
    if (changes.length > 0) this.#moved();
  }

  #moved(): void {
    this.#held = null;
    this.#changes++;
  }

  #termsOf(symbol: string): InstrumentTerms | null {
    return symbol === this.#options.terms.symbol ? this.#options.terms : null;
  }

  async #view(book: AccountBook): Promise<RiskView> {
    const { engine, market, nowTs } = this;
    const { contract, terms } = this.#options;
    const reference = { mark: text(market.mark()), last: text(decOf(market.last)), index: text(market.index()), ageMs: 0, fresh: true };
    const { equity, availableFunds } = engine.summary(contract.currency);
    const mark = await this.store.equityMark(ACCOUNT, contract.currency, text(equity), nowTs);
    const account = { equity: text(equity), available: text(availableFunds), mark, ageMs: 0 };
    return {
      reduceOnlyBecause: null, clockOffsetMs: 0, terms, now: nowTs, termsOf: (symbol) => this.#termsOf(symbol),
      reference: (symbol) => (symbol === terms.symbol ? reference : null), positions: book.positions(), working: book.working(),
      account: (currency) => (currency === contract.currency ? account : null),
    };
  }
}
