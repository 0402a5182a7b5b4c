// The trading tables for those who only look: the newest rows, the books, and the curve of what was won and lost.
import type { CaseRecord, FillRecord, OrderRecord, PositionRecord } from '../../core/trading/records.ts';
import type { Client } from '../connect.ts';
import { CASE_COLUMNS, FILL_COLUMNS, ORDER_COLUMNS, POSITION_COLUMNS, caseOf, fillOf, orderOf, positionOf, type Row } from './rows.ts';

type Db = Pick<Client, 'query'>;

/** As the partial index has them. */
const LIVE = `state IN ('PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED', 'UNKNOWN')`;
const NEWEST = 'ORDER BY orders.created_at DESC, order_id DESC LIMIT $1';

/** All reject with the database's error; times are µs. Those at work first: one that rests for days must not sink below what came later. */
export const newestOrders = async (db: Db, limit: number): Promise<OrderRecord[]> => (await db.query<Row>(
  `(SELECT ${ORDER_COLUMNS} FROM orders WHERE ${LIVE} ${NEWEST}) UNION ALL (SELECT ${ORDER_COLUMNS} FROM orders WHERE NOT ${LIVE} ${NEWEST}) LIMIT $1`, [limit],
)).rows.map(orderOf);

/** How many orders may still be filled, and of how many of them the outcome is not known. */
export async function countLiveOrders(db: Db): Promise<{ live: number; unknown: number }> {
  const { rows } = await db.query<{ live: number; unknown: number }>(
    `SELECT count(*) FILTER (WHERE state <> 'UNKNOWN')::int AS live, count(*) FILTER (WHERE state = 'UNKNOWN')::int AS unknown FROM orders WHERE ${LIVE}`);
  return rows[0] ?? { live: 0, unknown: 0 };
}

export const newestFills = async (db: Db, limit: number): Promise<FillRecord[]> =>
  (await db.query<Row>(`SELECT ${FILL_COLUMNS} FROM fills ORDER BY fills.ts DESC, trade_id LIMIT $1`, [limit])).rows.map(fillOf);

/** Another one whenever a fill was recorded, also one of long ago that the reconciliation has found. */
export const fillsMark = async (db: Db): Promise<string> =>
  (await db.query<{ mark: string }>(`SELECT count(*) || ' ' || coalesce(max(recorded_at)::text, '') AS mark FROM fills`)).rows[0]?.mark ?? '';

export const allPositions = async (db: Db): Promise<PositionRecord[]> =>
  (await db.query<Row>(`SELECT ${POSITION_COLUMNS} FROM positions ORDER BY account, market_id, symbol`)).rows.map(positionOf);

/** Unsettled ones first. */
export const newestCases = async (db: Db, limit: number): Promise<CaseRecord[]> =>
  (await db.query<Row & Record<'ours' | 'theirs' | 'evidence', unknown>>(
    `SELECT ${CASE_COLUMNS} FROM trading_cases ORDER BY status IN ('open', 'locked') DESC, trading_cases.updated_at DESC LIMIT $1`, [limit],
  )).rows.map(caseOf);

export interface RefusalGlance {
  readonly at: number;
  readonly strategy: string | null;
  readonly marketId: string | null;
  readonly symbol: string | null;
  readonly code: string;
  readonly reason: string;
}

export async function newestRefusals(db: Db, limit: number): Promise<RefusalGlance[]> {
  const { rows } = await db.query<Omit<RefusalGlance, 'at'> & { at: string }>(
    `SELECT (extract(epoch FROM at) * 1000000)::int8 AS at, strategy, market_id AS "marketId", symbol, code, reason
     FROM risk_refusals ORDER BY risk_refusals.at DESC, refusal_id DESC LIMIT $1`, [limit]);
  return rows.map((row) => ({ ...row, at: Number(row.at) }));
}

export interface FlagGlance {
  readonly name: string;
  readonly value: string;
  readonly at: number;
  readonly by: string;
  readonly reason: string | null;
}

export async function allFlags(db: Db): Promise<FlagGlance[]> {
  const { rows } = await db.query<Omit<FlagGlance, 'at'> & { at: string }>(
    `SELECT name, value, (extract(epoch FROM at) * 1000000)::int8 AS at, by, reason FROM trading_flags ORDER BY name`);
  return rows.map((row) => ({ ...row, at: Number(row.at) }));
}

export interface ProfitPoint {
  readonly account: string;
  readonly currency: string;
  readonly at: number;
  /** In the currency, to twelve digits behind the point. */
  readonly total: string;
}

/**
 * What trading has won so far, after each fill: what the fills paid and brought, and the open amount at the fill's price; fees taken
 * off, funding not counted. By the formulas of core/trading/position.ts. At most `limit` points of each account and currency, the last
 * of each minute, oldest first.
 */
export async function profitCurve(db: Db, limit: number): Promise<ProfitPoint[]> {
  const { rows } = await db.query<Omit<ProfitPoint, 'at'> & { at: string }>(
    `WITH signed AS (
       SELECT f.account, f.market_id, f.symbol, coalesce(i.settle, f.fee_currency) AS currency, f.ts, f.trade_id, f.price, f.fee,
         CASE f.side WHEN 'buy' THEN f.amount ELSE -f.amount END AS q, coalesce(i.inverse AND i.kind IN ('perpetual', 'future'), false) AS reciprocal
       FROM fills f LEFT JOIN instruments i USING (market_id, symbol)
     ), valued AS (
       SELECT *, CASE WHEN reciprocal THEN sum(q / price) OVER w - sum(q) OVER w / price ELSE sum(q) OVER w * price - sum(q * price) OVER w END
         - sum(fee) OVER w AS value
       FROM signed WINDOW w AS (PARTITION BY account, market_id, symbol ORDER BY ts, trade_id)
     ), steps AS (
       SELECT account, currency, ts, trade_id,
         value - coalesce(lag(value) OVER (PARTITION BY account, market_id, symbol ORDER BY ts, trade_id), 0) AS step
       FROM valued
     ), sums AS (
       SELECT account, currency, ts, trade_id, sum(step) OVER (PARTITION BY account, currency ORDER BY ts, trade_id) AS total FROM steps
     ), minutes AS (
       SELECT DISTINCT ON (account, currency, date_trunc('minute', ts)) account, currency, ts, total FROM sums
       ORDER BY account, currency, date_trunc('minute', ts), ts DESC, trade_id DESC
     ), numbered AS (SELECT *, row_number() OVER (PARTITION BY account, currency ORDER BY ts DESC) AS n FROM minutes)
     SELECT account, currency, (extract(epoch FROM ts) * 1000000)::int8 AS at, trim_scale(round(total, 12))::text AS total FROM numbered WHERE n <= $1
     ORDER BY account, currency, ts`, [limit]);
  return rows.map((row) => ({ ...row, at: Number(row.at) }));
}
