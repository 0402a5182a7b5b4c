import { expect, it } from 'vitest';
import { closestName } from './spelling.ts';

it('finds the nearest known name within two edits, and nothing for strangers', () => {
  const known = ['DATABASE_URL', 'REDIS_URL', 'MARKETS'];
  expect(closestName('DATABSE_URL', known)).toBe('DATABASE_URL');
  expect(closestName('RDEIS_URL', known)).toBe('REDIS_URL');
  expect(closestName('MARKET', known)).toBe('MARKETS');
  expect(closestName('PATH', known)).toBeNull();
  expect(closestName('HOME', known)).toBeNull();
});
