// What an order must be before it enters the book. Everything here refuses by RpcError and changes nothing.
import { RpcError } from '../rpc.ts';
import type { Account } from './account.ts';
import type { Origin, PlaceCommand } from './commands.ts';
import { amountOf, checkPrice, tickAt, type Contract } from './contract.ts';
import { crosses, dayEnd, reducible } from './liquidity.ts';
import { decText, min, type Dec } from './money.ts';
import type { Order, OrderType, Side } from './orders.ts';
import type { MarketSource } from './source.ts';

const MAX_LABEL = 64;

/** The order that a command asks for, not yet in the book. */
export function draft(
  { markets, account }: { markets: MarketSource; account: Account }, command: PlaceCommand, origin: Origin,
  { nowMs, number, rank }: { nowMs: number; number: number; rank: number },
): Order {
  checkDeadline(nowMs, command.validUntilMs);
  const contract = tradable(markets, command.symbol);
  if (contract.expiry !== null && nowMs >= contract.expiry) throw new RpcError(13019, 'orderbook_closed');
  const { side, type, timeInForce = null, label = '', postOnly = false, rejectPostOnly = false, reduceOnly = false } = command;
  if (label.length > MAX_LABEL) throw new RpcError(-32602, 'Invalid params', { reason: `longer than ${MAX_LABEL}`, param: 'label' });
  if (type !== 'limit' && timeInForce !== null) throw new RpcError(11047, 'unsupported_arg_combination', { reason: 'time_in_force of a market order' });
  const lasting = timeInForce ?? 'good_til_cancelled';
  if (postOnly && (type !== 'limit' || lasting !== 'good_til_cancelled')) throw new RpcError(11055, 'post_only_not_allowed');
  let amount = amountOf(contract, command.amount, command.contracts ?? null);
  const price = type === 'limit' ? inBand(markets, contract, side, checkPrice(contract, command.price)) : null;
  if (reduceOnly) {
    amount = min(amount, reducible(account.position(contract), side));
    if (amount === 0n) throw new RpcError(11030, 'other_reject', { reason: 'invalid_reduce_only_order' });
  }
  const order: Order = {
    id: orderId(contract, number), contract, side, type, price, amount, filled: 0n, filledWorth: 0n, status: 'open', label,
    timeInForce: lasting, postOnly, rejectPostOnly, reduceOnly, conn: origin.conn, api: origin.api, createdMs: nowMs, updatedMs: nowMs,
    rank, cancelReason: null, endsMs: lasting === 'good_til_day' ? dayEnd(nowMs) : Infinity, replaced: false,
  };
  return postOnly ? posted(markets, order) : order;
}

/** `valid_until` is judged when the request reaches the engine, not when it was sent. */
export function checkDeadline(nowMs: number, validUntilMs: number | null | undefined): void {
  if (validUntilMs !== undefined && validUntilMs !== null && nowMs > validUntilMs) throw new RpcError(13888, 'timed_out');
}

/** A post-only order never takes: its price moves one tick inside the spread, or it is refused. */
export function posted(markets: MarketSource, order: Order): Order {
  if (!wouldTake(markets, order) || order.price === null) return order;
  if (order.rejectPostOnly) throw new RpcError(11054, 'post_only_reject');
  const { bid, ask } = markets.best(order.contract.symbol);
  const tick = tickAt(order.contract, order.price);
  return { ...order, price: order.side === 'buy' ? ask - (ask % tick === 0n ? tick : ask % tick) : bid - (bid % tick) + tick };
}

export function wouldTake(markets: MarketSource, order: Order): boolean {
  const { bid, ask } = markets.best(order.contract.symbol);
  return crosses(order, order.side === 'buy' ? ask : bid);
}

/** Refused beyond the band on the side that could do harm (the venue's order guide; its ticker page speaks of clamping). */
export function inBand(markets: MarketSource, contract: Contract, side: Side, price: Dec): Dec {
  const band = markets.band(contract.symbol);
  if (side === 'buy' && price > band.max) throw new RpcError(10007, `price_too_high ${decText(band.max)}`);
  if (side === 'sell' && price < band.min) throw new RpcError(10005, `price_too_low ${decText(band.min)}`);
  return price;
}

/** How far an order without a price goes: to the end of the band, a market_limit order only to the best price. */
export function marketLimit(markets: MarketSource, { symbol }: Contract, side: Side, type: OrderType): Dec {
  const { bid, ask } = markets.best(symbol);
  const band = markets.band(symbol);
  if (type === 'market_limit') return side === 'buy' ? ask : bid;
  return side === 'buy' ? band.max : band.min;
}

/** The contract of `symbol`; combos cannot be traded here. */
export function tradable(markets: MarketSource, symbol: string): Contract {
  const contract = markets.contract(symbol);
  if (contract === null) throw new RpcError(13020, 'not_found', { reason: 'instrument not found', param: 'instrument_name' });
  if (contract.kind === 'combo') throw new RpcError(10020, 'invalid_or_unsupported_instrument');
  return contract;
}

/** BTC ids are bare digits, others carry their family. */
function orderId({ kind, base, quote, currency }: Contract, number: number): string {
  const prefix = kind === 'spot' ? `${base}_${quote}-` : currency === 'BTC' ? '' : `${currency}-`;
  return `${prefix}${number}`;
}
