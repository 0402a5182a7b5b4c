// Own trades by an audit, with the rights of the governor: what the log tells and `fills` do not is inserted, once; the rest is told.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AccountLogRow } from '../../core/trading/account_log.ts';
import { insertFindings, beginAudit, type AuditFinding } from '../../store/audits.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { roleOf } from '../../store/logins.ts';
import { AccountLogBooks } from '../../store/trading/account_log.ts';
import { PgTradingStore } from '../../store/trading/store.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { EPOCH, fill, intent } from '../../testing/trading_store.ts';
import { auditOwnTrades, type OwnCompared } from './audit_own.ts';

const T0 = 1_790_000_000_000_000;
const MINUTE = 60_000_000;
const PERP = 'ETH_USDC-PERPETUAL';
const SPOT = 'ETH_USDC';

let database: FreshDatabase;
let owner: Pool;
/** One connection each, with the rights of a service. */
let governor: Pool;
let executor: Pool;
let store: PgTradingStore;
let books: AccountLogBooks;
beforeAll(async () => {
  database = await freshDatabase('audit_own', { migrated: true });
  const pool = (max: number): Pool => createPool(database.url, { name: 'test', log: { warn: () => undefined }, max });
  [owner, governor, executor] = [pool(4), pool(1), pool(1)];
  await governor.query(`SET ROLE ${roleOf('governor')}`);
  await executor.query(`SET ROLE ${roleOf('executor')}`);
  store = new PgTradingStore(executor);
  books = new AccountLogBooks(executor);
  for (const [symbol, kind] of [[PERP, 'perpetual'], [SPOT, 'spot']]) {
    await owner.query(`INSERT INTO instruments (market_id, symbol, exchange, status, kind) VALUES ('deribit', $1, 'deribit', 'open', $2)`, [symbol, kind]);
  }
});
beforeEach(() => owner.query(
  'TRUNCATE orders, order_events, fills, fills_to_book, positions, trading_cases, account_log, account_log_reads, audit_runs, audit_findings'));
afterAll(async () => {
  await Promise.all([owner, governor, executor].map((pool) => pool.end()));
  await database.drop();
});

const linear = (): { reciprocal: boolean; settle: string | null } => ({ reciprocal: false, settle: 'USDC' });
let ids = 0;
const trade = (some: Partial<AccountLogRow> = {}): AccountLogRow => ({
  logId: String(++ids), ts: T0 + ids * 1_000, currency: 'USDC', type: 'trade', symbol: PERP, tradeId: `U-${ids}`, change: '-0.01', balance: null,
  commission: '0.01', exchangeOrderId: 'X-1', side: 'buy', price: '10.5', amount: '2', liquidity: 'maker', funding: null, raw: {}, ...some,
});
const logged = async (...rows: AccountLogRow[]): Promise<void> => {
  await books.append('acc', 'deribit', rows, linear);
  await books.readThrough('acc', 'deribit', T0 + 10 * MINUTE);
};
/** Findings as `kind resolution`. */
async function audited(until = T0 + 5 * MINUTE): Promise<OwnCompared & { lines: string[] }> {
  const run = await beginAudit(governor, { exchange: 'deribit', sinceMicros: T0, untilMicros: until, askedAt: T0, by: 'test', reason: 'doubt' });
  const keep = (db: Pick<Pool, 'query'>, findings: readonly AuditFinding[]): Promise<void> => insertFindings(db, run, 'deribit', findings, T0);
  const found = await auditOwnTrades({
    pool: governor, marketIds: ['deribit'], since: T0, until, askedAt: T0, keep, nowMicros: () => T0 + 9 * MINUTE, signal: AbortSignal.timeout(30_000),
  });
  const { rows } = await owner.query<{ line: string }>(`SELECT kind || ' ' || resolution AS line FROM audit_findings WHERE run_id = $1 ORDER BY 1`, [run]);
  expect(rows).toHaveLength(found.findings.length);
  return { ...found, lines: rows.map(({ line }) => line) };
}

describe('own trades', () => {
  it('that only the log tells are inserted, those that cross zero whole, and found once', async () => {
    const crossing = trade();
    await logged(crossing, trade({ tradeId: crossing.tradeId, ts: crossing.ts, amount: '0.5', commission: '0.0025' }), trade({ side: 'sell' }));
    expect(await audited()).toMatchObject({ compared: 2, lines: ['own_trade_missing repaired', 'own_trade_missing repaired'], doubts: [] });
    const { rows } = await owner.query('SELECT trade_id, side, amount, fee, fee_currency, liquidity, source, order_id FROM fills ORDER BY ts');
    expect(rows[0]).toEqual({
      trade_id: crossing.tradeId, side: 'buy', amount: '2.5', fee: '0.0125', fee_currency: 'USDC', liquidity: 'maker', source: 'audit', order_id: null });
    expect(await audited()).toMatchObject({ compared: 2, lines: [] });
    expect((await books.takeHealed('acc', linear)).positions[0]).toMatchObject({ amount: '0.5', fees: '0.0225' });
    expect(await audited()).toMatchObject({ compared: 2, lines: [] });
  });

  it('of a spot pair have a row per currency: the one with the fee counts', async () => {
    const usdc = trade({ symbol: SPOT });
    await logged({ ...usdc, logId: '77', currency: 'ETH', commission: '0', change: '2' }, usdc);
    expect((await audited()).lines).toEqual(['own_trade_missing repaired']);
    const { rows } = await owner.query('SELECT amount, fee, fee_currency FROM fills');
    expect(rows).toEqual([{ amount: '2', fee: '0.01', fee_currency: 'USDC' }]);
  });

  it('belong to the order that the exchange names', async () => {
    const { order } = await store.insertIntent(intent({ amount: '5' }), { epoch: EPOCH, state: 'SENDING', at: T0 });
    await logged(trade({ exchangeOrderId: 'X-7' }));
    // Its outcome is not known: a look-up will say whose trade this is.
    expect(await audited()).toMatchObject({ compared: 0, lines: [] });
    await store.change(order.orderId, order.version, { event: 'acknowledged', at: T0, state: 'OPEN', exchangeOrderId: 'X-7' });
    expect((await audited()).lines).toEqual(['own_trade_missing repaired']);
    const { orders } = await books.takeHealed('acc', linear);
    expect(orders).toMatchObject([{ label: order.label, state: 'PARTIALLY_FILLED', filledAmount: '2' }]);
  });

  it('with other values, or that nobody can read, are for a human', async () => {
    const [told, odd] = [trade(), trade({ price: null })];
    await store.applyFills('acc', [fill({ tradeId: told.tradeId!, ts: told.ts, amount: '3', exchangeOrderId: 'X-1' })], linear);
    await logged(told, odd);
    const { findings, lines } = await audited();
    expect(lines).toEqual(['own_trade_differs unexplained', 'own_trade_differs unexplained']);
    expect(findings[0]).toMatchObject({ ours: { amount: '3' }, theirs: { amount: '2' } });
    expect(findings[1]?.detail).toContain('do not say what was traded');
    expect((await owner.query('SELECT FROM fills')).rowCount).toBe(1);
  });

  it('that the log does not tell are, too, where it tells what came before and after', async () => {
    const [before, after] = [trade({ ts: T0 }), trade({ ts: T0 + 2 * MINUTE })];
    await logged(before, after);
    await audited();
    await store.applyFills('acc', [fill({ tradeId: 'U-late', ts: T0 + 3 * MINUTE }), fill({ tradeId: 'U-odd', ts: T0 + MINUTE })], linear);
    const { findings } = await audited();
    expect(findings.map(({ kind, detail }) => `${kind} ${detail}`)).toEqual(['own_trade_unknown the log of account acc does not tell trade U-odd']);
  });

  it('that may still be on their way are left alone, and a log that nobody reads is told', async () => {
    await logged(trade({ ts: T0 + MINUTE }));
    expect(await audited(T0 + MINUTE)).toMatchObject({ compared: 0, lines: [] });
    await owner.query(`UPDATE account_log_reads SET through = timestamptz 'epoch'`);
    const { compared, doubts } = await audited();
    expect(compared).toBe(0);
    expect(doubts).toEqual(['the log of account acc was last read at 1970-01-01T00:00:00.000Z']);
  }, 40_000);

  it('of an instrument that nobody knows are told, and left', async () => {
    await logged(trade({ symbol: 'NEW-PERPETUAL' }));
    const { lines, doubts } = await audited();
    expect(lines).toEqual([]);
    expect(doubts).toEqual(['NEW-PERPETUAL of account acc is no instrument that is known']);
  });
});
