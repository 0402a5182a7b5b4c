// Our own trades as the exchange's log tells them beside `fills`, for audits; what is missing is inserted, for the executor to book.
import type { LoggedTrade } from '../../core/trading/account_log.ts';
import type { FillReport } from '../../core/trading/order.ts';
import type { FillRecord } from '../../core/trading/records.ts';
import type { Client } from '../connect.ts';
import { columnArrays, timestampOf, type Cell, type ColumnTypes } from '../unnest.ts';
import { FILL_COLUMNS, decimal, fillOf, type Row } from './rows.ts';

type Db = Pick<Client, 'query'>;

export interface LoggedAccount {
  readonly account: string;
  readonly marketId: string;
  /** µs; everything before was read. */
  readonly through: number;
}

/** The accounts of some markets whose log was ever read. */
export async function loggedAccounts(db: Db, marketIds: readonly string[]): Promise<LoggedAccount[]> {
  const { rows } = await db.query<{ account: string; marketId: string; us: string }>(
    `SELECT account, market_id AS "marketId", (extract(epoch FROM through) * 1000000)::int8 AS us FROM account_log_reads
     WHERE market_id = ANY($1) ORDER BY 1, 2`, [marketIds]);
  return rows.map(({ us, ...row }) => ({ ...row, through: Number(us) }));
}

export interface Window {
  readonly account: string;
  readonly marketId: string;
  /** since ≤ ts < until, µs. */
  readonly since: number;
  readonly until: number;
}

/**
 * Rows of trades in the window. Left out are those of symbols with an order whose outcome is not known: which order a trade belongs to
 * is what its look-up will say.
 */
export async function loggedTrades(db: Db, { account, marketId, since, until }: Window): Promise<LoggedTrade[]> {
  const { rows } = await db.query<Row>(
    `SELECT trade_id, (extract(epoch FROM ts) * 1000000)::int8 AS us, currency, symbol, exchange_order_id, side, price, amount, liquidity, commission
     FROM account_log l WHERE account = $1 AND market_id = $2 AND trade_id IS NOT NULL
       AND ts >= ${timestampOf('$3::int8')} AND ts < ${timestampOf('$4::int8')}
       AND NOT EXISTS (SELECT FROM orders o WHERE o.account = $1 AND o.symbol = l.symbol AND o.state IN ('PENDING', 'SENDING', 'UNKNOWN')
         AND o.exchange_order_id IS NULL)
     ORDER BY ts, currency, log_id`, [account, marketId, since, until]);
  const text = (value: Row[string] | undefined): string | null => (value === null || value === undefined ? null : String(value));
  const number = (value: Row[string] | undefined): string | null => (value === null || value === undefined ? null : decimal(value));
  return rows.map((row) => ({
    tradeId: text(row['trade_id']), ts: Number(row['us']), currency: String(row['currency']), symbol: text(row['symbol']),
    exchangeOrderId: text(row['exchange_order_id']), side: text(row['side']) as LoggedTrade['side'], price: number(row['price']), amount: number(row['amount']),
    liquidity: text(row['liquidity']) as LoggedTrade['liquidity'], commission: number(row['commission']),
  }));
}

/** Recorded fills by trade id. */
export async function fillsById(db: Db, account: string, tradeIds: readonly string[]): Promise<Map<string, FillRecord>> {
  const { rows } = await db.query<Row>(`SELECT ${FILL_COLUMNS} FROM fills WHERE account = $1 AND trade_id = ANY($2)`, [account, tradeIds]);
  return new Map(rows.map((row) => [String(row['trade_id']), fillOf(row)]));
}

/**
 * Fills in the window that the log does not tell, though it tells what came before and after them in the same currency: it was read
 * there. Deliveries are no trades.
 */
export async function untoldFills(db: Db, { account, marketId, since, until }: Window): Promise<FillRecord[]> {
  const { rows } = await db.query<Row>(
    `SELECT ${FILL_COLUMNS} FROM fills f WHERE account = $1 AND market_id = $2 AND kind IN ('trade', 'liquidation')
       AND f.ts >= ${timestampOf('$3::int8')} AND f.ts < ${timestampOf('$4::int8')}
       AND NOT EXISTS (SELECT FROM account_log l WHERE l.account = f.account AND l.trade_id = f.trade_id)
       AND EXISTS (SELECT FROM account_log l WHERE l.account = f.account AND l.currency = f.fee_currency AND l.ts < f.ts)
       AND EXISTS (SELECT FROM account_log l WHERE l.account = f.account AND l.currency = f.fee_currency AND l.ts > f.ts)
     ORDER BY f.ts, trade_id`, [account, marketId, since, until]);
  return rows.map(fillOf);
}

const TYPES: ColumnTypes = {
  trade_id: 'text', exchange_order_id: 'text', symbol: 'text', ts: 'micros', side: 'text', price: 'numeric', amount: 'numeric', liquidity: 'text',
  fee: 'numeric', fee_currency: 'text',
};
const NAMES = Object.keys(TYPES);

/**
 * Inserts fills that are missing, each with its note for the executor, which alone moves orders and positions. Returns the trade ids
 * that were missing indeed: somebody may have been faster.
 */
export async function insertHealed(
  db: Db, { account, marketId }: Pick<Window, 'account' | 'marketId'>, trades: readonly FillReport[], nowMicros: number,
): Promise<string[]> {
  if (trades.length === 0) return [];
  const arrays = NAMES.map((name, n) => `$${n + 4}::${TYPES[name] === 'micros' ? 'int8' : TYPES[name]}[]`);
  const { rows } = await db.query<{ trade_id: string }>(
    `WITH fresh AS (
       INSERT INTO fills (account, market_id, recorded_at, kind, source, order_id, ${NAMES.join(', ')})
       SELECT $1, $2, ${timestampOf('$3::int8')}, 'trade', 'audit', o.order_id,
         ${NAMES.map((name) => (TYPES[name] === 'micros' ? timestampOf(`u.${name}`) : `u.${name}`)).join(', ')}
       FROM unnest(${arrays.join(', ')}) AS u(${NAMES.join(', ')})
       LEFT JOIN orders o ON o.account = $1 AND o.exchange_order_id = u.exchange_order_id
       ORDER BY u.trade_id ON CONFLICT DO NOTHING RETURNING account, trade_id
     ), noted AS (INSERT INTO fills_to_book (account, trade_id) SELECT account, trade_id FROM fresh)
     SELECT trade_id FROM fresh`,
    [account, marketId, nowMicros, ...columnArrays(TYPES, trades, cell)]);
  return rows.map((row) => row.trade_id);
}

function cell(trade: FillReport, column: string): Cell {
  switch (column) {
    case 'trade_id': return trade.tradeId;
    case 'exchange_order_id': return trade.exchangeOrderId;
    case 'fee_currency': return trade.feeCurrency;
    default: return trade[column as 'symbol' | 'ts' | 'side' | 'price' | 'amount' | 'liquidity' | 'fee'];
  }
}
