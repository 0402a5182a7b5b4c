// funding-carry: holds the side of a perpetual that is paid.
//
//   f = funding rate as a fraction per 8 hours (longs pay shorts when f > 0); the carry of a side s (+1 long, −1 short) is −s × f
//   flat:    s = −sign(f) when |f| ≥ enter_bps / 10⁴ and `sides` allows it
//   holding: until its carry falls below exit_bps / 10⁴ (0: until it would pay), then flat; the other side follows by the first rule
//   target = s × amount (amount unit), reached by limits at most max_slippage_bps from the quote that it takes
//
// On an inverse perpetual a short of the size of the coin collateral is worth the same dollars at every price: what is left is carry.
import { z } from 'zod';
import { basisPoints, positiveDecimal, towards } from './orders.ts';
import { NOTHING, defineStrategy } from './strategy.ts';

const parameters = z.strictObject({
  /** In the instrument's amount unit. */
  amount: positiveDecimal,
  /** Per 8 hours. */
  enter_bps: z.number().positive().max(1_000).default(1),
  exit_bps: z.number().min(0).max(1_000).default(0),
  sides: z.enum(['both', 'short', 'long']).default('short'),
  max_slippage_bps: basisPoints.default(5),
}).refine(({ enter_bps: enter, exit_bps: exit }) => exit < enter, { path: ['exit_bps'], message: 'not below enter_bps' });

export const fundingCarry = defineStrategy({
  name: 'funding-carry',
  about: 'the side of a perpetual that funding pays',
  needs: 'ticker',
  parameters,
  warmup: () => 0,
  start: (): { side: -1 | 0 | 1; known: boolean } => ({ side: 0, known: false }),
  decide({ view, held, params, state, instrument }) {
    if (view.kind !== 'ticker' || view.funding === null || view.bid === null || view.ask === null) return NOTHING;
    // After a restart the position tells which side it was on.
    if (!state.known) state.side = held.amount.isZero() ? 0 : held.amount.isPositive() ? 1 : -1;
    state.known = true;
    const carry = view.funding * 10_000;
    if (state.side !== 0 && -state.side * carry < params.exit_bps) state.side = 0;
    if (state.side === 0 && carry >= params.enter_bps && params.sides !== 'long') state.side = -1;
    if (state.side === 0 && -carry >= params.enter_bps && params.sides !== 'short') state.side = 1;
    const target = state.side === 0 ? '0' : state.side === 1 ? params.amount : `-${params.amount}`;
    if (held.exposure === target) return NOTHING;
    const buys = held.amount.lt(target);
    return towards(target, held, buys ? view.ask : view.bid, params.max_slippage_bps, instrument);
  },
});
