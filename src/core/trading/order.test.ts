import { describe, expect, it } from 'vitest';
import { orderStateValues } from '../../contracts/index.ts';
import { Exact } from './exact.ts';
import { FINAL_STATES, LIVE_STATES, ORDER_EDGES, mayMove, stateByFills, stateByReport, type OrderProgress } from './order.ts';

const order = (state: OrderProgress['state'], filled: string): OrderProgress => ({ state, amount: '100', filled: new Exact(filled) });

describe('an order\'s life', () => {
  it('sorts each state into live or final', () => {
    expect([...LIVE_STATES, ...FINAL_STATES].sort()).toEqual([...orderStateValues].sort());
  });

  it('never goes back to before the request', () => {
    for (const from of orderStateValues) {
      expect(mayMove(from, 'PENDING'), from).toBe(false);
      if (from !== 'PENDING') expect(mayMove(from, 'SENDING'), from).toBe(false);
    }
  });

  it('is abandoned only after a look-up', () => {
    expect(orderStateValues.filter((from) => mayMove(from, 'ABANDONED'))).toEqual(['UNKNOWN']);
  });

  it('leaves a filled order alone', () => {
    expect(ORDER_EDGES.FILLED).toEqual([]);
  });
});

describe('a report', () => {
  it('does not complete an order before its last fill is recorded', () => {
    expect(stateByReport(order('OPEN', '40'), { state: 'filled', amount: '100', filledAmount: '100' })).toBe('PARTIALLY_FILLED');
    expect(stateByReport(order('SENDING', '0'), { state: 'filled', amount: '100', filledAmount: '100' })).toBe('OPEN');
    expect(stateByReport(order('OPEN', '100'), { state: 'filled', amount: '100', filledAmount: '100' })).toBe('FILLED');
  });

  it('does not end a cancelled order while fills are missing', () => {
    expect(stateByReport(order('OPEN', '0'), { state: 'cancelled', amount: '100', filledAmount: '30' })).toBe('OPEN');
    expect(stateByReport(order('PARTIALLY_FILLED', '30'), { state: 'cancelled', amount: '100', filledAmount: '30' })).toBe('CANCELLED');
    expect(stateByReport(order('PARTIALLY_FILLED', '100'), { state: 'cancelled', amount: '100', filledAmount: '100' })).toBe('FILLED');
  });

  it('that is older than our fills takes nothing back', () => {
    expect(stateByReport(order('FILLED', '100'), { state: 'open', amount: '100', filledAmount: '0' })).toBe('FILLED');
    expect(stateByReport(order('CANCELLED', '0'), { state: 'open', amount: '100', filledAmount: '0' })).toBe('CANCELLED');
    expect(stateByReport(order('PARTIALLY_FILLED', '20'), { state: 'open', amount: '100', filledAmount: '0' })).toBe('PARTIALLY_FILLED');
  });
});

describe('a fill', () => {
  it('proves that the exchange has the order, whatever we believed', () => {
    expect(stateByFills(order('UNKNOWN', '10'))).toBe('PARTIALLY_FILLED');
    expect(stateByFills(order('REJECTED', '10'))).toBe('PARTIALLY_FILLED');
    expect(stateByFills(order('ABANDONED', '100'))).toBe('FILLED');
  });

  it('that comes after the cancellation leaves it cancelled, unless it was the last one', () => {
    expect(stateByFills(order('CANCELLED', '30'))).toBe('CANCELLED');
    expect(stateByFills(order('CANCELLED', '100'))).toBe('FILLED');
  });
});
