// Runs strategies: views in, signals out, the same for the executor and the backtest. What a strategy wishes becomes a signal whose
// id follows from the strategy, the symbol, the view's time and the wish's number: a restart that sees a view again asks for the same
// signal, and one signal_id is one intent for ever.
import { createHash } from 'node:crypto';
import type { Signal } from '../../../contracts/index.ts';
import { classify, toError } from '../../../core/errors.ts';
import { Exact, ZERO, plain } from '../../../core/trading/exact.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { AccountBook } from '../account_book.ts';
import type { SignalOutcome } from '../intake.ts';
import type { Terms } from '../ports.ts';
import type { StrategyEntry } from './parse_strategies.ts';
import { FLAT, instrumentOf, type Bound, type Held, type Instrument, type MarketView, type Wish } from './strategy.ts';

const NO_SIGNALS: readonly never[] = Object.freeze([]);
const MAX_SIGNAL_ID = 64;

export class StrategyRunner {
  readonly entry: StrategyEntry;
  readonly #bound: Bound;
  #candleTs = -Infinity;
  #tickerTs = -Infinity;

  /** `state`: one that an earlier runner of the same entry had. */
  constructor(entry: StrategyEntry, instrument: Instrument, state?: unknown) {
    this.entry = entry;
    this.#bound = entry.strategy.bind(entry.params, instrument, state);
  }

  /** Candles that it must see first. */
  get warmup(): number {
    return this.#bound.warmup;
  }

  /** JSON. */
  get state(): unknown {
    return this.#bound.state;
  }

  /** Lets it see what is past: what it wishes then is dropped. */
  warm(views: Iterable<MarketView>): void {
    for (const view of views) if (this.#isNew(view)) this.#bound.decide(view, FLAT);
  }

  /** What it asks for after `view`, in order. A view that is not newer than the last one of its kind is nothing. */
  step(view: MarketView, held: Held): readonly Signal[] {
    if (!this.#isNew(view)) return NO_SIGNALS;
    const wishes = this.#bound.decide(view, held);
    return wishes.length === 0 ? NO_SIGNALS : wishes.map((wish, n) => signalOf(this.entry, view.ts, wish, n));
  }

  #isNew(view: MarketView): boolean {
    if (view.kind === 'candle') {
      if (view.ts <= this.#candleTs) return false;
      this.#candleTs = view.ts;
    } else {
      if (view.ts <= this.#tickerTs) return false;
      this.#tickerTs = view.ts;
    }
    return true;
  }
}

/** `created_ts` is the view's time: what is too old to be traded on is stale to the executor, too. */
function signalOf({ name, marketId, symbol, validForMs }: StrategyEntry, ts: number, wish: Wish, n: number): Signal {
  const common = { v: 1 as const, signal_id: signalId(name, symbol, ts, n), strategy: name, created_ts: ts, valid_for_ms: validForMs };
  if (wish.do === 'cancel') return { ...common, cancel_label: wish.label };
  return {
    ...common, market_id: marketId, symbol, side: wish.side, amount: wish.amount, order_type: wish.orderType,
    ...(wish.price === undefined ? {} : { price: wish.price }), ...(wish.timeInForce === undefined ? {} : { time_in_force: wish.timeInForce }),
    ...(wish.postOnly === true ? { post_only: true } : {}), ...(wish.reduceOnly === true ? { reduce_only: true } : {}),
  };
}

function signalId(name: string, symbol: string, ts: number, n: number): string {
  const id = `${name}:${symbol}:${ts}:${n}`;
  return id.length <= MAX_SIGNAL_ID ? id : `${name}:${createHash('sha256').update(symbol).digest('hex').slice(0, 16)}:${ts}:${n}`;
}

/** What a strategy has in an instrument, from the executor's books. */
export function heldIn(book: AccountBook, strategy: string, symbol: string): Held {
  const amount = new Exact(book.positions().get(symbol) ?? 0);
  const own = book.live.filter((order) => order.origin === 'own' && order.strategy === strategy && order.symbol === symbol);
  const orders = own.map(({ label, side, price, amount: total, filledAmount, cancelState }) => ({
    label, side, price, open: plain(Exact.max(0, new Exact(total).minus(filledAmount))), cancelling: cancelState !== null,
  }));
  const open = orders.reduce((sum, order) => (order.side === 'buy' ? sum.plus(order.open) : sum.minus(order.open)), ZERO);
  return { amount, orders, exposure: plain(amount.plus(open)) };
}

export interface StrategyPorts {
  entries: readonly StrategyEntry[];
  /** The Trader. */
  trader: { readonly book: AccountBook; signal(signal: Signal): Promise<SignalOutcome> };
  terms: Terms;
  /** The last `candles` final candles, oldest first. */
  past: (entry: StrategyEntry, candles: number) => Promise<readonly MarketView[]>;
  /** Views from now on, until `signal` aborts. Quotes that nobody waited for may be left out, candles may not. */
  views: (entry: StrategyEntry, signal: AbortSignal) => AsyncIterable<MarketView>;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  signal: AbortSignal;
}

/**
 * Runs every entry until `signal` aborts or its views end. One that fails is stopped and logged, its working orders stay as they are;
 * the others go on. Never rejects.
 */
export async function startStrategies(ports: StrategyPorts): Promise<void> {
  await Promise.all(ports.entries.map((entry) => runStrategy(entry, ports).catch((error: unknown) => {
    if (!ports.signal.aborted) ports.log.error({ err: toError(error), strategy: entry.name }, 'a strategy failed and was stopped');
  })));
}

/** Runs one entry until `signal` aborts or its views end; rejects when it fails. */
export async function runStrategy(entry: StrategyEntry, { trader, terms, past, views, log, signal }: Omit<StrategyPorts, 'entries'>): Promise<void> {
  const known = terms.of(entry.symbol);
  if (known === null) throw new Error(`${entry.marketId} ${entry.symbol}: no such instrument`);
  const runner = new StrategyRunner(entry, instrumentOf(known));
  if (runner.warmup > 0) runner.warm(await past(entry, runner.warmup));
  log.info({ strategy: entry.name, symbol: entry.symbol, params: entry.params }, 'strategy started');
  for await (const view of views(entry, signal)) {
    if (signal.aborted) return;
    // In turn: the next view is judged with what came of this one.
    for (const wanted of runner.step(view, heldIn(trader.book, entry.name, entry.symbol))) await send(trader, wanted, log);
  }
}

/** A signal that the store could not take is dropped: the next view asks for what is still wanted. */
async function send(trader: StrategyPorts['trader'], signal: Signal, log: StrategyPorts['log']): Promise<void> {
  try {
    await trader.signal(signal);
  } catch (error) {
    if (classify(error) !== 'infrastructure') throw error;
    log.warn({ err: toError(error), signal_id: signal.signal_id }, 'a signal was not taken');
  }
}
