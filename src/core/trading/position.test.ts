import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exact, ZERO, exact, floorTo, onStep, plain, safePrice } from './exact.ts';
import { FLAT, applyFill, averagePrice, notional, unrealised, type Position, type PositionFill } from './position.ts';

const LINEAR = { reciprocal: false };
const INVERSE = { reciprocal: true };

const fill = (side: 'buy' | 'sell', price: string, amount: string, fee = '0'): PositionFill => ({
  side, price: new Exact(price), amount: new Exact(amount), fee: new Exact(fee),
});
const run = (fills: PositionFill[], terms: { reciprocal: boolean }): Position => fills.reduce((p, f) => applyFill(p, f, terms), FLAT);

describe('a position', () => {
  it('averages, closes and flips a linear contract', () => {
    const long = run([fill('buy', '100', '1', '0.05'), fill('buy', '110', '3', '0.1')], LINEAR);
    expect([plain(long.amount), plain(averagePrice(long, LINEAR)!), plain(long.fees)]).toEqual(['4', '107.5', '0.15']);
    const flipped = applyFill(long, fill('sell', '120', '6'), LINEAR);
    expect([plain(flipped.amount), plain(flipped.realised), plain(averagePrice(flipped, LINEAR)!)]).toEqual(['-2', '50', '120']);
    const flat = applyFill(flipped, fill('buy', '90', '2'), LINEAR);
    expect([plain(flat.amount), plain(flat.cost), plain(flat.realised), averagePrice(flat, LINEAR)]).toEqual(['0', '0', '110', null]);
  });

  it('follows the exchange\'s example of an inverse perpetual', () => {
    // Deribit, D-OAS get_positions: size 50 at 7440.18 marked at 7476.65 → size_currency 0.006687487, P&L 3.278e-5.
    const position = run([fill('buy', '7440.18', '50')], INVERSE);
    expect(unrealised(position, new Exact('7476.65'), INVERSE).toSignificantDigits(4).toFixed()).toBe('0.00003278');
    const both = applyFill(position, fill('buy', '7000', '50'), INVERSE);
    expect(averagePrice(both, INVERSE)!.toFixed(4)).toBe(new Exact(100).div(new Exact(50).div('7440.18').plus(new Exact(50).div('7000'))).toFixed(4));
  });

  it('counts notional in the quote currency', () => {
    expect(plain(notional(new Exact('-100'), new Exact('50000'), INVERSE))).toBe('100');
    expect(plain(notional(new Exact('-0.5'), new Exact('50000'), LINEAR))).toBe('25000');
  });

  const fills = fc.array(
    fc.record({ side: fc.constantFrom('buy' as const, 'sell' as const), price: fc.integer({ min: 1, max: 200_000 }), amount: fc.integer({ min: 1, max: 500 }) })
      .map(({ side, price, amount }) => fill(side, new Exact(price).div(2).toFixed(), new Exact(amount).div(10).toFixed(), '0.001')),
    { maxLength: 40 },
  );

  it.each([['linear', LINEAR], ['inverse', INVERSE]] as const)('%s: realised + unrealised is what the cash flows say, in whatever order', (_name, terms) => {
    fc.assert(
      fc.property(fills, fc.integer({ min: 1, max: 100_000 }), (list, markInt) => {
        const mark = new Exact(markInt);
        const position = run(list, terms);
        // Independent of averages and of crossings: each fill against the mark.
        const expected = list.reduce((sum, f) => {
          const gain = terms.reciprocal ? f.amount.div(f.price).minus(f.amount.div(mark)) : f.amount.times(mark.minus(f.price));
          return f.side === 'buy' ? sum.plus(gain) : sum.minus(gain);
        }, ZERO);
        const total = position.realised.plus(unrealised(position, mark, terms));
        expect(total.minus(expected).abs().lt('1e-30')).toBe(true);
        expect(plain(position.amount)).toBe(plain(list.reduce((sum, f) => sum.plus(f.side === 'buy' ? f.amount : f.amount.neg()), ZERO)));
        expect(plain(position.fees)).toBe(plain(new Exact('0.001').times(list.length)));
        expect(position.cost.isNegative()).toBe(false);
        expect(position.cost.isZero()).toBe(position.amount.isZero());
      }),
      { numRuns: 300 },
    );
  });
});

describe('exact decimals', () => {
  it('are read from plain text alone', () => {
    for (const bad of ['NaN', 'Infinity', '1e5', '', ' 1', '0x10', '1.', '.5', '--1', '1,5', '1'.repeat(41)]) expect(exact(bad), bad).toBeNull();
    expect(plain(exact('-0.10')!)).toBe('-0.1');
  });

  it('never get an exponent', () => {
    expect(plain(new Exact('1e-25'))).toBe('0.0000000000000000000000001');
    expect(new Exact('1e30').toString()).toBe('1000000000000000000000000000000');
  });

  it('are rounded to the safe side', () => {
    expect(plain(safePrice(new Exact('100.7'), new Exact('0.5'), 'buy'))).toBe('100.5');
    expect(plain(safePrice(new Exact('100.7'), new Exact('0.5'), 'sell'))).toBe('101');
    expect(plain(safePrice(new Exact('-100.7'), new Exact('0.5'), 'buy'))).toBe('-101');
    expect(plain(floorTo(new Exact('129.99'), new Exact('10')))).toBe('120');
    expect(onStep(new Exact('0.3'), new Exact('0.1'))).toBe(true);
    expect(onStep(new Exact('0.35'), new Exact('0.1'))).toBe(false);
  });
});
