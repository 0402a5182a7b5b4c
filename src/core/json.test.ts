// Numbers of JSON texts: no way of reading one changes its value.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Exact } from './trading/exact.ts';
import { JsonNumber, parseExact, parseValues, type Json } from './json.ts';

/** The tree with every number as a decimal in one spelling. */
function valued(tree: Json): unknown {
  if (tree instanceof JsonNumber) return new Exact(tree.text).toFixed().replace(/^-0$/, '0');
  if (Array.isArray(tree)) return tree.map(valued);
  return typeof tree === 'object' && tree !== null ? Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, valued(value)])) : tree;
}

const digits = (max: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9]{1,${max}}$`));
const whole = digits(24).map((text) => text.replace(/^0+(?=\d)/, ''));
const number = fc.tuple(
  fc.constantFrom('', '-'), whole, fc.option(digits(24), { nil: null }), fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'e-'), fc.nat(120)), { nil: null }),
).map(([sign, before, after, exponent]) => sign + before + (after === null ? '' : `.${after}`) + (exponent === null ? '' : exponent.join('')));
const text = fc.letrec<{ tree: string }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' }, number, number, fc.string().map((value) => JSON.stringify(value)), fc.constantFrom('null', 'true', ' 0 '),
    fc.array(tie('tree')).map((items) => `[${items.join(' , ')}]`),
    fc.array(fc.tuple(fc.string(), tie('tree'))).map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`),
  ),
})).tree;

describe('parseValues', () => {
  it('says of every number what the text says', () => {
    fc.assert(fc.property(text, (json) => {
      expect(valued(parseValues(json))).toEqual(valued(parseExact(json)));
    }), { numRuns: 2_000 });
  });

  it.each([
    ['9007199254740993', '9007199254740993'],
    ['0.1234567890123456', '0.1234567890123456'], ['[0.00000001]', '0.00000001'], ['[1e-7]', '0.0000001'],
    ['[8.55e4]', '85500'], ['[1e400]', '1e400'], ['[1234567890123457e3]', '1234567890123457e3'],
    ['[1790000000000123]', '1790000000000123'], ['[0.000000168]', '0.000000168'], ['[-0]', '0'], ['[1.50]', '1.5'],
  ])('reads %s as %s', (json, expected) => {
    const [found] = [parseValues(json)].flat();
    expect((found as JsonNumber).text).toBe(expected);
  });

  it.each(['', '{', '[1,]', '01', '{"a":1}x', 'NaN'])('refuses %s', (json) => {
    expect(() => parseValues(json)).toThrow(SyntaxError);
  });
});
