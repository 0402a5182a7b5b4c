// Table orders with its events: an order and the row that says what happened to it are one statement or one transaction.
import { ORDER_EDGES, mayMove, type OrderReport } from '../../core/trading/order.ts';
import type { Intent, OrderChange, OrderRecord } from '../../core/trading/records.ts';
import type { OrderState } from '../../contracts/index.ts';
import type { Client } from '../connect.ts';
import { timestampOf } from '../unnest.ts';
import { ORDER_COLUMNS, decimal, orderOf, type Row } from './rows.ts';

type Querier = Pick<Client, 'query'>;

const at = (n: number): string => timestampOf(`$${n}::int8`);

const INSERT_INTENT = {
  name: 'insert_intent',
  // PENDING is version 1; one that leaves at once is SENDING already, version 2, and both events tell so.
  text: `WITH fresh AS (
      INSERT INTO orders (label, signal_id, account, strategy, origin, market_id, symbol, instrument_id, side, amount, order_type, price,
        time_in_force, post_only, reduce_only, state, version, epoch, created_at, sent_at, valid_until, updated_at)
      SELECT $1, $2, $3, $4, 'own', $5, $6, (SELECT instrument_id FROM instruments WHERE market_id = $5 AND symbol = $6), $7, $8::numeric, $9,
        $10::numeric, $11, $12, $13, CASE WHEN $14 THEN 'SENDING' ELSE 'PENDING' END, CASE WHEN $14 THEN 2 ELSE 1 END, $15::int8, ${at(16)},
        CASE WHEN $14 THEN ${at(18)} END, ${at(17)}, ${at(18)}
      -- The fence: an executor that was overtaken while it slept commits no intent any more, and so sends none.
      WHERE $15::int8 >= (SELECT last_value FROM executor_epoch)
      ON CONFLICT DO NOTHING RETURNING *
    ), told AS (
      INSERT INTO order_events (order_id, version, at, from_state, to_state, event)
      SELECT order_id, 1, updated_at, NULL, 'PENDING', 'intent' FROM fresh
      UNION ALL SELECT order_id, 2, updated_at, 'PENDING', 'SENDING', 'sending' FROM fresh WHERE state = 'SENDING'
    ) SELECT order_id FROM fresh`,
};

/**
 * null: the label or the signal is known already. All of the row but its number is what was given: describing and reading back its
 * twenty-eight columns was a sixth of the executor's garbage, and an order waits for it.
 */
export async function insertIntent(
  client: Querier, intent: Intent, options: { epoch: number; state: 'PENDING' | 'SENDING'; at: number },
): Promise<OrderRecord | null> {
  const { rows } = await client.query<{ order_id: string }>({
    ...INSERT_INTENT,
    values: [intent.label, intent.signalId, intent.account, intent.strategy, intent.marketId, intent.symbol, intent.side, intent.amount,
      intent.orderType, intent.price, intent.timeInForce, intent.postOnly, intent.reduceOnly, options.state === 'SENDING', options.epoch,
      intent.createdTs, intent.validUntil, options.at],
  });
  if (rows[0] === undefined) return null;
  const leaves = options.state === 'SENDING';
  return {
    ...intent, orderId: rows[0].order_id, amount: decimal(intent.amount), price: intent.price === null ? null : decimal(intent.price), origin: 'own',
    state: options.state, version: leaves ? 2 : 1, cancelState: null, exchangeOrderId: null, filledAmount: '0', averagePrice: null, code: null, reason: null,
    lookups: 0, epoch: options.epoch, sentTs: leaves ? options.at : null, updatedTs: options.at,
  };
}

const INSERT_EXTERNAL = {
  name: 'insert_external',
  text: `WITH fresh AS (
      INSERT INTO orders (label, account, strategy, origin, market_id, symbol, instrument_id, side, amount, order_type, price, post_only,
        reduce_only, state, epoch, exchange_order_id, created_at, valid_until, updated_at)
      SELECT $1, $2, 'external', 'external', $3, $4, (SELECT instrument_id FROM instruments WHERE market_id = $3 AND symbol = $4), $5, $6::numeric,
        CASE WHEN $7::numeric IS NULL THEN 'market' ELSE 'limit' END, $7::numeric, $8, $9, 'OPEN', $10::int8, $11, ${at(12)}, ${at(12)}, ${at(13)}
      ON CONFLICT DO NOTHING RETURNING *
    ), told AS (
      INSERT INTO order_events (order_id, version, at, from_state, to_state, event, detail)
      SELECT order_id, 1, updated_at, NULL, 'OPEN', 'adopted', jsonb_build_object('label', $14::text) FROM fresh
    ) SELECT ${ORDER_COLUMNS} FROM fresh`,
};

/** Records an order of somebody else. Its label is `ext:<exchange order id>`: theirs may be empty or not unique. null: known already. */
export async function insertExternal(
  client: Querier, account: string, marketId: string, report: OrderReport, options: { epoch: number; at: number },
): Promise<OrderRecord | null> {
  const { rows } = await client.query<Row>({
    ...INSERT_EXTERNAL,
    values: [`ext:${report.exchangeOrderId}`.slice(0, 64), account, marketId, report.symbol, report.side, report.amount, report.price, report.postOnly,
      report.reduceOnly, options.epoch, report.exchangeOrderId, report.createdTs, options.at, report.label],
  });
  return rows[0] === undefined ? null : orderOf(rows[0]);
}

export type OrderKey = 'label' | 'signal_id' | 'order_id';

/** The order, locked for the rest of the transaction when `lock`. */
export async function findOrder(client: Querier, key: OrderKey, value: string, lock = false): Promise<OrderRecord | null> {
  const { rows } = await client.query<Row>(`SELECT ${ORDER_COLUMNS} FROM orders WHERE ${key} = $1 ${lock ? 'FOR UPDATE' : ''}`, [value]);
  return rows[0] === undefined ? null : orderOf(rows[0]);
}

export async function findByExchangeId(client: Querier, account: string, exchangeOrderId: string): Promise<OrderRecord | null> {
  const { rows } = await client.query<Row>(
    `SELECT ${ORDER_COLUMNS} FROM orders WHERE account = $1 AND exchange_order_id = $2`, [account, exchangeOrderId]);
  return rows[0] === undefined ? null : orderOf(rows[0]);
}

/** Orders of the account with one of these ids or labels, locked in the order of their keys for the rest of the transaction. */
export async function lockOrders(client: Querier, account: string, ids: readonly string[], labels: readonly string[]): Promise<OrderRecord[]> {
  const { rows } = await client.query<Row>(
    `SELECT ${ORDER_COLUMNS} FROM orders WHERE account = $1 AND (exchange_order_id = ANY($2) OR label = ANY($3)) ORDER BY order_id FOR UPDATE`,
    [account, ids, labels]);
  return rows.map(orderOf);
}

/** Whatever may still work at the exchange, or has a cancellation on its way. */
export async function selectLive(client: Querier, account: string): Promise<OrderRecord[]> {
  const { rows } = await client.query<Row>(
    `SELECT ${ORDER_COLUMNS} FROM orders WHERE account = $1
       AND (state IN ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN') OR cancel_state IS NOT NULL) ORDER BY order_id`, [account]);
  return rows.map(orderOf);
}

/** How far an order has got by its fills. `order` is its row as it is now, locked. */
export interface OrderProgressed {
  order: OrderRecord;
  at: number;
  state: OrderState;
  exchangeOrderId: string;
  filledAmount: string;
  averagePrice: string | null;
  detail: unknown;
}

const ADVANCE = {
  name: 'advance_orders',
  text: `WITH changed AS (
      UPDATE orders AS o SET state = u.state, exchange_order_id = u.exchange_order_id, filled_amount = u.filled, average_price = u.average,
        updated_at = ${timestampOf('u.at')}, version = o.version + 1
      FROM unnest($1::int8[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::int8[], $7::text[])
        AS u(order_id, state, exchange_order_id, filled, average, at, detail)
      WHERE o.order_id = u.order_id RETURNING new.*, old.state AS from_state, u.detail
    ), told AS (
      INSERT INTO order_events (order_id, version, at, from_state, to_state, event, detail)
      SELECT order_id, version, updated_at, from_state, state, 'filled', detail::jsonb FROM changed
    ) SELECT ${ORDER_COLUMNS} FROM changed ORDER BY order_id`,
};

/** Books what fills have made of orders, with an event each. Throws when an edge is not legal: that is a bug of ours, never something to store. */
export async function advanceOrders(client: Querier, progress: readonly OrderProgressed[]): Promise<OrderRecord[]> {
  for (const { order, state } of progress) {
    if (state !== order.state && !mayMove(order.state, state)) throw new IllegalOrderMove(order.label, order.state, state, 'filled');
  }
  const { rows } = await client.query<Row>({
    ...ADVANCE,
    values: [progress.map(({ order }) => order.orderId), progress.map(({ state }) => state), progress.map((p) => p.exchangeOrderId),
      progress.map((p) => p.filledAmount), progress.map((p) => p.averagePrice), progress.map((p) => p.at), progress.map((p) => JSON.stringify(p.detail))],
  });
  return rows.map(orderOf);
}

const CHANGE_AT_ONCE = {
  name: 'change_order_at_once',
  // Whatever changes a row raises its version: with the version right, what is not given is what the caller knew.
  text: `WITH changed AS (
      UPDATE orders AS o SET state = coalesce($3::text, o.state), cancel_state = CASE WHEN $4::bool THEN $5::text ELSE o.cancel_state END,
        exchange_order_id = coalesce($6::text, o.exchange_order_id), amount = coalesce($7::numeric, o.amount),
        price = CASE WHEN $8::bool THEN $9::numeric ELSE o.price END, code = coalesce($10::text, o.code), reason = coalesce($11::text, o.reason),
        lookups = coalesce($12::int4, o.lookups), sent_at = coalesce(${at(13)}, o.sent_at), updated_at = ${at(14)}, version = o.version + 1
      WHERE o.order_id = $1::int8 AND o.version = $2::int4 AND ($3::text IS NULL OR o.state = $3::text OR o.state = ANY($15::text[]))
      RETURNING new.*, old.state AS from_state
    ), told AS (
      INSERT INTO order_events (order_id, version, at, from_state, to_state, event, detail)
      SELECT order_id, version, updated_at, from_state, state, $16, $17::jsonb FROM changed
    ) SELECT ${ORDER_COLUMNS} FROM changed`,
};

/**
 * Changes an order that is at `version` and writes its event; null when it is at another one. One statement, and so one round trip.
 * Throws when the edge is not legal: that is a bug of ours, never something to store.
 */
export async function changeOrderAtOnce(client: Querier, orderId: string, version: number, change: OrderChange): Promise<OrderRecord | null> {
  const { state: to } = change;
  const from = to === undefined ? [] : (Object.keys(ORDER_EDGES) as OrderState[]).filter((state) => mayMove(state, to));
  const { rows } = await client.query<Row>({
    ...CHANGE_AT_ONCE,
    values: [orderId, version, to ?? null, change.cancelState !== undefined, change.cancelState ?? null, change.exchangeOrderId ?? null, change.amount ?? null,
      change.price !== undefined, change.price ?? null, change.code ?? null, change.reason ?? null, change.lookups ?? null, change.sentTs ?? null, change.at,
      from, change.event, change.detail === undefined ? null : JSON.stringify(change.detail)],
  });
  if (rows[0] !== undefined) return orderOf(rows[0]);
  const now = await findOrder(client, 'order_id', orderId);
  if (now === null || now.version !== version || to === undefined) return null;
  throw new IllegalOrderMove(now.label, now.state, to, change.event);
}

export class IllegalOrderMove extends Error {
  override name = 'IllegalOrderMove';
  constructor(label: string, from: OrderState, to: OrderState, event: string) {
    super(`order ${label}: ${from} may not become ${to} (${event})`);
  }
}
