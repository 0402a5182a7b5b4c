// What the scopes of a key let it do.
import { expect, it } from 'vitest';
import { identityOf } from './session.ts';

it.each([
  ['connection mainaccount account:read_write trade:read_write wallet:none', false, true],
  ['connection mainaccount account:read trade:read_write', false, true],
  ['connection mainaccount trade:read_write wallet:read_write', true, true],
  ['connection mainaccount trade:read_write wallet:read', true, true],
  ['connection mainaccount trade:read wallet:none', false, false],
])('a key of %s', (scope, hasWallet, mayTrade) => {
  expect(identityOf('7', scope.split(' '))).toMatchObject({ hasWallet, mayTrade });
});
