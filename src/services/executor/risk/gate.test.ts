import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exact, exact } from '../../../core/trading/exact.ts';
import type { InstrumentTerms } from '../ports.ts';
import { judge, type Reference, type RiskView, type WantedOrder, type Working } from './gate.ts';
import { parseRiskLimits } from './limits.ts';
import { Throttle } from './throttle.ts';

const YAML = `
strategies: [sma-cross]
instruments:
  - { symbol: BTC-PERPETUAL, max_order_amount: 1000, max_order_notional: 1000, max_position: 3000 }
  - { symbol: ETH_USDC-PERPETUAL, max_order_amount: 5, max_order_notional: 10000, max_position: 10 }
  - { symbol: BTC-27NOV26-100000-C, max_order_amount: 5, max_order_notional: 60000, max_position: 10 }
account:
  max_open_orders: 3
  max_orders_per_second: 2
  max_orders_per_minute: 5
  max_gross_notional: 9000
  max_daily_loss: { BTC: "0.01", USDC: 100 }
  min_available_percent: 20
price_collar_percent: 2
reference_max_age_ms: 5000
duplicate_window_ms: 1000
repeated_executions: { count: 3, window_ms: 10000 }
runaway: { refused: 4, window_ms: 1000 }
max_clock_offset_ms: 5000
`;
const limits = parseRiskLimits(YAML, 'risk.yml');
const NOW = 1_796_000_000_000_000;

const inverse: InstrumentTerms = {
  marketId: 'deribit',
  symbol: 'BTC-PERPETUAL',
  kind: 'perpetual',
  reciprocal: true,
  settle: 'BTC',
  quote: 'USD',
  tickSize: '0.5',
  tickSteps: [],
  minAmount: '10',
  amountStep: '10',
  expiryTs: null,
  status: 'open',
};
const linear: InstrumentTerms = {
  ...inverse,
  symbol: 'ETH_USDC-PERPETUAL',
  reciprocal: false,
  settle: 'USDC',
  quote: 'USDC',
  tickSize: '0.05',
  minAmount: '0.001',
  amountStep: '0.001',
};
const option: InstrumentTerms = {
  ...inverse,
  symbol: 'BTC-27NOV26-100000-C',
  kind: 'option',
  reciprocal: false,
  quote: 'BTC',
  tickSize: '0.0001',
  tickSteps: [{ above: '0.005', tick: '0.0005' }],
  minAmount: '0.1',
  amountStep: '0.1',
  expiryTs: NOW + 1,
};
/** A spread: its price is near zero, and its fills are positions in two other instruments. */
const combo: InstrumentTerms = { ...inverse, symbol: 'BTC-FS-27NOV26_PERP', kind: 'combo', reciprocal: false };
const TERMS = new Map([inverse, linear, option].map((terms) => [terms.symbol, terms]));
const MARKS: Record<string, [string, string]> = {
  'BTC-PERPETUAL': ['90000', '90000'],
  'ETH_USDC-PERPETUAL': ['3000', '3000'],
  'BTC-27NOV26-100000-C': ['0.0400', '90000'],
};

const reference = (symbol: string, over: Partial<Reference> = {}): Reference | null => {
  const known = MARKS[symbol];
  return known === undefined ? null : { mark: known[0], last: known[0], index: known[1], ageMs: 100, fresh: true, ...over };
};
const order = (over: Partial<WantedOrder> = {}): WantedOrder => ({
  strategy: 'sma-cross',
  marketId: 'deribit',
  symbol: 'BTC-PERPETUAL',
  side: 'buy',
  amount: '100',
  orderType: 'limit',
  price: '90000',
  timeInForce: null,
  postOnly: false,
  reduceOnly: false,
  ...over,
});
const view = (over: Partial<RiskView> = {}, symbol = 'BTC-PERPETUAL'): RiskView => ({
  reduceOnlyBecause: null,
  clockOffsetMs: 10,
  terms: TERMS.get(symbol) ?? null,
  reference,
  termsOf: (name) => TERMS.get(name) ?? null,
  positions: new Map(),
  working: [],
  account: () => ({ equity: '1', available: '0.9', mark: '1', ageMs: 10 }),
  now: NOW,
  ...over,
});
const codeOf = (wanted: WantedOrder, seen: RiskView): string => {
  const verdict = judge(wanted, seen, limits);
  return 'code' in verdict ? verdict.code : 'ok';
};

describe('the risk gate', () => {
  it('lets a good order pass, in its shortest text', () => {
    expect(judge(order({ amount: '100.0', price: '90000.50' }), view(), limits)).toEqual({ amount: '100', price: '90000.5' });
  });

  it.each<[string, string, Partial<WantedOrder>, Partial<RiskView>]>([
    ['a strategy that is not allowed', 'UNKNOWN_STRATEGY', { strategy: 'other' }, {}],
    ['an unknown instrument', 'UNKNOWN_INSTRUMENT', {}, { terms: null }],
    ['an instrument that is not allowed', 'NOT_ALLOWED', { symbol: 'SOL-PERPETUAL' }, { terms: { ...inverse, symbol: 'SOL-PERPETUAL' } }],
    ['an instrument that is not open', 'NOT_TRADABLE', {}, { terms: { ...inverse, status: 'settlement' } }],
    ['a combo', 'NOT_TRADABLE', { symbol: combo.symbol, price: '0.5' }, { terms: combo }],
    ['an expired instrument', 'NOT_TRADABLE', {}, { terms: { ...inverse, expiryTs: NOW } }],
    ...['NaN', '-10', '0', '0.0', '1e2', 'Infinity', '', ' 10', '10 ', '0x10', '1_000'].map(
      (amount) => [`amount ${JSON.stringify(amount)}`, 'BAD_AMOUNT', { amount }, {}] as never,
    ),
    ['an amount below the minimum', 'BELOW_MINIMUM', { amount: '5' }, {}],
    ['an amount off the lot', 'OFF_LOT', { amount: '15' }, {}],
    ...['NaN', '-1', '0', '9e4', ''].map((price) => [`price ${JSON.stringify(price)}`, 'BAD_PRICE', { price }, {}] as never),
    ['a limit order without a price', 'BAD_PRICE', { price: null }, {}],
    ['a market order with a price', 'BAD_ORDER', { orderType: 'market' }, {}],
    ['post_only that takes', 'BAD_ORDER', { postOnly: true, timeInForce: 'immediate_or_cancel' }, {}],
    ['a price off the tick', 'OFF_TICK', { price: '90000.25' }, {}],
    ['too large an order', 'ORDER_AMOUNT', { amount: '1010' }, {}],
    ['no reference price', 'NO_REFERENCE', {}, { reference: () => null }],
    ['no mark', 'NO_REFERENCE', {}, { reference: (s) => reference(s, { mark: null }) }],
    ['an old reference', 'STALE_REFERENCE', {}, { reference: (s) => reference(s, { ageMs: 5001 }) }],
    ['a feed that is not fresh', 'FEED', {}, { reference: (s) => reference(s, { fresh: false }) }],
    ['a price beyond the collar', 'PRICE_COLLAR', { price: '91800.5' }, {}],
    ['a price beyond the collar below', 'PRICE_COLLAR', { price: '88199.5' }, {}],
    [
      'a market order while last and mark disagree',
      'PRICE_COLLAR',
      { orderType: 'market', price: null },
      { reference: (s) => reference(s, { last: '95000' }) },
    ],
    [
      'a position limit with open orders',
      'POSITION',
      {},
      { positions: new Map([['BTC-PERPETUAL', '2000']]), working: [{ symbol: 'BTC-PERPETUAL', side: 'buy', open: '910', price: null }] },
    ],
    [
      'too many open orders',
      'OPEN_ORDERS',
      {},
      { working: Array.from({ length: 3 }, (): Working => ({ symbol: 'BTC-PERPETUAL', side: 'sell', open: '10', price: null })) },
    ],
    ['too much gross exposure', 'GROSS_NOTIONAL', {}, { positions: new Map([['ETH_USDC-PERPETUAL', '2.99']]) }],
    ['a position that cannot be valued', 'NO_REFERENCE', {}, { positions: new Map([['SOL-PERPETUAL', '1']]) }],
    ['unknown funds', 'NO_ACCOUNT', {}, { account: () => null }],
    ['the daily loss', 'DAILY_LOSS', {}, { account: () => ({ equity: '0.99', available: '0.9', mark: '1', ageMs: 1 }) }],
    ['too little margin', 'MARGIN', {}, { account: () => ({ equity: '1', available: '0.19', mark: '1', ageMs: 1 }) }],
    ['a clock that is off', 'CLOCK', {}, { clockOffsetMs: -5001 }],
    ['a clock that was not compared', 'CLOCK', {}, { clockOffsetMs: null }],
    ['a system that is not healthy', 'STATE', {}, { reduceOnlyBecause: 'RECONCILING' }],
  ])('refuses %s: %s', (_name, code, wanted, seen) => {
    expect(codeOf(order(wanted), view(seen))).toBe(code);
  });

  it('lets only what reduces pass when the system is not healthy', () => {
    const seen = view({ reduceOnlyBecause: 'LOCKED', positions: new Map([['BTC-PERPETUAL', '100']]), account: () => null });
    expect(codeOf(order({ side: 'sell', amount: '100' }), seen)).toBe('ok');
    expect(codeOf(order({ side: 'sell', amount: '110' }), seen)).toBe('STATE');
    expect(codeOf(order({ side: 'buy', amount: '10' }), seen)).toBe('STATE');
    // What already works on that side counts: both filled would go beyond zero.
    expect(
      codeOf(order({ side: 'sell', amount: '60' }), { ...seen, working: [{ symbol: 'BTC-PERPETUAL', side: 'sell', open: '50', price: '90000' }] }),
    ).toBe('STATE');
  });

  it("holds an option to an option's rules", () => {
    const call = (over: Partial<WantedOrder>): string =>
      codeOf(order({ symbol: option.symbol, amount: '0.1', price: '0.0400', ...over }), view({}, option.symbol));
    expect(call({})).toBe('ok');
    // Its tick is coarser above 0.005, its lot is 0.1, and it is valued by its underlying: 0.7 × 90,000 > 60,000.
    expect(call({ price: '0.0401' })).toBe('OFF_TICK');
    expect(call({ amount: '10', price: '90000' })).toBe('PRICE_COLLAR');
    expect(call({ amount: '0.7' })).toBe('ORDER_NOTIONAL');
  });

  it('never passes an order beyond a limit, whatever comes', () => {
    const text = fc.oneof(fc.constantFrom('10', '100', '1000', '2000', '90000', '89999.5', '0', 'NaN', '1e3'), fc.double().map(String), fc.string());
    fc.assert(
      fc.property(text, text, fc.constantFrom('buy' as const, 'sell' as const), fc.integer({ min: -400, max: 400 }), (amount, price, side, held) => {
        const verdict = judge(order({ amount, price, side }), view({ positions: new Map([['BTC-PERPETUAL', String(held * 10)]]) }), limits);
        if ('code' in verdict) return;
        const passed = exact(verdict.amount)!;
        expect(passed.gt(0) && passed.lte(1000) && passed.mod(10).isZero()).toBe(true);
        const worst = side === 'buy' ? new Exact(held * 10).plus(passed) : new Exact(held * 10).minus(passed);
        expect(worst.abs().lte(3000) || worst.abs().lt(Math.abs(held * 10))).toBe(true);
        expect(exact(verdict.price!)!.minus(90000).abs().lte(1800)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the throttle', () => {
  const wanted = (n: number): Parameters<Throttle['take']>[0] => ({
    strategy: 'sma-cross',
    symbol: 'BTC-PERPETUAL',
    side: 'buy',
    amount: String(n * 10),
    price: '90000',
  });

  it('bounds orders per second and per minute', () => {
    const throttle = new Throttle(limits, () => undefined);
    const codes = [0, 100, 200, 1100, 1200, 2300, 2400].map((at, n) => throttle.take(wanted(n), at)?.code ?? 'ok');
    expect(codes).toEqual(['ok', 'ok', 'RATE', 'ok', 'ok', 'ok', 'RATE']);
    expect(throttle.take(wanted(20), 60_000)).toBeNull();
  });

  it('refuses the same order again within the window', () => {
    const throttle = new Throttle(limits, () => undefined);
    expect([0, 999, 1000].map((at) => throttle.take(wanted(1), at)?.code ?? 'ok')).toEqual(['ok', 'DUPLICATE_ORDER', 'ok']);
  });

  it('stops a strategy that executes the same thing again and again', () => {
    const throttle = new Throttle(limits, () => undefined);
    for (const at of [0, 1, 2]) throttle.executed({ ...wanted(1), label: `order ${at}` }, at);
    expect(throttle.take(wanted(2), 5_000)?.code).toBe('REPEATED');
    expect(throttle.take({ ...wanted(3), side: 'sell' }, 5_000)).toBeNull();
    expect(throttle.take(wanted(4), 10_003)).toBeNull();
  });
});

describe('an order that is filled in many parts', () => {
  it('is one execution', () => {
    const throttle = new Throttle(limits, () => undefined);
    const order = { strategy: 'sma-cross', symbol: 'BTC-PERPETUAL', side: 'buy' as const, amount: '10', price: '90000' };
    for (let at = 0; at < 50; at++) throttle.executed({ ...order, label: at < 25 ? 'a' : 'b' }, at);
    expect(throttle.take(order, 100)).toBeNull();
  });
});

describe('a strategy that runs wild', () => {
  const wanted = (strategy: string, n: number): Parameters<Throttle['take']>[0] =>
    ({ strategy, symbol: 'BTC-PERPETUAL', side: 'buy', amount: String(n), price: '90000' });

  it('is told of once so many of its orders were refused within the window, not those of all together, nor over a long time', () => {
    const told: string[] = [];
    const throttle = new Throttle(limits, (reason) => told.push(reason));
    // Two pass, then the rate refuses: three of each within the second.
    for (let n = 0; n < 8; n++) throttle.take(wanted(n % 2 === 0 ? 'one' : 'two', n), n);
    expect(told).toEqual([]);
    throttle.take(wanted('one', 10), 10);
    expect(told).toEqual(['one runs wild: 4 of its orders refused in 1000 ms']);
    for (let n = 0; n < 6; n++) throttle.take(wanted('two', 20 + n), 10_000 + n * 300);
    expect(told).toHaveLength(1);
  });
});

describe('the risk file', () => {
  it.each([
    ['max_open_orders: 3', 'max_open_order: 3', /RISK_FILE risk\.yml: account.*max_open_order/],
    ['max_order_amount: 1000', 'max_order_amount: -1', /instruments\.0\.max_order_amount: .*got -1/],
    ['max_order_amount: 1000', 'max_order_amount: 1e-9', /instruments\.0\.max_order_amount/],
    ['price_collar_percent: 2', 'price_collar_percent: .nan', /price_collar_percent.*got/],
    ['strategies: [sma-cross]', 'strategies: []', /strategies/],
    ['symbol: ETH_USDC-PERPETUAL', 'symbol: BTC-PERPETUAL', /BTC-PERPETUAL is listed twice/],
    ['max_clock_offset_ms: 5000', '', /max_clock_offset_ms/],
    ['runaway: { refused: 4, window_ms: 1000 }', '', /runaway/],
    ['strategies:', 'strategies: [', /RISK_FILE risk\.yml: /],
  ])('with %s made %s is refused by name', (from, to, message) => {
    expect(() => parseRiskLimits(YAML.replace(from, to), 'risk.yml')).toThrow(message);
  });
});
