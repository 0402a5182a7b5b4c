// TradingStore in PostgreSQL: each method is one transaction that is on disk when it resolves (synchronous_commit is on).
import type { OrderReport } from '../../core/trading/order.ts';
import {
  FencedError, type CaseRecord, type FillRecord, type FillsApplied, type Intent, type OrderChange, type OrderRecord, type PositionRecord, type Refusal,
  type TradingStore,
} from '../../core/trading/records.ts';
import { transaction, type Pool } from '../connect.ts';
import { equityMark, insertRefusal, openCase, selectFlag, selectOpenCases, settleCase, upsertFlag, type NewCase } from './cases.ts';
import { applyFills, type TermsOf } from './fills.ts';
import { changeOrderAtOnce, findByExchangeId, findOrder, insertExternal, insertIntent, selectLive } from './orders.ts';
import { FILL_COLUMNS, POSITION_COLUMNS, fillOf, positionOf, type Row } from './rows.ts';

export class PgTradingStore implements TradingStore {
  readonly #pool: Pool;
  readonly #intents: Pool;

  /** `intents`: connections on which intents are committed, so that no order waits behind the bookkeeping of others. */
  constructor(pool: Pool, intents: Pool = pool) {
    this.#pool = pool;
    this.#intents = intents;
  }

  async nextEpoch(): Promise<number> {
    const { rows } = await this.#pool.query<{ epoch: string }>(`SELECT nextval('executor_epoch') AS epoch`);
    return Number(rows[0]!.epoch);
  }

  /** One statement: PostgreSQL's own transaction, one round trip. */
  async insertIntent(intent: Intent, options: { epoch: number; state: 'PENDING' | 'SENDING'; at: number }): Promise<{ inserted: boolean; order: OrderRecord }> {
    const fresh = await insertIntent(this.#intents, intent, options);
    if (fresh !== null) return { inserted: true, order: fresh };
    const known = (await this.orderBySignal(intent.signalId)) ?? (await this.orderByLabel(intent.label));
    if (known === null) throw new FencedError(options.epoch);
    return { inserted: false, order: known };
  }

  change(orderId: string, version: number, change: OrderChange): Promise<OrderRecord | null> {
    return changeOrderAtOnce(this.#pool, orderId, version, change);
  }

  async adoptExternal(account: string, marketId: string, report: OrderReport, options: { epoch: number; at: number }): Promise<OrderRecord> {
    const fresh = await insertExternal(this.#pool, account, marketId, report, options);
    const order = fresh ?? (await findByExchangeId(this.#pool, account, report.exchangeOrderId));
    if (order === null) throw new Error(`external order ${report.exchangeOrderId} was refused as known, but is not there`);
    return order;
  }

  applyFills(account: string, fills: readonly FillRecord[], terms: TermsOf): Promise<FillsApplied> {
    if (fills.length === 0) return Promise.resolve({ fresh: [], conflicts: [], orders: [], positions: [] });
    return transaction(this.#pool, (client) => applyFills(client, account, fills, terms));
  }

  orderByLabel(label: string): Promise<OrderRecord | null> {
    return findOrder(this.#pool, 'label', label);
  }

  orderBySignal(signalId: string): Promise<OrderRecord | null> {
    return findOrder(this.#pool, 'signal_id', signalId);
  }

  orderByExchangeId(account: string, exchangeOrderId: string): Promise<OrderRecord | null> {
    return findByExchangeId(this.#pool, account, exchangeOrderId);
  }

  liveOrders(account: string): Promise<OrderRecord[]> {
    return selectLive(this.#pool, account);
  }

  async fillsOf(orderId: string): Promise<FillRecord[]> {
    const { rows } = await this.#pool.query<Row>(`SELECT ${FILL_COLUMNS} FROM fills f WHERE order_id = $1 ORDER BY f.ts, f.seq, trade_id`, [orderId]);
    return rows.map(fillOf);
  }

  async lastFillTs(account: string): Promise<number | null> {
    const { rows } = await this.#pool.query<{ ts: string | null }>(
      'SELECT (extract(epoch FROM max(ts)) * 1000000)::int8 AS ts FROM fills WHERE account = $1', [account]);
    const ts = rows[0]?.ts ?? null;
    return ts === null ? null : Number(ts);
  }

  async positions(account: string): Promise<PositionRecord[]> {
    const { rows } = await this.#pool.query<Row>(`SELECT ${POSITION_COLUMNS} FROM positions WHERE account = $1 ORDER BY market_id, symbol`, [account]);
    return rows.map(positionOf);
  }

  openCase(entry: NewCase, at: number): Promise<CaseRecord> {
    return openCase(this.#pool, entry, at);
  }

  settleCase(caseId: string, status: 'healed' | 'locked' | 'closed', decision: string, at: number): Promise<void> {
    return settleCase(this.#pool, caseId, status, decision, at);
  }

  openCases(account: string): Promise<CaseRecord[]> {
    return selectOpenCases(this.#pool, account);
  }

  insertRefusal(refusal: Refusal): Promise<void> {
    return insertRefusal(this.#pool, refusal);
  }

  flag(name: string): Promise<string | null> {
    return selectFlag(this.#pool, name);
  }

  setFlag(name: string, value: string, by: string, reason: string, at: number): Promise<void> {
    return upsertFlag(this.#pool, name, value, by, reason, at);
  }

  equityMark(account: string, currency: string, equity: string, at: number): Promise<string> {
    return equityMark(this.#pool, account, currency, equity, at);
  }
}
