import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Backoff } from './backoff.ts';

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

it('stays below a ceiling that doubles up to the cap, and never collapses to nothing', () => {
  fc.assert(fc.property(fc.array(unit, { minLength: 1, maxLength: 60 }), (draws) => {
    let drawn = 0;
    const backoff = new Backoff({ baseMs: 100, maxMs: 10_000, random: () => draws[drawn++] ?? 0 });
    draws.forEach((_, attempt) => {
      const ceiling = Math.min(10_000, 100 * 2 ** attempt);
      const wait = backoff.next();
      expect(wait).toBeGreaterThanOrEqual(ceiling / 10);
      expect(wait).toBeLessThanOrEqual(ceiling);
    });
  }));
});

it('starts again after a reset', () => {
  const backoff = new Backoff({ baseMs: 100, maxMs: 10_000, random: () => 0.5 });
  const first = backoff.next();
  for (let i = 0; i < 5; i++) backoff.next();
  expect(backoff.attempts).toBe(6);
  backoff.reset();
  expect(backoff.next()).toBe(first);
});
