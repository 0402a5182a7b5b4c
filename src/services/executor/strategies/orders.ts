// Numbers of a strategy as orders that the instrument can have: exact, on tick and lot, rounded to the safe side.
import { z } from 'zod';
import { Exact, exact, floorTo, plain, safePrice } from '../../../core/trading/exact.ts';
import type { Side } from '../../../core/trading/records.ts';
import { tickAt } from '../risk/gate.ts';
import { NOTHING, type Held, type Instrument, type Wish } from './strategy.ts';

/** A positive decimal, as text or as an unquoted number of YAML; plain text comes out. */
export const positiveDecimal = z.union([z.string(), z.number()]).transform((value, context) => {
  const parsed = exact(String(value));
  if (parsed !== null && parsed.gt(0)) return plain(parsed);
  context.addIssue({ code: 'custom', message: 'not a positive decimal without exponent' });
  return z.NEVER;
});

/** Basis points: 1 is 0.01 %. */
export const basisPoints = z.number().min(0).max(5_000);

/** A view's number as an exact one: its shortest text, which is what the venue wrote. */
export const exactOf = (value: number): Exact => new Exact(value);

/** `price` × (1 + bps / 10⁴), exact. */
export const shifted = (price: Exact, bps: number | Exact): Exact => price.times(new Exact(bps).div(10_000).plus(1));

/** The limit price on the tick: a buy never above `price`, a sell never below. null: the instrument can have no such price. */
export function onTick(price: Exact, side: Side, { terms }: Instrument): string | null {
  const rounded = safePrice(price, tickAt(terms, price), side);
  return rounded.gt(0) ? plain(rounded) : null;
}

/** The amount on the lot, never more; null: below the least amount. */
export function onLot(amount: Exact, { terms }: Instrument): string | null {
  const rounded = floorTo(amount, new Exact(terms.amountStep));
  return rounded.lt(terms.minAmount) || rounded.lte(0) ? null : plain(rounded);
}

/**
 * The order that brings position and working orders to `target` (signed plain text) at once: a limit at most `slippageBps` worse than
 * `price`, immediate or cancel. Nothing when that is where they are, or when the difference is below the least amount.
 */
export function towards(target: string, held: Held, price: number, slippageBps: number, instrument: Instrument): readonly Wish[] {
  if (held.exposure === target) return NOTHING;
  const difference = new Exact(target).minus(held.exposure);
  const side = difference.isPositive() ? 'buy' : 'sell';
  const amount = onLot(difference.abs(), instrument);
  const limit = onTick(shifted(exactOf(price), side === 'buy' ? slippageBps : -slippageBps), side, instrument);
  if (amount === null || limit === null) return NOTHING;
  return [{ do: 'order', side, amount, orderType: 'limit', price: limit, timeInForce: 'immediate_or_cancel' }];
}
