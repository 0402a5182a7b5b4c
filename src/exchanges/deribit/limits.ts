// Deribit's credits: a request that does not match orders costs 500 of a pool of 50 000 that refills by 10 000 a second, so
// 20 requests a second in the long run; the list of instruments has a pool of its own, 10 000 of 500 000.
// https://docs.deribit.com/articles/rate-limits. The pool of an address without credentials is not told: a tenth is left alone.
import type { RestLimit } from '../../net/rate_budget.ts';

const COST = 500;
/** Out of its own pool, and asked for every few minutes: as dear as one second of everything else. */
const INSTRUMENTS_COST = 10_000;

export const limit: RestLimit = {
  pool: 'deribit',
  capacity: 45_000,
  refillPerSecond: 9_500,
  cost: (url) => (url.pathname.endsWith('/get_instruments') ? INSTRUMENTS_COST : COST),
  left: () => null,
};
