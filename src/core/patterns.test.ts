import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isPattern, kindOf, matching, matchingAny, patternError } from './patterns.ts';

const SYMBOLS = ['BTC-PERPETUAL', 'BTC-26DEC26-100000-C', 'BTC-26DEC26-100000-P', 'ETH-26DEC26-5000-C', 'BTC_USDC', 'C'];

it('matches whole names, each * any run of characters', () => {
  expect(matching('BTC-*-C', SYMBOLS)).toEqual(['BTC-26DEC26-100000-C']);
  expect(matching('BTC*', SYMBOLS)).toEqual(['BTC-PERPETUAL', 'BTC-26DEC26-100000-C', 'BTC-26DEC26-100000-P', 'BTC_USDC']);
  expect(matching('*-26DEC26-*-C', SYMBOLS)).toEqual(['BTC-26DEC26-100000-C', 'ETH-26DEC26-5000-C']);
  expect(matching('*', SYMBOLS)).toEqual(SYMBOLS);
  expect(matching('C*C', SYMBOLS)).toEqual([]);
  expect(matching('btc-*', SYMBOLS)).toEqual([]);
});

it('of several, and of kinds, gives each symbol once, in the order of the list', () => {
  const listed = SYMBOLS.map((symbol) => ({ symbol, kind: symbol.endsWith('-C') ? 'option' : 'perpetual' }));
  const names = (...patterns: string[]): string[] => matchingAny(patterns, listed).map(({ symbol }) => symbol);
  expect(names('BTC-*-C', '*-C', 'kind:option')).toEqual(['BTC-26DEC26-100000-C', 'ETH-26DEC26-5000-C']);
  expect(names('kind:option', 'BTC-PERP*')).toEqual(['BTC-PERPETUAL', 'BTC-26DEC26-100000-C', 'ETH-26DEC26-5000-C']);
  expect([names(), names('kind:spot'), names('X*')]).toEqual([[], [], []]);
});

it('is told from a symbol, and refused by name when it can never match', () => {
  expect(SYMBOLS.some(isPattern)).toBe(false);
  expect(['BTC-*', 'kind:option', 'kind:'].every(isPattern)).toBe(true);
  expect([kindOf('kind:option'), kindOf('BTC-*'), kindOf('kind:x')]).toEqual(['option', null, null]);
  expect([patternError('BTC-*-C'), patternError('kind:perpetual')]).toEqual([null, null]);
  expect(patternError('kind:optoin')).toMatch(/^"kind:optoin" is not one of kind:spot, .*, did you mean kind:option\?$/);
  expect(patternError('kind:*')).toMatch(/^"kind:\*" is not one of/);
  expect(patternError('BTC-**')).toContain('"BTC-**" has **');
});

it('agrees with a regular expression', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '-'), maxLength: 8 });
  const pattern = fc.array(text, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('*'));
  fc.assert(fc.property(pattern, text, (glob, symbol) => {
    expect(matching(glob, [symbol]).length === 1).toBe(new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(symbol));
  }));
});
