// Exact decimals for money: decimal.js with 60 significant digits, no exponent in text. Sums and products of what an exchange can
// send stay exact; only a quotient (the average price of an inverse position) is rounded, at its sixtieth digit.
import { Decimal as DecimalJs } from 'decimal.js';

export const Exact = DecimalJs.clone({ precision: 60, rounding: DecimalJs.ROUND_HALF_EVEN, toExpNeg: -9e15, toExpPos: 9e15 });
export type Exact = DecimalJs;

export const ZERO = new Exact(0);

/** A contract decimal, or whatever a venue or a strategy gave, as an exact number; null for NaN, infinities, exponents and text. */
export function exact(text: string): Exact | null {
  return /^-?\d{1,40}(\.\d{1,40})?$/.test(text) ? new Exact(text) : null;
}

/** Plain text without exponent and without trailing zeros: `0.10` → `0.1`. What an order body and a message hold. */
export function plain(value: Exact): string {
  return value.toFixed();
}

/** The largest multiple of `step` that is not above `value` in magnitude (rounds towards zero): an amount on the lot. */
export function floorTo(value: Exact, step: Exact): Exact {
  return value.div(step).trunc().times(step);
}

/** Is `value` a whole multiple of `step`? */
export function onStep(value: Exact, step: Exact): boolean {
  return value.mod(step).isZero();
}

/** A limit price on the tick, to the safe side: a buy never pays more, a sell never takes less than asked. */
export function safePrice(price: Exact, tick: Exact, side: 'buy' | 'sell'): Exact {
  const steps = price.div(tick);
  return (side === 'buy' ? steps.floor() : steps.ceil()).times(tick);
}
