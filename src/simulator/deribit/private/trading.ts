// private/buy … private/close_position: request parameters to commands, outcomes to results.
import { plainDecimal } from '../../../core/decimal.ts';
import type { Command, Outcome, PlaceCommand } from './commands.ts';
import type { Desk, PrivateCall, PrivateMethod } from './desk.ts';
import { readDec, type Dec } from './money.ts';
import { TIMES_IN_FORCE, type Order } from './orders.ts';
import { invalidParam, RpcError, type Params } from '../rpc.ts';
import { fillWire, orderWire, wire } from './wire.ts';

const TYPES = ['limit', 'market', 'market_limit'] as const;

/** Methods that reach the matching engine, by name. */
export function tradingMethods(desk: Desk): [string, PrivateMethod][] {
  const method = (run: PrivateMethod['run']): PrivateMethod => ({ realm: 'trade', access: 'read_write', pool: 'matching', run });
  const act = (call: PrivateCall, command: Command): Outcome => desk.execute(call.nowMs, command, { conn: call.conn, api: true });
  const place = (side: 'buy' | 'sell'): PrivateMethod => method((params, call) => executed(act(call, placeOf(params, side))));
  const cancelWhere = (test: (params: Params) => (order: Order) => boolean): PrivateMethod =>
    method((params, call) => {
      const where = test(params);
      desk.purgeQueue();
      return cancelledText(act(call, { do: 'cancel_where', where }).cancelled, params.bool('detailed'));
    });
  return [
    ['private/buy', place('buy')],
    ['private/sell', place('sell')],
    ['private/edit', method((params, call) => executed(act(call, editOf(params, params.text('order_id')))))],
    ['private/edit_by_label', method((params, call) => executed(act(call, editOf(params, labelled(desk, params)))))],
    ['private/cancel', method((params, call) => wire(orderWire(orderOf(act(call, { do: 'cancel', orderId: params.text('order_id') })))))],
    ['private/cancel_all', cancelWhere(() => () => true)],
    ['private/cancel_all_by_currency', cancelWhere((params) => both(inCurrency(params.text('currency')), ofKind(params), ofType(params)))],
    [
      'private/cancel_all_by_currency_pair',
      cancelWhere((params) => {
        const pair = params.text('currency_pair').toLowerCase();
        return both(({ contract }) => contract.priceIndex === pair, ofKind(params), ofType(params));
      }),
    ],
    [
      'private/cancel_all_by_instrument',
      cancelWhere((params) => {
        const symbol = desk.contract(params).symbol;
        return both(({ contract }) => contract.symbol === symbol, ofType(params));
      }),
    ],
    [
      'private/cancel_all_by_kind_or_type',
      cancelWhere((params) => both(inCurrency(params.optionalText('currency') ?? 'any'), ofKind(params), ofType(params))),
    ],
    [
      'private/cancel_by_label',
      cancelWhere((params) => {
        const label = params.text('label');
        return both((order) => order.label === label, inCurrency(params.optionalText('currency') ?? 'any'));
      }),
    ],
    [
      'private/close_position',
      method((params, call) =>
        executed(act(call, {
          do: 'close', symbol: params.text('instrument_name'), type: params.oneOf('type', ['limit', 'market'], 'limit'), price: decimal(params, 'price'),
        })),
      ),
    ],
  ];
}

/** A decimal parameter, exact; null when absent. */
export function decimal(params: Params, name: string): Dec | null {
  const text = params.number(name);
  if (text === null) return null;
  const value = readDec(text);
  if (value !== null) return value;
  // A double's noise, as in 0.00030000000000000003.
  if (plainDecimal(text) !== null) throw name === 'price' ? new RpcError(10026, 'price_precision_exceeded') : new RpcError(10021, 'invalid_amount');
  throw invalidParam(name, 'must be a number');
}

export const both = (...tests: readonly ((order: Order) => boolean)[]) => (order: Order): boolean => tests.every((test) => test(order));

/** Orders of a settlement currency; spot pairs: either side. `any` takes all. */
export function inCurrency(currency: string): (order: Order) => boolean {
  const name = currency.toUpperCase();
  return ({ contract }) => name === 'ANY' || contract.currency === name || (contract.kind === 'spot' && contract.base === name);
}

export function ofKind(params: Params): (order: Order) => boolean {
  const kind = params.optionalText('kind') ?? 'any';
  return ({ contract }) => kind === 'any' || contract.wireKind === kind;
}

/** There are no trigger orders here: only `all` and the plain types match. */
export function ofType(params: Params): (order: Order) => boolean {
  const type = params.optionalText('type') ?? 'all';
  return (order) => type === 'all' || type === order.type;
}

export function placeOf(params: Params, side: 'buy' | 'sell'): PlaceCommand {
  const type = params.oneOf('type', TYPES, 'limit');
  const lasting = params.optionalText('time_in_force');
  return {
    do: 'place', side, symbol: params.text('instrument_name'), amount: decimal(params, 'amount'), contracts: decimal(params, 'contracts'), type,
    price: decimal(params, 'price'), timeInForce: lasting === null ? null : params.oneOf('time_in_force', TIMES_IN_FORCE, 'good_til_cancelled'),
    label: params.optionalText('label') ?? '', postOnly: params.bool('post_only'), rejectPostOnly: params.bool('reject_post_only'),
    reduceOnly: params.bool('reduce_only'), validUntilMs: params.int('valid_until'),
  };
}

function editOf(params: Params, orderId: string): Command {
  const flag = (name: string): boolean | null => (params.has(name) ? params.bool(name) : null);
  return {
    do: 'edit', orderId, amount: decimal(params, 'amount'), contracts: decimal(params, 'contracts'), price: decimal(params, 'price'),
    postOnly: flag('post_only'), rejectPostOnly: flag('reject_post_only'), reduceOnly: flag('reduce_only'), validUntilMs: params.int('valid_until'),
  };
}

/** The one open order with this label in the instrument. */
function labelled(desk: Desk, params: Params): string {
  const symbol = desk.contract(params).symbol;
  const label = params.text('label');
  const found = desk.engine.orders.labelled(label).filter((order) => order.contract.symbol === symbol && order.status === 'open');
  if (found.length > 1) throw new RpcError(13032, 'non_unique_order_label');
  const only = found[0];
  if (only === undefined) throw new RpcError(10004, 'order_not_found');
  return only.id;
}

function orderOf({ order }: Outcome): Order {
  if (order === null) throw new RpcError(10001, 'error');
  return order;
}

const executed = (outcome: Outcome): string => wire({ order: orderWire(orderOf(outcome)), trades: outcome.fills.map(fillWire) });

/** A count, or one report for each currency. */
function cancelledText(orders: readonly Order[], detailed: boolean): string {
  if (!detailed) return String(orders.length);
  const currencies = [...new Set(orders.map(({ contract }) => contract.currency))];
  return wire(currencies.map((currency) => ({
    currency, type: 'limit', result: orders.filter(({ contract }) => contract.currency === currency).map(orderWire),
  })));
}
