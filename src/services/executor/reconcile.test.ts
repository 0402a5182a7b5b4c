// The agent where it is never quiet: a strategy that trades all the time must not hide a difference, and motion must not be taken for one.
import { beforeEach, describe, expect, it } from 'vitest';
import type { FillReport, OrderReport } from '../../core/trading/order.ts';
import type { OrderRecord } from '../../core/trading/records.ts';
import { trading } from '../../exchanges/deribit/trading/market.ts';
import type { TradingVenue } from '../../exchanges/trading.ts';
import { MemoryTradingStore } from '../../scripts/chaos/memory_store.ts';
import { EPOCH, intent } from '../../testing/trading_store.ts';
import { OrderDesk } from './desk.ts';
import { ReconciliationAgent } from './reconcile.ts';

const PERP = 'BTC-PERPETUAL';
const AT = 1_790_000_000_000_000;

let nowMs: number;
let theirs: string;
let store: MemoryTradingStore;
let locks: string[];
let audits: number;
let agent: ReconciliationAgent;
let archive: OrderReport[];
let desk: OrderDesk;

beforeEach(async () => {
  [nowMs, theirs, store, locks, audits] = [0, '0', new MemoryTradingStore(), [], 0];
  archive = [];
  await store.nextEpoch();
  const venue = {
    positions: () => Promise.resolve([{ symbol: PERP, amount: theirs }]), fills: () => Promise.resolve([]), openOrders: () => Promise.resolve([]),
    order: () => Promise.resolve(null), closedOrders: () => Promise.resolve(archive),
  } as unknown as TradingVenue;
  const ports = {
    store, venue, clock: { nowMicros: () => AT + nowMs * 1000, monotonicMs: () => nowMs }, pause: () => Promise.reject(new Error('the end')),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined }, account: 'acc', marketId: 'deribit', epoch: 1,
    terms: { of: () => null, named: (symbol: string) => trading.named(symbol) }, fence: () => null, tell: () => undefined, lock: (reason: string) => {
      locks.push(reason);
    },
    booked: { order: () => undefined, fill: () => undefined, position: () => undefined },
    askAudit: () => {
      audits++;
      return Promise.resolve();
    },
  };
  desk = new OrderDesk(ports);
  desk.quietMs = () => 100;
  agent = new ReconciliationAgent(ports, desk);
});

describe('a symbol that is traded all the time', () => {
  it('is judged once the difference stays the same: then it opens a case, asks for an audit, and locks in the end', async () => {
    theirs = '70';
    const found: number[] = [];
    for (let round = 0; round < 12; round++) found.push((await agent.positions()).length);
    expect(found).toEqual([0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1]);
    expect(audits).toBe(4);
    expect(locks).toEqual([`Persistent Position Mismatch: ${PERP} ours 0, the exchange's 70`]);
  });

  it('is left alone while the difference moves', async () => {
    for (const amount of ['10', '20', '10', '30', '10', '0', '10', '20', '10']) {
      theirs = amount;
      expect(await agent.positions()).toEqual([]);
    }
    expect(await store.openCases('acc')).toEqual([]);
  });

  it('has its case healed when both sides agree for as long', async () => {
    theirs = '70';
    for (let round = 0; round < 3; round++) await agent.positions();
    expect((await store.openCases('acc')).map(({ status }) => status)).toEqual(['open']);
    theirs = '0';
    for (let round = 0; round < 3; round++) await agent.positions();
    expect(await store.openCases('acc')).toEqual([]);
  });
});

describe('an order that ended while nobody looked', () => {
  const left = async (): Promise<OrderRecord> => {
    const { order } = await store.insertIntent(intent({ account: 'acc', symbol: PERP, amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: AT });
    return (await store.change(order.orderId, order.version, { event: 'acknowledged', at: AT, state: 'OPEN', exchangeOrderId: 'X' }))!;
  };

  const cancelled = (label: string): OrderReport => ({
    exchangeOrderId: 'X', label, symbol: PERP, side: 'buy', state: 'cancelled', amount: '10', filledAmount: '0', averagePrice: null, price: '10.5',
    reduceOnly: false, postOnly: false, reason: 'user_request', createdTs: AT, updatedTs: AT + 1,
  });

  it('is found in the archive, when the exchange does not know it otherwise any more', async () => {
    const { label } = await left();
    archive = [cancelled(label)];
    for (let round = 0; round < 3; round++) await agent.orders();
    expect(await store.orderByLabel(label)).toMatchObject({ state: 'CANCELLED', reason: 'user_request' });
    expect([await store.openCases('acc'), locks]).toEqual([[], []]);
  });

  it('is a case for as long as no archive knows it either', async () => {
    const { label } = await left();
    for (let round = 0; round < 3; round++) await agent.orders();
    expect((await store.openCases('acc')).map(({ kind, status }) => `${kind} ${status}`)).toEqual(['missing_order open']);
    archive = [cancelled(label)];
    for (let round = 0; round < 3; round++) await agent.orders();
    expect([await store.openCases('acc'), locks]).toEqual([[], []]);
  });

  it('is a case when no archive knows it either', async () => {
    const { label } = await left();
    for (let round = 0; round < 12; round++) await agent.orders();
    expect(locks).toEqual([`order ${label} is not known to the exchange any more`]);
  });
});

describe('instruments that are not among ours any more', () => {
  const fill = (n: number, symbol: string, side: 'buy' | 'sell', price: string): FillReport => ({
    tradeId: `T-${n}`, exchangeOrderId: `X-${n}`, label: '', symbol, seq: n, ts: AT + n, side, price, amount: '100', liquidity: 'taker', fee: '0',
    feeCurrency: '', kind: 'trade',
  });

  it('have books by what their names tell: expired futures are inverse, spot pairs and combos are no positions', async () => {
    await desk.absorbFills([
      fill(1, 'BTC-27MAR20', 'buy', '5000'), fill(2, 'BTC-27MAR20', 'sell', '10000'), fill(3, 'ETH_USDC-27MAR20', 'buy', '1'),
      fill(4, 'ETH_USDC-27MAR20', 'sell', '2'),
      fill(5, 'BTC-27MAR20-9000-C', 'buy', '0.01'), fill(6, 'BTC-27MAR20-9000-C', 'sell', '0.02'), fill(7, 'MATIC_USDC', 'buy', '1'),
      fill(8, 'BTC-FS-27MAR20_PERP', 'buy', '-5'),
    ], 'rest');
    expect((await store.positions('acc')).map(({ symbol, amount, realised, settle }) => [symbol, amount, realised, settle]).sort()).toEqual([
      ['BTC-27MAR20', '0', '0.01', 'BTC'], ['BTC-27MAR20-9000-C', '0', '1', 'BTC'], ['BTC-FS-27MAR20_PERP', '100', '0', 'BTC'],
      ['ETH_USDC-27MAR20', '0', '100', 'USDC'], ['MATIC_USDC', '100', '0', null],
    ]);
    expect(await agent.positions({ settled: true })).toEqual([]);
  });
});
