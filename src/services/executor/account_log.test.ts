// The keeper of the log and what audits insert, on a real database: each row, each session's funding and each fill counts once, whoever
// tells it, in whatever order, and whoever is killed in between.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AccountLogRow } from '../../core/trading/account_log.ts';
import type { FillRecord, FillsApplied, PositionRecord } from '../../core/trading/records.ts';
import { VenueError, type AccountReport, type PositionReport } from '../../exchanges/trading.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { AccountLogBooks } from '../../store/trading/account_log.ts';
import { insertHealed } from '../../store/trading/own_trades.ts';
import { PgTradingStore } from '../../store/trading/store.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { EPOCH, fill, intent } from '../../testing/trading_store.ts';
import { LogKeeper } from './account_log.ts';
import type { InstrumentTerms } from './ports.ts';

const T0 = 1_790_000_000_000_000;
const PERP = 'ETH_USDC-PERPETUAL';
const FUTURE = 'BTC-25DEC26';

let database: FreshDatabase;
let pool: Pool;
beforeAll(async () => {
  database = await freshDatabase('account_log', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
afterEach(() => pool.query('TRUNCATE orders, order_events, fills, fills_to_book, positions, trading_cases, account_log, account_log_reads'));
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const termsOf = (symbol: string): { reciprocal: boolean; settle: string | null } =>
  (symbol === FUTURE ? { reciprocal: true, settle: 'BTC' } : { reciprocal: false, settle: 'USDC' });
let ids = 0;
const row = (some: Partial<AccountLogRow>): AccountLogRow => ({
  logId: String(++ids), ts: T0 + ids, currency: 'USDC', type: 'settlement', symbol: PERP, tradeId: null, change: '0', balance: null, commission: null,
  exchangeOrderId: null, side: null, price: null, amount: null, liquidity: null, funding: null, raw: { id: ids }, ...some,
});

interface Scene {
  keeper: LogKeeper;
  store: PgTradingStore;
  /** What the exchange's log holds; a function is asked, to fail. */
  log: AccountLogRow[];
  failing: { with: Error | null; of: string };
  asked: [currency: string, from: number][];
  moved: PositionRecord[];
  noted: FillRecord[];
  differences: Map<string, number>;
}

function open(positions: PositionReport[] = [], accounts: AccountReport[] = []): Scene {
  const store = new PgTradingStore(pool);
  const scene: Omit<Scene, 'keeper'> = {
    store, log: [], failing: { with: null, of: 'USDC' }, asked: [], moved: [], noted: [], differences: new Map(),
  };
  const noteFills = (applied: FillsApplied): Promise<void> => Promise.resolve(void scene.noted.push(...applied.fresh));
  const keeper = new LogKeeper({
    venue: {
      logCurrencies: ['BTC', 'USDC'], positions: () => Promise.resolve(positions), accounts: () => Promise.resolve(accounts),
      accountLog: (currency, from) => {
        scene.asked.push([currency, from]);
        if (scene.failing.with !== null && scene.failing.of === currency) return Promise.reject(scene.failing.with);
        return Promise.resolve(scene.log.filter((one) => one.currency === currency && one.ts >= from));
      },
    },
    books: new AccountLogBooks(pool), positions: () => store.positions('acc'),
    desk: {
      noteFills,
      absorbFills: async (fills, source) => {
        const records = fills.map((one): FillRecord => ({ ...one, account: 'acc', marketId: 'deribit', source, recordedTs: T0 }));
        const applied = await store.applyFills('acc', records, termsOf);
        await noteFills(applied);
        return applied;
      },
    },
    clock: { nowMicros: () => T0 + 1_000_000, monotonicMs: () => 0 }, log: { info: () => undefined, warn: () => undefined }, account: 'acc',
    marketId: 'deribit',
    terms: { of: (symbol) => ({ ...termsOf(symbol), kind: 'perpetual' }) as InstrumentTerms }, turn: () => Promise.resolve(),
    auditAsked: () => Promise.resolve(false), moved: (position) => void scene.moved.push(position),
    differs: (currency, difference) => void scene.differences.set(currency, difference), pause: () => Promise.reject(new Error('the end')),
  });
  return { ...scene, keeper };
}

const count = async (table: string): Promise<number> => (await pool.query(`SELECT FROM ${table}`)).rowCount ?? 0;
const position = async (store: PgTradingStore, symbol = PERP): Promise<PositionRecord | undefined> =>
  (await store.positions('acc')).find((one) => one.symbol === symbol);

describe('the log', () => {
  it('is kept row by row, and funding counts once, to the last digit', async () => {
    const { keeper, store, log, moved, asked } = open();
    await store.applyFills('acc', [fill({ amount: '3' })], termsOf);
    log.push(
      row({ funding: '-0.000000000000000001' }), row({ funding: '0.3', change: '0.7' }), row({ currency: 'BTC', symbol: 'BTC-PERPETUAL', funding: '-0.1' }));
    expect(await keeper.read()).toBe(3);
    expect(await position(store)).toMatchObject({ amount: '3', funding: '0.299999999999999999', settle: 'USDC' });
    expect(await position(store, 'BTC-PERPETUAL')).toMatchObject({ amount: '0', funding: '-0.1' });
    expect(moved.map(({ symbol }) => symbol).sort()).toEqual(['BTC-PERPETUAL', PERP]);
    log.push(row({ funding: '0.1' }));
    expect(await keeper.read()).toBe(1);
    expect(await keeper.read()).toBe(0);
    expect((await position(store))?.funding).toBe('0.399999999999999999');
    expect(await count('account_log')).toBe(4);
    // On from the last row of each currency, with an overlap.
    expect(asked[0]).toEqual(['BTC', 0]);
    expect(asked.at(-1)).toEqual(['USDC', log[3]!.ts - 600_000_000]);
    // Fills that come later leave it alone.
    await store.applyFills('acc', [fill({ amount: '1' })], termsOf);
    expect(await position(store)).toMatchObject({ amount: '4', funding: '0.399999999999999999' });
  });

  it('of two currencies may count alike, and a trade that crosses zero has two rows', async () => {
    const { keeper, log } = open();
    log.push(
      row({ logId: '9000', currency: 'BTC' }), row({ logId: '9000' }), row({ type: 'trade', tradeId: 'U-1', side: 'sell', amount: '1' }),
      row({ type: 'trade', tradeId: 'U-1', side: 'sell', amount: '2' }));
    expect(await keeper.read()).toBe(4);
    expect(await count('account_log')).toBe(4);
    await expect(pool.query('UPDATE account_log SET change = 1')).rejects.toThrow('append only');
  });

  it('that cannot be read concludes nothing: how far it is known stays, and the next read begins where this one did', async () => {
    const { keeper, log, failing, asked } = open();
    log.push(row({ currency: 'BTC', symbol: null, type: 'deposit' }), row({ funding: '1' }));
    failing.with = new VenueError('private/get_transaction_log: not as documented', 'malformed', false);
    await expect(keeper.read()).rejects.toThrow('not as documented');
    expect(keeper.through).toBeNull();
    expect(await count('account_log_reads')).toBe(0);
    failing.with = null;
    await keeper.read();
    expect(asked.at(-1)).toEqual(['USDC', 0]);
    expect(keeper.through).toBe(T0 + 1_000_000);
    expect(await count('account_log_reads')).toBe(1);
  });

  it('tells of deliveries: they close what has expired, once', async () => {
    const { keeper, store, log, noted } = open();
    await store.applyFills('acc', [fill({ symbol: FUTURE, amount: '1000', price: '50000', fee: '0', feeCurrency: 'BTC' })], termsOf);
    log.push(row({ currency: 'BTC', symbol: FUTURE, type: 'delivery', side: 'sell', price: '40000', amount: '1000', commission: '0.00001', funding: '0' }));
    await keeper.read();
    await keeper.read();
    expect(await position(store, FUTURE)).toMatchObject({ amount: '0', realised: '-0.005', fees: '0.00001' });
    expect(noted.map(({ kind, source }) => [kind, source])).toEqual([['delivery', 'transaction_log']]);
  });

  it('and fills together are compared with the exchange\'s equity', async () => {
    const { keeper, store, log, differences } = open(
      [{ symbol: PERP, amount: '3', averagePrice: '10', markPrice: '12' }],
      [{ currency: 'USDC', equity: '106.5', balance: '0', availableFunds: '0', initialMargin: '0', maintenanceMargin: '0' }]);
    await store.applyFills('acc', [fill({ amount: '3', price: '10', fee: '0.5' })], termsOf);
    log.push(row({ type: 'deposit', symbol: null, change: '100' }), row({ change: '6.3', funding: '0.3' }));
    await keeper.run();
    // 100 + 3 × (12 − 10) − 0.5 + 0.3
    expect(differences.get('USDC')).toBeCloseTo(0.7, 10);
  });
});

describe('a fill that an audit inserts', () => {
  const heal = (told: FillRecord): Promise<string[]> => insertHealed(pool, told, [told], T0 + 5);
  const lost = (): FillRecord => fill({ tradeId: `U-${++ids}`, exchangeOrderId: 'X-9', amount: '2' });
  const MISMATCH = {
    account: 'acc', kind: 'position_mismatch' as const, marketId: 'deribit', symbol: PERP, ours: { amount: '0' }, theirs: { amount: '2' }, evidence: [],
  };

  it('moves order and position when it is booked, once, and is evidence of the case', async () => {
    const { keeper, store, noted } = open();
    const { order } = await store.insertIntent(intent({ amount: '5' }), { epoch: EPOCH, state: 'SENDING', at: T0 });
    await store.change(order.orderId, 2, { event: 'acknowledged', at: T0, state: 'OPEN', exchangeOrderId: 'X-9' });
    await store.openCase(MISMATCH, T0);
    const told = lost();
    expect(await heal(told)).toEqual([told.tradeId]);
    expect(await heal(told)).toEqual([]);
    expect(await position(store)).toBeUndefined();
    expect(await keeper.takeHealed()).toBe(1);
    expect(await keeper.takeHealed()).toBe(0);
    expect(await position(store)).toMatchObject({ amount: '2' });
    expect(await store.orderByLabel(order.label)).toMatchObject({ state: 'PARTIALLY_FILLED', filledAmount: '2' });
    expect(noted).toMatchObject([{ tradeId: told.tradeId, source: 'audit' }]);
    expect((await store.openCases('acc'))[0]?.evidence).toMatchObject([{ trade_id: told.tradeId, source: 'audit', amount: '2' }]);
  });

  it('counts once, too, when the executor is told of it before, meanwhile and afterwards', async () => {
    const { keeper, store } = open();
    const told = Array.from({ length: 20 }, lost);
    const absorb = (one: FillRecord): Promise<FillsApplied> => store.applyFills('acc', [one], termsOf);
    await Promise.all([...told.flatMap((one, n) => (n % 2 === 0 ? [heal(one), absorb(one)] : [absorb(one), heal(one)])), keeper.takeHealed()]);
    await Promise.all([keeper.takeHealed(), keeper.takeHealed()]);
    expect(await position(store)).toMatchObject({ amount: '40' });
    expect(await count('fills')).toBe(20);
    expect(await count('fills_to_book')).toBe(0);
    for (const one of told) expect(await absorb(one)).toMatchObject({ fresh: [], conflicts: [] });
    expect(await position(store)).toMatchObject({ amount: '40' });
  });
});
