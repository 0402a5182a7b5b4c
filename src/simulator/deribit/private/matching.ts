// The matching engine of one account, without I/O: it is handed the time with each call, and its whole state follows from the calls.
//
//   execute(now, command, origin)   places, edits, cancels; returns the order, its fills and the changes; throws RpcError (a refusal)
//   onPrint(now, …)                 others traded: resting orders at that price or better are filled
//   advance(now)                    time passed: crossed orders fill, the day's end at 08:00 UTC, expiries
//
// Takers take from the market's own levels (what they took is gone until the levels change); resting orders are filled by prints and
// by quotes that cross them. Every fill prints on the public tape with its own trade_seq. Own orders never trade with each other.
import { Account } from './account.ts';
import type { Change, Command, EditCommand, Fill, Origin, Outcome, PlaceCommand } from './commands.ts';
import { amountOf, checkPrice, feeOf, worth, type Contract } from './contract.ts';
import { checkDeadline, draft, inBand, marketLimit, posted, tradable, wouldTake } from './intake.ts';
import { crosses, dayEnd, Liquidity, reducible } from './liquidity.ts';
import { abs, booked, min, type Dec } from './money.ts';
import { OrderBook, type Order, type Side } from './orders.ts';
import { RpcError } from '../rpc.ts';
import type { MarketSource } from './source.ts';
import { summaryOf, type Summary } from './summary.ts';

export interface EngineOptions {
  readonly deposits: Readonly<Record<string, Dec>>;
  readonly startMs: number;
  /** Order ids count from here. */
  readonly firstOrder?: number;
  /** No order is taken for so long after 08:00 UTC. */
  readonly settlementMs?: number;
}

const ACCRUAL_MS = 60_000;
const NO_ORIGIN: Origin = { conn: null, api: true };

export class MatchingEngine {
  readonly markets: MarketSource;
  readonly orders = new OrderBook();
  readonly account: Account;
  /** Oldest first. */
  readonly fills: Fill[] = [];
  readonly #liquidity: Liquidity;
  readonly #settlementMs: number;
  #nextOrder: number;
  #rank = 0;
  #settlesMs: number;
  #printing = false;
  #accruedMs: number;
  #changed = new Map<string, { contract: Contract; orders: Map<string, Order>; fills: Fill[]; moved: boolean }>();

  constructor(markets: MarketSource, options: EngineOptions) {
    this.markets = markets;
    this.account = new Account(options.deposits, options.startMs);
    this.#liquidity = new Liquidity(markets);
    this.#nextOrder = options.firstOrder ?? 1;
    this.#settlementMs = options.settlementMs ?? 3_000;
    this.#settlesMs = dayEnd(options.startMs);
    this.#accruedMs = options.startMs;
  }

  /** Runs one command. Throws RpcError when it is refused: then nothing has changed. */
  execute(nowMs: number, command: Command, origin: Origin = NO_ORIGIN): Outcome {
    // What the exchange itself cancels (a lost connection) it cancels at any time.
    const forced = command.do === 'cancel_where' && command.reason !== undefined;
    if (this.settling(nowMs) && !forced) throw new RpcError(10041, 'settlement_in_progress');
    const before = this.fills.length;
    let order: Order | null = null;
    let cancelled: Order[] = [];
    if (command.do === 'place') order = this.#place(nowMs, command, origin);
    else if (command.do === 'close') order = this.#place(nowMs, this.#closing(command.symbol, command.type, command.price), origin);
    else if (command.do === 'edit') order = this.#edit(nowMs, command);
    else if (command.do === 'cancel') order = this.#cancel(nowMs, this.#openOrder(command.orderId), 'user_request');
    else cancelled = this.orders.open().filter(command.where).map((found) => this.#cancel(nowMs, found, command.reason ?? 'user_request'));
    return { order, cancelled, fills: this.fills.slice(before), changes: this.#drain() };
  }

  /** Somebody else's trade: a resting order beyond its price is filled, one at its price shares its amount. */
  onPrint(nowMs: number, symbol: string, price: Dec, amount: Dec, takerSide: Side): readonly Change[] {
    if (this.#printing || !this.orders.anyOpen || this.settling(nowMs)) return [];
    let left = amount;
    for (const order of this.#resting(symbol, takerSide === 'sell' ? 'buy' : 'sell')) {
      if (left === 0n || !crosses(order, price)) break;
      left -= this.#make(nowMs, order, left);
    }
    return this.#drain();
  }

  /** Lets time pass up to `nowMs`: the day's end, and quotes that have moved through resting orders. */
  advance(nowMs: number): readonly Change[] {
    while (this.#settlesMs <= nowMs) this.#settle();
    if (nowMs - this.#accruedMs >= ACCRUAL_MS) this.#accrue(nowMs);
    if (this.settling(nowMs)) return this.#drain();
    for (const symbol of this.orders.anyOpen ? this.orders.openSymbols() : []) {
      const { bid, ask } = this.markets.best(symbol);
      for (const side of ['buy', 'sell'] as const) {
        for (const order of this.#resting(symbol, side)) {
          if (!crosses(order, side === 'buy' ? ask : bid)) break;
          const there = this.#liquidity.upTo(order.contract, side, order.price, order.amount - order.filled).reduce((sum, { amount }) => sum + amount, 0n);
          if (there === 0n) break;
          this.#liquidity.take(order.contract, side, this.#make(nowMs, order, there));
        }
      }
    }
    return this.#drain();
  }

  /** No order is taken or changed while the day is settled. */
  settling(nowMs: number): boolean {
    const since = nowMs - (dayEnd(nowMs) - 86_400_000);
    return since < this.#settlementMs;
  }

  summary(currency: string): Summary {
    return summaryOf(this, currency);
  }

  /** Changes a position without order or trade, as an operator of the exchange might. */
  correct(nowMs: number, symbol: string, signed: Dec, price: Dec): readonly Change[] {
    const contract = tradable(this.markets, symbol);
    this.#accrue(nowMs);
    this.account.correct(contract, signed, price, nowMs);
    this.#touch(contract).moved = true;
    return this.#drain();
  }

  #place(nowMs: number, command: PlaceCommand, origin: Origin): Order {
    const order = draft(this, command, origin, { nowMs, number: this.#nextOrder, rank: this.#rank + 1 });
    this.#afford(order);
    this.#nextOrder++;
    this.#rank++;
    return this.#enter(nowMs, order);
  }

  /** An order that is new at its price: takes what it crosses, then rests or ends. */
  #enter(nowMs: number, entered: Order): Order {
    const { contract, side, type, timeInForce } = entered;
    this.#put(entered, nowMs);
    const limit = entered.price ?? marketLimit(this.markets, contract, side, type);
    const levels = this.#liquidity.upTo(contract, side, limit, entered.amount - entered.filled);
    const there = levels.reduce((sum, level) => sum + level.amount, 0n);
    let order = entered;
    if (timeInForce !== 'fill_or_kill' || there >= entered.amount - entered.filled) {
      for (const level of levels) {
        const size = order.reduceOnly ? min(level.amount, reducible(this.account.position(contract), side)) : level.amount;
        if (size === 0n) break;
        this.#liquidity.take(contract, side, size);
        // What is left of a market_limit order rests at the price it got.
        order = this.#fill(nowMs, type === 'market_limit' ? { ...order, price: level.price } : order, level.price, size, 'T');
      }
    }
    if (order.status !== 'open') return order;
    const ends = order.price === null || timeInForce === 'immediate_or_cancel' || timeInForce === 'fill_or_kill';
    return ends ? this.#cancel(nowMs, order, 'user_request') : order;
  }

  #edit(nowMs: number, command: EditCommand): Order {
    checkDeadline(nowMs, command.validUntilMs);
    const old = this.#openOrder(command.orderId);
    const { contract, side } = old;
    const given = command.amount !== null || (command.contracts ?? null) !== null;
    const amount = given ? amountOf(contract, command.amount, command.contracts ?? null) : old.amount;
    if (amount <= old.filled) throw new RpcError(10021, 'invalid_amount', { reason: 'not above the filled amount' });
    const price = command.price === null ? old.price : inBand(this.markets, contract, side, checkPrice(contract, command.price));
    const keeps = price === old.price && amount <= old.amount;
    const edited: Order = {
      ...old, price, amount, postOnly: command.postOnly ?? old.postOnly, rejectPostOnly: command.rejectPostOnly ?? old.rejectPostOnly,
      reduceOnly: command.reduceOnly ?? old.reduceOnly, rank: keeps ? old.rank : ++this.#rank, updatedMs: nowMs, replaced: true,
    };
    if (keeps) return this.#put(edited, nowMs);
    if (edited.postOnly && edited.rejectPostOnly && wouldTake(this.markets, edited)) return this.#cancel(nowMs, edited, 'edit_post_only_reject');
    const entered = edited.postOnly ? posted(this.markets, edited) : edited;
    this.#afford(entered);
    return this.#enter(nowMs, entered);
  }

  /** Throws 10009 when the order needs more margin than there is (one that reduces what is needed always passes). */
  #afford(order: Order): void {
    const { kind, currency, base } = order.contract;
    const pays = kind === 'spot' && order.side === 'sell' ? base : currency;
    const now = summaryOf(this, pays).availableFunds;
    const then = summaryOf(this, pays, order).availableFunds;
    if (then < 0n && then < now) throw new RpcError(10009, 'not_enough_funds');
  }

  #closing(symbol: string, type: PlaceCommand['type'], price: Dec | null): PlaceCommand {
    const { amount } = this.account.position(tradable(this.markets, symbol));
    if (amount === 0n) throw new RpcError(11030, 'other_reject', { reason: 'no position to close' });
    return { do: 'place', side: amount > 0n ? 'sell' : 'buy', symbol, amount: abs(amount), type, price, reduceOnly: true };
  }

  /** Fills at most `there` of a resting order at its own price; returns how much. */
  #make(nowMs: number, order: Order, there: Dec): Dec {
    const cap = order.reduceOnly ? reducible(this.account.position(order.contract), order.side) : there;
    const amount = min(min(order.amount - order.filled, there), cap);
    if (amount > 0n && order.price !== null) this.#fill(nowMs, order, order.price, amount, 'M');
    return amount;
  }

  #fill(nowMs: number, order: Order, price: Dec, amount: Dec, liquidity: 'M' | 'T'): Order {
    const { contract, side } = order;
    const { symbol } = contract;
    const mark = this.markets.mark(symbol);
    const index = this.markets.index(symbol);
    this.#printing = true;
    const printed = this.markets.print(symbol, { price, amount, takerSide: liquidity === 'T' ? side : side === 'buy' ? 'sell' : 'buy', nowMs });
    this.#printing = false;
    this.#accrue(nowMs);
    const fee = booked(feeOf(contract, amount, price, index, liquidity));
    const profit = this.account.execute({ contract, side, price, amount, fee, liquidity, tradeId: printed.tradeId, orderId: order.id }, nowMs);
    const filled = order.filled + amount;
    const after = this.#put({
      ...order, filled, filledWorth: order.filledWorth + worth(contract, amount, price), status: filled >= order.amount ? 'filled' : 'open', updatedMs: nowMs,
    }, nowMs);
    const fill: Fill = { ...printed, contract, side, price, amount, fee, liquidity, profit, mark, index, timestampMs: nowMs, order: after };
    this.fills.push(fill);
    const touched = this.#touch(contract);
    touched.fills.push(fill);
    touched.moved = true;
    this.#dropIdleReducers(nowMs, contract);
    return this.orders.get(order.id) ?? after;
  }

  /** Reduce-only orders end when there is nothing left that they reduce. */
  #dropIdleReducers(nowMs: number, contract: Contract): void {
    const position = this.account.position(contract);
    for (const order of this.orders.open(contract.symbol)) {
      if (order.reduceOnly && reducible(position, order.side) === 0n) this.#cancel(nowMs, order, 'user_request');
    }
  }

  #cancel(nowMs: number, order: Order, reason: string): Order {
    return this.#put({ ...order, status: 'cancelled', cancelReason: reason, updatedMs: nowMs }, nowMs);
  }

  #openOrder(id: string): Order {
    const order = this.orders.get(id);
    if (order === null) throw new RpcError(10004, 'order_not_found');
    if (order.status === 'filled') throw new RpcError(11008, 'already_filled');
    if (order.status !== 'open') throw new RpcError(11044, 'not_open_order');
    return order;
  }

  #put(order: Order, nowMs: number): Order {
    this.orders.put(order, nowMs);
    this.#touch(order.contract).orders.set(order.id, order);
    return order;
  }

  #resting(symbol: string, side: Side): Order[] {
    const open = this.orders.open(symbol).filter((order) => order.side === side && order.price !== null);
    const better = (a: Order, b: Order): number => Number((a.price ?? 0n) - (b.price ?? 0n)) * (side === 'buy' ? -1 : 1);
    return open.sort((a, b) => better(a, b) || a.rank - b.rank);
  }

  /** Funding is continuous: booked each minute, and before anything changes a position. */
  #accrue(nowMs: number): void {
    const sinceMs = this.#accruedMs;
    if (nowMs <= sinceMs) return;
    this.#accruedMs = nowMs;
    if (this.markets.interest === undefined) return;
    for (const { contract, amount } of this.account.positions()) {
      if (contract.kind !== 'perpetual' || amount === 0n) continue;
      this.account.accrue(contract, this.markets.interest(contract.symbol, sinceMs, nowMs), this.markets.index(contract.symbol));
    }
  }

  /** 08:00 UTC: good-til-day orders end, sessions settle, what expires is delivered. */
  #settle(): void {
    const atMs = this.#settlesMs;
    this.#settlesMs += 86_400_000;
    this.#accrue(atMs);
    const expired = (contract: Contract): boolean => contract.expiry !== null && contract.expiry <= atMs;
    for (const order of this.orders.open()) if (order.endsMs <= atMs || expired(order.contract)) this.#cancel(atMs, order, 'settlement');
    for (const { contract } of this.account.positions()) {
      if (expired(contract)) this.account.deliver(contract, this.markets.index(contract.symbol), atMs);
      this.#touch(contract).moved = true;
    }
    this.account.settle(atMs, ({ symbol }) => this.markets.mark(symbol));
  }

  #touch(contract: Contract): { orders: Map<string, Order>; fills: Fill[]; moved: boolean } {
    const touched = this.#changed.get(contract.symbol) ?? { contract, orders: new Map<string, Order>(), fills: [], moved: false };
    this.#changed.set(contract.symbol, touched);
    return touched;
  }

  #drain(): Change[] {
    if (this.#changed.size === 0) return [];
    const changes = [...this.#changed.values()].map(({ orders, ...rest }) => ({ ...rest, orders: [...orders.values()] }));
    this.#changed = new Map();
    return changes;
  }
}
