// The desk on a real database, where an exchange says what must not be: more than was ordered, or the same fill with other values.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FillReport, OrderReport } from '../../core/trading/order.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { PgTradingStore } from '../../store/trading/store.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { EPOCH, fill, intent } from '../../testing/trading_store.ts';
import { OrderDesk } from './desk.ts';

const AT = 1_790_000_000_000_000;
let database: FreshDatabase;
let pool: Pool;
let store: PgTradingStore;
let locks: string[];
let asked: string[];
let desk: OrderDesk;

beforeAll(async () => {
  database = await freshDatabase('desk', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  store = new PgTradingStore(pool);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});
beforeEach(async () => {
  await pool.query('TRUNCATE orders, order_events, fills, fills_to_book, positions, trading_cases');
  [locks, asked] = [[], []];
  const venue: Pick<TradingVenue, 'submit'> = {
    submit: ({ label }) => {
      asked.push(label);
      return Promise.resolve({ kind: 'unknown', reason: 'no answer' });
    },
  };
  desk = new OrderDesk({
    store, venue: venue as TradingVenue, clock: { nowMicros: () => AT, monotonicMs: () => 0 }, pause: () => Promise.reject(new Error('the end')),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined }, account: 'acc', marketId: 'deribit', epoch: EPOCH,
    terms: { of: () => null }, fence: () => null, tell: () => undefined, lock: (reason) => void locks.push(reason),
    booked: { order: () => undefined, fill: () => undefined, position: () => undefined },
  });
});

const cases = async (): Promise<string[]> => (await store.openCases('acc')).map(({ kind, symbol, status }) => `${kind} ${symbol ?? ''} ${status}`);
const amount = async (): Promise<string | undefined> => (await store.positions('acc'))[0]?.amount;

describe('what must not be', () => {
  it('an overfill is recorded as what it is, opens a case, and locks', async () => {
    const { order } = await store.insertIntent(intent({ amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: AT });
    await desk.absorbFills([fill({ exchangeOrderId: 'X', label: order.label, amount: '10' })], 'stream');
    expect(locks).toEqual([]);
    await desk.absorbFills([fill({ exchangeOrderId: 'X', label: order.label, amount: '5' })], 'stream');
    expect(locks).toEqual([`order ${order.label} was filled beyond its amount: 15 of 10`]);
    expect(await cases()).toEqual([`overfill ${order.symbol} open`]);
    // The real exposure, not what was wished for.
    expect(await amount()).toBe('15');
  });

  it('a fill that is told again with another price opens a case and locks; the first one stays', async () => {
    const { order } = await store.insertIntent(intent({ amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: AT });
    const first: FillReport = fill({ exchangeOrderId: 'X', label: order.label, amount: '10', price: '10.5' });
    await desk.absorbFills([first, first], 'stream');
    await desk.absorbFills([first], 'rest');
    expect([locks, await amount()]).toEqual([[], '10']);
    await desk.absorbFills([{ ...first, price: '11' }], 'rest');
    expect(locks).toEqual([`fill ${first.tradeId} was told with other values`]);
    expect(await cases()).toEqual([`fill_conflict ${order.symbol} open`]);
    expect((await pool.query('SELECT price, amount FROM fills')).rows).toEqual([{ price: '10.5', amount: '10' }]);
  });

  it('a fill that one answer tells twice, with two prices, as well', async () => {
    const { order } = await store.insertIntent(intent({ amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: AT });
    const first: FillReport = fill({ exchangeOrderId: 'X', label: order.label, amount: '10', price: '10.5' });
    // The wrong side on the taker's view is none: the order knows its own.
    await desk.absorbFills([first, { ...first, side: 'sell' }, { ...first, price: '11' }, first], 'rest');
    expect(locks).toEqual([`fill ${first.tradeId} was told with other values`]);
    expect(await cases()).toEqual([`fill_conflict ${order.symbol} open`]);
    expect((await pool.query('SELECT price, amount FROM fills')).rows).toEqual([{ price: '10.5', amount: '10' }]);
    expect(await amount()).toBe('10');
  });
});

describe('an order that somebody changes at the exchange', () => {
  const report = (over: Partial<OrderReport> = {}): OrderReport => ({
    exchangeOrderId: 'X', label: '', symbol: 'ETH_USDC-PERPETUAL', side: 'buy', state: 'open', amount: '10', filledAmount: '0', averagePrice: null,
    price: '10.5', reduceOnly: false, postOnly: false, reason: null, createdTs: AT, updatedTs: AT, ...over,
  });
  const stored = async (): Promise<object[]> => (await pool.query<object>('SELECT state, amount, price, filled_amount FROM orders')).rows;

  it('and is ours follows it, is filled only when all of it is, and an older list takes nothing back', async () => {
    const { label } = (await store.insertIntent(intent({ amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: AT })).order;
    await desk.absorbOrder(report({ label }), 'told');
    await desk.absorbOrder(report({ label, amount: '20', price: '11.0', updatedTs: AT + 2 }), 'told');
    await desk.absorbOrder(report({ label, updatedTs: AT + 1 }), 'reconciled');
    await desk.absorbFills([fill({ exchangeOrderId: 'X', label, amount: '10' })], 'stream');
    expect(await stored()).toEqual([{ state: 'PARTIALLY_FILLED', amount: '20', price: '11.0', filled_amount: '10' }]);
    await desk.absorbFills([fill({ exchangeOrderId: 'X', label, amount: '10' })], 'stream');
    await desk.absorbOrder(report({ label, amount: '20', filledAmount: '20', state: 'filled', updatedTs: AT + 3 }), 'told');
    expect(await stored()).toMatchObject([{ state: 'FILLED', amount: '20', filled_amount: '20' }]);
    expect([locks, await cases()]).toEqual([[], []]);
  });

  it('and is theirs is their business, however much of it is filled before its word comes', async () => {
    await store.adoptExternal('acc', 'deribit', report(), { epoch: EPOCH, at: AT });
    await desk.absorbFills([fill({ exchangeOrderId: 'X', amount: '15' })], 'stream');
    await desk.absorbOrder(report({ amount: '30', filledAmount: '15', updatedTs: AT + 1 }), 'told');
    expect([locks, await cases(), await amount()]).toEqual([[], [], '15']);
  });
});

describe('an intent', () => {
  it('is sent once however often it is placed, and stays unknown without an answer', async () => {
    const wanted = intent();
    expect(await desk.place(wanted)).toMatchObject({ kind: 'placed', order: { state: 'UNKNOWN' } });
    expect(await desk.place(wanted)).toMatchObject({ kind: 'duplicate', order: { state: 'UNKNOWN' } });
    // The same signal under a new label is the same signal.
    expect(await desk.place({ ...wanted, label: `${wanted.label}b` })).toMatchObject({ kind: 'duplicate', order: { label: wanted.label } });
    expect(asked).toEqual([wanted.label]);
  });
});
