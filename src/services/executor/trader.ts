// One life of the executor: books loaded, private stream open, everything reconciled, then signals. It is composed of injected parts
// alone; main.ts gives it the real ones, the safety checker those of virtual time.
import { toError } from '../../core/errors.ts';
import type { FillRecord } from '../../core/trading/records.ts';
import { VenueError, type PrivateEvent } from '../../exchanges/trading.ts';
import { AccountBook } from './account_book.ts';
import { OrderDesk } from './desk.ts';
import { SignalIntake, type Delivery, type IntakePorts, type SignalOutcome } from './intake.ts';
import { ReconciliationAgent, type Disagreement, type ReconcilePorts } from './reconcile.ts';
import { Resolver } from './resolver.ts';
import { refuse, type Refused } from './risk/codes.ts';
import { Throttle } from './risk/throttle.ts';
import type { Signal } from '../../contracts/index.ts';

export interface TraderOptions extends Omit<ReconcilePorts, 'fence' | 'booked' | 'lock'> {
  limits: IntakePorts['limits'];
  mintLabel: IntakePorts['mintLabel'];
  view: (book: AccountBook, symbol: string) => ReturnType<IntakePorts['view']>;
  /** Why nothing is sent, from outside (observe, kill switch, not the leader), or null. */
  barred: () => Refused | null;
  /** Why only reducing orders are sent: the system's state. */
  reduceOnlyBecause: () => string | null;
  signalKey: Buffer | null;
  sendWithinMs: number;
  refused: (code: string) => void;
  /** A strategy has lost its mind: everything must stop. May be called again and again. */
  onRunaway: (reason: string) => void;
  /** The executor has locked itself: system state, event, log. */
  onLock: (reason: string) => void;
  /** Aborts when this life ends. */
  signal: AbortSignal;
  intervals?: Partial<Intervals>;
}

export interface Intervals {
  inFlightMs: number;
  ordersMs: number;
  positionsMs: number;
}

const INTERVALS: Intervals = { inFlightMs: 2_000, ordersMs: 30_000, positionsMs: 60_000 };
const RETRY_MS = 1_000;
const DISAGREED_MS = 10_000;
/** A comparison that has failed for so many of its intervals is none: a venue that answers orders may still answer no question. */
const MISSED = 5;

export class Trader {
  readonly book = new AccountBook();
  readonly desk: OrderDesk;
  readonly resolver: Resolver;
  readonly agent: ReconciliationAgent;
  readonly #options: TraderOptions;
  readonly #intake: SignalIntake;
  readonly #throttle: Throttle;
  readonly #intervals: Intervals;
  #reconciled = false;
  #locked: string | null = null;
  /** The stream was interrupted: a round of reconciliation is due at once. */
  #due = false;
  /** When each comparison last succeeded, monotonic ms. */
  readonly #comparedMs = { orders: 0, positions: 0 };
  /** Symbols whose positions differ from the exchange's: until they agree, or we lock, nothing adds risk. */
  readonly #doubts = new Map<string, string>();

  constructor(options: TraderOptions) {
    this.#options = options;
    this.#intervals = { ...INTERVALS, ...options.intervals };
    this.#throttle = new Throttle(options.limits, options.onRunaway);
    const ports: ReconcilePorts = {
      ...options,
      fence: (order) => this.#forbids(order.reduceOnly, order.validUntil),
      lock: (reason) => this.lock(reason),
      booked: {
        order: (order) => this.book.order(order),
        position: (position) => this.book.position(position),
        fill: (fill) => this.#executed(fill),
      },
    };
    this.desk = new OrderDesk(ports);
    this.resolver = new Resolver(ports, this.desk);
    this.agent = new ReconciliationAgent(ports, this.desk);
    this.#intake = new SignalIntake({
      ...options, desk: this.desk, book: this.book, throttle: this.#throttle, barred: () => this.barred(),
      view: async (symbol) => {
        const seen = await options.view(this.book, symbol);
        return { ...seen, reduceOnlyBecause: seen.reduceOnlyBecause ?? this.#doubt };
      },
    });
  }

  get locked(): string | null {
    return this.#locked;
  }

  get reconciled(): boolean {
    return this.#reconciled;
  }

  /** Why nothing is sent now, or null. */
  barred(): Refused | null {
    if (this.#locked !== null) return refuse('LOCKED', this.#locked);
    return this.#options.barred() ?? (this.#reconciled ? null : refuse('NOT_RECONCILED', 'since the start or the last interruption'));
  }

  /** Stops trading, once, and takes our working orders off the market: what cannot be explained must not grow. */
  lock(reason: string): void {
    if (this.#locked !== null) return;
    this.#locked = reason;
    this.#options.onLock(reason);
    this.cancelOwn('cancel_by_lock');
  }

  /** An operator has looked: nothing is sent until both sides have been compared anew, and what still differs is a case again. */
  unlock(): void {
    this.#locked = null;
    this.#reconciled = false;
    this.#due = true;
  }

  /** Asks for the cancellation of every working order of ours; the resolver pushes them until they are proven gone. */
  cancelOwn(event: string): void {
    for (const order of this.book.live) {
      if (order.origin === 'own') void this.#quietly('cancel', () => this.desk.cancel(order, event));
    }
  }

  /** Runs until `signal` aborts. */
  async run(): Promise<void> {
    await this.#insist('books', () => this.book.load(this.#options.store, this.#options.account));
    const stream = this.#stream();
    // Its end is awaited below; until then an end of this life must not be an error that nobody takes.
    stream.catch(() => undefined);
    await this.#insist('reconcile', async () => {
      await this.resolver.step();
      this.#judge(await this.agent.full());
      this.#compared('orders', 'positions');
    });
    this.#reconciled = true;
    this.#options.log.info({ account: this.#options.account, epoch: this.#options.epoch }, 'reconciled');
    const { inFlightMs, ordersMs, positionsMs } = this.#intervals;
    await Promise.all([
      stream,
      this.#every(() => inFlightMs, 'in-flight', () => this.resolver.step()),
      this.#every(() => ordersMs, 'orders', async () => {
        await this.agent.fills();
        await this.agent.orders();
        this.#compared('orders');
      }),
      // A disagreement is looked at again soon: either it heals by a late fill, or it is persistent and must lock.
      this.#every(() => (this.#doubts.size > 0 ? DISAGREED_MS : positionsMs), 'positions', () => this.#compare()),
    ]);
  }

  /** Handles a stream entry; see SignalIntake. */
  entry(payload: string, mac: string | null, delivery: Delivery = {}): Promise<SignalOutcome> {
    return this.#intake.entry(payload, mac, delivery);
  }

  signal(signal: Signal, delivery: Delivery = {}): Promise<SignalOutcome> {
    return this.#intake.signal(signal, delivery);
  }

  #forbids(reduceOnly: boolean, validUntil: number): string | null {
    const barred = this.barred();
    if (barred !== null) return `${barred.code}: ${barred.detail}`;
    const state = this.#options.reduceOnlyBecause() ?? this.#doubt;
    if (state !== null && !reduceOnly) return `STATE: ${state}`;
    return this.#options.clock.nowMicros() >= validUntil ? 'its time has passed' : null;
  }

  #executed({ exchangeOrderId, label, symbol, side, ts }: FillRecord): void {
    const { clock, limits } = this.#options;
    // What is caught up with after a start, or found by an audit, happened long ago.
    if (clock.nowMicros() - ts >= limits.repeated_executions.window_ms * 1000) return;
    // Ours have labels: all live orders are looked through for what has none.
    const order = label === '' ? this.book.live.find((live) => live.exchangeOrderId === exchangeOrderId) : this.book.find(label);
    if (order?.origin === 'own') this.#throttle.executed({ label: order.label, strategy: order.strategy, symbol, side }, clock.monotonicMs());
  }

  async #stream(): Promise<void> {
    for await (const event of this.#options.venue.events(this.#options.signal)) {
      await this.#insist('private stream', () => this.#take(event));
      if (this.#options.signal.aborted) return;
    }
  }

  async #take(event: PrivateEvent): Promise<void> {
    switch (event.kind) {
      case 'order':
        if ((await this.desk.absorbOrder(event.order, 'told')) === null) await this.agent.adopt(event.order);
        return;
      case 'fill':
        await this.desk.absorbFills([event.fill], 'stream');
        return;
      case 'interrupted':
        this.#due = true;
        this.#options.log.warn({ reason: event.reason }, 'the private stream was interrupted');
        return;
      case 'ready':
        // Between the interruption and now nothing was told.
        this.#due = true;
        return;
      case 'platform':
        return;
    }
  }

  /** Repeats `task`; sooner after an interruption. A failure concludes nothing and is tried again at the next time. */
  async #every(ms: () => number, name: string, task: () => Promise<unknown>): Promise<void> {
    while (!this.#options.signal.aborted) {
      await this.#pause(ms());
      if (this.#due && name === 'in-flight') await this.#quietly('orders', () => this.#catchUp());
      await this.#quietly(name, task);
    }
  }

  /** Due until it has succeeded. */
  async #catchUp(): Promise<void> {
    this.#due = false;
    try {
      await this.agent.fills();
      await this.agent.orders();
      this.#compared('orders');
      if (this.#reconciled) return;
      this.#judge(await this.agent.positions({ settled: true }));
      this.#compared('positions');
      this.#reconciled = true;
    } catch (error) {
      this.#due = true;
      throw error;
    }
  }

  async #compare(): Promise<void> {
    // What was in motion was skipped: that is no agreement.
    const moving = new Set([...this.#doubts.keys()].filter((symbol) => this.desk.quietMs(symbol) < DISAGREED_MS));
    this.#judge(await this.agent.positions(), moving);
    this.#compared('positions');
  }

  #compared(...what: readonly ('orders' | 'positions')[]): void {
    for (const name of what) this.#comparedMs[name] = this.#options.clock.monotonicMs();
  }

  #judge(found: readonly Disagreement[], undecided: ReadonlySet<string> = new Set()): void {
    for (const symbol of this.#doubts.keys()) if (!undecided.has(symbol)) this.#doubts.delete(symbol);
    for (const { symbol, ours, theirs } of found) this.#doubts.set(symbol, `the position of ${symbol} is in doubt: ours ${ours}, the exchange's ${theirs}`);
  }

  /** Why nothing adds risk, or null. */
  get #doubt(): string | null {
    const { ordersMs, positionsMs } = this.#intervals;
    for (const [name, intervalMs] of [['orders', ordersMs], ['positions', positionsMs]] as const) {
      const sinceMs = this.#options.clock.monotonicMs() - this.#comparedMs[name];
      if (sinceMs > intervalMs * MISSED) return `${name} could not be compared with the exchange's for ${Math.round(sinceMs / 1000)} s`;
    }
    return this.#doubts.values().next().value ?? null;
  }

  async #quietly(name: string, task: () => Promise<unknown>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (this.#options.signal.aborted) return;
      this.#options.log.warn({ err: toError(error), task: name, answer: error instanceof VenueError ? error.code : null }, 'a check failed, trying again');
    }
  }

  /** Until it succeeds: nothing is traded before. */
  async #insist(name: string, task: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        await task();
        return;
      } catch (error) {
        if (this.#options.signal.aborted) throw error;
        this.#options.log.warn({ err: toError(error), task: name }, 'not done, trying again');
        await this.#pause(RETRY_MS);
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await this.#options.pause(ms).catch(() => undefined);
  }
}
