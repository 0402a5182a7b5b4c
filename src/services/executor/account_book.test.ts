// The books in memory: what is told late must not undo what was told of later.
import { describe, expect, it } from 'vitest';
import type { OrderRecord, PositionRecord } from '../../core/trading/records.ts';
import { AccountBook } from './account_book.ts';

const position = (version: number, amount: string): PositionRecord => ({
  account: 'a', marketId: 'deribit', symbol: 'BTC-PERPETUAL', amount, cost: '0', averagePrice: null, realised: '0', fees: '0', funding: '0',
  settle: 'BTC', updatedTs: 0, version,
});

const order = (version: number, state: OrderRecord['state']): OrderRecord => ({
  orderId: '1', account: 'a', label: 'tk-1', intentId: 'i', signalId: 's', marketId: 'deribit', symbol: 'BTC-PERPETUAL', side: 'buy', amount: '10',
  orderType: 'limit', price: '100', timeInForce: 'good_til_cancelled', postOnly: false, reduceOnly: false, state, version, cancelState: null,
  exchangeOrderId: 'e', filledAmount: '0', averagePrice: null, code: null, reason: null, lookups: 0, epoch: 1, createdTs: 0, sentTs: null,
  validUntil: 0, updatedTs: 0,
} as unknown as OrderRecord);

describe('the books in memory', () => {
  it('keep the later of two positions, in whatever order they hear of them', () => {
    const book = new AccountBook();
    book.position(position(2, '30'));
    book.position(position(1, '10'));
    expect(book.positions().get('BTC-PERPETUAL')).toBe('30');
    book.position(position(3, '0'));
    expect(book.positions().size).toBe(0);
  });

  it('do not bring an order back that ended before its earlier news came', () => {
    const book = new AccountBook();
    book.order(order(1, 'SENDING'));
    book.order(order(3, 'FILLED'));
    book.order(order(2, 'OPEN'));
    expect(book.working()).toEqual([]);
    expect(book.find('tk-1')).toBeNull();
  });
});
