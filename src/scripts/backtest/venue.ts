// The simulator's matching engine as the executor's venue, in process and at once: every answer is the exchange's own, nothing is lost.
import { once } from 'node:events';
import type { FillReport, OrderReport } from '../../core/trading/order.ts';
import { codeName } from '../../exchanges/deribit/trading/codes.ts';
import type {
  AccountIdentity, AccountReport, CancelCount, CancelOutcome, OrderRequest, PositionReport, PrivateEvent, SubmitOutcome, TradingVenue,
} from '../../exchanges/trading.ts';
import type { Change, Fill } from '../../simulator/deribit/private/commands.ts';
import type { MatchingEngine } from '../../simulator/deribit/private/matching.ts';
import { dec, decText, type Dec } from '../../simulator/deribit/private/money.ts';
import { orderAverage, type Order } from '../../simulator/deribit/private/orders.ts';
import { averagePrice } from '../../simulator/deribit/private/position.ts';
import { RpcError } from '../../simulator/deribit/rpc.ts';

export class EngineVenue implements TradingVenue {
  /** Nobody reads the log of a replay. */
  readonly logCurrencies: readonly string[] = [];
  readonly #engine: MatchingEngine;
  readonly #nowMs: () => number;
  #changes: Change[] = [];

  constructor(engine: MatchingEngine, nowMs: () => number) {
    this.#engine = engine;
    this.#nowMs = nowMs;
  }

  /** What requests did beside their own answers, since the last call. */
  take(): readonly Change[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  identity(): Promise<AccountIdentity> {
    return Promise.resolve({ account: 'backtest', scopes: [], hasWallet: false, mayTrade: true });
  }

  time(): Promise<number> {
    return Promise.resolve(this.#nowMs() * 1000);
  }

  submit(request: OrderRequest): Promise<SubmitOutcome> {
    const { symbol, side, orderType, timeInForce, label, postOnly, reduceOnly } = request;
    return Promise.resolve(this.#attempt((): SubmitOutcome => {
      const { order, fills, changes } = this.#engine.execute(this.#nowMs(), {
        do: 'place', side, symbol, amount: dec(request.amount), type: orderType, price: request.price === null ? null : dec(request.price),
        timeInForce: orderType === 'market' ? null : timeInForce, label, postOnly, reduceOnly, validUntilMs: Math.floor(request.validUntil / 1000),
      });
      this.#changes.push(...changes);
      return { kind: 'accepted', order: orderReport(order!), fills: fills.map(fillReport) };
    }));
  }

  cancel(exchangeOrderId: string): Promise<CancelOutcome> {
    return Promise.resolve(this.#attempt((): CancelOutcome => {
      const { order, changes } = this.#engine.execute(this.#nowMs(), { do: 'cancel', orderId: exchangeOrderId });
      this.#changes.push(...changes);
      return { kind: 'done', order: orderReport(order!) };
    }));
  }

  cancelByLabel(label: string): Promise<CancelCount> {
    return this.#cancelWhere((order) => order.label === label);
  }

  cancelAll(): Promise<CancelCount> {
    return this.#cancelWhere(() => true);
  }

  openOrders(): Promise<OrderReport[]> {
    return Promise.resolve(this.#engine.orders.open().map(orderReport));
  }

  ordersByLabel(label: string): Promise<OrderReport[]> {
    return Promise.resolve(this.#engine.orders.labelled(label).map(orderReport));
  }

  order(exchangeOrderId: string): Promise<OrderReport | null> {
    const order = this.#engine.orders.get(exchangeOrderId);
    return Promise.resolve(order === null ? null : orderReport(order));
  }

  closedOrders(since: number): Promise<OrderReport[]> {
    return Promise.resolve(this.#engine.orders.closed.filter((order) => order.updatedMs * 1000 >= since).map(orderReport).reverse());
  }

  fills(from: number, to: number): Promise<FillReport[]> {
    return Promise.resolve(this.#engine.fills.map(fillReport).filter(({ ts }) => ts >= from && ts <= to));
  }

  positions(): Promise<PositionReport[]> {
    return Promise.resolve(this.#engine.account.positions().map((position) => ({
      symbol: position.contract.symbol, amount: text(position.amount), averagePrice: position.amount === 0n ? null : text(averagePrice(position)),
      markPrice: text(this.#engine.markets.mark(position.contract.symbol)),
    })));
  }

  accounts(): Promise<AccountReport[]> {
    return Promise.resolve(this.#engine.account.currencies.map((currency) => {
      const { balance, equity, availableFunds, initialMargin, maintenanceMargin } = this.#engine.summary(currency);
      return {
        currency, balance: text(balance), equity: text(equity), availableFunds: text(availableFunds), initialMargin: text(initialMargin),
        maintenanceMargin: text(maintenanceMargin),
      };
    }));
  }

  accountLog(): Promise<never[]> {
    return Promise.resolve([]);
  }

  /** Changes are booked by the replay itself, each before the next moment. */
  async *events(signal: AbortSignal): AsyncIterable<PrivateEvent> {
    yield { kind: 'ready' };
    if (!signal.aborted) await once(signal, 'abort');
  }

  #cancelWhere(where: (order: Order) => boolean): Promise<CancelCount> {
    const { cancelled, changes } = this.#engine.execute(this.#nowMs(), { do: 'cancel_where', where });
    this.#changes.push(...changes);
    return Promise.resolve({ kind: 'done', count: cancelled.length });
  }

  /** The engine refuses before it changes anything. */
  #attempt<T>(act: () => T): T | { kind: 'refused'; code: string; reason: string } {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return { kind: 'refused', code: codeName(error.code), reason: error.message };
    }
  }
}

export function orderReport(order: Order): OrderReport {
  return {
    exchangeOrderId: order.id, label: order.label, symbol: order.contract.symbol, side: order.side, state: order.status, amount: text(order.amount),
    filledAmount: text(order.filled), averagePrice: order.filled === 0n ? null : text(orderAverage(order)),
    price: order.price === null ? null : text(order.price), reduceOnly: order.reduceOnly, postOnly: order.postOnly, reason: order.cancelReason,
    createdTs: order.createdMs * 1000, updatedTs: order.updatedMs * 1000,
  };
}

export function fillReport(fill: Fill): FillReport {
  return {
    tradeId: fill.tradeId, exchangeOrderId: fill.order.id, label: fill.order.label, symbol: fill.contract.symbol, seq: fill.tradeSeq,
    ts: fill.timestampMs * 1000, side: fill.side, price: text(fill.price), amount: text(fill.amount), liquidity: fill.liquidity === 'M' ? 'maker' : 'taker',
    fee: text(fill.fee), feeCurrency: fill.contract.currency, kind: 'trade',
  };
}

/** Plain text without trailing zeros. */
export const text = (value: Dec): string => decText(value).replace(/\.0$/, '');
