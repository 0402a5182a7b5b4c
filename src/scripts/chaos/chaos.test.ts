// The safety checker, and the proof that it can find what it looks for.
import { describe, expect, it } from 'vitest';
import { PRIVATE_FAULT_KINDS } from '../../simulator/faults.ts';
import { PLANTS } from './life.ts';
import { chaosRun } from './run.ts';

const RUNS = 200;

describe('the executor under faults and kills', () => {
  it(`keeps every order, fill and position right in ${RUNS} seeded runs`, async () => {
    const broken: string[] = [];
    const struck = new Set<string>();
    const sums = { kills: 0, unknown: 0, abandoned: 0, fills: 0 };
    for (let seed = 1; seed <= RUNS; seed++) {
      const { violations, figures, faults } = await chaosRun(seed);
      for (const kind of Object.keys(faults)) struck.add(kind);
      if (violations.length > 0) broken.push(`seed ${seed}: ${violations.join('; ')}`);
      for (const name of ['kills', 'unknown', 'abandoned', 'fills'] as const) sums[name] += figures[name];
    }
    expect(broken).toEqual([]);
    // Runs in which nothing happens would prove nothing.
    expect(sums.kills).toBeGreaterThan(RUNS / 2);
    expect(sums.unknown).toBeGreaterThan(RUNS / 4);
    expect(sums.abandoned).toBeGreaterThan(RUNS / 10);
    expect(sums.fills).toBeGreaterThan(RUNS);
    expect([...struck].sort()).toEqual([...PRIVATE_FAULT_KINDS, 'order', 'cancel', 'position', 'expire_tokens'].sort());
  }, 240_000);

  it.each(PLANTS)('would find the planted bug "%s"', async (plant) => {
    const found = [];
    for (let seed = 1; seed <= 30 && found.length === 0; seed++) found.push(...(await chaosRun(seed, plant)).violations);
    expect(found).not.toEqual([]);
  }, 60_000);

  it('does the same for the same seed', async () => {
    const [first, again, other] = [await chaosRun(7), await chaosRun(7), await chaosRun(8)];
    expect(again).toEqual(first);
    expect(other.digest).not.toBe(first.digest);
  }, 30_000);
});
