import { describe } from 'vitest';
import { tradingStoreContract } from '../../testing/trading_store.ts';
import { MemoryTradingStore } from './memory_store.ts';

describe('the trading store in memory', () => {
  tradingStoreContract(() => {
    const store = new MemoryTradingStore();
    const events = (orderId: string): Promise<string[]> =>
      Promise.resolve(store.events.filter((event) => event.orderId === orderId).map(({ from, to, event }) => `${from}>${to} ${event}`));
    return Promise.resolve({ store, events });
  });
});
