import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainDecimal } from './decimal.ts';

describe('plainDecimal', () => {
  it.each([
    ['8.55e4', '85500'], ['7.4E+4', '74000'], ['2.0e-5', '0.00002'], ['-1.25e1', '-12.5'], ['0e5', '0'], ['1e-3', '0.001'],
    ['83950.0', '83950.0'], ['0.35280000', '0.35280000'], ['-0.0', '-0.0'], ['1000000000.12345679', '1000000000.12345679'],
    ['123456789012345678901', '123456789012345678901'], ['1.50e1', '15'],
  ])('%s → %s', (wire, plain) => expect(plainDecimal(wire)).toBe(plain));

  it.each(['NaN', 'Infinity', '1e400', '', ' 1', '1.', '.5', '01', '+1', '0x10', '1e', '--1', '1,0'])('refuses %j', (text) =>
    expect(plainDecimal(text)).toBeNull());

  it('keeps the value of whatever JSON writes', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e25, max: 1e25 }), (value) => {
        const text = JSON.stringify(value);
        const plain = plainDecimal(text);
        if (plain === null) return Math.abs(value) < 1e-29;
        return Number(plain) === value && !/e/i.test(plain);
      }),
    );
  });
});
