// What a strategy is. One file and one line in registry.ts each; the same file runs in every EXECUTOR_MODE and in `npm run backtest`.
//
//   decide(input)   what it wants after this view: orders and cancellations, or NOTHING. A pure function of its input: it reads no
//                   clock, draws no number, waits for nothing and keeps nothing but `state`, which it changes in place and which is
//                   plain JSON. Equal inputs give equal wishes, so that a backtest and a restart repeat what happened.
//   parameters      the zod schema of what a user may set, with defaults; what it refuses is told with file, key and value
//   warmup          how many candles it must have seen before its word counts; the runner feeds them and drops what comes of it
//
// Prices in views are numbers: indicators are statistics. What goes into an order is exact text, on tick and lot, rounded to the safe
// side (orders.ts); the risk gate checks it again and refuses what is not. A view is only valid during the call: keep numbers, not it.
// A strategy owns its instrument: the position it sees is the account's, and two strategies never share one.
import type { z } from 'zod';
import { Exact } from '../../../core/trading/exact.ts';
import type { OrderType, Side, TimeInForce } from '../../../core/trading/records.ts';
import type { InstrumentTerms } from '../ports.ts';

/** A final candle. `ts`: when it ended, µs. Prices in quote, volume as the venue counts it. */
export interface CandleView {
  kind: 'candle';
  ts: number;
  openTs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

/** Quotes at `ts` (µs); null: there is none. `funding`: fraction per 8 hours that longs pay to shorts. */
export interface TickerView {
  kind: 'ticker';
  ts: number;
  bid: number | null;
  ask: number | null;
  last: number | null;
  mark: number | null;
  index: number | null;
  funding: number | null;
}

export type MarketView = CandleView | TickerView;
export type ViewKind = MarketView['kind'];

/** An order of this strategy that works, or may. */
export interface OwnOrder {
  label: string;
  side: Side;
  /** null: market. */
  price: string | null;
  /** Not filled yet. */
  open: string;
  /** Its cancellation is on its way. */
  cancelling: boolean;
}

/** What the strategy has in its instrument. */
export interface Held {
  /** Signed, in the instrument's amount unit. */
  readonly amount: Exact;
  readonly orders: readonly OwnOrder[];
  /** `amount` once all of `orders` are filled, as plain text: what a target is compared with. */
  readonly exposure: string;
}

export interface OrderWish {
  do: 'order';
  side: Side;
  amount: string;
  orderType: OrderType;
  price?: string;
  timeInForce?: TimeInForce;
  postOnly?: boolean;
  reduceOnly?: boolean;
}

export interface CancelWish {
  do: 'cancel';
  label: string;
}

export type Wish = OrderWish | CancelWish;

/** No wish; shared, since most views end in it. */
export const NOTHING: readonly never[] = Object.freeze([]);

export interface Instrument {
  readonly marketId: string;
  readonly symbol: string;
  readonly terms: InstrumentTerms;
  /** The base tick as a number, for indicators. */
  readonly tick: number;
}

export const instrumentOf = (terms: InstrumentTerms): Instrument => ({ marketId: terms.marketId, symbol: terms.symbol, terms, tick: Number(terms.tickSize) });

export interface Input<P, S> {
  view: MarketView;
  held: Held;
  readonly params: P;
  readonly state: S;
  readonly instrument: Instrument;
}

export interface Definition<P, S> {
  /** `[a-z][a-z0-9-]{0,19}`; what STRATEGIES_FILE, the risk file and the backtest call it. */
  readonly name: string;
  /** One line for lists. */
  readonly about: string;
  /** What it must be fed. */
  readonly needs: ViewKind;
  readonly parameters: z.ZodType<P>;
  /** Candles. */
  readonly warmup: (params: P) => number;
  readonly start: (params: P) => S;
  readonly decide: (input: Input<P, S>) => readonly Wish[];
}

/** A strategy with its parameters and state, on one instrument. */
export interface Bound {
  readonly warmup: number;
  /** JSON. */
  readonly state: unknown;
  decide(view: MarketView, held: Held): readonly Wish[];
}

/** A definition whose types of parameters and state are nobody else's business. */
export interface Strategy {
  readonly name: string;
  readonly about: string;
  readonly needs: ViewKind;
  readonly parameters: z.ZodType;
  /** `params`: what `parameters` made of the user's; throws ZodError on others. `state`: a saved one goes on. */
  bind(params: unknown, instrument: Instrument, state?: unknown): Bound;
}

export function defineStrategy<P, S>(definition: Definition<P, S>): Strategy {
  const { name, about, needs, parameters, warmup, start, decide } = definition;
  return {
    name, about, needs, parameters,
    bind(given, instrument, saved) {
      const params = parameters.parse(given);
      const state = saved === undefined ? start(params) : (structuredClone(saved) as S);
      // One object for all calls: a million candles a second leave no time for one each.
      const input: Input<P, S> = { view: NO_VIEW, held: FLAT, params, state, instrument };
      return {
        warmup: warmup(params), state,
        decide(view, held) {
          input.view = view;
          input.held = held;
          return decide(input);
        },
      };
    },
  };
}

/** Neither position nor orders. */
export const FLAT: Held = Object.freeze({ amount: new Exact(0), orders: NOTHING, exposure: '0' });
const NO_VIEW: TickerView = { kind: 'ticker', ts: 0, bid: null, ask: null, last: null, mark: null, index: null, funding: null };
