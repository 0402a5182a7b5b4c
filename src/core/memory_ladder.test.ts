import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memoryLevelValues } from '../contracts/index.ts';
import { MEMORY_STEPS, MEMORY_STEP_BACK, memoryAtLeast, nextMemoryLevel } from './memory_ladder.ts';

describe('the memory ladder', () => {
  it.each([
    ['normal', 0, 'normal'], ['normal', 0.59, 'normal'], ['normal', 0.6, 'warn'], ['warn', 0.56, 'warn'], ['warn', 0.54, 'normal'],
    ['normal', 0.76, 'pause_backfill'], ['pause_backfill', 0.71, 'pause_backfill'], ['pause_backfill', 0.69, 'warn'],
    ['normal', 0.82, 'shed_tickers'], ['warn', 0.9, 'shed_symbols'], ['normal', 1.02, 'locked'],
    ['locked', 0.91, 'locked'], ['locked', 0.89, 'shed_symbols'], ['locked', 0.76, 'shed_tickers'], ['locked', 0.1, 'normal'],
  ] as const)('leads from %s at %d to %s', (from, ratio, to) => {
    expect(nextMemoryLevel(from, ratio)).toBe(to);
  });

  it('holds what a level promises, and stays where it is when nothing changes', () => {
    fc.assert(fc.property(fc.constantFrom(...memoryLevelValues), fc.double({ min: 0, max: 1.5, noNaN: true }), (from, ratio) => {
      const to = nextMemoryLevel(from, ratio);
      for (const level of memoryLevelValues) {
        if (ratio >= MEMORY_STEPS[level]) expect(memoryAtLeast(to, level)).toBe(true);
        if (level !== 'normal' && ratio < MEMORY_STEPS[level] - MEMORY_STEP_BACK) expect(memoryAtLeast(to, level)).toBe(false);
      }
      // Between a step and its end nobody moves: no flapping.
      if (memoryAtLeast(to, from)) expect(to === from || ratio >= MEMORY_STEPS[to]).toBe(true);
      expect(nextMemoryLevel(to, ratio)).toBe(to);
    }));
  });

  it('refuses what is no ratio', () => {
    expect(() => nextMemoryLevel('normal', Number.NaN)).toThrow('ratio: NaN is not a number from 0 on');
    expect(() => nextMemoryLevel('normal', -0.1)).toThrow('ratio: -0.1');
  });
});
