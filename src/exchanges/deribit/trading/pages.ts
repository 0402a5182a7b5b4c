// Paged reads of Deribit's archives. Recent data (24 h of trades, 30 min of closed orders) and the indexed archive are two stores that
// overlap in neither direction: both are read and merged by id. https://docs.deribit.com/articles/accessing-historical-trades-orders
import type { AccountLogRow } from '../../../core/trading/account_log.ts';
import type { FillReport, OrderReport } from '../../../core/trading/order.ts';
import { VenueError } from '../../trading.ts';
import { fillsSchema, historySchema, logPageSchema, readAnswer } from './reports.ts';

export type Read = (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>;

const TRADES_PER_PAGE = 1000;
const ORDERS_PER_PAGE = 1000;
const LOG_ROWS_PER_PAGE = 250;
/** A page that does not move on for so long is no history: a loop of the server. */
const MAX_PAGES = 10_000;

/** Our fills with from ≤ ts ≤ to (µs), ascending, over all currencies. */
export async function readFills(read: Read, currencies: readonly string[], from: number, to: number): Promise<FillReport[]> {
  const found = new Map<string, FillReport>();
  for (const currency of currencies) {
    for (const historical of [true, false]) {
      for (const fill of await fillsOf(read, currency, historical, from, to)) found.set(fill.tradeId, fill);
    }
  }
  return [...found.values()].sort((a, b) => a.ts - b.ts || (a.symbol === b.symbol ? (a.seq ?? 0) - (b.seq ?? 0) : a.symbol < b.symbol ? -1 : 1));
}

/** Many fills share a millisecond: the next page starts at the last one's time again, and what is known is left out. */
async function fillsOf(read: Read, currency: string, historical: boolean, from: number, to: number): Promise<FillReport[]> {
  const method = 'private/get_user_trades_by_currency_and_time';
  const found = new Map<string, FillReport>();
  let start = Math.floor(from / 1000);
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await read(method, {
      currency, start_timestamp: start, end_timestamp: Math.ceil(to / 1000), count: TRADES_PER_PAGE, sorting: 'asc', historical,
    });
    const { trades, has_more: more } = readAnswer(fillsSchema, answer, method);
    const before = found.size;
    for (const trade of trades) found.set(trade.tradeId, trade);
    if (!more) return [...found.values()];
    const last = Math.floor(trades.at(-1)?.ts === undefined ? start : trades.at(-1)!.ts / 1000);
    // A whole page within one millisecond cannot be passed by time: better no answer than a hole.
    if (found.size === before && last === start) throw new VenueError(`${method}: more than a page of trades at ${start}`, 'page', false);
    start = last;
  }
  throw new VenueError(`${method}: the pages do not end`, 'page', false);
}

/** Orders closed since (µs), over all currencies, newest first. */
export async function readHistory(read: Read, currencies: readonly string[], since: number): Promise<OrderReport[]> {
  const found = new Map<string, OrderReport>();
  for (const currency of currencies) {
    for (const historical of [true, false]) {
      for (const order of await closedOf(read, currency, historical, since)) {
        const known = found.get(order.exchangeOrderId);
        if (known === undefined || known.updatedTs <= order.updatedTs) found.set(order.exchangeOrderId, order);
      }
    }
  }
  return [...found.values()].sort((a, b) => b.updatedTs - a.updatedTs);
}

async function closedOf(read: Read, currency: string, historical: boolean, since: number): Promise<OrderReport[]> {
  const method = 'private/get_order_history_by_currency';
  const found: OrderReport[] = [];
  let continuation: string | null = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await read(method, {
      currency, count: ORDERS_PER_PAGE, include_old: true, include_unfilled: true, historical, with_continuation: true,
      ...(continuation === null ? {} : { continuation }),
    });
    const next: { orders: OrderReport[]; continuation: string | null } = readAnswer(historySchema, answer, method);
    found.push(...next.orders.filter((order) => order.updatedTs >= since));
    // Newest first, by creation or by last change: after a page of nothing but older ones nothing of interest comes.
    if (next.continuation === null || next.orders.every((order) => order.updatedTs < since)) return found;
    continuation = next.continuation;
  }
  throw new VenueError(`${method}: the pages do not end`, 'page', false);
}

/**
 * Rows of one currency's transaction log with from ≤ ts ≤ to (µs), ascending. Rejects with VenueError when a page is not as documented,
 * tells of another currency, or promises more and does not move on: a hole must not look like the end.
 */
export async function readLog(read: Read, currency: string, from: number, to: number, turn: () => Promise<void>): Promise<AccountLogRow[]> {
  const method = 'private/get_transaction_log';
  const found = new Map<string, AccountLogRow>();
  let continuation: number | null = null;
  for (let page = 0; page < MAX_PAGES; page++) {
    await turn();
    const answer = await read(method, {
      currency, start_timestamp: Math.floor(from / 1000), end_timestamp: Math.ceil(to / 1000), count: LOG_ROWS_PER_PAGE,
      ...(continuation === null ? {} : { continuation }),
    });
    const next: { logs: AccountLogRow[]; continuation?: number | null | undefined } = readAnswer(logPageSchema, answer, method);
    const other = next.logs.find((row) => row.currency !== currency);
    if (other !== undefined) throw new VenueError(`${method}: asked for ${currency}, row ${other.logId} is of ${other.currency}`, 'malformed', false);
    const before = found.size;
    for (const row of next.logs) found.set(row.logId, row);
    continuation = next.continuation ?? null;
    if (continuation === null) return [...found.values()].sort((a, b) => a.ts - b.ts || Number(a.logId) - Number(b.logId));
    if (found.size === before) throw new VenueError(`${method}: a page of nothing new that claims there is more`, 'page', false);
  }
  throw new VenueError(`${method}: the pages do not end`, 'page', false);
}
