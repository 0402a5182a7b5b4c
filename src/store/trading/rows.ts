// Rows of the trading tables as the records of core/trading: times as µs, decimals as the text PostgreSQL keeps.
import type { OrderState } from '../../contracts/index.ts';
import type { CaseRecord, FillRecord, OrderRecord, PositionRecord } from '../../core/trading/records.ts';

/** `column` as integer µs since the epoch, exact (extract gives numeric). */
const micros = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::int8 AS ${column}`;

export const ORDER_COLUMNS = `order_id, label, signal_id, account, strategy, origin, market_id, symbol, side, amount, order_type, price,
  time_in_force, post_only, reduce_only, state, version, cancel_state, exchange_order_id, filled_amount, average_price, code, reason,
  lookups, epoch, ${['created_at', 'sent_at', 'valid_until', 'updated_at'].map(micros).join(', ')}`;

export const FILL_COLUMNS = `account, trade_id, exchange_order_id, market_id, symbol, ${micros('ts')}, seq, side, price, amount, liquidity, fee,
  fee_currency, kind, source, ${micros('recorded_at')}`;

export const POSITION_COLUMNS = `account, market_id, symbol, amount, cost, average_price, realised, fees, funding, settle, version, ${micros('updated_at')}`;

export const CASE_COLUMNS = `case_id, account, kind, market_id, symbol, ours, theirs, evidence, status, decision, attempts,
  ${['opened_at', 'updated_at', 'closed_at'].map(micros).join(', ')}`;

/** int8 and numeric come as text. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

const time = (value: Row[string]): number => Number(value);
const optionalTime = (value: Row[string]): number | null => (value === null ? null : Number(value));
const text = (value: Row[string]): string => String(value);
const optional = (value: Row[string]): string | null => (value === null ? null : String(value));

/** numeric keeps the scale it was written with; records hold the shortest plain text. */
export function decimal(value: Row[string]): string {
  const written = String(value);
  return written.includes('.') ? written.replace(/\.?0+$/, '') : written;
}
const optionalDecimal = (value: Row[string]): string | null => (value === null ? null : decimal(value));

export function orderOf(row: Row): OrderRecord {
  return {
    orderId: text(row['order_id']!), label: text(row['label']!), signalId: optional(row['signal_id']!), account: text(row['account']!),
    strategy: text(row['strategy']!), origin: row['origin'] as OrderRecord['origin'], marketId: text(row['market_id']!),
    symbol: text(row['symbol']!), side: row['side'] as OrderRecord['side'], amount: decimal(row['amount']!),
    orderType: row['order_type'] as OrderRecord['orderType'], price: optionalDecimal(row['price']!),
    timeInForce: row['time_in_force'] as OrderRecord['timeInForce'], postOnly: row['post_only'] === true, reduceOnly: row['reduce_only'] === true,
    state: row['state'] as OrderState, version: Number(row['version']), cancelState: row['cancel_state'] as OrderRecord['cancelState'],
    exchangeOrderId: optional(row['exchange_order_id']!), filledAmount: decimal(row['filled_amount']!),
    averagePrice: optionalDecimal(row['average_price']!), code: optional(row['code']!), reason: optional(row['reason']!),
    lookups: Number(row['lookups']), epoch: Number(row['epoch']), createdTs: time(row['created_at']!), sentTs: optionalTime(row['sent_at']!),
    validUntil: time(row['valid_until']!), updatedTs: time(row['updated_at']!),
  };
}

export function fillOf(row: Row): FillRecord {
  return {
    account: text(row['account']!), tradeId: text(row['trade_id']!), exchangeOrderId: text(row['exchange_order_id']!), label: '',
    marketId: text(row['market_id']!), symbol: text(row['symbol']!), ts: time(row['ts']!), seq: row['seq'] === null ? null : Number(row['seq']),
    side: row['side'] as FillRecord['side'], price: decimal(row['price']!), amount: decimal(row['amount']!),
    liquidity: row['liquidity'] as FillRecord['liquidity'], fee: decimal(row['fee']!), feeCurrency: text(row['fee_currency']!),
    kind: row['kind'] as FillRecord['kind'], source: row['source'] as FillRecord['source'], recordedTs: time(row['recorded_at']!),
  };
}

export function positionOf(row: Row): PositionRecord {
  return {
    account: text(row['account']!), marketId: text(row['market_id']!), symbol: text(row['symbol']!), amount: decimal(row['amount']!),
    cost: decimal(row['cost']!), averagePrice: optionalDecimal(row['average_price']!), realised: decimal(row['realised']!),
    fees: decimal(row['fees']!), funding: decimal(row['funding']!), settle: optional(row['settle']!), updatedTs: time(row['updated_at']!),
    version: Number(row['version']),
  };
}

export function caseOf(row: Row & { ours: unknown; theirs: unknown; evidence: unknown }): CaseRecord {
  return {
    caseId: text(row['case_id']!), account: text(row['account']!), kind: row['kind'] as CaseRecord['kind'], marketId: optional(row['market_id']!),
    symbol: optional(row['symbol']!), ours: row.ours, theirs: row.theirs, evidence: row.evidence, status: row['status'] as CaseRecord['status'],
    decision: optional(row['decision']!), attempts: Number(row['attempts']), openedTs: time(row['opened_at']!), updatedTs: time(row['updated_at']!),
    closedTs: optionalTime(row['closed_at']!),
  };
}
