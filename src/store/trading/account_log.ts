// account_log, row by row as the exchange told it, and what follows from it: funding in the positions, how far it was read, money from outside.
import { TRADING_TYPES, type AccountLogRow } from '../../core/trading/account_log.ts';
import type { FillsApplied, PositionRecord } from '../../core/trading/records.ts';
import { transaction, type Client, type Pool } from '../connect.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from '../unnest.ts';
import { bookHealed, type TermsOf } from './fills.ts';
import { POSITION_COLUMNS, decimal, positionOf, type Row } from './rows.ts';

const TYPES: ColumnTypes = {
  account: 'text', market_id: 'text', log_id: 'text', ts: 'micros', currency: 'text', type: 'text', symbol: 'text', trade_id: 'text', change: 'numeric',
  balance: 'numeric', commission: 'numeric', exchange_order_id: 'text', side: 'text', price: 'numeric', amount: 'numeric', liquidity: 'text',
  funding: 'numeric', raw: 'jsonb',
};
const INSERT = {
  name: 'insert_account_log',
  text: unnestInsert('account_log', TYPES, 'u.currency, u.log_id', 'ON CONFLICT DO NOTHING RETURNING currency, log_id, symbol, funding'),
};

export interface LogAppended {
  /** How many rows were not known. */
  fresh: number;
  /** Those whose funding has changed. */
  positions: PositionRecord[];
}

/** The account's log and what audits made of it, for its one writer. Each method is one transaction; repeating it changes nothing. */
export class AccountLogBooks {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** Time (µs) of the newest row by currency. */
  async lastTs(account: string): Promise<Map<string, number>> {
    const { rows } = await this.#pool.query<{ currency: string; ts: string }>(
      'SELECT currency, (extract(epoch FROM max(ts)) * 1000000)::int8 AS ts FROM account_log WHERE account = $1 GROUP BY 1', [account]);
    return new Map(rows.map(({ currency, ts }) => [currency, Number(ts)]));
  }

  /** Appends what is new, with its funding in the positions. */
  append(account: string, marketId: string, rows: readonly AccountLogRow[], settleOf: TermsOf): Promise<LogAppended> {
    if (rows.length === 0) return Promise.resolve({ fresh: 0, positions: [] });
    return transaction(this.#pool, (client) => appendRows(client, { account, marketId }, rows, settleOf));
  }

  /** Notes that everything before `through` (µs) was read. */
  async readThrough(account: string, marketId: string, through: number): Promise<void> {
    await this.#pool.query(
      `INSERT INTO account_log_reads AS r (account, market_id, through) VALUES ($1, $2, ${timestampOf('$3::int8')})
       ON CONFLICT (account, market_id) DO UPDATE SET through = greatest(r.through, excluded.through)`, [account, marketId, through]);
  }

  /** What audits have inserted becomes part of orders and positions, each fill once. */
  async takeHealed(account: string, terms: TermsOf): Promise<FillsApplied> {
    const { rowCount } = await this.#pool.query('SELECT FROM fills_to_book WHERE account = $1 LIMIT 1', [account]);
    if (rowCount === 0) return { fresh: [], conflicts: [], orders: [], positions: [] };
    return transaction(this.#pool, (client) => bookHealed(client, account, terms));
  }

  /** Deposits, transfers, spot trades and the like by currency: what neither fills of derivatives nor funding tell. */
  outside(account: string): Promise<Map<string, string>> {
    return outsideMoney(this.#pool, account);
  }
}

async function appendRows(
  client: Client, { account, marketId }: { account: string; marketId: string }, rows: readonly AccountLogRow[], settleOf: TermsOf,
): Promise<LogAppended> {
  // Positions are written by whoever applies fills, too.
  await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 7))', [`fills:${account}`]);
  const { rows: fresh } = await client.query<Row>({ ...INSERT, values: columnArrays(TYPES, rows, (row, column) => cell(account, marketId, row, column)) });
  const positions = new Map<string, PositionRecord>();
  const known = new Map(rows.map((row) => [`${row.currency} ${row.logId}`, row]));
  for (const { currency, log_id: id, symbol, funding } of fresh) {
    if (symbol === null || funding === null) continue;
    const { ts } = known.get(`${String(currency)} ${String(id)}`)!;
    const position = await addFunding(client, [account, marketId, String(symbol), String(funding), settleOf(String(symbol)).settle ?? String(currency), ts]);
    positions.set(position.symbol, position);
  }
  return { fresh: fresh.length, positions: [...positions.values()] };
}

/** Exact: PostgreSQL adds decimals. */
async function addFunding(client: Client, values: readonly Cell[]): Promise<PositionRecord> {
  const { rows } = await client.query<Row>(
    `INSERT INTO positions AS p (account, market_id, symbol, amount, cost, average_price, realised, fees, funding, settle, updated_at)
     VALUES ($1, $2, $3, 0, 0, NULL, 0, 0, $4, $5, ${timestampOf('$6::int8')})
     ON CONFLICT (account, market_id, symbol) DO UPDATE SET funding = p.funding + excluded.funding, settle = coalesce(p.settle, excluded.settle),
       updated_at = greatest(p.updated_at, excluded.updated_at), version = p.version + 1
     RETURNING ${POSITION_COLUMNS}`, [...values]);
  return positionOf(rows[0]!);
}

function cell(account: string, marketId: string, row: AccountLogRow, column: string): Cell {
  switch (column) {
    case 'account': return account;
    case 'market_id': return marketId;
    case 'log_id': return row.logId;
    case 'trade_id': return row.tradeId;
    case 'exchange_order_id': return row.exchangeOrderId;
    case 'raw': return JSON.stringify(row.raw);
    default:
      return row[column as 'ts' | 'currency' | 'type' | 'symbol' | 'change' | 'balance' | 'commission' | 'side' | 'price' | 'amount' | 'liquidity' | 'funding'];
  }
}

/** By currency; see AccountLogBooks. */
export async function outsideMoney(db: Pick<Client, 'query'>, account: string): Promise<Map<string, string>> {
  const { rows } = await db.query<{ currency: string; sum: string }>(
    `SELECT l.currency, sum(l.change) AS sum FROM account_log l LEFT JOIN instruments i USING (market_id, symbol)
     WHERE l.account = $1 AND (l.type <> ALL($2) OR i.kind = 'spot') GROUP BY 1`, [account, TRADING_TYPES]);
  return new Map(rows.map(({ currency, sum }) => [currency, decimal(sum)]));
}
