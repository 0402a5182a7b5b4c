// The private side without sockets: requests in, answers and notices out, through whatever faults are in force. The venue hangs it on
// WebSocket and HTTP; a checker calls it in virtual time. It owns the engine, the tokens and what is on its way.
//
//   submit(call, reply)    reply gets the result's JSON text, an RpcError, or null: the answer (or the request) was lost
//   advance(nowMs)         what was late comes; orders fill; the day ends
//   disconnected(conn)     cancel on disconnect
import type { Clock } from '../../../core/clock.ts';
import { Prng } from '../../prng.ts';
import type { FaultKind, Faults } from '../../faults.ts';
import type { LedgerEntry } from '../../ledger.ts';
import { Credits, type Pool } from '../credits.ts';
import { Params, RpcError, invalidParam } from '../rpc.ts';
import { codMethods, CancelOnDisconnect } from './cod.ts';
import type { Change, Command, Fill, Origin, Outcome } from './commands.ts';
import type { Contract } from './contract.ts';
import { MatchingEngine } from './matching.ts';
import { decText, type Dec } from './money.ts';
import { tradable } from './intake.ts';
import type { Order } from './orders.ts';
import { queryMethods } from './queries.ts';
import type { MarketSource } from './source.ts';
import { demand, Tokens, type Access, type Grant, type Realm } from './tokens.ts';
import { tradingMethods } from './trading.ts';

export interface PrivateCall {
  readonly nowMs: number;
  /** null over HTTP. */
  readonly conn: number | null;
  readonly grant: Grant;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface PrivateMethod {
  readonly realm: Realm;
  readonly access: Access;
  readonly pool: Pool;
  /** Needs a WebSocket. */
  readonly socket?: boolean;
  /** Returns the JSON text of the result. Throws RpcError. */
  run(params: Params, call: PrivateCall): string;
}

export type Reply = (outcome: string | RpcError | null) => void;

export interface DeskOptions {
  readonly markets: MarketSource;
  readonly seed: number;
  readonly startMs: number;
  readonly deposits: Readonly<Record<string, Dec>>;
  readonly faults: Faults;
  readonly clock: Clock;
  /** Rate limits are enforced. */
  readonly limits: boolean;
  readonly note: (entry: LedgerEntry) => void;
  /** What happened in one instrument, for the user channels; called after the answer it belongs to. */
  readonly tell: (change: Change) => void;
  /** The platform, or this contract's index, is locked: nothing is placed or edited. */
  readonly locked?: (contract: Contract) => boolean;
  readonly settlementMs?: number;
}

export const MARKET_ID = 'deribit';
/** Order ids of a later start are higher, as if orders had been made in between. */
const EPOCH_S = 1_780_000_000;

export class Desk {
  readonly engine: MatchingEngine;
  readonly tokens: Tokens;
  readonly cod: CancelOnDisconnect;
  readonly #options: DeskOptions;
  readonly #credits: Credits;
  readonly #methods: ReadonlyMap<string, PrivateMethod>;
  /** Requests and answers that are late. */
  #late: { dueMs: number; request: boolean; go: (nowMs: number) => void; refuse: (() => void) | null }[] = [];
  #untold: Change[] = [];
  /** Fills that nobody may see yet, with the time they may. */
  readonly #hidden = new Map<Fill, number>();
  #requests = 0;

  constructor(options: DeskOptions) {
    this.#options = options;
    this.tokens = new Tokens(options.seed ^ 0x7a11);
    this.#credits = new Credits(options);
    const firstOrder = 1_000_000 + (new Prng(options.seed).u32() % 1_000_000) + Math.max(0, Math.floor(options.startMs / 1000) - EPOCH_S) * 100;
    this.engine = new MatchingEngine(options.markets, { ...options, firstOrder });
    this.cod = new CancelOnDisconnect((conn, nowMs) => this.#cancelOf(conn, nowMs));
    this.#methods = new Map([...tradingMethods(this), ...queryMethods(this), ...codMethods(this)]);
  }

  has(method: string): boolean {
    return this.#methods.has(method);
  }

  /** Runs one private method through the faults in force. */
  submit(call: PrivateCall, reply: Reply): void {
    const { method } = call;
    const symbol = this.#symbolOf(call);
    if (this.#strikes('request_lost', symbol, method) !== null) {
      this.#options.note({ k: 'request_lost', market_id: MARKET_ID, method, label: call.params['label'] ?? null });
      reply(null);
      return;
    }
    const late = this.#strikes('request_late', symbol, method);
    if (late === null) {
      this.#run(call, symbol, reply);
      return;
    }
    const refuse = (): void => reply(new RpcError(13666, 'request_cancelled_by_user'));
    this.#late.push({ dueMs: call.nowMs + (late.delay_ms ?? 1_000), request: true, refuse, go: (nowMs) => this.#run({ ...call, nowMs }, symbol, reply) });
  }

  /** Runs a command, writes it to the ledger and queues what it changed. Throws RpcError. */
  execute(nowMs: number, command: Command, origin: Origin): Outcome {
    const outcome = this.engine.execute(nowMs, command, origin);
    this.happened(outcome.changes, nowMs);
    return outcome;
  }

  /** Writes changes to the ledger and tells them when the time has come. */
  happened(changes: readonly Change[], nowMs: number): void {
    for (const change of changes) {
      for (const fill of change.fills) this.#noteFill(fill);
      for (const order of change.orders) this.#noteOrder(order);
      const fault = change.fills.length === 0 ? null : this.#strikes('late_fill', change.contract.symbol);
      if (fault === null) {
        this.#untold.push(change);
        continue;
      }
      // The order is told at once, its fills only later.
      const dueMs = nowMs + (fault.delay_ms ?? 1_000);
      for (const fill of change.fills) this.#hidden.set(fill, dueMs);
      if (change.orders.length > 0) this.#untold.push({ ...change, fills: [], moved: false });
      const rest = { ...change, orders: [] };
      this.#late.push({ dueMs, request: false, refuse: null, go: () => void this.#untold.push(rest) });
    }
  }

  /** What was late comes; quotes that have moved fill orders; the day may end. */
  advance(nowMs: number): void {
    this.happened(this.engine.advance(nowMs), nowMs);
    this.cod.advance(nowMs);
    const due = this.#late.filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
    if (due.length > 0) this.#late = this.#late.filter(({ dueMs }) => dueMs > nowMs);
    for (const { go } of due) go(nowMs);
    this.#tellAll();
  }

  /** A connection is gone: its tokens die, and its orders when cancel on disconnect is on. */
  disconnected(conn: number, nowMs: number): void {
    this.tokens.disconnected(conn);
    this.cod.fire(conn, nowMs);
    this.#tellAll();
  }

  /** WS cancel_all also ends the requests that are still queued. */
  purgeQueue(): void {
    const gone = this.#late.filter(({ request }) => request);
    this.#late = this.#late.filter(({ request }) => !request);
    for (const { refuse } of gone) refuse?.();
  }

  /** Open orders; under a `stale_orders` fault as they were a while ago. */
  openOrders(nowMs: number, method: string): Order[] {
    const fault = this.#strikes('stale_orders', undefined, method);
    if (fault === null) return this.engine.orders.open();
    return this.engine.orders.asOf(nowMs - (fault.delay_ms ?? 2_000)).filter((order) => order.status === 'open');
  }

  /** The time up to which a query sees the states of orders: without end, or under a `stale_states` fault until a while ago. */
  stateTime(nowMs: number, method: string): number {
    const fault = this.#strikes('stale_states', undefined, method);
    return fault === null ? Infinity : nowMs - (fault.delay_ms ?? 2_000);
  }

  /** The account's trades, oldest first, without those that are still hidden. */
  visibleFills(nowMs: number): Fill[] {
    for (const [fill, untilMs] of this.#hidden) if (untilMs <= nowMs) this.#hidden.delete(fill);
    return this.engine.fills.filter((fill) => !this.#hidden.has(fill));
  }

  contract(params: Params): Contract {
    return tradable(this.engine.markets, params.text('instrument_name'));
  }

  currency(params: Params): string {
    const currency = params.text('currency').toUpperCase();
    if (!this.engine.account.currencies.includes(currency)) throw invalidParam('currency', 'invalid currency');
    return currency;
  }

  #run(call: PrivateCall, symbol: string | undefined, reply: Reply): void {
    const method = this.#methods.get(call.method);
    if (method === undefined) {
      reply(new RpcError(13025, 'method_switched_off_by_admin'));
      return;
    }
    const number = ++this.#requests;
    if (method.pool === 'matching') this.#noteRequest(call, number);
    let outcome: string | RpcError;
    try {
      this.#admit(method, call, symbol);
      outcome = method.run(new Params(call.params), call);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      outcome = error;
    }
    if (method.pool === 'matching')
      this.#options.note({ k: 'order_result', market_id: MARKET_ID, request: number, code: outcome instanceof RpcError ? outcome.code : 0 });
    if (this.#strikes('fill_before_ack', symbol, call.method) !== null) this.#tellAll();
    this.#answer(call, symbol, outcome, reply);
    this.#tellAll();
  }

  #answer(call: PrivateCall, symbol: string | undefined, outcome: string | RpcError, reply: Reply): void {
    if (this.#strikes('response_lost', symbol, call.method) !== null) {
      reply(null);
      return;
    }
    const late = this.#strikes('response_late', symbol, call.method);
    if (late === null) reply(outcome);
    else this.#late.push({ dueMs: call.nowMs + (late.delay_ms ?? 1_000), request: false, refuse: null, go: () => reply(outcome) });
  }

  #admit(method: PrivateMethod, call: PrivateCall, symbol: string | undefined): void {
    if (this.#strikes('maintenance') !== null) throw new RpcError(11051, 'system_maintenance');
    if (!this.#credits.spend('account', method.pool)) throw new RpcError(10028, 'too_many_requests');
    if (method.socket === true && call.conn === null) throw new RpcError(10030, 'must_be_websocket_request');
    demand(call.grant, method.realm, method.access);
    const adds = method.pool === 'matching' && !call.method.startsWith('private/cancel');
    // The order lives on, and may fill, although its cancel was told that there is none.
    if (call.method === 'private/cancel' && this.#strikes('cancel_unknown', symbol, call.method) !== null) throw new RpcError(10004, 'order_not_found');
    // A locked platform still takes cancels.
    const contract = adds && symbol !== undefined ? this.engine.markets.contract(symbol) : null;
    const locked = contract !== null && this.#options.locked?.(contract) === true;
    if (adds && (locked || this.#strikes('locked', symbol, call.method) !== null)) throw new RpcError(10019, 'locked_by_admin');
  }

  #strikes(kind: FaultKind, symbol?: string, method?: string): ReturnType<Faults['strike']> {
    return this.#options.faults.strike(kind, MARKET_ID, symbol, method);
  }

  #symbolOf({ params }: PrivateCall): string | undefined {
    const { instrument_name: symbol, order_id: id } = params;
    if (typeof symbol === 'string') return symbol;
    return typeof id === 'string' ? this.engine.orders.get(id)?.contract.symbol : undefined;
  }

  #cancelOf(conn: number, nowMs: number): void {
    this.execute(nowMs, { do: 'cancel_where', where: (order) => order.conn === conn, reason: 'cancel_on_disconnect' }, { conn, api: true });
  }

  #tellAll(): void {
    const changes = this.#untold;
    this.#untold = [];
    for (const change of changes) {
      this.#options.tell(change);
      if (change.fills.length > 0 && this.#strikes('duplicate_fill', change.contract.symbol) !== null) this.#options.tell(change);
    }
  }

  #noteRequest({ method, conn, params, nowMs }: PrivateCall, request: number): void {
    const shown = Object.fromEntries(Object.entries(params).filter(([name]) => name !== 'access_token'));
    this.#options.note({ k: 'order_request', market_id: MARKET_ID, request, conn, method, label: params['label'] ?? null, ts: nowMs * 1000, params: shown });
  }

  #noteFill(fill: Fill): void {
    this.#options.note({
      k: 'fill', market_id: MARKET_ID, symbol: fill.contract.symbol, trade_id: fill.tradeId, trade_seq: fill.tradeSeq, order_id: fill.order.id,
      label: fill.order.label, side: fill.side, price: decText(fill.price), amount: decText(fill.amount), fee: decText(fill.fee),
      liquidity: fill.liquidity, ts: fill.timestampMs * 1000,
    });
  }

  #noteOrder(order: Order): void {
    this.#options.note({
      k: 'order', market_id: MARKET_ID, symbol: order.contract.symbol, order_id: order.id, label: order.label, side: order.side, state: order.status,
      amount: decText(order.amount), filled: decText(order.filled), price: order.price === null ? null : decText(order.price),
      cancel_reason: order.cancelReason, ts: order.updatedMs * 1000,
    });
  }
}
