// Fills, once each, with what follows from them: the orders' progress and the positions, in one transaction.
import { Exact, ZERO, plain } from '../../core/trading/exact.ts';
import { onceEach, sameFill, stateByFills } from '../../core/trading/order.ts';
import { FLAT, applyFill, averagePrice, type Position } from '../../core/trading/position.ts';
import type { FillRecord, FillsApplied, OrderRecord, PositionRecord } from '../../core/trading/records.ts';
import type { Client } from '../connect.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from '../unnest.ts';
import { advanceOrders, lockOrders } from './orders.ts';
import { FILL_COLUMNS, POSITION_COLUMNS, fillOf, positionOf, type Row } from './rows.ts';

export type TermsOf = (symbol: string) => { reciprocal: boolean; settle: string | null };

const TYPES: ColumnTypes = {
  account: 'text', trade_id: 'text', order_id: 'int8', exchange_order_id: 'text', market_id: 'text', symbol: 'text', ts: 'micros', seq: 'int8',
  side: 'text', price: 'numeric', amount: 'numeric', liquidity: 'text', fee: 'numeric', fee_currency: 'text', kind: 'text', source: 'text',
  recorded_at: 'micros',
};
const INSERT = { name: 'insert_fills', text: unnestInsert('fills', TYPES, 'u.trade_id', 'ON CONFLICT DO NOTHING RETURNING trade_id') };

/** All of it or nothing; runs inside the caller's transaction. Fills of one account are applied one transaction after the other. */
export async function applyFills(client: Client, account: string, told: readonly FillRecord[], terms: TermsOf): Promise<FillsApplied> {
  // Positions are read, computed and written: two appliers of one account must not do so at once.
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 7))', [`fills:${account}`]);
  const orders = await ordersOf(client, account, told);
  // Whether a venue tells the taker's side or ours is not certain everywhere; the order knows.
  const { fills, conflicts } = onceEach(told.map((fill) => ({ ...fill, side: orders.get(fill.exchangeOrderId)?.side ?? fill.side })));
  const values = columnArrays(TYPES, fills, (fill, column) => cell(account, fill, orders, column));
  const { rows } = await client.query<{ trade_id: string }>({ ...INSERT, values });
  const freshIds = new Set(rows.map((row) => row.trade_id));
  const fresh = fills.filter((fill) => freshIds.has(fill.tradeId)).sort((a, b) => a.ts - b.ts || (a.seq ?? 0) - (b.seq ?? 0));
  conflicts.push(...(await conflictsOf(client, account, fills.filter((fill) => !freshIds.has(fill.tradeId)))));
  const touched = new Set(fresh.map((fill) => orders.get(fill.exchangeOrderId)?.orderId).filter((id) => id !== undefined));
  return {
    fresh,
    conflicts,
    orders: await advance(client, [...touched], fresh, orders, terms),
    positions: await move(client, account, fresh, terms),
  };
}

/**
 * Books the fills that audits have inserted: they move orders and positions in the transaction that takes them off the list of what is
 * still to be booked. What they explain is evidence of the case that asked. Runs inside the caller's transaction.
 */
export async function bookHealed(client: Client, account: string, terms: TermsOf): Promise<FillsApplied> {
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 7))', [`fills:${account}`]);
  const { rows } = await client.query<Row>(
    `WITH taken AS (DELETE FROM fills_to_book WHERE account = $1 RETURNING trade_id)
     SELECT ${FILL_COLUMNS} FROM fills f WHERE account = $1 AND trade_id IN (SELECT trade_id FROM taken) ORDER BY f.ts, f.seq, trade_id`, [account]);
  const fresh = rows.map(fillOf);
  if (fresh.length === 0) return { fresh, conflicts: [], orders: [], positions: [] };
  const orders = await ordersOf(client, account, fresh);
  const touched = new Set(fresh.map((fill) => orders.get(fill.exchangeOrderId)?.orderId).filter((id) => id !== undefined));
  for (const { symbol, tradeId, exchangeOrderId, side, amount, price, ts, source } of fresh) {
    await client.query(
      `UPDATE trading_cases SET evidence = evidence || $3::jsonb WHERE account = $1 AND symbol = $2 AND kind = 'position_mismatch'
         AND status IN ('open', 'locked')`,
      [account, symbol, JSON.stringify([{ trade_id: tradeId, exchange_order_id: exchangeOrderId, side, amount, price, ts, source }])]);
  }
  return { fresh, conflicts: [], orders: await advance(client, [...touched], fresh, orders, terms), positions: await move(client, account, fresh, terms) };
}

function cell(account: string, fill: FillRecord, orders: ReadonlyMap<string, OrderRecord>, column: string): Cell {
  switch (column) {
    case 'account': return account;
    case 'trade_id': return fill.tradeId;
    case 'order_id': return orders.get(fill.exchangeOrderId)?.orderId ?? null;
    case 'exchange_order_id': return fill.exchangeOrderId;
    case 'market_id': return fill.marketId;
    case 'fee_currency': return fill.feeCurrency;
    case 'recorded_at': return fill.recordedTs;
    default: return fill[column as 'symbol' | 'ts' | 'seq' | 'side' | 'price' | 'amount' | 'liquidity' | 'fee' | 'kind' | 'source'];
  }
}

/** By exchange order id → our order, locked. An order whose acknowledgement never came is known by its label alone. */
async function ordersOf(client: Client, account: string, fills: readonly FillRecord[]): Promise<Map<string, OrderRecord>> {
  const told = new Map(fills.map((fill) => [fill.exchangeOrderId, fill]));
  const locked = await lockOrders(client, account, [...told.keys()], [...new Set(fills.map((fill) => fill.label).filter((label) => label !== ''))]);
  const byId = new Map(locked.flatMap((order) => (order.exchangeOrderId === null ? [] : [[order.exchangeOrderId, order] as const])));
  const byLabel = new Map(locked.map((order) => [order.label, order]));
  const found = new Map<string, OrderRecord>();
  for (const [id, { label }] of told) {
    const order = byId.get(id) ?? byLabel.get(label);
    // The same label on another order of the exchange is not ours: labels are not unique there.
    if (order !== undefined && (order.exchangeOrderId ?? id) === id) found.set(id, order);
  }
  return found;
}

async function conflictsOf(client: Client, account: string, known: readonly FillRecord[]): Promise<FillsApplied['conflicts']> {
  if (known.length === 0) return [];
  const { rows } = await client.query<Row>(`SELECT ${FILL_COLUMNS} FROM fills WHERE account = $1 AND trade_id = ANY($2)`,
    [account, known.map((fill) => fill.tradeId)]);
  const stored = new Map(rows.map((row) => [String(row['trade_id']), fillOf(row)]));
  return known.flatMap((told) => {
    const before = stored.get(told.tradeId);
    return before === undefined || sameFill(before, told) ? [] : [{ known: before, told }];
  });
}

/** A statement for all orders: by itself each would cost three, and fifty thousand fills that were missed are of thousands of orders. */
async function advance(
  client: Client, ids: readonly string[], fresh: readonly FillRecord[], known: ReadonlyMap<string, OrderRecord>, terms: TermsOf,
): Promise<OrderRecord[]> {
  if (ids.length === 0) return [];
  const byId = new Map([...known.values()].map((order) => [order.orderId, order]));
  const own = Map.groupBy(fresh, (fill) => known.get(fill.exchangeOrderId)?.orderId);
  const sums = await sumsOf(client, ids.map((id) => byId.get(id)!), terms);
  return advanceOrders(client, ids.map((id) => {
    const [order, fills, { amount, averagePrice: average }] = [byId.get(id)!, own.get(id)!, sums.get(id)!];
    return {
      order, at: fills[0]!.recordedTs, state: stateByFills({ state: order.state, amount: order.amount, filled: amount }),
      exchangeOrderId: fills[0]!.exchangeOrderId, filledAmount: plain(amount), averagePrice: average === null ? null : plain(average),
      detail: { trade_ids: fills.map((fill) => fill.tradeId) },
    };
  }));
}

/** What each order has come to: the position its fills alone would make. */
async function sumsOf(client: Client, orders: readonly OrderRecord[], terms: TermsOf): Promise<Map<string, { amount: Exact; averagePrice: Exact | null }>> {
  const { rows } = await client.query<{ order_id: string; price: string; amount: string }>(
    'SELECT order_id, price, amount FROM fills WHERE order_id = ANY($1::int8[])', [orders.map((order) => order.orderId)]);
  const fills = Map.groupBy(rows, (row) => row.order_id);
  return new Map(orders.map(({ orderId, symbol }) => {
    const of = terms(symbol);
    const sum = (fills.get(orderId) ?? []).reduce((position, { price, amount }) =>
      applyFill(position, { side: 'buy', price: new Exact(price), amount: new Exact(amount), fee: ZERO }, of), FLAT);
    return [orderId, { amount: sum.amount, averagePrice: averagePrice(sum, of) }];
  }));
}

async function move(client: Client, account: string, fresh: readonly FillRecord[], terms: TermsOf): Promise<PositionRecord[]> {
  const moved: PositionRecord[] = [];
  for (const key of new Set(fresh.map((fill) => `${fill.marketId} ${fill.symbol}`))) {
    const own = fresh.filter((fill) => `${fill.marketId} ${fill.symbol}` === key);
    const { marketId, symbol, recordedTs } = own[0]!;
    const { reciprocal, settle } = terms(symbol);
    const before = await storedPosition(client, account, marketId, symbol);
    const after = own.reduce((position, fill) => applyFill(position, {
      side: fill.side, price: new Exact(fill.price), amount: new Exact(fill.amount), fee: new Exact(fill.fee),
    }, { reciprocal }), before);
    moved.push(await writePosition(client, { account, marketId, symbol, settle, updatedTs: recordedTs }, after, averagePrice(after, { reciprocal })));
  }
  return moved;
}

async function storedPosition(client: Client, account: string, marketId: string, symbol: string): Promise<Position> {
  const { rows } = await client.query<Record<'amount' | 'cost' | 'realised' | 'fees' | 'funding', string>>(
    'SELECT amount, cost, realised, fees, funding FROM positions WHERE account = $1 AND market_id = $2 AND symbol = $3', [account, marketId, symbol]);
  const [row] = rows;
  if (row === undefined) return FLAT;
  return {
    amount: new Exact(row.amount), cost: new Exact(row.cost), realised: new Exact(row.realised), fees: new Exact(row.fees), funding: new Exact(row.funding),
  };
}

async function writePosition(
  client: Client, key: Pick<PositionRecord, 'account' | 'marketId' | 'symbol' | 'settle' | 'updatedTs'>, position: Position, average: Exact | null,
): Promise<PositionRecord> {
  const { rows } = await client.query<Row>(
    `INSERT INTO positions AS p (account, market_id, symbol, amount, cost, average_price, realised, fees, funding, settle, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, ${timestampOf('$11::int8')})
     ON CONFLICT (account, market_id, symbol) DO UPDATE SET amount = excluded.amount, cost = excluded.cost, average_price = excluded.average_price,
       realised = excluded.realised, fees = excluded.fees, funding = excluded.funding, settle = excluded.settle, updated_at = excluded.updated_at,
       version = p.version + 1
     RETURNING ${POSITION_COLUMNS}`,
    [key.account, key.marketId, key.symbol, plain(position.amount), plain(position.cost), average === null ? null : plain(average),
      plain(position.realised), plain(position.fees), plain(position.funding), key.settle, key.updatedTs]);
  return positionOf(rows[0]!);
}
