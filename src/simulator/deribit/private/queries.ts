// What can be asked of the account: orders, trades, positions, money. Recent and archived data are apart, as on the exchange: trades
// of the last 24 hours and orders that closed in the last 30 minutes are recent, and `historical=true` tells only what is older.
import type { Desk, PrivateCall, PrivateMethod } from './desk.ts';
import type { Realm } from './tokens.ts';
import type { Fill } from './commands.ts';
import { CLOSED_RECENT_MS, type Order } from './orders.ts';
import { flat } from './position.ts';
import { invalidParam, RpcError, type Params } from '../rpc.ts';
import { both, inCurrency, ofKind, ofType } from './trading.ts';
import { fillWire, logWire, orderWire, positionWire, summaryWire, wire } from './wire.ts';

const TRADES_RECENT_MS = 86_400_000;

/** Queries by name. */
export function queryMethods(desk: Desk): [string, PrivateMethod][] {
  return [...orderQueries(desk), ...tradeQueries(desk), ...moneyQueries(desk)];
}

const query = (realm: Realm, run: PrivateMethod['run'], pool: PrivateMethod['pool'] = 'default'): PrivateMethod => ({ realm, access: 'read', pool, run });
const list = (orders: readonly Order[]): string => wire(orders.map(orderWire));

function orderQueries(desk: Desk): [string, PrivateMethod][] {
  const open = (test: (params: Params) => (order: Order) => boolean): PrivateMethod =>
    query('trade', (params, call) => list(desk.openOrders(call.nowMs, call.method).filter(test(params))));
  const bySymbol = (params: Params): ((order: Order) => boolean) => {
    const { symbol } = desk.contract(params);
    return ({ contract }) => contract.symbol === symbol;
  };
  const byLabel = (params: Params): ((order: Order) => boolean) => {
    const label = params.text('label');
    return both((order) => order.label === label, inCurrency(params.optionalText('currency') ?? 'any'));
  };
  return [
    ['private/get_open_orders', open((params) => both(ofKind(params), ofType(params)))],
    ['private/get_open_orders_by_currency', open((params) => both(inCurrency(params.text('currency')), ofKind(params), ofType(params)))],
    ['private/get_open_orders_by_instrument', open((params) => both(bySymbol(params), ofType(params)))],
    ['private/get_open_orders_by_label', open((params) => (params.text('currency'), byLabel(params)))],
    [
      'private/get_order_state',
      query('trade', (params, call) => {
        const order = desk.engine.orders.revision(params.text('order_id'), desk.stateTime(call.nowMs, call.method));
        if (order === null || !isRecent(order, call.nowMs)) throw new RpcError(10004, 'order_not_found');
        return wire(orderWire(order));
      }),
    ],
    [
      'private/get_order_state_by_label',
      query('trade', (params, call) => {
        params.text('currency');
        const atMs = desk.stateTime(call.nowMs, call.method);
        const found = desk.engine.orders.labelled(params.text('label')).filter(byLabel(params));
        const then = found.flatMap((order) => desk.engine.orders.revision(order.id, atMs) ?? []);
        return list(then.filter((order) => isRecent(order, call.nowMs)));
      }),
    ],
    ['private/get_order_history_by_currency', query('trade', (params, call) => history(desk, params, call, inCurrency(params.text('currency'))))],
    ['private/get_order_history_by_instrument', query('trade', (params, call) => history(desk, params, call, bySymbol(params)))],
  ];
}

const isRecent = (order: Order, nowMs: number): boolean => order.status === 'open' || nowMs - order.updatedMs < CLOSED_RECENT_MS;

/** Finished orders, newest first. */
function history(desk: Desk, params: Params, { nowMs }: PrivateCall, belongs: (order: Order) => boolean): string {
  const count = limit(params, 20);
  const offset = params.int('offset') ?? 0;
  const from = Number(params.optionalText('continuation') ?? 0) || offset;
  const historical = params.bool('historical');
  const found = desk.engine.orders.closed.filter(both(
    belongs, ofKind(params), (order) => isRecent(order, nowMs) !== historical, (order) => order.filled > 0n || params.bool('include_unfilled'),
  ));
  const page = found.reverse().slice(from, from + count);
  if (!params.bool('with_continuation')) return list(page);
  return wire({ orders: page.map(orderWire), continuation: from + count < found.length ? String(from + count) : null });
}

function tradeQueries(desk: Desk): [string, PrivateMethod][] {
  const trades = (belongs: (params: Params) => (fill: Fill) => boolean, timed: boolean): PrivateMethod =>
    query('trade', (params, call) => {
      if (timed && params.int('start_timestamp') === null) throw invalidParam('start_timestamp', 'value required');
      const { rows, more } = page(desk, params, call, belongs(params));
      return wire({ trades: rows.map(fillWire), has_more: more });
    });
  const byCurrency = (params: Params): ((fill: Fill) => boolean) => {
    const test = both(inCurrency(params.text('currency')), ofKind(params));
    return ({ order }) => test(order);
  };
  const bySymbol = (params: Params): ((fill: Fill) => boolean) => {
    const { symbol } = desk.contract(params);
    return ({ contract }) => contract.symbol === symbol;
  };
  return [
    ['private/get_user_trades_by_currency', trades(byCurrency, false)],
    ['private/get_user_trades_by_currency_and_time', trades(byCurrency, true)],
    ['private/get_user_trades_by_instrument', trades(bySymbol, false)],
    ['private/get_user_trades_by_instrument_and_time', trades(bySymbol, true)],
    [
      'private/get_user_trades_by_order',
      query('trade', (params, call) => {
        const id = params.text('order_id');
        const mine = desk.visibleFills(call.nowMs).filter(({ order }) => order.id === id);
        const rows = params.oneOf('sorting', ['asc', 'desc', 'default'], 'default') === 'asc' ? mine : mine.reverse();
        return wire(rows.map(fillWire));
      }),
    ],
  ];
}

function page(desk: Desk, params: Params, { nowMs }: PrivateCall, belongs: (fill: Fill) => boolean): { rows: Fill[]; more: boolean } {
  const count = limit(params, 10);
  const historical = params.bool('historical');
  const [startSeq, endSeq] = [params.int('start_seq') ?? 0, params.int('end_seq') ?? Infinity];
  const [start, end] = [params.int('start_timestamp') ?? 0, params.int('end_timestamp') ?? Infinity];
  const [startId, endId] = [idNumber(params.optionalText('start_id'), 0), idNumber(params.optionalText('end_id'), Infinity)];
  const found = desk.visibleFills(nowMs).filter((fill) => {
    const id = idNumber(fill.tradeId, 0);
    return (
      belongs(fill) && nowMs - fill.timestampMs < TRADES_RECENT_MS !== historical && fill.timestampMs >= start && fill.timestampMs <= end &&
      fill.tradeSeq >= startSeq && fill.tradeSeq <= endSeq && id >= startId && id <= endId
    );
  });
  if (params.oneOf('sorting', ['asc', 'desc', 'default'], 'default') !== 'asc') found.reverse();
  return { rows: found.slice(0, count), more: found.length > count };
}

const idNumber = (id: string | null, absent: number): number => (id === null ? absent : Number(/\d+$/.exec(id)?.[0] ?? absent));

function limit(params: Params, standard: number): number {
  const count = params.int('count') ?? standard;
  if (count < 1 || count > 1000) throw invalidParam('count', 'must be from 1 to 1000');
  return count;
}

function moneyQueries(desk: Desk): [string, PrivateMethod][] {
  const { engine } = desk;
  return [
    [
      'private/get_positions',
      query('trade', (params) => {
        const currency = (params.optionalText('currency') ?? 'any').toUpperCase();
        const kind = params.optionalText('kind') ?? 'any';
        const mine = engine.account.positions(currency === 'ANY' ? undefined : currency);
        return wire(mine.filter(({ contract }) => kind === 'any' || contract.wireKind === kind).map((position) => positionWire(position, engine.markets)));
      }),
    ],
    [
      'private/get_position',
      query('trade', (params) => {
        const contract = desk.contract(params);
        if (contract.kind === 'spot') throw invalidParam('instrument_name', 'no positions in spot');
        const held = engine.account.positions().find((position) => position.contract.symbol === contract.symbol);
        return wire(positionWire(held ?? flat(contract), engine.markets));
      }),
    ],
    [
      'private/get_account_summary',
      query('account', (params) => {
        const currency = desk.currency(params);
        return wire(summaryWire(currency, engine.summary(currency), params.bool('extended')));
      }),
    ],
    [
      'private/get_account_summaries',
      query('account', (params) => {
        const summaries = engine.account.currencies.map((currency) => summaryWire(currency, engine.summary(currency), params.bool('extended')));
        return wire({ id: 1001, username: 'sim', type: 'main', system_name: 'sim', summaries });
      }),
    ],
    ['private/get_transaction_log', query('account', (params) => transactionLog(desk, params), 'log')],
  ];
}

/** Newest first; `continuation` is where the next page begins. */
function transactionLog(desk: Desk, params: Params): string {
  const currency = desk.currency(params);
  const start = params.int('start_timestamp');
  const end = params.int('end_timestamp');
  if (start === null) throw invalidParam('start_timestamp', 'value required');
  if (end === null) throw invalidParam('end_timestamp', 'value required');
  const count = params.int('count') ?? 100;
  if (count < 1 || count > 250) throw invalidParam('count', 'must be from 1 to 250');
  const from = params.int('continuation') ?? Infinity;
  const asked = params.optionalText('query');
  const found = desk.engine.account.log.filter(
    (row) => row.currency === currency && row.timestampMs >= start && row.timestampMs <= end && row.id <= from && (asked === null || row.type === asked),
  );
  const rows = found.reverse().slice(0, count);
  const { equity } = desk.engine.summary(currency);
  return wire({ logs: rows.map((row) => logWire(row, equity)), continuation: found[count]?.id ?? null });
}
