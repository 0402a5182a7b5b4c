import { expect, it } from 'vitest';
import { Scope } from './scope.ts';

it('closes last-in-first-out, past failures, once', async () => {
  const scope = new Scope();
  const closed: string[] = [];
  scope.own('first', (name) => void closed.push(name));
  scope.own('second', () => Promise.reject(new Error('second will not close')));
  scope.own('third', async (name) => {
    await Promise.resolve();
    closed.push(name);
  });
  await expect(scope.close()).rejects.toThrow('closing failed');
  await expect(scope.close()).rejects.toThrow('closing failed');
  expect(closed).toEqual(['third', 'first']);
});
