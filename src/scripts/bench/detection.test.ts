// What the bench prints with more of it: found is what was planted, quiet markets are quiet, and the figures come out the same each time.
import { describe, expect, it } from 'vitest';
import { detect } from './detection.ts';

describe('detection', () => {
  it('finds what was planted, and next to nothing where nothing was', () => {
    const first = detect(4, 32, 3);
    expect(first.planted).toBe(32);
    expect(first.recall).toBeGreaterThanOrEqual(0.95);
    expect(first.falsePerSymbolHour).toBeLessThanOrEqual(1);
    expect(detect(4, 32, 3)).toEqual(first);
  });
});
