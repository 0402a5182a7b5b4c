// The risk gate: a pure function of the wanted order, what is known, and the limits. Fail closed: what is missing or old refuses.
// Rules after SEC 15c3-5 and NI 23-103: size, notional, collar, position with open orders, rates, duplicates, loss, margin.
import { Exact, ZERO, exact, onStep, plain } from '../../../core/trading/exact.ts';
import { notional } from '../../../core/trading/position.ts';
import type { OrderType, Side, TimeInForce } from '../../../core/trading/records.ts';
import type { InstrumentTerms } from '../ports.ts';
import { refuse, type Refused } from './codes.ts';
import type { RiskLimits } from './limits.ts';

export interface WantedOrder {
  strategy: string;
  marketId: string;
  symbol: string;
  side: Side;
  /** As given: checked here. */
  amount: string;
  orderType: OrderType;
  price: string | null;
  timeInForce: TimeInForce | null;
  postOnly: boolean;
  reduceOnly: boolean;
}

/** Reference prices of one instrument; ages in ms. null: never seen. */
export interface Reference {
  mark: string | null;
  last: string | null;
  /** Price of the underlying; options are valued by it. */
  index: string | null;
  ageMs: number;
  /** The feed's own word, from ticker:* and feed_status. */
  fresh: boolean;
}

/** What the exchange would have to fill: open orders and those whose outcome is not known. */
export interface Working {
  symbol: string;
  side: Side;
  /** Amount not filled yet. */
  open: string;
  price: string | null;
}

export interface RiskView {
  /** Why only reducing orders may be sent (state not HEALTHY …), or null. */
  reduceOnlyBecause: string | null;
  clockOffsetMs: number | null;
  terms: InstrumentTerms | null;
  reference: (symbol: string) => Reference | null;
  termsOf: (symbol: string) => InstrumentTerms | null;
  /** Signed amounts by symbol. */
  positions: ReadonlyMap<string, string>;
  working: readonly Working[];
  /** Per settlement currency; null: not known. */
  account: (currency: string) => { equity: string; available: string; mark: string; ageMs: number } | null;
  /** µs */
  now: number;
}

/** The order as it may be sent, or the first check that says no. Rates and duplicates are Throttle's. */
export function judge(order: WantedOrder, view: RiskView, limits: RiskLimits): Refused | { amount: string; price: string | null } {
  if (!limits.strategies.includes(order.strategy)) return refuse('UNKNOWN_STRATEGY', order.strategy);
  const { terms } = view;
  // A name of one market may be another's, too.
  if (terms === null || terms.marketId !== order.marketId) return refuse('UNKNOWN_INSTRUMENT', `${order.marketId} ${order.symbol}`);
  // Its fills become positions in its legs, and its price is their difference: none of the limits below would hold it.
  if (terms.kind === 'combo') return refuse('NOT_TRADABLE', 'a combo: trade its legs');
  const limit = limits.instruments.find((entry) => entry.symbol === order.symbol);
  if (limit === undefined) return refuse('NOT_ALLOWED', order.symbol);
  if (terms.status !== 'open') return refuse('NOT_TRADABLE', `status ${terms.status}`);
  if (terms.expiryTs !== null && terms.expiryTs <= view.now) return refuse('NOT_TRADABLE', 'expired');

  const form = checkForm(order, terms);
  if ('code' in form) return form;
  const { amount, price } = form;
  const reduces = isReducing(order, amount, view);
  // Reducing orders pass every state: getting out must stay possible. They stay under the collar and the sizes all the same.
  if (view.reduceOnlyBecause !== null && !reduces) return refuse('STATE', view.reduceOnlyBecause);
  if (view.clockOffsetMs === null) return refuse('CLOCK', 'not measured');
  if (Math.abs(view.clockOffsetMs) > limits.max_clock_offset_ms) return refuse('CLOCK', `${Math.round(view.clockOffsetMs)} ms`);

  const refused = checkPrices(order, price, view, limits)
    ?? checkSize(order, amount, price, limit, view, terms)
    ?? (reduces ? null : checkExposure(order, amount, limit, view, limits) ?? checkFunds(terms, view, limits));
  return refused ?? { amount: plain(amount), price: price === null ? null : plain(price) };
}

function checkForm(order: WantedOrder, terms: InstrumentTerms): Refused | { amount: Exact; price: Exact | null } {
  const amount = exact(order.amount);
  if (amount === null || amount.lte(0)) return refuse('BAD_AMOUNT', order.amount);
  if (amount.lt(terms.minAmount)) return refuse('BELOW_MINIMUM', `${order.amount} of at least ${terms.minAmount}`);
  if (!onStep(amount, new Exact(terms.amountStep))) return refuse('OFF_LOT', `${order.amount} with lot ${terms.amountStep}`);
  if (order.orderType === 'market') {
    if (order.price !== null) return refuse('BAD_ORDER', 'a market order has no price');
    if (order.postOnly) return refuse('BAD_ORDER', 'a market order cannot be post_only');
    return { amount, price: null };
  }
  if (order.postOnly && (order.timeInForce ?? 'good_til_cancelled') !== 'good_til_cancelled') {
    return refuse('BAD_ORDER', `post_only with ${order.timeInForce}`);
  }
  const price = order.price === null ? null : exact(order.price);
  if (price === null || price.lte(0)) return refuse('BAD_PRICE', order.price ?? 'missing');
  const tick = tickAt(terms, price);
  return onStep(price, tick) ? { amount, price } : refuse('OFF_TICK', `${order.price} with tick ${plain(tick)}`);
}

/** The tick that holds at `price`: options have larger ones above certain prices. */
export function tickAt(terms: InstrumentTerms, price: Exact): Exact {
  const step = terms.tickSteps.findLast(({ above }) => price.gt(above));
  return new Exact(step?.tick ?? terms.tickSize);
}

/** Does it bring the position nearer to zero and not beyond, whatever else of ours on that side is filled first? */
function isReducing(order: WantedOrder, amount: Exact, view: RiskView): boolean {
  const position = new Exact(view.positions.get(order.symbol) ?? '0');
  const against = order.side === 'sell' ? position : position.neg();
  const working = workingOn(view, order.symbol, order.side);
  return against.gt(0) && amount.plus(working).lte(against);
}

function workingOn(view: RiskView, symbol: string, side: Side): Exact {
  return view.working.filter((w) => w.symbol === symbol && w.side === side).reduce((sum, w) => sum.plus(w.open), ZERO);
}

function checkPrices(order: WantedOrder, price: Exact | null, view: RiskView, limits: RiskLimits): Refused | null {
  const reference = view.reference(order.symbol);
  if (reference === null || reference.mark === null || reference.last === null) return refuse('NO_REFERENCE', order.symbol);
  if (!reference.fresh) return refuse('FEED', order.symbol);
  if (reference.ageMs > limits.reference_max_age_ms) return refuse('STALE_REFERENCE', `${Math.round(reference.ageMs)} ms`);
  const collar = new Exact(limits.price_collar_percent).div(100);
  for (const [name, text] of [['mark', reference.mark], ['last', reference.last]] as const) {
    const fair = new Exact(text);
    // A market order is held against the last trade: it must be near the mark for the book to be believed.
    const distance = (price ?? new Exact(reference.last)).minus(fair).abs();
    if (distance.gt(fair.abs().times(collar))) return refuse('PRICE_COLLAR', `${plain(price ?? new Exact(reference.last))} with ${name} ${text}`);
  }
  return null;
}

function checkSize(
  order: WantedOrder, amount: Exact, price: Exact | null, limit: RiskLimits['instruments'][number], view: RiskView, terms: InstrumentTerms,
): Refused | null {
  if (amount.gt(limit.max_order_amount)) return refuse('ORDER_AMOUNT', `${plain(amount)} of ${limit.max_order_amount}`);
  const value = valueOf(amount, price, terms, view.reference(order.symbol));
  if (value === null) return refuse('NO_REFERENCE', `${order.symbol} cannot be valued`);
  return value.gt(limit.max_order_notional) ? refuse('ORDER_NOTIONAL', `${value.toFixed(2)} of ${limit.max_order_notional}`) : null;
}

function checkExposure(order: WantedOrder, amount: Exact, limit: RiskLimits['instruments'][number], view: RiskView, limits: RiskLimits): Refused | null {
  // Worst case: everything of ours on this side is filled, nothing on the other.
  const position = new Exact(view.positions.get(order.symbol) ?? '0');
  const added = amount.plus(workingOn(view, order.symbol, order.side));
  const worst = order.side === 'buy' ? position.plus(added) : position.minus(added);
  if (worst.abs().gt(limit.max_position)) return refuse('POSITION', `${plain(worst)} of ${limit.max_position}`);
  if (view.working.length >= limits.account.max_open_orders) return refuse('OPEN_ORDERS', `${view.working.length} of ${limits.account.max_open_orders}`);
  const gross = grossNotional(order, amount, view);
  if (gross === null) return refuse('NO_REFERENCE', 'a position of ours has no price');
  return gross.gt(limits.account.max_gross_notional) ? refuse('GROSS_NOTIONAL', `${gross.toFixed(2)} of ${limits.account.max_gross_notional}`) : null;
}

/** Per instrument the larger of its two worst cases, at the mark; null when one cannot be valued. */
function grossNotional(order: WantedOrder, amount: Exact, view: RiskView): Exact | null {
  const symbols = new Set([...view.positions.keys(), ...view.working.map((w) => w.symbol), order.symbol]);
  let sum = ZERO;
  for (const symbol of symbols) {
    const position = new Exact(view.positions.get(symbol) ?? '0');
    const buys = workingOn(view, symbol, 'buy').plus(symbol === order.symbol && order.side === 'buy' ? amount : 0);
    const sells = workingOn(view, symbol, 'sell').plus(symbol === order.symbol && order.side === 'sell' ? amount : 0);
    const worst = Exact.max(position.plus(buys).abs(), position.minus(sells).abs());
    if (worst.isZero()) continue;
    const terms = view.termsOf(symbol);
    const value = terms === null ? null : valueOf(worst, null, terms, view.reference(symbol));
    if (value === null) return null;
    sum = sum.plus(value);
  }
  return sum;
}

/** In quote. An option stands for its underlying: its premium, in coin or not, says nothing of what it can cost. null: no price. */
function valueOf(amount: Exact, price: Exact | null, terms: InstrumentTerms, reference: Reference | null): Exact | null {
  if (terms.reciprocal) return amount.abs();
  if (terms.kind === 'option') return reference?.index === undefined || reference.index === null ? null : amount.abs().times(reference.index);
  const at = price ?? (reference?.mark === undefined || reference.mark === null ? null : new Exact(reference.mark));
  return at === null ? null : notional(amount, at, terms);
}

function checkFunds(terms: InstrumentTerms, view: RiskView, limits: RiskLimits): Refused | null {
  const currency = terms.settle ?? terms.quote;
  const account = view.account(currency);
  if (account === null) return refuse('NO_ACCOUNT', currency);
  const loss = new Exact(account.mark).minus(account.equity);
  const most = limits.account.max_daily_loss[currency];
  if (most === undefined) return refuse('DAILY_LOSS', `no max_daily_loss for ${currency}`);
  if (loss.gte(most)) return refuse('DAILY_LOSS', `${plain(loss)} ${currency} of ${most}`);
  const equity = new Exact(account.equity);
  const floor = equity.times(limits.account.min_available_percent).div(100);
  return equity.lte(0) || new Exact(account.available).lt(floor) ? refuse('MARGIN', `${account.available} of ${account.equity} ${currency}`) : null;
}
