// Deribit as a market that can be traded: the real venue on real sockets.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { parseExact } from '../../../core/json.ts';
import { createRpc } from '../../../net/json_rpc.ts';
import { decimalText } from '../../rest_reader.ts';
import type { BookTerms, TickStep, TradingMarket } from '../../trading.ts';
import { privateStream } from './stream.ts';
import { DeribitVenue, bookCurrency } from './venue.ts';

/** An order must be answered, or be in doubt, well before the next round of look-ups. */
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 32 * 1024 * 1024;
/** Always looked into, as long as the account has not told what it holds; each currency is asked by itself. */
const CURRENCIES = ['BTC', 'ETH', 'USDC'];

const stepsSchema = z.object({
  tick_size_steps: z.array(z.object({ above_price: decimalText, tick_size: decimalText })).optional(),
});

export const trading: TradingMarket = {
  liveHost: 'www.deribit.com',
  testHost: 'test.deribit.com',
  // A page a second in the long run, eight at once; a tenth is left alone. https://docs.deribit.com/articles/rate-limits
  logLimit: { pool: 'deribit:log', capacity: 7, refillPerSecond: 0.9, cost: () => 1, left: () => null },

  connect({ restUrl, wsUrl, credentials, clock, random, offset, signal }) {
    return new DeribitVenue({
      rpc: createRpc({ baseUrl: restUrl, timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES }), credentials, clock, currencies: CURRENCIES, offset,
      pause: (ms) => sleep(ms, undefined, { signal }), events: privateStream({ url: wsUrl, credentials, clock, random }),
    });
  },

  tickSteps(raw): TickStep[] {
    const steps = stepsSchema.safeParse(parseExact(raw));
    return steps.success ? (steps.data.tick_size_steps ?? []).map((step) => ({ above: step.above_price, tick: step.tick_size })) : [];
  },

  // BTC_USDC is spot, BTC_USDC-PERPETUAL linear, BTC-PERPETUAL and BTC-25DEC26 inverse; options are priced in what they settle in. What has
  // neither a date nor PERPETUAL in its second place is a combo: BTC-FS-25DEC26_PERP.
  named(symbol): BookTerms {
    const [head = '', rest] = symbol.split('-', 2);
    if (rest === undefined) return { reciprocal: false, settle: null, position: false };
    const combo = !/^(?:\d{1,2}[A-Z]{3}\d{2}|PERPETUAL)$/.test(rest);
    return { reciprocal: !combo && !head.includes('_') && !/-[CP]$/.test(symbol), settle: bookCurrency(symbol), position: !combo };
  },
};
