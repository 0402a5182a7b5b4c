// The contract of a TradingStore, as tests that each implementation runs.
import { expect, it } from 'vitest';
import type { FillRecord, Intent, TradingStore } from '../core/trading/records.ts';

/** Above whatever nextEpoch of a test run gives. */
export const EPOCH = 1_000;
const T0 = 1_790_000_000_000_000;
const LINEAR = (): { reciprocal: boolean; settle: string | null } => ({ reciprocal: false, settle: 'USDC' });

let counter = 0;
export const intent = (over: Partial<Intent> = {}): Intent => {
  const n = ++counter;
  return {
    label: `t-${n}`,
    signalId: `s-${n}`,
    account: 'acc',
    strategy: 'test',
    marketId: 'deribit',
    symbol: 'ETH_USDC-PERPETUAL',
    side: 'buy',
    amount: '100',
    orderType: 'limit',
    price: '10.5',
    timeInForce: 'good_til_cancelled',
    postOnly: false,
    reduceOnly: false,
    validUntil: T0 + 2_000_000,
    createdTs: T0,
    ...over,
  };
};

export const fill = (over: Partial<FillRecord> = {}): FillRecord => {
  const n = ++counter;
  return {
    account: 'acc',
    marketId: 'deribit',
    tradeId: `ETH-${n}`,
    exchangeOrderId: 'X-1',
    label: '',
    symbol: 'ETH_USDC-PERPETUAL',
    seq: n,
    ts: T0 + n,
    side: 'buy',
    price: '10.5',
    amount: '10',
    liquidity: 'taker',
    fee: '0.01',
    feeCurrency: 'USDC',
    kind: 'trade',
    source: 'stream',
    recordedTs: T0 + 1_000_000,
    ...over,
  };
};

/** A fresh store; `events` gives `from>to event` of an order in order of version. */
type Make = () => Promise<{ store: TradingStore; events: (orderId: string) => Promise<string[]> }>;

const sending = (at = T0): { epoch: number; state: 'SENDING'; at: number } => ({ epoch: EPOCH, state: 'SENDING', at });

export function tradingStoreContract(make: Make): void {
  ordersContract(make);
  fillsContract(make);
  casesContract(make);
}

function ordersContract(make: Make): void {
  it('hands out rising epochs', async () => {
    const { store } = await make();
    const first = await store.nextEpoch();
    expect(await store.nextEpoch()).toBeGreaterThan(first);
  });

  it('commits an intent once per signal and once per label', async () => {
    const { store, events } = await make();
    const wanted = intent();
    const { inserted, order } = await store.insertIntent(wanted, sending());
    expect(inserted).toBe(true);
    expect(order).toMatchObject({
      ...wanted,
      state: 'SENDING',
      version: 2,
      origin: 'own',
      sentTs: T0,
      exchangeOrderId: null,
      filledAmount: '0',
      epoch: EPOCH,
    });
    expect(await events(order.orderId)).toEqual(['null>PENDING intent', 'PENDING>SENDING sending']);
    const again = await store.insertIntent({ ...wanted, label: `${wanted.label}b`, amount: '7' }, sending(T0 + 5));
    expect(again.inserted).toBe(false);
    expect(again.order).toEqual(order);
    expect((await store.insertIntent({ ...wanted, signalId: `${wanted.signalId}b` }, sending())).inserted).toBe(false);
    expect(await store.orderBySignal(`${wanted.signalId}b`)).toBeNull();
  });

  it('lets an executor that was overtaken commit no intent', async () => {
    const { store } = await make();
    const old = await store.nextEpoch();
    const later = await store.nextEpoch();
    await expect(store.insertIntent(intent(), { epoch: old, state: 'SENDING', at: T0 })).rejects.toThrow(/later executor/);
    expect((await store.insertIntent(intent(), { epoch: later, state: 'SENDING', at: T0 })).inserted).toBe(true);
  });

  it('lets one of two racers change an order', async () => {
    const { store, events } = await make();
    const { order } = await store.insertIntent(intent(), { epoch: EPOCH, state: 'PENDING', at: T0 });
    const change = { event: 'sending', at: T0 + 1, state: 'SENDING' as const, sentTs: T0 + 1 };
    const results = await Promise.all([store.change(order.orderId, 1, change), store.change(order.orderId, 1, change)]);
    expect(results.filter((result) => result !== null)).toHaveLength(1);
    expect(await events(order.orderId)).toEqual(['null>PENDING intent', 'PENDING>SENDING sending']);
    expect(await store.change(order.orderId, 1, change)).toBeNull();
  });

  it('refuses an illegal edge and changes nothing', async () => {
    const { store, events } = await make();
    const { order } = await store.insertIntent(intent(), sending());
    await expect((async () => store.change(order.orderId, 2, { event: 'abandoned', at: T0, state: 'ABANDONED' }))()).rejects.toThrow(
      /SENDING may not become ABANDONED/,
    );
    expect((await store.orderByLabel(order.label))?.version).toBe(2);
    expect(await events(order.orderId)).toHaveLength(2);
  });
}

function fillsContract(make: Make): void {
  it('applies fills once, whoever tells them and how often', async () => {
    const { store, events } = await make();
    const { order } = await store.insertIntent(intent(), sending());
    const account = order.account;
    const first = fill({ exchangeOrderId: 'X-77', label: order.label, amount: '40' });
    const applied = await store.applyFills(account, [first, { ...first, source: 'rest' }], LINEAR);
    // The fill came before the acknowledgement: it is the proof, and brings the exchange's id.
    expect(applied.orders).toEqual([
      expect.objectContaining({ state: 'PARTIALLY_FILLED', exchangeOrderId: 'X-77', filledAmount: '40', averagePrice: '10.5' }),
    ]);
    expect(applied.positions).toEqual([expect.objectContaining({ amount: '40', cost: '420', averagePrice: '10.5', fees: '0.01', settle: 'USDC' })]);
    const again = await store.applyFills(account, [first, { ...first, label: '' }], LINEAR);
    expect(again).toEqual({ fresh: [], conflicts: [], orders: [], positions: [] });
    const rest = fill({ exchangeOrderId: 'X-77', amount: '60', price: '11' });
    const done = await store.applyFills(account, [first, rest], LINEAR);
    expect(done.fresh).toHaveLength(1);
    expect(done.orders[0]).toMatchObject({ state: 'FILLED', filledAmount: '100', averagePrice: '10.8' });
    expect((await events(order.orderId)).slice(2)).toEqual(['SENDING>PARTIALLY_FILLED filled', 'PARTIALLY_FILLED>FILLED filled']);
    expect(await store.fillsOf(order.orderId)).toHaveLength(2);
    expect(await store.lastFillTs(account)).toBe(rest.ts);
    expect(await store.liveOrders(account)).toEqual([]);
  });

  it('averages an inverse contract harmonically', async () => {
    const { store } = await make();
    const { order } = await store.insertIntent(intent({ symbol: 'BTC-PERPETUAL' }), sending());
    const own = { symbol: 'BTC-PERPETUAL', exchangeOrderId: 'X-8', label: order.label, amount: '50' };
    const { orders, positions } = await store.applyFills('acc', [fill({ ...own, price: '20000' }), fill({ ...own, price: '60000' })], () => ({
      reciprocal: true,
      settle: 'BTC',
    }));
    expect([orders[0]?.averagePrice?.slice(0, 8), positions[0]?.averagePrice?.slice(0, 8)]).toEqual(['30000', '30000']);
  });

  it('keeps two that tell the same fill at once apart', async () => {
    const { store } = await make();
    const fills = [fill({ exchangeOrderId: 'X-9' }), fill({ exchangeOrderId: 'X-9' })];
    await Promise.all([
      store.applyFills('acc', fills, LINEAR),
      store.applyFills('acc', [...fills].reverse(), LINEAR),
      store.applyFills('acc', [fills[1]!], LINEAR),
    ]);
    expect((await store.positions('acc'))[0]).toMatchObject({ amount: '20', fees: '0.02' });
  });

  it('reports another fill under a known trade id, and keeps the first', async () => {
    const { store } = await make();
    const told = fill();
    await store.applyFills('acc', [told], LINEAR);
    const { conflicts, fresh } = await store.applyFills('acc', [{ ...told, price: '99' }], LINEAR);
    expect([fresh.length, conflicts.length, conflicts[0]?.known.price, conflicts[0]?.told.price]).toEqual([0, 1, '10.5', '99']);
    expect((await store.positions('acc'))[0]).toMatchObject({ amount: '10', cost: '105' });
  });

  it('knows our side by the order, whatever side the venue tells', async () => {
    const { store } = await make();
    const { order } = await store.insertIntent(intent({ side: 'sell' }), sending());
    await store.applyFills('acc', [fill({ exchangeOrderId: 'X-3', label: order.label, side: 'buy' })], LINEAR);
    expect((await store.positions('acc'))[0]?.amount).toBe('-10');
  });

  it('never takes an order with the same label but another id for ours', async () => {
    const { store } = await make();
    const { order } = await store.insertIntent(intent(), sending());
    await store.change(order.orderId, 2, { event: 'acknowledged', at: T0, state: 'OPEN', exchangeOrderId: 'X-1' });
    const { orders, fresh } = await store.applyFills('acc', [fill({ exchangeOrderId: 'X-2', label: order.label })], LINEAR);
    expect([orders.length, fresh.length]).toEqual([0, 1]);
    expect((await store.orderByLabel(order.label))?.filledAmount).toBe('0');
  });
}

function casesContract(make: Make): void {
  it('adopts an external order once', async () => {
    const { store } = await make();
    const report = {
      exchangeOrderId: 'X-5',
      label: '',
      symbol: 'BTC-PERPETUAL',
      side: 'sell' as const,
      state: 'open' as const,
      amount: '10',
      filledAmount: '0',
      averagePrice: null,
      price: '70000',
      reduceOnly: false,
      postOnly: true,
      reason: null,
      createdTs: T0,
      updatedTs: T0,
    };
    const first = await store.adoptExternal('acc', 'deribit', report, { epoch: EPOCH, at: T0 });
    expect(first).toMatchObject({ origin: 'external', state: 'OPEN', label: 'ext:X-5', signalId: null, price: '70000', exchangeOrderId: 'X-5' });
    expect(await store.adoptExternal('acc', 'deribit', report, { epoch: EPOCH, at: T0 + 9 })).toEqual(first);
    expect(await store.liveOrders('acc')).toEqual([first]);
    expect(await store.liveOrders('other')).toEqual([]);
  });

  it('keeps one open case per disagreement and counts the attempts', async () => {
    const { store } = await make();
    const entry = {
      account: 'acc',
      kind: 'position_mismatch' as const,
      marketId: 'deribit',
      symbol: 'BTC-PERPETUAL',
      ours: { amount: '1' },
      theirs: { amount: '2' },
      evidence: [],
    };
    const opened = await store.openCase(entry, T0);
    const again = await store.openCase({ ...entry, theirs: { amount: '3' } }, T0 + 1);
    expect([opened.attempts, again.attempts, again.caseId, again.theirs]).toEqual([1, 2, opened.caseId, { amount: '3' }]);
    await store.settleCase(opened.caseId, 'locked', 'persistent', T0 + 2);
    expect((await store.openCases('acc')).map((c) => [c.status, c.decision])).toEqual([['locked', 'persistent']]);
    await store.settleCase(opened.caseId, 'closed', 'operator', T0 + 3);
    expect(await store.openCases('acc')).toEqual([]);
    expect((await store.openCase(entry, T0 + 4)).caseId).not.toBe(opened.caseId);
  });

  it('remembers flags and the first equity of a day', async () => {
    const { store } = await make();
    expect(await store.flag('kill_switch')).toBeNull();
    await store.setFlag('kill_switch', 'on', 'test', 'why', T0);
    await store.setFlag('kill_switch', 'off', 'test', 'why', T0);
    expect(await store.flag('kill_switch')).toBe('off');
    const day = 86_400_000_000;
    expect(await store.equityMark('acc', 'BTC', '1.50', T0)).toBe('1.5');
    expect(await store.equityMark('acc', 'BTC', '1.2', T0 + 1)).toBe('1.5');
    expect(await store.equityMark('acc', 'BTC', '1.2', T0 + day)).toBe('1.2');
  });
}
