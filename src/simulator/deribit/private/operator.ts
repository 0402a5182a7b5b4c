// What happens to the account from outside its API: orders made by hand on the website, corrections by the exchange, deposits, tokens that
// end early. POST /control/account and tests in the same process.
import { RpcError, Params } from '../rpc.ts';
import type { Desk } from './desk.ts';
import { decText, type Dec } from './money.ts';
import { averagePrice } from './position.ts';
import { decimal, placeOf } from './trading.ts';
import { fillWire, orderWire, wire, type Wire } from './wire.ts';

const ACTIONS = ['order', 'cancel', 'position', 'deposit', 'expire_tokens'] as const;
const BY_HAND = { conn: null, api: false };

/** Runs one action; returns what it did. Throws RpcError that names what is wrong. */
export function operate(desk: Desk, message: Readonly<Record<string, unknown>>, nowMs: number): unknown {
  const params = new Params({ ...message, instrument_name: message['symbol'] });
  const action = message['action'];
  if (!(ACTIONS as readonly unknown[]).includes(action)) throw odd('action', action, ACTIONS);
  switch (action as (typeof ACTIONS)[number]) {
    case 'order': {
      const side = message['side'];
      if (side !== 'buy' && side !== 'sell') throw odd('side', side, ['buy', 'sell']);
      const { order, fills } = desk.execute(nowMs, placeOf(params, side), BY_HAND);
      return plain({ order: order === null ? null : orderWire(order), trades: fills.map(fillWire) });
    }
    case 'cancel': {
      const { order } = desk.execute(nowMs, { do: 'cancel', orderId: params.text('order_id') }, BY_HAND);
      return plain({ order: order === null ? null : orderWire(order) });
    }
    case 'position': {
      const contract = desk.contract(params);
      const signed = need(decimal(params, 'amount'), 'amount');
      const price = decimal(params, 'price') ?? desk.engine.markets.mark(contract.symbol);
      desk.happened(desk.engine.correct(nowMs, contract.symbol, signed, price), nowMs);
      return { position: decText(desk.engine.account.position(contract).amount) };
    }
    case 'deposit': {
      const currency = desk.currency(params);
      desk.engine.account.deposit(currency, need(decimal(params, 'amount'), 'amount'), nowMs);
      return { balance: decText(desk.engine.account.balance(currency)) };
    }
    default:
      return { expired: desk.tokens.expireAll(nowMs) };
  }
}

/** The account as GET /control/state shows it: decimals are texts. */
export function accountState({ engine }: Desk): Record<string, unknown> {
  return {
    balances: Object.fromEntries(engine.account.currencies.map((currency) => [currency, decText(engine.account.balance(currency))])),
    positions: engine.account.positions().map((position) => ({
      symbol: position.contract.symbol, amount: decText(position.amount), average_price: decText(averagePrice(position)),
      realised: decText(position.realised),
    })),
    open_orders: engine.orders.open().map(({ id, label, contract, side, amount, filled }) => ({
      order_id: id, label, symbol: contract.symbol, side, amount: decText(amount), filled: decText(filled),
    })),
    fills: engine.fills.length,
  };
}

const odd = (field: string, value: unknown, known: readonly string[]): RpcError =>
  new RpcError(-32602, `${field}: ${value === undefined ? 'nothing' : JSON.stringify(value)} is not one of ${known.join(', ')}`);

function need(value: Dec | null, field: string): Dec {
  if (value === null) throw new RpcError(-32602, `${field}: expected a number`);
  return value;
}

const plain = (value: Wire): unknown => JSON.parse(wire(value));
