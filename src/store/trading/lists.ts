// The books for a look from outside: what operators ask by command.
import type { CaseRecord, OrderRecord, PositionRecord } from '../../core/trading/records.ts';
import type { Client } from '../connect.ts';
import { timestampOf } from '../unnest.ts';
import { CASE_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS, caseOf, orderOf, positionOf, type Row } from './rows.ts';

type Querier = Pick<Client, 'query'>;

export interface Look {
  limit: number;
  /** Only what changed at or after this time, µs; null: whatever there is. */
  since: number | null;
}

/** Orders, the last changed first; `live`: only those that may still work. */
export async function listOrders(client: Querier, { limit, since }: Look, live: boolean): Promise<OrderRecord[]> {
  const { rows } = await client.query<Row>(
    `SELECT ${ORDER_COLUMNS} FROM orders o WHERE ($2::int8 IS NULL OR o.updated_at >= ${timestampOf('$2::int8')})
       AND (NOT $3 OR state IN ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN') OR cancel_state IS NOT NULL)
     ORDER BY o.updated_at DESC, order_id DESC LIMIT $1`, [limit, since, live]);
  return rows.map(orderOf);
}

/** Positions, flat ones too when `flat`. */
export async function listPositions(client: Querier, { limit, since }: Look, flat: boolean): Promise<PositionRecord[]> {
  const { rows } = await client.query<Row>(
    `SELECT ${POSITION_COLUMNS} FROM positions p WHERE ($2::int8 IS NULL OR p.updated_at >= ${timestampOf('$2::int8')}) AND ($3 OR amount <> 0)
     ORDER BY account, market_id, symbol LIMIT $1`, [limit, since, flat]);
  return rows.map(positionOf);
}

/** Cases, the last changed first; those that are settled too when `all`. */
export async function listCases(client: Querier, { limit, since }: Look, all: boolean): Promise<CaseRecord[]> {
  const { rows } = await client.query<Row & { ours: unknown; theirs: unknown; evidence: unknown }>(
    `SELECT ${CASE_COLUMNS} FROM trading_cases c WHERE ($2::int8 IS NULL OR c.updated_at >= ${timestampOf('$2::int8')})
       AND ($3 OR status IN ('open', 'locked')) ORDER BY c.updated_at DESC, case_id DESC LIMIT $1`, [limit, since, all]);
  return rows.map(caseOf);
}

/** One case; null: there is none with this number. */
export async function findCase(client: Querier, caseId: string): Promise<CaseRecord | null> {
  const { rows } = await client.query<Row & { ours: unknown; theirs: unknown; evidence: unknown }>(
    `SELECT ${CASE_COLUMNS} FROM trading_cases WHERE case_id = $1::int8`, [caseId]);
  return rows[0] === undefined ? null : caseOf(rows[0]);
}
