// The shipped strategies against independent computations, and what holds for every strategy: pure, on tick and lot, the same again
// after a restart.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exact, exact, onStep, plain } from '../../../core/trading/exact.ts';
import type { InstrumentTerms } from '../ports.ts';
import { tickAt } from '../risk/gate.ts';
import { STRATEGIES } from './registry.ts';
import { FLAT, instrumentOf, type CandleView, type Held, type MarketView, type OwnOrder, type TickerView, type Wish } from './strategy.ts';

const MINUTE = 60_000_000;
const inverse: InstrumentTerms = {
  marketId: 'deribit', symbol: 'BTC-PERPETUAL', kind: 'perpetual', reciprocal: true, settle: 'BTC', quote: 'USD', tickSize: '0.5', tickSteps: [],
  minAmount: '10', amountStep: '10', expiryTs: null, status: 'open',
};
const instruments = [
  inverse,
  { ...inverse, symbol: 'ETH_USDC-PERPETUAL', reciprocal: false, settle: 'USDC', quote: 'USDC', tickSize: '0.05', minAmount: '0.001', amountStep: '0.001' },
  { ...inverse, symbol: 'XRP_USDC-PERPETUAL', reciprocal: false, settle: 'USDC', tickSize: '0.0001', minAmount: '1', amountStep: '1' },
  { ...inverse, symbol: 'STEPPED', tickSize: '0.0001', tickSteps: [{ above: '0.005', tick: '0.0005' }], minAmount: '0.1', amountStep: '0.1' },
].map(instrumentOf);

const strategy = (name: string) => STRATEGIES.find((one) => one.name === name)!;
const candle = (n: number, close: number): CandleView => ({
  kind: 'candle', ts: (n + 1) * MINUTE, openTs: n * MINUTE, open: close, high: close, low: close, close, volume: 1,
});
const ticker = (n: number, bid: number | null, ask: number | null, funding: number | null = null): TickerView => ({
  kind: 'ticker', ts: n * MINUTE, bid, ask, last: bid, mark: bid, index: bid, funding,
});
const held = (amount: string, orders: OwnOrder[] = []): Held => {
  const open = orders.reduce((sum, order) => (order.side === 'buy' ? sum.plus(order.open) : sum.minus(order.open)), new Exact(0));
  return { amount: new Exact(amount), orders, exposure: plain(new Exact(amount).plus(open)) };
};

describe('sma-cross', () => {
  const closes = (minLength: number) => fc.array(fc.integer({ min: 100, max: 400_000 }), { minLength, maxLength: 120, size: 'max' });

  it('is on the side that exact averages of all closes say', () => {
    fc.assert(fc.property(closes(3), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 20 }), (ticks, fast, more) => {
      const slow = fast + more;
      const bound = strategy('sma-cross').bind({ fast, slow, amount: 100, max_slippage_bps: 0 }, instruments[0]!);
      let side = 0n;
      ticks.forEach((_tick, i) => {
        const wishes = bound.decide(candle(i, ticks[i]! / 2), FLAT);
        if (i + 1 < slow) {
          expect(wishes).toEqual([]);
          return;
        }
        // Whole numbers, from scratch: mean(fast) > mean(slow) when sum(fast) × slow > sum(slow) × fast.
        const sum = (n: number): bigint => ticks.slice(i + 1 - n, i + 1).reduce((total, value) => total + BigInt(value), 0n);
        const gap = sum(fast) * BigInt(slow) - sum(slow) * BigInt(fast);
        if (gap !== 0n) side = gap > 0n ? 1n : -1n;
        const price = String(ticks[i]! / 2);
        expect(wishes).toEqual(side === 0n ? [] : [
          { do: 'order', side: side > 0n ? 'buy' : 'sell', amount: '100', orderType: 'limit', price, timeInForce: 'immediate_or_cancel' },
        ]);
      });
    }));
  });

  it('asks for the difference, keeps to its band, and only closes with direction long', () => {
    const bound = strategy('sma-cross').bind({ fast: 1, slow: 2, amount: 50, band_bps: 100, max_slippage_bps: 10, direction: 'long' }, instruments[0]!);
    const feed = (n: number, close: number, now: Held): readonly Wish[] => bound.decide(candle(n, close), now);
    feed(0, 1000, FLAT);
    // F = 1010, S = 1005: 0.5 % is inside the band.
    expect(feed(1, 1010, FLAT)).toEqual([]);
    const ioc = { do: 'order', orderType: 'limit', timeInForce: 'immediate_or_cancel' };
    expect(feed(2, 1100, held('20'))).toEqual([{ ...ioc, side: 'buy', amount: '30', price: '1101' }]);
    expect(feed(3, 1101, held('50'))).toEqual([]);
    expect(feed(4, 1000, held('50'))).toEqual([{ ...ioc, side: 'sell', amount: '50', price: '999' }]);
    // What works already counts.
    expect(feed(5, 900, held('50', [{ label: 'a', side: 'sell', price: '999', open: '50', cancelling: false }]))).toEqual([]);
  });

  it('holds the same averages after a restart that saw only the warm-up', () => {
    fc.assert(fc.property(closes(30), (ticks) => {
      const params = { fast: 3, slow: 12, amount: 10 };
      const bind = () => strategy('sma-cross').bind(params, instruments[0]!);
      const [old, young] = [bind(), bind()];
      const last = ticks.length - 1;
      ticks.slice(0, last).forEach((tick, i) => {
        old.decide(candle(i, tick / 2), FLAT);
        if (i >= last - young.warmup) young.decide(candle(i, tick / 2), FLAT);
      });
      // The side before the warm-up is forgotten: until one is taken, nothing is asked for.
      const wishes = young.decide(candle(last, ticks[last]! / 2), FLAT);
      if (wishes.length > 0) expect(wishes).toEqual(old.decide(candle(last, ticks[last]! / 2), FLAT));
      const sums = (state: unknown): unknown => ({ fast: (state as { fastSum: number }).fastSum, slow: (state as { slowSum: number }).slowSum });
      old.decide(candle(last + 1, 1000), FLAT);
      young.decide(candle(last + 1, 1000), FLAT);
      if (wishes.length > 0) expect(sums(young.state)).toEqual(sums(old.state));
    }));
  });
});

describe('funding-carry', () => {
  it('takes the side that is paid, holds it while it pays, and leaves', () => {
    const bound = strategy('funding-carry').bind({ amount: 1000, enter_bps: 1, exit_bps: 0.2, sides: 'both', max_slippage_bps: 0 }, instruments[0]!);
    const at = (n: number, funding: number | null, now: Held): readonly Wish[] => bound.decide(ticker(n, 50_000, 50_000.5, funding), now);
    const order = (side: string, amount: string, price: string): unknown => [
      { do: 'order', side, amount, orderType: 'limit', price, timeInForce: 'immediate_or_cancel' },
    ];
    expect(at(1, 0.000_05, FLAT)).toEqual([]);
    expect(at(2, 0.000_1, FLAT)).toEqual(order('sell', '1000', '50000'));
    expect(at(3, 0.000_03, held('-1000'))).toEqual([]);
    expect(at(4, null, held('-1000'))).toEqual([]);
    expect(at(5, 0.000_01, held('-1000'))).toEqual(order('buy', '1000', '50000.5'));
    expect(at(6, -0.000_2, held('0'))).toEqual(order('buy', '1000', '50000.5'));
    // From long to short in one order, when it flips at once.
    expect(at(7, 0.000_2, held('1000'))).toEqual(order('sell', '2000', '50000'));
  });

  it('knows its side again by the position', () => {
    const bound = strategy('funding-carry').bind({ amount: 1000, enter_bps: 1 }, instruments[0]!);
    expect(bound.decide(ticker(1, 50_000, 50_000.5, 0.000_05), held('-1000'))).toEqual([]);
    expect(bound.decide(ticker(2, 50_000, 50_000.5, -0.000_05), held('-1000'))).toMatchObject([{ side: 'buy', amount: '1000' }]);
  });
});

describe('quote-maker', () => {
  const params = { amount: 100, max_position: 200, half_spread_bps: 10, skew_bps: 5, requote_ticks: 2 };
  const bid = (price: string): unknown => ({ do: 'order', side: 'buy', amount: '100', orderType: 'limit', price, postOnly: true });
  const ask = (price: string): unknown => ({ do: 'order', side: 'sell', amount: '100', orderType: 'limit', price, postOnly: true });
  const decide = (now: Held, view = ticker(1, 49_999, 50_001)): readonly Wish[] => strategy('quote-maker').bind(params, instruments[0]!).decide(view, now);

  it('quotes by the formula, leans against the position, and stops at its limit', () => {
    // m = 50000; c = m; bid = 50000 × 0.999, ask = 50000 × 1.001.
    expect(decide(FLAT)).toEqual([bid('49950'), ask('50050')]);
    // q = 0.5: c = 50000 × (1 − 0.00025) = 49987.5; bid 49937.5125 down, ask 50037.4875 up.
    expect(decide(held('100'))).toEqual([bid('49937.5'), ask('50037.5')]);
    expect(decide(held('200'))).toEqual([ask('50025')]);
    expect(decide(held('-200'))).toEqual([bid('49974.5')]);
  });

  it('moves a quote by cancelling first', () => {
    const order = (side: 'buy' | 'sell', price: string, cancelling = false): OwnOrder => ({ label: side, side, price, open: '100', cancelling });
    expect(decide(held('0', [order('buy', '49950'), order('sell', '50050.5')]))).toEqual([]);
    expect(decide(held('0', [order('buy', '49949'), order('sell', '50050')]))).toEqual([{ do: 'cancel', label: 'buy' }]);
    expect(decide(held('0', [order('buy', '49949', true), order('sell', '50050')]))).toEqual([]);
    expect(decide(held('0', [order('sell', '50050')]), ticker(1, null, 50_001))).toEqual([{ do: 'cancel', label: 'sell' }]);
  });
});

describe('every strategy', () => {
  const amount = fc.integer({ min: 1, max: 5_000 }).map((n) => plain(new Exact(n).div(7).toDecimalPlaces(4)));
  const price = fc.double({ min: 1e-4, max: 500_000, noNaN: true });
  const views = fc.array(fc.tuple(fc.boolean(), price, fc.double({ min: 0, max: 0.01, noNaN: true }), fc.double({ min: -0.01, max: 0.01, noNaN: true })), {
    minLength: 4, maxLength: 60,
  }).map((rows) => rows.map(([isCandle, mid, spread, funding], n): MarketView => (isCandle ? candle(n, mid) : ticker(n, mid, mid * (1 + spread), funding))));
  const params: Readonly<Record<string, (of: string) => unknown>> = {
    'sma-cross': (of) => ({ fast: 1, slow: 3, amount: of }), 'funding-carry': (of) => ({ amount: of, sides: 'both' }),
    'quote-maker': (of) => ({ amount: of, max_position: plain(new Exact(of).times(3)) }),
  };
  const positions = fc.array(fc.integer({ min: -30_000, max: 30_000 }).map((n) => String(n / 100)), { minLength: 60, maxLength: 60 });

  it.each(STRATEGIES.map(({ name }) => name))('%s never asks for what the instrument cannot have', (name) => {
    fc.assert(fc.property(fc.constantFrom(...instruments), amount, views, positions, (instrument, of, list, held_) => {
      const bound = strategy(name).bind(params[name]!(of), instrument);
      list.forEach((view, i) => {
        for (const wish of bound.decide(view, held(held_[i]!))) {
          if (wish.do === 'cancel') continue;
          const size = exact(wish.amount)!;
          expect(onStep(size, new Exact(instrument.terms.amountStep)) && size.gte(instrument.terms.minAmount), wish.amount).toBe(true);
          const limit = exact(wish.price!)!;
          expect(limit.gt(0) && onStep(limit, tickAt(instrument.terms, limit)), `${wish.price} on ${instrument.symbol}`).toBe(true);
        }
      });
    }), { numRuns: 300 });
  });

  it.each(STRATEGIES.map(({ name }) => name))('%s says the same again, also from a state that was saved as JSON', (name) => {
    fc.assert(fc.property(amount, views, positions, (of, list, held_) => {
      const made = params[name]!(of);
      const first = strategy(name).bind(made, instruments[1]!);
      let second = strategy(name).bind(made, instruments[1]!);
      list.forEach((view, i) => {
        const now = held(held_[i]!);
        expect(second.decide(view, now)).toEqual(first.decide(view, now));
        second = strategy(name).bind(made, instruments[1]!, JSON.parse(JSON.stringify(second.state)));
      });
    }), { numRuns: 50 });
  });

  it('refuses parameters with the key', () => {
    const error = (name: string, given: unknown): string =>
      strategy(name).parameters.safeParse(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join() ?? '';
    expect(error('sma-cross', { fast: 20, slow: 10, amount: 1 })).toBe('fast: not below slow');
    expect(error('sma-cross', { amount: '1e5' })).toBe('amount: not a positive decimal without exponent');
    expect(error('funding-carry', { amount: 1, enter_bps: 1, exit_bps: 1 })).toBe('exit_bps: not below enter_bps');
    expect(error('quote-maker', { amount: 3, max_position: 2 })).toBe('amount: above max_position');
    expect(error('quote-maker', { amount: 0, max_position: 2 })).toBe('amount: not a positive decimal without exponent');
  });
});
