// Rows as messages of stream:order_updates.
import type { OrderUpdate } from '../../contracts/index.ts';
import type { CaseRecord, FillRecord, OrderRecord, PositionRecord, Refusal } from '../../core/trading/records.ts';

export type Update = Omit<OrderUpdate, 'v' | 'account' | 'ts'>;

export function orderUpdate(order: OrderRecord): Update {
  return {
    kind: 'order', label: order.label, market_id: order.marketId, symbol: order.symbol, state: order.state,
    ...(order.signalId === null ? {} : { signal_id: order.signalId }), ...(order.code === null ? {} : { code: order.code.slice(0, 40) }),
    ...(order.reason === null ? {} : { reason: order.reason.slice(0, 512) }),
    data: {
      version: order.version, strategy: order.strategy, origin: order.origin, side: order.side, amount: order.amount, order_type: order.orderType,
      price: order.price, filled_amount: order.filledAmount, average_price: order.averagePrice, exchange_order_id: order.exchangeOrderId,
      cancel_state: order.cancelState,
    },
  };
}

export function fillUpdate(fill: FillRecord): Update {
  return {
    kind: 'fill', market_id: fill.marketId, symbol: fill.symbol, ...(fill.label === '' ? {} : { label: fill.label }),
    data: {
      trade_id: fill.tradeId, exchange_order_id: fill.exchangeOrderId, ts: fill.ts, side: fill.side, price: fill.price, amount: fill.amount,
      liquidity: fill.liquidity, fee: fill.fee, fee_currency: fill.feeCurrency, kind: fill.kind, source: fill.source,
    },
  };
}

export function positionUpdate(position: PositionRecord): Update {
  return {
    kind: 'position', market_id: position.marketId, symbol: position.symbol,
    data: {
      amount: position.amount, average_price: position.averagePrice, realised: position.realised, fees: position.fees, funding: position.funding,
      settle: position.settle,
    },
  };
}

export function caseUpdate(entry: CaseRecord): Update {
  return {
    kind: 'case', ...(entry.marketId === null ? {} : { market_id: entry.marketId }), ...(entry.symbol === null ? {} : { symbol: entry.symbol }),
    code: entry.kind, ...(entry.decision === null ? {} : { reason: entry.decision.slice(0, 512) }),
    data: { case_id: entry.caseId, status: entry.status, attempts: entry.attempts, ours: entry.ours, theirs: entry.theirs, evidence: entry.evidence },
  };
}

export function refusalUpdate(refusal: Refusal): Update {
  return {
    kind: 'refusal', code: refusal.code, reason: refusal.reason.slice(0, 512),
    ...(refusal.signalId === null ? {} : { signal_id: refusal.signalId.slice(0, 64) }),
    data: { strategy: refusal.strategy, symbol: refusal.symbol, signal: refusal.signal },
  };
}
