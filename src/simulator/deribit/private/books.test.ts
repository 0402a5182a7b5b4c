// The books against an independent recomputation: decimal.js over the list of fills, with the textbook formulas, must say the same of
// position, average price, realised and open P&L, fees and balance after any sequence of orders.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exact } from '../../../core/trading/exact.ts';
import { RpcError } from '../rpc.ts';
import type { Fill } from './commands.ts';
import type { Contract } from './contract.ts';
import { dec, decText, div, floorTo, mul, ratio, readDec, round, type Dec } from './money.ts';
import { averagePrice, unrealised } from './position.ts';
import { DEPOSITS, VirtualWorld } from './virtual.ts';

const START = Date.UTC(2026, 10, 24, 7, 59, 30);
const SYMBOLS = ['BTC-PERPETUAL', 'BTC_USDC-PERPETUAL', 'BTC-27NOV26-88000-C', 'BTC_USDC'];
const number = (value: Dec): Exact => new Exact(decText(value));
const sum = (values: Exact[]): Exact => values.reduce((a, b) => a.plus(b), new Exact(0));
const round8 = (value: Exact): Exact => value.toDecimalPlaces(8, Exact.ROUND_HALF_UP);

/** The textbook of one contract: average cost, closed at the fill. */
function textbook(contract: Contract, fills: readonly Fill[]): { size: Exact; average: Exact; realised: Exact; profits: (Exact | null)[] } {
  let size = new Exact(0);
  let average = new Exact(0);
  const profits: (Exact | null)[] = [];
  for (const fill of fills) {
    const price = number(fill.price);
    const signed = number(fill.amount).times(fill.side === 'buy' ? 1 : -1);
    const closes = !size.isZero() && size.isNegative() !== signed.isNegative();
    const closed = closes ? Exact.min(size.abs(), signed.abs()).times(size.isNegative() ? -1 : 1) : new Exact(0);
    const profit = contract.reciprocal
      ? closed.times(new Exact(1).div(closes ? average : 1).minus(new Exact(1).div(price)))
      : closed.times(price.minus(average));
    profits.push(closes ? round8(profit) : null);
    const next = size.plus(signed);
    if (next.isZero()) average = new Exact(0);
    else if (!closes) {
      average = contract.reciprocal
        ? next.div((size.isZero() ? new Exact(0) : size.div(average)).plus(signed.div(price)))
        : size.times(average).plus(signed.times(price)).div(next);
    } else if (next.isNegative() !== size.isNegative()) average = price;
    size = next;
  }
  return { size, average, realised: sum(profits.map((profit) => profit ?? new Exact(0))), profits };
}

const step = fc.record({
  symbol: fc.constantFrom(...SYMBOLS), side: fc.constantFrom('buy' as const, 'sell' as const), lots: fc.integer({ min: 1, max: 3_000 }),
  kind: fc.constantFrom('market' as const, 'join' as const, 'deep' as const, 'cancel' as const, 'edit' as const, 'close' as const),
  wait: fc.integer({ min: 0, max: 400 }),
});

function drive(seed: number, steps: readonly { symbol: string; side: 'buy' | 'sell'; lots: number; kind: string; wait: number }[]): VirtualWorld {
  const world = new VirtualWorld({ seed, startMs: START, symbols: SYMBOLS, rate: 40 });
  for (const { symbol, side, lots, kind, wait } of steps) {
    const contract = world.source.contract(symbol)!;
    const amount = contract.lot * BigInt(contract.kind === 'option' ? 1 + (lots % 40) : lots);
    const { bid, ask } = world.source.best(symbol);
    const [own, other] = side === 'buy' ? [bid, ask] : [ask, bid];
    const mine = world.engine.orders.open(symbol)[0];
    try {
      if (kind === 'cancel' && mine !== undefined) world.engine.execute(world.nowMs, { do: 'cancel', orderId: mine.id });
      else if (kind === 'edit' && mine !== undefined)
        world.engine.execute(world.nowMs, { do: 'edit', orderId: mine.id, amount: mine.filled + amount, price: own });
      else if (kind === 'close') world.engine.execute(world.nowMs, { do: 'close', symbol, type: 'market', price: null });
      else world.engine.execute(world.nowMs, {
        do: 'place', side, symbol, amount, type: kind === 'market' ? (lots % 2 === 0 ? 'market' : 'market_limit') : 'limit',
        price: kind === 'market' ? null : kind === 'join' ? own : other,
      });
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
    world.pass(wait);
  }
  return world;
}

describe('the books', () => {
  it('say what the fills say', () => {
    let closing = 0;
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.array(step, { minLength: 5, maxLength: 60 }), (seed, steps) => {
        const { engine, source } = drive(seed, steps);
        for (const symbol of SYMBOLS) {
          const contract = source.contract(symbol)!;
          if (contract.kind === 'spot') continue;
          const fills = engine.fills.filter((fill) => fill.contract.symbol === symbol);
          const expected = textbook(contract, fills);
          const position = engine.account.position(contract);
          closing += fills.filter((fill) => fill.profit !== null).length;
          expect(decText(position.amount)).toBe(decText(dec(expected.size.toFixed())));
          expect(number(averagePrice(position)).minus(expected.average).abs().lt('1e-9')).toBe(true);
          fills.forEach((fill, i) => {
            const profit = expected.profits[i] ?? null;
            expect(fill.profit === null).toBe(profit === null);
            if (fill.profit !== null && profit !== null) expect(number(fill.profit).minus(profit).abs().lte('1e-8')).toBe(true);
          });
          const mark = source.mark(symbol);
          const open = contract.reciprocal
            ? expected.size.isZero() ? new Exact(0) : expected.size.times(new Exact(1).div(expected.average).minus(new Exact(1).div(number(mark))))
            : expected.size.times(number(mark).minus(expected.average));
          expect(number(unrealised(position, mark)).minus(open).abs().lt('1e-8')).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
    expect(closing).toBeGreaterThan(100);
  });

  it('keep the balance: deposits, premiums, spot trades, fees and what was settled, to the last digit', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.array(step, { minLength: 5, maxLength: 60 }), (seed, steps) => {
        const { engine } = drive(seed, steps);
        for (const currency of engine.account.currencies) {
          const rows = engine.account.log.filter((row) => row.currency === currency);
          const moved = engine.fills.map((fill) => {
            const { contract, side } = fill;
            const signed = number(fill.amount).times(side === 'buy' ? 1 : -1);
            const paid = round8(signed.times(number(fill.price))).neg();
            if (contract.kind === 'spot' && currency === contract.base) return signed;
            if (contract.kind === 'spot') return currency === contract.quote ? paid.minus(number(fill.fee)) : new Exact(0);
            if (contract.currency !== currency) return new Exact(0);
            return (contract.kind === 'option' ? paid : new Exact(0)).minus(number(fill.fee));
          });
          const settled = sum(rows.filter((row) => row.type === 'settlement').map((row) => number(row.change)));
          const expected = number(DEPOSITS[currency] ?? 0n).plus(sum(moved)).plus(settled);
          // A crossing of zero rounds its premium in two parts.
          expect(number(engine.account.balance(currency)).minus(expected).abs().lte(new Exact('1e-8').times(engine.fills.length))).toBe(true);
          expect(rows.reduce((all, row) => all + row.change, 0n)).toBe(engine.account.balance(currency));
          expect(rows.at(-1)?.balance ?? 0n).toBe(engine.account.balance(currency));
          const summary = engine.summary(currency);
          expect(summary.equity).toBe(summary.balance + summary.futuresSessionUpl + summary.futuresSessionRpl + summary.optionsValue);
          expect(summary.marginBalance).toBe(summary.equity - summary.optionsValue);
          expect(summary.availableFunds).toBe(summary.marginBalance - summary.initialMargin - summary.spotReserve);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('fill orders to exactly what their fills add up to, and never beyond their amount or price', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), fc.array(step, { minLength: 5, maxLength: 60 }), (seed, steps) => {
        const { engine } = drive(seed, steps);
        const orders = [...engine.orders.open(), ...engine.orders.closed];
        expect(new Set(orders.map((order) => order.id)).size).toBe(orders.length);
        for (const order of orders) {
          const fills = engine.fills.filter((fill) => fill.order.id === order.id);
          expect(fills.reduce((all, fill) => all + fill.amount, 0n)).toBe(order.filled);
          expect(order.filled <= order.amount).toBe(true);
          expect(order.status === 'filled').toBe(order.filled === order.amount);
          expect(new Set(engine.fills.map((fill) => `${fill.contract.symbol} ${fill.tradeSeq}`)).size).toBe(engine.fills.length);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('exact decimals', () => {
  it.each(['0.0', '1.0', '-0.00005', '86402.5', '123456789.123456789012345678'])('keep %s', (text) => {
    expect(decText(dec(text))).toBe(text);
  });

  it('read what a JSON number can be, and nothing finer than they hold', () => {
    expect(readDec('8.55e4')).toBe(dec('85500'));
    expect(readDec('1e-19')).toBe(null);
    expect(readDec('NaN')).toBe(null);
  });

  it('divide, round and floor like decimal.js', () => {
    const value = fc.bigInt({ min: -(10n ** 24n), max: 10n ** 24n });
    fc.assert(
      fc.property(value, value.filter((v) => v !== 0n), (a, b) => {
        const half = { to: (x: Exact, places: number): string => x.toDecimalPlaces(places, Exact.ROUND_HALF_UP).toFixed() };
        expect(number(div(a, b)).toFixed()).toBe(half.to(number(a).div(number(b)), 18));
        expect(number(mul(a, b)).toFixed()).toBe(half.to(number(a).times(number(b)), 18));
        expect(number(round(a, 8)).toFixed()).toBe(half.to(number(a), 8));
        expect(ratio(a, b, b)).toBe(a);
        expect(floorTo(a, dec('0.5')) <= a && a - floorTo(a, dec('0.5')) < dec('0.5')).toBe(true);
      }),
    );
  });
});
