import { setImmediate as turn } from 'node:timers/promises';
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

it('waits for nobody once the deadline is over, and still calls the rest', async () => {
  const scope = new Scope();
  const deadline = new AbortController();
  const closed: string[] = [];
  scope.own('first', (name) => void closed.push(name));
  scope.own('second', () => new Promise(() => undefined));
  scope.own('third', (name) => void closed.push(name));
  const closing = scope.close(deadline.signal);
  await turn();
  expect(closed).toEqual(['third']);
  deadline.abort();
  await expect(closing).rejects.toThrow('closing failed');
  expect(closed).toEqual(['third', 'first']);
});
