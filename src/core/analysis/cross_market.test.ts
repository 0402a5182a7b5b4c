// When a difference between two markets counts as one that holds.
import { expect, it } from 'vitest';
import { UnifiedSymbol } from './cross_market.ts';
import { DEFAULT_RULES } from './rules.ts';

const TS = 1_790_000_000_000_000;

it('begins to count anew after a time in which one of the two was not known', () => {
  const { divergence: limits } = DEFAULT_RULES.rules;
  const unified = new UnifiedSymbol();
  const found: number[] = [];
  const tell = (market: string, second: number, mid: number): void =>
    unified.update(market, TS + second * 1e6, mid, limits, ({ divergence_bp: bp }) => void found.push(Math.round(bp)));
  tell('a:X', 0, 100);
  tell('b:X', 0.5, 101);
  // b is away for a minute; a quotes on.
  for (let second = 1; second < 60; second++) if (second < 2 || second > 11) tell('a:X', second, second < 2 ? 100 : 100.5);
  tell('b:X', 60, 101);
  expect(found).toEqual([]);
  tell('a:X', 60.5, 100.5);
  tell('b:X', 62.5, 101);
  expect(found).toEqual([-50]);
});
