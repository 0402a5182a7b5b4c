// quote-maker: one post-only bid and one post-only ask around the middle, leaning against its own position.
//
//   m = (bid + ask) / 2,  q = position / max_position in [−1, 1],  centre c = m × (1 − q × skew_bps / 10⁴)
//   bid = c × (1 − half_spread_bps / 10⁴) down to the tick,  ask = c × (1 + half_spread_bps / 10⁴) up to the tick
//   a side is quoted while |position ± amount| ≤ max_position; amount and position are in the instrument's amount unit
//
// A quote that is requote_ticks or more from where it should be is cancelled; the new one follows once the old one is proven gone, so
// that a side never works twice.
import { z } from 'zod';
import { Exact } from '../../../core/trading/exact.ts';
import type { Side } from '../../../core/trading/records.ts';
import { basisPoints, exactOf, onLot, onTick, positiveDecimal, shifted } from './orders.ts';
import { NOTHING, defineStrategy, type Held, type Instrument, type Wish } from './strategy.ts';

const parameters = z.strictObject({
  amount: positiveDecimal,
  max_position: positiveDecimal,
  half_spread_bps: basisPoints.default(5),
  skew_bps: basisPoints.default(5),
  requote_ticks: z.int().min(1).max(100_000).default(4),
}).refine(({ amount, max_position: most }) => new Exact(amount).lte(most), { path: ['amount'], message: 'above max_position' });
type Params = z.infer<typeof parameters>;

export const quoteMaker = defineStrategy({
  name: 'quote-maker',
  about: 'a post-only bid and ask around the middle, leaning against its position',
  needs: 'ticker',
  parameters,
  warmup: () => 0,
  start: () => ({}),
  decide({ view, held, params, instrument }) {
    if (view.kind !== 'ticker') return NOTHING;
    // Nobody to quote around: what stands there is withdrawn.
    if (view.bid === null || view.ask === null) return held.orders.flatMap(({ label, cancelling }) => (cancelling ? [] : [{ do: 'cancel' as const, label }]));
    const middle = exactOf(view.bid).plus(exactOf(view.ask)).div(2);
    const lean = Exact.max(-1, Exact.min(1, held.amount.div(params.max_position)));
    const centre = shifted(middle, lean.times(-params.skew_bps));
    return (['buy', 'sell'] as const).flatMap((side) => quote(side, centre, held, params, instrument));
  },
});

function quote(side: Side, centre: Exact, held: Held, params: Params, instrument: Instrument): readonly Wish[] {
  const standing = held.orders.filter((order) => order.side === side);
  const after = side === 'buy' ? held.amount.plus(params.amount) : held.amount.minus(params.amount);
  // A side that reduces is always quoted.
  const wanted = after.abs().lte(Exact.max(params.max_position, held.amount.abs()));
  const price = onTick(shifted(centre, side === 'buy' ? -params.half_spread_bps : params.half_spread_bps), side, instrument);
  const amount = onLot(new Exact(params.amount), instrument);
  if (standing.length === 0) {
    if (!wanted || price === null || amount === null) return NOTHING;
    return [{ do: 'order', side, amount, orderType: 'limit', price, postOnly: true }];
  }
  const far = new Exact(instrument.terms.tickSize).times(params.requote_ticks);
  return standing.flatMap(({ label, price: stands, cancelling }) => {
    const stays = wanted && price !== null && stands !== null && new Exact(stands).minus(price).abs().lt(far);
    return stays || cancelling ? [] : [{ do: 'cancel' as const, label }];
  });
}
