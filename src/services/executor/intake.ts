// A signal's way: is it from one of ours, is it well-formed, is it still wanted, may it be sent; then it is an intent, or a refusal
// with its code, a row and an update. Signals are delivered at least once; the intent's unique signal_id makes that once.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { parseSignal, type Signal } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import type { Intent, TradingStore } from '../../core/trading/records.ts';
import type { AccountBook } from './account_book.ts';
import type { OrderDesk } from './desk.ts';
import { REFUSALS, refuse, type Refused } from './risk/codes.ts';
import { judge, type RiskView, type WantedOrder } from './risk/gate.ts';
import type { RiskLimits } from './risk/limits.ts';
import type { Throttle } from './risk/throttle.ts';
import { refusalUpdate, type Update } from './updates.ts';

export interface IntakePorts {
  store: TradingStore;
  desk: OrderDesk;
  book: AccountBook;
  clock: Clock;
  limits: RiskLimits;
  throttle: Throttle;
  account: string;
  /** A new label: `<env>-<strategy>-<ulid>`, never given twice. */
  mintLabel: (strategy: string) => string;
  /** What the gate sees now. */
  view: (symbol: string) => Promise<RiskView>;
  /** Why nothing at all is sent (observe, kill switch, not the leader, not reconciled, locked), or null. */
  barred: () => Refused | null;
  /** null: signals need no mac. */
  signalKey: Buffer | null;
  /** How long the exchange may take a request, ms. */
  sendWithinMs: number;
  tell: (update: Update) => void;
  /** Counts a refusal by code. */
  refused: (code: string) => void;
}

/** A clock of a strategy may be ahead of ours by so much, µs. */
const AHEAD = 5_000_000;

export type SignalOutcome = { kind: 'refused'; refused: Refused } | { kind: 'placed'; label: string } | { kind: 'cancelling'; label: string };

export interface Delivery {
  /** Called once the gate has decided and the next entry may come; the order's own way goes on. */
  passed?: () => void;
  /** It was delivered before, to an executor that may have died with it: an order that came of it is its answer. */
  again?: boolean;
}

export class SignalIntake {
  readonly #ports: IntakePorts;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  /** Handles one stream entry to its end. Rejects only when the store cannot be reached: then it is to be delivered again. */
  async entry(payload: string, mac: string | null, delivery: Delivery = {}): Promise<SignalOutcome> {
    const read = readSignal(payload, mac, this.#ports.signalKey);
    if ('code' in read) return this.#no(read, null, payload.slice(0, 2_000));
    return this.signal(read, delivery);
  }

  /** The same for a signal of a built-in strategy. */
  async signal(signal: Signal, delivery: Delivery = {}): Promise<SignalOutcome> {
    if (delivery.again === true) {
      const known = await this.#ports.store.orderBySignal(signal.signal_id);
      if (known !== null) return { kind: 'placed', label: known.label };
    }
    const late = this.#late(signal);
    if (late !== null) return this.#no(late, signal, signal);
    return signal.cancel_label === undefined ? this.#order(signal, delivery) : this.#cancel(signal, signal.cancel_label);
  }

  #late(signal: Signal): Refused | null {
    const now = this.#ports.clock.nowMicros();
    const end = signal.created_ts + signal.valid_for_ms * 1000;
    if (now >= end) return refuse('STALE_SIGNAL', `its time ended ${Math.round((now - end) / 1000)} ms ago`);
    return signal.created_ts > now + AHEAD ? refuse('STALE_SIGNAL', `created_ts is ${Math.round((signal.created_ts - now) / 1000)} ms ahead`) : null;
  }

  async #order(signal: Signal, delivery: Delivery): Promise<SignalOutcome> {
    const { book, clock, limits, throttle, view, barred, mintLabel, desk } = this.#ports;
    const wanted = wantedOf(signal);
    if ('code' in wanted) return this.#no(wanted, signal, signal);
    // Nobody waits for the database before the gate: signals would queue up for its answers. Whether this one is known is asked when it
    // is refused, and with the insert of its intent when it is not.
    const closed = barred();
    if (closed !== null) return this.#refuseOrder(closed, signal);
    const seen = await view(wanted.symbol);
    // From here to the reservation nothing is awaited: the next signal is judged with this order.
    // The books are looked at now: while the view was on its way another strategy's order may have been reserved.
    const verdict = judge(wanted, { ...seen, positions: book.positions(), working: book.working() }, limits);
    if ('code' in verdict) return this.#refuseOrder(verdict, signal);
    const no = barred() ?? throttle.take({ ...wanted, ...verdict }, clock.monotonicMs());
    if (no !== null) return this.#refuseOrder(no, signal);
    const label = mintLabel(wanted.strategy);
    book.reserve(label, { symbol: wanted.symbol, side: wanted.side, open: verdict.amount, price: verdict.price });
    delivery.passed?.();
    try {
      const placed = await desk.place(this.#intent(signal, wanted, verdict, label, seen.reduceOnlyBecause !== null));
      if (placed.kind === 'placed') return { kind: 'placed', label };
      const refused =
        placed.kind === 'duplicate' ? refuse('DUPLICATE_SIGNAL', `order ${placed.order.label} came of it`) : refuse('NOT_COMMITTED', placed.reason);
      return await this.#no(refused, signal, signal);
    } finally {
      book.release(label);
    }
  }

  /** A signal that has become an order is a duplicate, whatever else is wrong with it by now. */
  async #refuseOrder(refused: Refused, signal: Signal): Promise<SignalOutcome> {
    const known = await this.#ports.store.orderBySignal(signal.signal_id);
    return this.#no(known === null ? refused : refuse('DUPLICATE_SIGNAL', `order ${known.label} came of it`), signal, signal);
  }

  #intent(signal: Signal, wanted: WantedOrder, checked: { amount: string; price: string | null }, label: string, onlyReducing: boolean): Intent {
    const now = this.#ports.clock.nowMicros();
    return {
      label,
      signalId: signal.signal_id,
      account: this.#ports.account,
      strategy: wanted.strategy,
      marketId: wanted.marketId,
      symbol: wanted.symbol,
      side: wanted.side,
      amount: checked.amount,
      orderType: wanted.orderType,
      price: checked.price,
      timeInForce: wanted.timeInForce,
      postOnly: wanted.postOnly,
      // The exchange holds it too: what only may reduce can then not open, whatever was filled meanwhile.
      reduceOnly: wanted.reduceOnly || onlyReducing,
      validUntil: Math.min(now + this.#ports.sendWithinMs * 1000, signal.created_ts + signal.valid_for_ms * 1000),
      createdTs: now,
    };
  }

  /** Cancelling is always allowed, in every state. */
  async #cancel(signal: Signal, label: string): Promise<SignalOutcome> {
    const { store, desk, account } = this.#ports;
    const order = await store.orderByLabel(label);
    if (order === null || order.account !== account || order.origin !== 'own' || order.strategy !== signal.strategy) {
      return this.#no(refuse('UNKNOWN_ORDER', label), signal, signal);
    }
    const after = await desk.cancel(order);
    if (after.cancelState === null && !['CANCELLED', 'FILLED'].includes(after.state))
      return this.#no(refuse('UNKNOWN_ORDER', `${label} is ${after.state}`), signal, signal);
    return { kind: 'cancelling', label };
  }

  async #no(refused: Refused, signal: Signal | null, raw: unknown): Promise<SignalOutcome> {
    const refusal = {
      at: this.#ports.clock.nowMicros(),
      account: this.#ports.account,
      signalId: signal?.signal_id ?? null,
      strategy: signal?.strategy ?? null,
      marketId: signal?.market_id ?? null,
      symbol: signal?.symbol ?? null,
      code: refused.code,
      reason: `${REFUSALS[refused.code]}: ${refused.detail}`.slice(0, 512),
      signal: raw,
    };
    await this.#ports.store.insertRefusal(refusal);
    this.#ports.refused(refused.code);
    this.#ports.tell(refusalUpdate(refusal));
    return { kind: 'refused', refused };
  }
}

/** Checks mac, JSON and contract. */
export function readSignal(payload: string, mac: string | null, key: Buffer | null): Signal | Refused {
  if (key !== null && !authentic(payload, mac, key)) return refuse('UNAUTHENTICATED', mac === null ? 'no mac' : 'wrong mac');
  let tree: unknown;
  try {
    tree = JSON.parse(payload);
  } catch {
    return refuse('MALFORMED', 'not JSON');
  }
  const parsed = parseSignal(tree);
  return parsed.ok ? parsed.value : refuse('MALFORMED', parsed.error);
}

/** hex HMAC-SHA256 of the payload's bytes; compared in constant time. */
export function macOf(payload: string, key: Buffer): string {
  return createHmac('sha256', key).update(payload).digest('hex');
}

function authentic(payload: string, mac: string | null, key: Buffer): boolean {
  const expected = Buffer.from(macOf(payload, key));
  const given = Buffer.from(mac ?? '');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** The order a signal asks for, when it says all that an order needs. */
function wantedOf(signal: Signal): WantedOrder | Refused {
  const { market_id: marketId, symbol, side, amount, order_type: orderType } = signal;
  const missing = Object.entries({ market_id: marketId, symbol, side, amount, order_type: orderType }).find(([, value]) => value === undefined)?.[0];
  if (missing !== undefined) return refuse('MALFORMED', `${missing} is missing`);
  return {
    strategy: signal.strategy,
    marketId: marketId!,
    symbol: symbol!,
    side: side!,
    amount: amount!,
    orderType: orderType!,
    price: signal.price ?? null,
    timeInForce: signal.time_in_force ?? null,
    postOnly: signal.post_only ?? false,
    reduceOnly: signal.reduce_only ?? false,
  };
}
