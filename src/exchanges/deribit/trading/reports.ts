// Deribit's order, trade, position and log objects as the fleet's reports. https://docs.deribit.com (order and trade objects)
import { z } from 'zod';
import { explain } from '../../../contracts/index.ts';
import type { AccountLogRow } from '../../../core/trading/account_log.ts';
import { Exact, plain } from '../../../core/trading/exact.ts';
import type { FillReport, OrderReport } from '../../../core/trading/order.ts';
import { decimalText, idText, whole } from '../../rest_reader.ts';
import { VenueError, type AccountReport, type PositionReport } from '../../trading.ts';

const side = z.enum(['buy', 'sell']);
/** Of a quotient: far below what balances are kept in. */
const WORTH_DECIMALS = 24;

const orderSchema = z.object({
  order_id: idText,
  // Labels of hand-made orders are empty or missing.
  label: z.string().optional(),
  instrument_name: z.string(),
  direction: side,
  order_state: z.enum(['open', 'filled', 'cancelled', 'rejected', 'untriggered', 'triggered']),
  amount: decimalText,
  filled_amount: decimalText,
  average_price: decimalText,
  // A number, or the word market_price.
  price: z.union([z.literal('market_price'), decimalText]).optional(),
  reduce_only: z.boolean().optional(),
  post_only: z.boolean().optional(),
  cancel_reason: z.string().optional(),
  reject_reason: z.string().optional(),
  creation_timestamp: whole,
  last_update_timestamp: whole,
}).transform((order): OrderReport => ({
  exchangeOrderId: order.order_id,
  label: order.label ?? '',
  symbol: order.instrument_name,
  side: order.direction,
  // Trigger orders rest like any other until they end.
  state: order.order_state === 'untriggered' || order.order_state === 'triggered' ? 'open' : order.order_state,
  amount: order.amount,
  filledAmount: order.filled_amount,
  averagePrice: isZero(order.filled_amount) ? null : order.average_price,
  price: order.price === undefined || order.price === 'market_price' ? null : order.price,
  reduceOnly: order.reduce_only ?? false,
  postOnly: order.post_only ?? false,
  reason: order.cancel_reason ?? order.reject_reason ?? null,
  createdTs: order.creation_timestamp * 1000,
  updatedTs: order.last_update_timestamp * 1000,
}));

const tradeSchema = z.object({
  trade_id: idText,
  trade_seq: whole,
  order_id: idText,
  label: z.string().optional(),
  instrument_name: z.string(),
  timestamp: whole,
  direction: side,
  price: decimalText,
  amount: decimalText,
  fee: decimalText,
  fee_currency: z.string(),
  liquidity: z.enum(['M', 'T']),
  order_type: z.string().optional(),
}).transform((trade): FillReport => ({
  tradeId: trade.trade_id,
  exchangeOrderId: trade.order_id,
  label: trade.label ?? '',
  symbol: trade.instrument_name,
  seq: trade.trade_seq,
  ts: trade.timestamp * 1000,
  side: trade.direction,
  price: trade.price,
  amount: trade.amount,
  liquidity: trade.liquidity === 'M' ? 'maker' : 'taker',
  fee: trade.fee,
  feeCurrency: trade.fee_currency,
  kind: trade.order_type === 'liquidation' ? 'liquidation' : 'trade',
}));

const positionSchema = z.object({
  instrument_name: z.string(),
  direction: z.enum(['buy', 'sell', 'zero']),
  size: decimalText,
  average_price: decimalText,
  mark_price: decimalText.optional(),
}).transform((position): PositionReport => ({
  symbol: position.instrument_name,
  // Shorts are told negative; a venue that forgets the sign still tells the direction.
  amount: position.direction === 'zero' ? '0' : position.direction === 'sell' && !position.size.startsWith('-') ? negative(position.size) : position.size,
  averagePrice: isZero(position.size) ? null : position.average_price,
  markPrice: position.mark_price ?? null,
}));

const accountSchema = z.object({
  currency: z.string(), balance: decimalText, equity: decimalText, available_funds: decimalText, initial_margin: decimalText,
  maintenance_margin: decimalText,
}).transform((account): AccountReport => ({
  currency: account.currency, balance: account.balance, equity: account.equity, availableFunds: account.available_funds,
  initialMargin: account.initial_margin, maintenanceMargin: account.maintenance_margin,
}));

const absent = <T extends z.ZodType>(schema: T): z.ZodOptional<z.ZodNullable<T>> => schema.nullable().optional();

const logSchema = z.looseObject({
  // One trade that crosses zero gives two rows with one trade_id: the row's own id is the key.
  id: idText, timestamp: whole, currency: z.string(), type: z.string(), instrument_name: absent(z.string()), trade_id: absent(idText),
  change: decimalText, balance: absent(decimalText), commission: absent(decimalText), cashflow: absent(decimalText), order_id: absent(idText),
  side: absent(z.string()), price: absent(decimalText), amount: absent(decimalText), user_role: absent(z.string()),
  interest_pl: absent(decimalText), total_interest_pl: absent(decimalText),
}).transform((row): AccountLogRow => {
  const delivery = row.type === 'delivery';
  const isTrade = typeof row.trade_id === 'string';
  return {
    logId: row.id, ts: row.timestamp * 1000, currency: row.currency, type: row.type, symbol: row.instrument_name ?? null, tradeId: row.trade_id ?? null,
    change: row.change, balance: row.balance ?? null, commission: row.commission ?? null, exchangeOrderId: row.order_id ?? null,
    side: isTrade || delivery ? sideOfRow(row.side ?? '') : null, price: delivery ? deliveryPrice(row) : row.price ?? null, amount: row.amount ?? null,
    liquidity: row.user_role === 'maker' || row.user_role === 'taker' ? row.user_role : null,
    // `interest_pl` counts from the session's last row on, trades included; the session's own sum is told beside it.
    funding: row.type === 'settlement' || delivery ? row.total_interest_pl ?? row.interest_pl ?? null : null, raw: row,
  };
});

/** `open buy`, `close sell`, of spot pairs `buy`; of positions that end `long` and `short`: they are sold and bought back. */
function sideOfRow(told: string): 'buy' | 'sell' | null {
  const word = told.split(' ').at(-1);
  if (word === 'long') return 'sell';
  if (word === 'short') return 'buy';
  return word === 'buy' || word === 'sell' ? word : null;
}

const OPTION = /-[CP]$/;

/** Of options the row tells the index as its price: what one was worth follows from the cash. */
function deliveryPrice(row: { [name in 'instrument_name' | 'price' | 'cashflow' | 'amount']?: string | null | undefined }): string | null {
  const { instrument_name: symbol, price, cashflow, amount } = row;
  if (typeof symbol !== 'string' || !OPTION.test(symbol)) return price ?? null;
  if (typeof cashflow !== 'string' || typeof amount !== 'string' || isZero(amount)) return null;
  return plain(new Exact(cashflow).div(amount).abs().toDecimalPlaces(WORTH_DECIMALS));
}

/** `private/buy` and `sell`: the order and its immediate fills. */
export const placedSchema = z.object({ order: orderSchema, trades: z.array(tradeSchema) });
export const ordersSchema = z.array(orderSchema);
export const oneOrderSchema = orderSchema;
export const fillsSchema = z.object({ trades: z.array(tradeSchema), has_more: z.boolean() });
export const oneFillSchema = tradeSchema;
export const positionsSchema = z.array(positionSchema);
/** `get_account_summaries`. */
export const accountsSchema = z.object({ summaries: z.array(accountSchema) });
export const logPageSchema = z.object({ logs: z.array(logSchema), continuation: whole.nullable().optional() });
/** A list, or with `with_continuation` an object; how the list is called in it is not said, so both likely names are taken. */
export const historySchema = z.union([
  z.array(orderSchema).transform((orders) => ({ orders, continuation: null as string | null })),
  z.object({ orders: z.array(orderSchema), continuation: z.string().nullable().optional() }),
  z.object({ result: z.array(orderSchema), continuation: z.string().nullable().optional() })
    .transform(({ result, continuation }) => ({ orders: result, continuation })),
]).transform(({ orders, continuation }) => ({ orders, continuation: continuation ?? null }));

/** Reads an answer; one that is not as documented is a failed read, never an empty list. */
export function readAnswer<T>(schema: z.ZodType<T>, answer: unknown, what: string): T {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw new VenueError(`${what}: ${explain(result.error, answer)}`, 'malformed', false, { cause: result.error });
}

const isZero = (decimal: string): boolean => /^-?0(\.0*)?$/.test(decimal);
const negative = (decimal: string): string => (isZero(decimal) ? '0' : `-${decimal}`);
