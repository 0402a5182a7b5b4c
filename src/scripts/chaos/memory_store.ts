// TradingStore in memory: what the safety checker runs ten thousand times. Its contract is the one of src/store/trading/store.ts;
// src/testing/trading_store.ts tests both. Each method is atomic, and what it returns is a copy.
import type { OrderState } from '../../contracts/index.ts';
import { Exact, ZERO, plain } from '../../core/trading/exact.ts';
import { LIVE_STATES, mayMove, onceEach, sameFill, stateByFills, type OrderReport } from '../../core/trading/order.ts';
import { FLAT, applyFill, averagePrice, type Position } from '../../core/trading/position.ts';
import {
  FencedError, type CaseRecord, type FillRecord, type FillsApplied, type Intent, type OrderChange, type OrderRecord, type PositionRecord, type Refusal,
  type TradingStore,
} from '../../core/trading/records.ts';

type TermsOf = Parameters<TradingStore['applyFills']>[2];

export interface MemoryEvent {
  orderId: string;
  version: number;
  at: number;
  from: OrderState | null;
  to: OrderState;
  event: string;
  detail: unknown;
}

export class MemoryTradingStore implements TradingStore {
  readonly orders: OrderRecord[] = [];
  readonly events: MemoryEvent[] = [];
  readonly fills: (FillRecord & { orderId: string | null })[] = [];
  readonly cases: CaseRecord[] = [];
  readonly refusals: Refusal[] = [];
  // What is looked up by key; a backtest makes tens of thousands of orders.
  readonly #byLabel = new Map<string, OrderRecord>();
  readonly #bySignal = new Map<string, OrderRecord>();
  readonly #byExchange = new Map<string, OrderRecord>();
  readonly #fillsById = new Map<string, FillRecord>();
  readonly #fillsByOrder = new Map<string, FillRecord[]>();
  readonly #positions = new Map<string, { position: Position; record: PositionRecord }>();
  readonly #flags = new Map<string, string>();
  readonly #marks = new Map<string, string>();
  #epoch = 0;

  nextEpoch(): Promise<number> {
    return Promise.resolve(++this.#epoch);
  }

  insertIntent(intent: Intent, options: { epoch: number; state: 'PENDING' | 'SENDING'; at: number }): Promise<{ inserted: boolean; order: OrderRecord }> {
    const known = this.#bySignal.get(intent.signalId) ?? this.#byLabel.get(intent.label);
    if (known !== undefined) return Promise.resolve({ inserted: false, order: { ...known } });
    if (options.epoch < this.#epoch) return Promise.reject(new FencedError(options.epoch));
    const sending = options.state === 'SENDING';
    const order = this.#insert({
      ...intent, origin: 'own', state: options.state, version: sending ? 2 : 1, exchangeOrderId: null, epoch: options.epoch,
      sentTs: sending ? options.at : null, updatedTs: options.at,
    });
    this.#tell({ ...order, version: 1 }, null, 'PENDING', 'intent', options.at);
    if (sending) this.#tell(order, 'PENDING', 'SENDING', 'sending', options.at);
    return Promise.resolve({ inserted: true, order: { ...order } });
  }

  change(orderId: string, version: number, change: OrderChange): Promise<OrderRecord | null> {
    const order = this.orders[Number(orderId) - 1];
    if (order?.version !== version) return Promise.resolve(null);
    this.#change(order, change);
    return Promise.resolve({ ...order });
  }

  adoptExternal(account: string, marketId: string, report: OrderReport, options: { epoch: number; at: number }): Promise<OrderRecord> {
    const known = this.#byExchangeId(account, report.exchangeOrderId);
    if (known !== undefined) return Promise.resolve({ ...known });
    const order = this.#insert({
      label: `ext:${report.exchangeOrderId}`.slice(0, 64), signalId: null, account, strategy: 'external', origin: 'external', marketId,
      symbol: report.symbol, side: report.side, amount: report.amount, orderType: report.price === null ? 'market' : 'limit', price: report.price,
      timeInForce: null, postOnly: report.postOnly, reduceOnly: report.reduceOnly, state: 'OPEN', version: 1,
      exchangeOrderId: report.exchangeOrderId, epoch: options.epoch, createdTs: report.createdTs, sentTs: null, validUntil: report.createdTs,
      updatedTs: options.at,
    });
    this.#tell(order, null, 'OPEN', 'adopted', options.at, { label: report.label });
    return Promise.resolve({ ...order });
  }

  applyFills(account: string, told: readonly FillRecord[], terms: TermsOf): Promise<FillsApplied> {
    const { fills, conflicts } = onceEach(told.map((fill) => ({ ...fill, side: this.#orderOf(account, fill)?.side ?? fill.side })));
    const applied: FillsApplied = { fresh: [], conflicts, orders: [], positions: [] };
    const touched = new Map<OrderRecord, FillRecord[]>();
    for (const fill of fills.sort((a, b) => a.ts - b.ts || (a.seq ?? 0) - (b.seq ?? 0))) {
      const order = this.#orderOf(account, fill);
      const known = this.#fillsById.get(`${account} ${fill.tradeId}`);
      if (known !== undefined) {
        if (!sameFill(known, fill)) applied.conflicts.push({ known: { ...known }, told: fill });
        continue;
      }
      this.#record({ ...fill, account, orderId: order?.orderId ?? null });
      applied.fresh.push(fill);
      if (order !== undefined) touched.set(order, [...(touched.get(order) ?? []), fill]);
      this.#move(account, fill, terms);
    }
    for (const [order, fills] of touched) applied.orders.push(this.#advance(order, fills, terms));
    const keys = new Set(applied.fresh.map((fill) => positionKey(account, fill.marketId, fill.symbol)));
    applied.positions.push(...[...keys].map((key) => ({ ...this.#positions.get(key)!.record })));
    return Promise.resolve(applied);
  }

  orderByLabel(label: string): Promise<OrderRecord | null> {
    return Promise.resolve(copy(this.#byLabel.get(label)));
  }

  orderBySignal(signalId: string): Promise<OrderRecord | null> {
    return Promise.resolve(copy(this.#bySignal.get(signalId)));
  }

  orderByExchangeId(account: string, exchangeOrderId: string): Promise<OrderRecord | null> {
    return Promise.resolve(copy(this.#byExchangeId(account, exchangeOrderId)));
  }

  liveOrders(account: string): Promise<OrderRecord[]> {
    const live = this.orders.filter((order) => order.account === account && (LIVE_STATES.includes(order.state) || order.cancelState !== null));
    return Promise.resolve(live.map((order) => ({ ...order })));
  }

  fillsOf(orderId: string): Promise<FillRecord[]> {
    return Promise.resolve((this.#fillsByOrder.get(orderId) ?? []).map((fill) => ({ ...fill })));
  }

  lastFillTs(account: string): Promise<number | null> {
    const times = this.fills.filter((fill) => fill.account === account).map((fill) => fill.ts);
    return Promise.resolve(times.length === 0 ? null : Math.max(...times));
  }

  positions(account: string): Promise<PositionRecord[]> {
    const own = [...this.#positions.values()].filter(({ record }) => record.account === account);
    return Promise.resolve(own.map(({ record }) => ({ ...record })));
  }

  openCase(entry: Parameters<TradingStore['openCase']>[0], at: number): Promise<CaseRecord> {
    const same = (c: CaseRecord): boolean => c.account === entry.account && c.kind === entry.kind && c.marketId === entry.marketId && c.symbol === entry.symbol;
    const open = this.cases.find((c) => same(c) && (c.status === 'open' || c.status === 'locked'));
    if (open !== undefined) {
      Object.assign(open, { ours: entry.ours, theirs: entry.theirs, evidence: entry.evidence, attempts: open.attempts + 1, updatedTs: at });
      return Promise.resolve({ ...open });
    }
    const fresh: CaseRecord = {
      ...entry, caseId: String(this.cases.length + 1), status: 'open', decision: null, attempts: 1, openedTs: at, updatedTs: at, closedTs: null,
    };
    this.cases.push(fresh);
    return Promise.resolve({ ...fresh });
  }

  settleCase(caseId: string, status: 'healed' | 'locked' | 'closed', decision: string, at: number): Promise<void> {
    const found = this.cases.find((c) => c.caseId === caseId && (c.status === 'open' || c.status === 'locked'));
    if (found !== undefined) Object.assign(found, { status, decision, updatedTs: at, closedTs: status === 'locked' ? null : at });
    return Promise.resolve();
  }

  openCases(account: string): Promise<CaseRecord[]> {
    return Promise.resolve(this.cases.filter((c) => c.account === account && (c.status === 'open' || c.status === 'locked')).map((c) => ({ ...c })));
  }

  insertRefusal(refusal: Refusal): Promise<void> {
    this.refusals.push(refusal);
    return Promise.resolve();
  }

  flag(name: string): Promise<string | null> {
    return Promise.resolve(this.#flags.get(name) ?? null);
  }

  setFlag(name: string, value: string): Promise<void> {
    this.#flags.set(name, value);
    return Promise.resolve();
  }

  equityMark(account: string, currency: string, equity: string, at: number): Promise<string> {
    const key = `${account} ${currency} ${Math.floor(at / 86_400e6)}`;
    const mark = this.#marks.get(key) ?? plain(new Exact(equity));
    this.#marks.set(key, mark);
    return Promise.resolve(mark);
  }

  /** Signed amount. */
  positionOf(account: string, symbol: string): string {
    return [...this.#positions.values()].find(({ record }) => record.account === account && record.symbol === symbol)?.record.amount ?? '0';
  }

  #insert(order: Omit<OrderRecord, 'orderId' | 'cancelState' | 'filledAmount' | 'averagePrice' | 'code' | 'reason' | 'lookups'>): OrderRecord {
    const full: OrderRecord = {
      ...order, orderId: String(this.orders.length + 1), cancelState: null, filledAmount: '0', averagePrice: null, code: null, reason: null, lookups: 0,
    };
    this.orders.push(full);
    if (!this.#byLabel.has(full.label)) this.#byLabel.set(full.label, full);
    if (full.signalId !== null) this.#bySignal.set(full.signalId, full);
    this.#index(full);
    return full;
  }

  /** The exchange's id is told later than the label. */
  #index(order: OrderRecord): void {
    if (order.exchangeOrderId === null) return;
    const key = `${order.account} ${order.exchangeOrderId}`;
    if (!this.#byExchange.has(key)) this.#byExchange.set(key, order);
  }

  #record(fill: FillRecord & { orderId: string | null }): void {
    this.fills.push(fill);
    this.#fillsById.set(`${fill.account} ${fill.tradeId}`, fill);
    if (fill.orderId !== null) this.#fillsByOrder.set(fill.orderId, [...(this.#fillsByOrder.get(fill.orderId) ?? []), fill]);
  }

  #byExchangeId(account: string, id: string): OrderRecord | undefined {
    return this.#byExchange.get(`${account} ${id}`);
  }

  #orderOf(account: string, fill: FillRecord): OrderRecord | undefined {
    const byId = this.#byExchangeId(account, fill.exchangeOrderId);
    if (byId !== undefined || fill.label === '') return byId;
    const byLabel = this.#byLabel.get(fill.label);
    return byLabel?.account === account && byLabel.exchangeOrderId === null ? byLabel : undefined;
  }

  #change(order: OrderRecord, change: OrderChange): void {
    const { event, at, detail, ...fields } = change;
    const from = order.state;
    const to = change.state ?? from;
    if (to !== from && !mayMove(from, to)) throw new Error(`order ${order.label}: ${from} may not become ${to} (${event})`);
    Object.assign(order, fields, { version: order.version + 1, updatedTs: at });
    this.#index(order);
    this.#tell(order, from, to, event, at, detail);
  }

  #tell(order: OrderRecord, from: OrderState | null, to: OrderState, event: string, at: number, detail: unknown = null): void {
    this.events.push({ orderId: order.orderId, version: order.version, at, from, to, event, detail });
  }

  #advance(order: OrderRecord, fresh: readonly FillRecord[], termsOf: TermsOf): OrderRecord {
    const own = this.#fillsByOrder.get(order.orderId) ?? [];
    const terms = termsOf(order.symbol);
    const sum = own.reduce((position, { price, amount }) =>
      applyFill(position, { side: 'buy', price: new Exact(price), amount: new Exact(amount), fee: ZERO }, terms), FLAT);
    Object.assign(order, { filledAmount: plain(sum.amount), averagePrice: plain(averagePrice(sum, terms)!) });
    this.#change(order, {
      event: 'filled', at: fresh[0]!.recordedTs, state: stateByFills({ state: order.state, amount: order.amount, filled: sum.amount }),
      exchangeOrderId: fresh[0]!.exchangeOrderId, detail: { trade_ids: fresh.map((fill) => fill.tradeId) },
    });
    return { ...order };
  }

  #move(account: string, fill: FillRecord, termsOf: TermsOf): void {
    const key = positionKey(account, fill.marketId, fill.symbol);
    const { settle, reciprocal } = termsOf(fill.symbol);
    const before = this.#positions.get(key);
    const position = applyFill(before?.position ?? FLAT, {
      side: fill.side, price: new Exact(fill.price), amount: new Exact(fill.amount), fee: new Exact(fill.fee),
    }, { reciprocal });
    const average = averagePrice(position, { reciprocal });
    const record: PositionRecord = {
      account, marketId: fill.marketId, symbol: fill.symbol, settle, updatedTs: fill.recordedTs, amount: plain(position.amount),
      cost: plain(position.cost), averagePrice: average === null ? null : plain(average), realised: plain(position.realised),
      fees: plain(position.fees), funding: plain(position.funding), version: (before?.record.version ?? 0) + 1,
    };
    this.#positions.set(key, { position, record });
  }
}

const positionKey = (account: string, marketId: string, symbol: string): string => `${account} ${marketId} ${symbol}`;

function copy<T extends object>(row: T | undefined): T | null {
  return row === undefined ? null : { ...row };
}
