// Deribit's private REST as a TradingVenue. Writes are sent once and never repeated here; reads may be, after what codes.ts says.
// https://docs.deribit.com/api-reference/trading
import { z } from 'zod';
import type { Clock } from '../../../core/clock.ts';
import { JsonNumber } from '../../../core/json.ts';
import type { AccountLogRow } from '../../../core/trading/account_log.ts';
import type { FillReport, OrderReport } from '../../../core/trading/order.ts';
import { RpcError, RpcTransportError, type RpcCall } from '../../../net/json_rpc.ts';
import { idText, whole } from '../../rest_reader.ts';
import {
  VenueError, type AccountIdentity, type AccountReport, type CancelCount, type CancelOutcome, type Credentials, type OrderRequest,
  type PositionReport, type PrivateEvent, type SubmitOutcome, type TradingVenue,
} from '../../trading.ts';
import { NOT_OPEN, TOKEN_REFUSED, classOf, codeName } from './codes.ts';
import { readFills, readHistory, readLog } from './pages.ts';
import { accountsSchema, oneOrderSchema, ordersSchema, placedSchema, positionsSchema, readAnswer } from './reports.ts';
import { Session, identityOf } from './session.ts';

export interface DeribitVenueOptions {
  rpc: RpcCall;
  credentials: Credentials;
  clock: Clock;
  /** Currencies whose books are always looked into, upper-case: history and log are per currency. Those that the account has come on top. */
  currencies: readonly string[];
  /** The exchange's clock minus ours, µs: `valid_until` is told in its time. */
  offset: () => number;
  /** Waits before a read is asked again, ms. */
  pause: (ms: number) => Promise<void>;
  events: (signal: AbortSignal) => AsyncIterable<PrivateEvent>;
}

const READ_ATTEMPTS = 4;
const READ_PAUSE_MS = 250;

/** `BTC-PERPETUAL` → BTC, `ETH_USDC-PERPETUAL` → USDC: the currency that books of an instrument are kept in. */
export function bookCurrency(symbol: string): string {
  const head = symbol.split('-')[0]!;
  return (head.split('_')[1] ?? head).toUpperCase();
}

export class DeribitVenue implements TradingVenue {
  readonly #options: DeribitVenueOptions;
  readonly #session: Session;
  /** Grows with what the account holds and trades; never shrinks, so that what was seen once is looked after. */
  readonly #currencies: Set<string>;

  constructor(options: DeribitVenueOptions) {
    this.#options = options;
    this.#currencies = new Set(options.currencies);
    this.#session = new Session(options.rpc, options.credentials, options.clock);
  }

  async identity(): Promise<AccountIdentity> {
    const scopes = await this.#session.keyScopes();
    const summary = await this.#read('private/get_account_summaries', { extended: true });
    const { id } = readAnswer(z.object({ id: idText }), summary, 'private/get_account_summaries');
    this.#meet(readAnswer(accountsSchema, summary, 'private/get_account_summaries').summaries);
    return identityOf(id, scopes);
  }

  async time(): Promise<number> {
    return readAnswer(whole, await this.#options.rpc('public/get_time', {}).catch(failedRead), 'public/get_time') * 1000;
  }

  async submit(request: OrderRequest): Promise<SubmitOutcome> {
    const { label, symbol, amount, price, orderType, timeInForce } = request;
    this.#currencies.add(bookCurrency(symbol));
    const outcome = await this.#write(`private/${request.side}`, {
      instrument_name: symbol, amount: new JsonNumber(amount), type: orderType, label,
      // The document's defaults (post_only true) are doubtful: everything is said.
      post_only: request.postOnly, reject_post_only: request.postOnly, reduce_only: request.reduceOnly,
      valid_until: Math.floor((request.validUntil + this.#options.offset()) / 1000),
      ...(price === null ? {} : { price: new JsonNumber(price) }),
      // Market orders with a time in force are refused.
      ...(orderType === 'market' || timeInForce === null ? {} : { time_in_force: timeInForce }),
    }, this.#session.ready());
    if (outcome.kind !== 'answer') return outcome;
    const placed = placedSchema.safeParse(outcome.answer);
    // An answer that cannot be read is no refusal: the order is most likely there.
    if (!placed.success) return { kind: 'unknown', reason: 'the answer is not as documented' };
    return { kind: 'accepted', order: placed.data.order, fills: placed.data.trades };
  }

  async cancel(exchangeOrderId: string): Promise<CancelOutcome> {
    const outcome = await this.#cancelling('private/cancel', { order_id: exchangeOrderId });
    if (outcome.kind === 'refused' && NOT_OPEN.has(outcome.number)) return { kind: 'gone', code: outcome.code };
    if (outcome.kind !== 'answer') return outcome;
    const order = oneOrderSchema.safeParse(outcome.answer);
    return order.success ? { kind: 'done', order: order.data } : { kind: 'unknown', reason: 'the answer is not as documented' };
  }

  cancelByLabel(label: string, symbol: string): Promise<CancelCount> {
    return this.#cancelMany('private/cancel_by_label', { label, currency: bookCurrency(symbol) });
  }

  cancelAll(): Promise<CancelCount> {
    return this.#cancelMany('private/cancel_all', {});
  }

  async openOrders(): Promise<OrderReport[]> {
    return readAnswer(ordersSchema, await this.#read('private/get_open_orders', {}), 'private/get_open_orders');
  }

  /** Looked for in the recent orders and in the open ones: either list may lag. */
  async ordersByLabel(label: string, symbol: string): Promise<OrderReport[]> {
    const currency = bookCurrency(symbol);
    const recent = readAnswer(ordersSchema, await this.#read('private/get_order_state_by_label', { currency, label }), 'private/get_order_state_by_label');
    const open = readAnswer(ordersSchema, await this.#read('private/get_open_orders_by_label', { currency, label }), 'private/get_open_orders_by_label');
    const known = new Set(recent.map((order) => order.exchangeOrderId));
    return [...recent, ...open.filter((order) => !known.has(order.exchangeOrderId))];
  }

  async order(exchangeOrderId: string): Promise<OrderReport | null> {
    try {
      return readAnswer(oneOrderSchema, await this.#read('private/get_order_state', { order_id: exchangeOrderId }), 'private/get_order_state');
    } catch (error) {
      if (error instanceof VenueError && error.code === '10004') return null;
      throw error;
    }
  }

  closedOrders(since: number): Promise<OrderReport[]> {
    return readHistory((method, params) => this.#read(method, params), [...this.#currencies], since);
  }

  fills(from: number, to: number): Promise<FillReport[]> {
    return readFills((method, params) => this.#read(method, params), [...this.#currencies], from, to);
  }

  async positions(): Promise<PositionReport[]> {
    const all = readAnswer(positionsSchema, await this.#read('private/get_positions', { currency: 'any' }), 'private/get_positions');
    const held = all.filter((position) => position.amount !== '0');
    for (const { symbol } of held) this.#currencies.add(bookCurrency(symbol));
    return held;
  }

  async accounts(): Promise<AccountReport[]> {
    const { summaries } = readAnswer(accountsSchema, await this.#read('private/get_account_summaries', {}), 'private/get_account_summaries');
    this.#meet(summaries);
    return summaries;
  }

  #meet(accounts: readonly AccountReport[]): void {
    for (const { currency, balance, equity } of accounts) if (Number(balance) !== 0 || Number(equity) !== 0) this.#currencies.add(currency.toUpperCase());
  }

  get logCurrencies(): readonly string[] {
    return [...this.#currencies];
  }

  accountLog(currency: string, from: number, to: number, turn: () => Promise<void>): Promise<AccountLogRow[]> {
    return readLog((method, params) => this.#read(method, params), currency, from, to, turn);
  }

  events(signal: AbortSignal): AsyncIterable<PrivateEvent> {
    return this.#options.events(signal);
  }

  async #cancelMany(method: string, params: Record<string, unknown>): Promise<CancelCount> {
    const outcome = await this.#cancelling(method, params);
    if (outcome.kind !== 'answer') return { kind: 'unknown', reason: outcome.reason };
    const count = whole.safeParse(outcome.answer);
    return count.success ? { kind: 'done', count: count.data } : { kind: 'unknown', reason: 'the answer is not as documented' };
  }

  async #cancelling(method: string, params: Readonly<Record<string, unknown>>): Promise<WriteOutcome> {
    try {
      return await this.#write(method, params, await this.#session.token());
    } catch (error) {
      return { kind: 'not_sent', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /**
   * Sends once, at once. Never throws for what the exchange or the network did. Without a login nothing is sent: an order that waited
   * for one would leave after its checks were made.
   */
  async #write(method: string, params: Readonly<Record<string, unknown>>, token: string | null): Promise<WriteOutcome> {
    if (token === null) return { kind: 'not_sent', reason: 'not logged in' };
    try {
      return { kind: 'answer', answer: await this.#options.rpc(method, params, { token }) };
    } catch (error) {
      if (error instanceof RpcError) {
        if (TOKEN_REFUSED.has(error.code)) this.#session.forget(token);
        const code = codeName(error.code);
        return classOf(error.code) === 'refused' ? { kind: 'refused', code, number: error.code, reason: error.message } : { kind: 'unknown', reason: code };
      }
      if (error instanceof RpcTransportError && !error.sent) return { kind: 'not_sent', reason: error.message };
      return { kind: 'unknown', reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Asks again where the error says so; throws VenueError in the end. */
  async #read(method: string, params: Readonly<Record<string, unknown>>): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const token = await this.#session.token();
      try {
        return await this.#options.rpc(method, params, { token });
      } catch (error) {
        const refusedToken = error instanceof RpcError && TOKEN_REFUSED.has(error.code);
        if (refusedToken) this.#session.forget(token);
        const again = refusedToken || error instanceof RpcTransportError || (error instanceof RpcError && classOf(error.code) === 'retry_read');
        if (!again || attempt === READ_ATTEMPTS) failedRead(error);
        await this.#options.pause(READ_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }
}

type WriteOutcome =
  | { kind: 'answer'; answer: unknown }
  | { kind: 'refused'; code: string; number: number; reason: string }
  | { kind: 'not_sent'; reason: string }
  | { kind: 'unknown'; reason: string };

function failedRead(error: unknown): never {
  if (error instanceof RpcError) throw new VenueError(error.message, String(error.code), classOf(error.code) !== 'refused', { cause: error });
  if (error instanceof RpcTransportError) throw new VenueError(error.message, 'network', true, { cause: error });
  throw error;
}
