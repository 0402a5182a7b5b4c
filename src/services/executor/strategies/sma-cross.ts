// sma-cross: follows the trend by two simple moving averages of closes.
//
//   F = mean of the last `fast` closes, S = mean of the last `slow` ones, g = (F − S) / S
//   side = +1 when g > band, −1 when g < −band, else as it was;  band = band_bps / 10⁴
//   target = side × amount (amount unit), 0 for −1 with direction: long;  reached by limits at most max_slippage_bps from the close
//
// Closes are counted in whole ticks: sums of them are exact in a double, so that a restarted strategy that has seen `slow` candles
// holds the same averages, to the last bit, as one that has run for years.
import { z } from 'zod';
import { basisPoints, positiveDecimal, towards } from './orders.ts';
import { NOTHING, defineStrategy } from './strategy.ts';

const parameters = z.strictObject({
  /** Candles. */
  fast: z.int().min(1).max(10_000).default(20),
  slow: z.int().min(2).max(10_000).default(100),
  /** In the instrument's amount unit. */
  amount: positiveDecimal,
  band_bps: basisPoints.default(0),
  max_slippage_bps: basisPoints.default(20),
  direction: z.enum(['both', 'long']).default('both'),
}).refine(({ fast, slow }) => fast < slow, { path: ['fast'], message: 'not below slow' });

interface State {
  /** The last `slow` closes in ticks; `at` is the oldest one's place. */
  closes: number[];
  at: number;
  seen: number;
  fastSum: number;
  slowSum: number;
  side: -1 | 0 | 1;
}

export const smaCross = defineStrategy({
  name: 'sma-cross',
  about: 'trend by two moving averages of closes',
  needs: 'candle',
  parameters,
  warmup: ({ slow }) => slow,
  start: ({ slow }): State => ({ closes: new Array<number>(slow).fill(0), at: 0, seen: 0, fastSum: 0, slowSum: 0, side: 0 }),
  decide({ view, held, params, state, instrument }) {
    if (view.kind !== 'candle') return NOTHING;
    const { fast, slow } = params;
    const { closes, at } = state;
    const close = Math.round(view.close / instrument.tick);
    // Places not filled yet hold 0.
    state.fastSum += close - closes[at < fast ? at - fast + slow : at - fast]!;
    state.slowSum += close - closes[at]!;
    closes[at] = close;
    state.at = at + 1 === slow ? 0 : at + 1;
    if (state.seen < slow && ++state.seen < slow) return NOTHING;
    // (F − S) × fast × slow, and the band times the same: no division, no rounding.
    const gap = state.fastSum * slow - state.slowSum * fast;
    const band = (params.band_bps / 10_000) * state.slowSum * fast;
    if (gap > band) state.side = 1;
    else if (gap < -band) state.side = -1;
    if (state.side === 0) return NOTHING;
    const target = state.side === 1 ? params.amount : params.direction === 'long' ? '0' : `-${params.amount}`;
    return held.exposure === target ? NOTHING : towards(target, held, view.close, params.max_slippage_bps, instrument);
  },
});
