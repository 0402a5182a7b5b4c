// The books of one instrument, from fills alone (pure). Formulas: Deribit's "Inverse perpetual" and "Linear" contract pages.
//   inverse futures   amount in quote (USD); P&L in coin  = side × N × (1/entry − 1/exit); the average is harmonic: ΣN / Σ(N/p)
//   everything else   amount in base;        P&L in settle = side × q × (exit − entry);    the average is Σ(q·p) / Σq
// Options are "everything else" even when they settle in coin: their price is in the settlement currency already.
import { ZERO, type Exact } from './exact.ts';

export interface ContractTerms {
  /** P&L by reciprocal prices: inverse perpetuals and futures, not inverse options. */
  reciprocal: boolean;
}

export interface Position {
  /** Signed: long above zero. In the instrument's amount unit. */
  amount: Exact;
  /** What the open amount cost, unsigned: reciprocal Σ N/p (coin), else Σ q·p (settlement currency). Zero when flat. */
  cost: Exact;
  /** Realised P&L in the settlement currency, fees and funding not counted. */
  realised: Exact;
  /** Fees paid (rebates negative), in the settlement currency. */
  fees: Exact;
  /** Funding received (paid: negative), in the settlement currency. */
  funding: Exact;
}

export const FLAT: Position = { amount: ZERO, cost: ZERO, realised: ZERO, fees: ZERO, funding: ZERO };

export interface PositionFill {
  side: 'buy' | 'sell';
  price: Exact;
  amount: Exact;
  fee: Exact;
}

/** The position after one fill. A fill that crosses zero closes at its price and opens the rest at it. */
export function applyFill(position: Position, fill: PositionFill, terms: ContractTerms): Position {
  const signed = fill.side === 'buy' ? fill.amount : fill.amount.neg();
  const fees = position.fees.plus(fill.fee);
  const opens = position.amount.isZero() || position.amount.isPositive() === signed.isPositive();
  if (opens) {
    return { ...position, amount: position.amount.plus(signed), cost: position.cost.plus(costOf(fill.amount, fill.price, terms)), fees };
  }
  const held = position.amount.abs();
  if (fill.amount.lte(held)) {
    const freed = fill.amount.eq(held) ? position.cost : position.cost.times(fill.amount).div(held);
    const realised = position.realised.plus(gain(position.amount, freed, costOf(fill.amount, fill.price, terms), terms));
    return { ...position, amount: position.amount.plus(signed), cost: position.cost.minus(freed), realised, fees };
  }
  const rest = fill.amount.minus(held);
  const realised = position.realised.plus(gain(position.amount, position.cost, costOf(held, fill.price, terms), terms));
  return { ...position, amount: position.amount.plus(signed), cost: costOf(rest, fill.price, terms), realised, fees };
}

/** Average entry price; null when flat. */
export function averagePrice(position: Position, terms: ContractTerms): Exact | null {
  if (position.amount.isZero()) return null;
  const held = position.amount.abs();
  return terms.reciprocal ? held.div(position.cost) : position.cost.div(held);
}

/** P&L of the open amount at `mark`, in the settlement currency. */
export function unrealised(position: Position, mark: Exact, terms: ContractTerms): Exact {
  if (position.amount.isZero()) return ZERO;
  return gain(position.amount, position.cost, costOf(position.amount.abs(), mark, terms), terms);
}

/** Value of `amount` at `price` in the quote currency: what notional limits are about. Reciprocal amounts are notional already. */
export function notional(amount: Exact, price: Exact, terms: ContractTerms): Exact {
  return terms.reciprocal ? amount.abs() : amount.abs().times(price.abs());
}

function costOf(amount: Exact, price: Exact, terms: ContractTerms): Exact {
  return terms.reciprocal ? amount.div(price) : amount.times(price);
}

/** `entry` and `exit` are costs of the same amount. Reciprocal: a long gains when the exit costs less coin. */
function gain(held: Exact, entry: Exact, exit: Exact, terms: ContractTerms): Exact {
  const long = terms.reciprocal ? entry.minus(exit) : exit.minus(entry);
  return held.isPositive() ? long : long.neg();
}
