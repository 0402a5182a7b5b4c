import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EPOCH, fill, intent, tradingStoreContract } from '../../testing/trading_store.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { createPool, type Pool } from '../connect.ts';
import { PgTradingStore } from './store.ts';

let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await freshDatabase('trading', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const empty = async (): Promise<void> => {
  // The append-only triggers hold row by row; a test starts with empty tables.
  await pool.query('TRUNCATE orders, order_events, fills, fills_to_book, positions, trading_cases, risk_refusals, trading_flags, equity_marks');
};

describe('the trading store in PostgreSQL', () => {
  tradingStoreContract(async () => {
    await empty();
    const events = async (orderId: string): Promise<string[]> => {
      const { rows } = await pool.query<{ line: string }>(
        `SELECT coalesce(from_state, 'null') || '>' || to_state || ' ' || event AS line FROM order_events WHERE order_id = $1 ORDER BY version`, [orderId]);
      return rows.map((row) => row.line);
    };
    return { store: new PgTradingStore(pool), events };
  });

  it('lets nobody rewrite events, fills and refusals', async () => {
    await empty();
    const store = new PgTradingStore(pool);
    const { order } = await store.insertIntent(intent(), { epoch: EPOCH, state: 'SENDING', at: 1_790_000_000_000_000 });
    await store.applyFills('acc', [fill({ exchangeOrderId: 'X', label: order.label })], () => ({ reciprocal: false, settle: 'USDC' }));
    await store.insertRefusal({
      at: 1_790_000_000_000_000, account: 'acc', signalId: 's', strategy: 'test', marketId: null, symbol: null, code: 'STALE', reason: 'late', signal: {} });
    for (const table of ['order_events', 'fills', 'risk_refusals']) {
      await expect(pool.query(`DELETE FROM ${table}`), table).rejects.toThrow(`${table} is append only`);
    }
  });

  it('stores an overfill as what it is', async () => {
    await empty();
    const store = new PgTradingStore(pool);
    const { order } = await store.insertIntent(intent({ amount: '10' }), { epoch: EPOCH, state: 'SENDING', at: 1_790_000_000_000_000 });
    // PENDING or FILLED may not go on: a fill beyond a filled order is an overfill, stored all the same, never hidden.
    await store.applyFills('acc', [fill({ exchangeOrderId: 'X', label: order.label, amount: '10' })], () => ({ reciprocal: false, settle: null }));
    const over = await store.applyFills('acc', [fill({ exchangeOrderId: 'X', amount: '5' })], () => ({ reciprocal: false, settle: null }));
    expect(over.orders[0]).toMatchObject({ state: 'FILLED', filledAmount: '15' });
    expect((await store.positions('acc'))[0]?.amount).toBe('15');
  });
});
