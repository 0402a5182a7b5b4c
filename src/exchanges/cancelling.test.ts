import { expect, it } from 'vitest';
import { cancelThose } from './cancelling.ts';
import type { TradingVenue } from './trading.ts';

it('one order that the exchange will not cancel shields none behind it', async () => {
  const open = new Set(['1', 'stubborn', '2', 'theirs']);
  let rounds = 0;
  const venue = {
    openOrders: () => Promise.resolve([...open].map((exchangeOrderId) => ({ exchangeOrderId }))),
    cancel(id: string) {
      if (id === 'stubborn' && rounds < 2) return Promise.resolve({ kind: 'refused', code: '11030', number: 11_030, reason: 'other_reject' });
      return Promise.resolve(open.delete(id) ? { kind: 'done' } : { kind: 'gone', code: '11044' });
    },
  } as unknown as TradingVenue;
  const failures: string[] = [];
  const seen: string[][] = [];
  const count = await cancelThose(venue, ({ exchangeOrderId }) => exchangeOrderId !== 'theirs', {
    failed: (reason) => failures.push(reason),
    pause() {
      rounds++;
      seen.push([...open]);
      return Promise.resolve();
    },
  });
  expect([count, failures, [...open]]).toEqual([3, ['other_reject', 'other_reject'], ['theirs']]);
  expect(seen[0]).toEqual(['stubborn', 'theirs']);
});
