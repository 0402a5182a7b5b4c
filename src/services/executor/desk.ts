// The desk: an intent becomes an order at most once, and whatever the exchange says about orders and fills is booked here. Every
// change goes through the store's compare-and-set, so that the answer of a request, the private stream, look-ups and
// reconciliation may all tell the same thing in any order.
import { classify, toError } from '../../core/errors.ts';
import { Exact } from '../../core/trading/exact.ts';
import { FINAL_STATES, type FillReport, type OrderReport } from '../../core/trading/order.ts';
import {
  FencedError, type FillRecord, type FillSource, type FillsApplied, type Intent, type OrderChange, type OrderRecord,
} from '../../core/trading/records.ts';
import type { SubmitOutcome } from '../../exchanges/trading.ts';
import { bookTerms, type DeskPorts } from './ports.ts';
import { Reported, stateAfter } from './reported.ts';
import { fillUpdate, orderUpdate, positionUpdate } from './updates.ts';

/** How an intent ended up; the order's later life is told by its updates. */
export type PlaceResult =
  | { kind: 'placed'; order: OrderRecord }
  /** The signal or the label is known: nothing was sent for this one. */
  | { kind: 'duplicate'; order: OrderRecord }
  | { kind: 'not_committed'; reason: string };

const RETRY_MS = 200;
/** Orders that have ended are remembered so long: what the private stream repeats of them needs no look at the store. */
const ENDED_KEPT = 1_000;

export class OrderDesk {
  readonly #ports: DeskPorts;
  /** Labels that this process has handed to the venue: never twice, whatever the store says. */
  readonly #handed = new Set<string>();
  readonly #inFlight = new Set<string>();
  readonly #activity = new Map<string, number>();
  /** By label: answers that are being booked. */
  readonly #settling = new Map<string, Promise<OrderRecord>>();
  /** By the exchange's id; in the order of their ends. */
  readonly #ended = new Map<string, OrderRecord>();
  readonly #reported = new Reported();

  constructor(ports: DeskPorts) {
    this.#ports = ports;
  }

  /** Labels whose request is on the wire now: their outcome is on its way, nobody else may judge it. */
  inFlight(label: string): boolean {
    return this.#inFlight.has(label);
  }

  /** ms since something last happened to this symbol's orders or fills; Infinity: never in this process. */
  quietMs(symbol: string): number {
    const at = this.#activity.get(symbol);
    return at === undefined ? Infinity : this.#ports.clock.monotonicMs() - at;
  }

  /** Commits the intent as SENDING, sends it once, and books the outcome. */
  async place(intent: Intent): Promise<PlaceResult> {
    const committed = await this.#commit(intent);
    if (committed.kind !== 'placed') return committed;
    // The request goes first: writing the news to Redis would hold it up.
    const sent = this.#send(committed.order);
    this.#told(committed.order);
    return { kind: 'placed', order: await sent };
  }

  async #commit(intent: Intent): Promise<PlaceResult> {
    const { store, clock, epoch } = this.#ports;
    for (;;) {
      try {
        const { inserted, order } = await store.insertIntent(intent, { epoch, state: 'SENDING', at: clock.nowMicros() });
        // A commit whose reply was lost comes back as known: the label is this process's own, and not handed out, so it was never sent.
        const ours = order.label === intent.label && order.state === 'SENDING' && order.epoch === epoch && !this.#handed.has(order.label);
        return inserted || ours ? { kind: 'placed', order } : { kind: 'duplicate', order };
      } catch (error) {
        if (error instanceof FencedError || classify(error) !== 'infrastructure') throw error;
        if (clock.nowMicros() >= intent.validUntil) return { kind: 'not_committed', reason: toError(error).message };
        await this.#ports.pause(RETRY_MS);
      }
    }
  }

  async #send(order: OrderRecord): Promise<OrderRecord> {
    if (this.#handed.has(order.label)) throw new Error(`order ${order.label} was handed out already`);
    this.#handed.add(order.label);
    // Nothing is awaited between the fence and the venue: what forbids sending is seen until the last moment.
    const forbidden = this.#ports.fence(order);
    if (forbidden !== null) return this.#settle(order, { kind: 'not_sent', reason: forbidden });
    this.#inFlight.add(order.label);
    this.#moved(order.symbol);
    try {
      const { label, symbol, side, amount, orderType, price, timeInForce, postOnly, reduceOnly, validUntil } = order;
      const outcome = await this.#ports.venue.submit({ label, symbol, side, amount, orderType, price, timeInForce, postOnly, reduceOnly, validUntil });
      const settled = this.#settle(order, outcome);
      this.#settling.set(order.label, settled);
      return await settled;
    } finally {
      this.#settling.delete(order.label);
      this.#inFlight.delete(order.label);
      this.#moved(order.symbol);
    }
  }

  async #settle(order: OrderRecord, outcome: SubmitOutcome): Promise<OrderRecord> {
    const at = this.#ports.clock.nowMicros();
    switch (outcome.kind) {
      case 'accepted': {
        const mine = outcome.order.label === order.label && outcome.order.symbol === order.symbol;
        const booked = await (mine ? this.#absorb(order, outcome.order, 'acknowledged') : this.absorbOrder(outcome.order, 'acknowledged'));
        if (booked !== null && outcome.fills.length === 0) return booked;
        await this.absorbFills(outcome.fills, 'response');
        return (await this.#ports.store.orderByLabel(order.label)) ?? booked ?? order;
      }
      case 'refused':
        return this.decide(order, (now) => (unproven(now) ? { event: 'refused', at, state: 'REJECTED', code: outcome.code, reason: outcome.reason } : null));
      case 'not_sent':
        return this.decide(order, (now) => (unproven(now) ? { event: 'not_sent', at, state: 'REJECTED', code: 'NOT_SENT', reason: outcome.reason } : null));
      case 'unknown':
        return this.decide(order, (now) => (now.state === 'SENDING' ? { event: 'unanswered', at, state: 'UNKNOWN', reason: outcome.reason } : null));
    }
  }

  /** Changes an order by what it is now; `decide` null: nothing to change. Repeats while the store is away or somebody else was faster. */
  async decide(order: OrderRecord, decide: (now: OrderRecord) => OrderChange | null, current = false): Promise<OrderRecord> {
    // What the caller has is tried first: where it is old its version says so, and where it changes nothing (unless `current`) it is read.
    for (let now = order, read = current; ; read = true) {
      const change = decide(now);
      if (change === null && read) return now;
      const { orderId, version } = now;
      const after = change === null ? null : await this.#patiently(() => this.#ports.store.change(orderId, version, change));
      if (after !== null) this.#told(after);
      if (after !== null) return after;
      const found = await this.#patiently(() => this.#ports.store.orderByLabel(order.label));
      if (found === null) throw new Error(`order ${order.label} is not in the store any more`);
      now = found;
    }
  }

  /** Books what the exchange says of an order of ours; null when the order is not ours (nothing is booked then). */
  async absorbOrder(report: OrderReport, event: string): Promise<OrderRecord | null> {
    // The private stream tells what the answer tells, at the same time: the one that is being booked goes first.
    await this.#settling.get(report.label)?.catch(() => undefined);
    const ended = this.#ended.get(report.exchangeOrderId);
    if (ended !== undefined && stateAfter(ended, report) === ended.state) return ended;
    const order = await this.#patiently(() => this.#find(report));
    return order === null ? null : this.#absorb(order, report, event, true);
  }

  #absorb(order: OrderRecord, report: OrderReport, event: string, current = false): Promise<OrderRecord> {
    return this.decide(order, (now) => this.#reported.change(now, report, { event, at: this.#ports.clock.nowMicros() }), current);
  }

  /** Our order that a report is about. A label alone is no proof: another order may carry it, and ours has its own id by then. */
  async #find(report: OrderReport): Promise<OrderRecord | null> {
    const { store, account } = this.#ports;
    const byId = await store.orderByExchangeId(account, report.exchangeOrderId);
    if (byId !== null || report.label === '') return byId;
    const byLabel = await store.orderByLabel(report.label);
    // Between the two looks its answer may have been booked.
    const fits = byLabel !== null && (byLabel.exchangeOrderId ?? report.exchangeOrderId) === report.exchangeOrderId;
    return fits && byLabel.account === account && byLabel.symbol === report.symbol ? byLabel : null;
  }

  /** Books fills, each once, whoever tells them. Conflicts and overfills open a case and lock. */
  async absorbFills(fills: readonly FillReport[], source: FillSource): Promise<FillsApplied> {
    const { store, account, marketId, clock, terms } = this.#ports;
    const recordedTs = clock.nowMicros();
    const records = fills.map((fill): FillRecord => ({ ...fill, account, marketId, source, recordedTs }));
    const applied = await this.#patiently(() =>
      store.applyFills(account, records, (symbol) => bookTerms(terms, symbol)),
    );
    await this.noteFills(applied);
    return applied;
  }

  /** Fills that were booked, by this desk or by what an audit found: the books in memory and everybody else are told. */
  async noteFills(applied: FillsApplied): Promise<void> {
    for (const fill of applied.fresh) {
      this.#moved(fill.symbol);
      this.#ports.booked.fill(fill);
      this.#ports.tell(fillUpdate(fill));
    }
    for (const order of applied.orders) this.#told(order);
    for (const position of applied.positions) {
      this.#ports.booked.position(position);
      this.#ports.tell(positionUpdate(position));
    }
    await this.#judge(applied);
  }

  async #judge(applied: FillsApplied): Promise<void> {
    const { store, account, marketId, clock, lock } = this.#ports;
    for (const { known, told } of applied.conflicts) {
      await this.#patiently(() =>
        store.openCase({ account, kind: 'fill_conflict', marketId, symbol: told.symbol, ours: known, theirs: told, evidence: [] }, clock.nowMicros()),
      );
      lock(`fill ${told.tradeId} was told with other values`);
    }
    for (const order of applied.orders) {
      // What others do with their orders is theirs: its fills may come before the word that it was made larger.
      if (order.origin === 'external' || new Exact(order.filledAmount).lte(order.amount)) continue;
      await this.#patiently(() =>
        store.openCase({
          account, kind: 'overfill', marketId, symbol: order.symbol, ours: { label: order.label, amount: order.amount },
          theirs: { filled: order.filledAmount }, evidence: [],
        }, clock.nowMicros()),
      );
      lock(`order ${order.label} was filled beyond its amount: ${order.filledAmount} of ${order.amount}`);
    }
  }

  /** An order that came on record otherwise than by this desk: the books in memory count it from now on. */
  note(order: OrderRecord): void {
    this.#told(order);
  }

  /** Asks for the cancellation of a live order; repeats of it do no harm. Resolves when it was sent, or noted to be sent once the order is known. */
  async cancel(order: OrderRecord, event = 'cancel_requested'): Promise<OrderRecord> {
    const wanted = await this.decide(order, (now) =>
      cancellable(now) && now.cancelState === null ? { event, at: this.#ports.clock.nowMicros(), cancelState: 'REQUESTED' } : null,
    );
    return wanted.cancelState === 'REQUESTED' ? this.pushCancel(wanted) : wanted;
  }

  /** Sends a wanted cancellation when the exchange's id is known; safe to repeat. */
  async pushCancel(order: OrderRecord): Promise<OrderRecord> {
    const { venue, clock } = this.#ports;
    const id = order.exchangeOrderId;
    if (id === null || this.#inFlight.has(`cancel ${order.label}`)) return order;
    this.#inFlight.add(`cancel ${order.label}`);
    this.#moved(order.symbol);
    try {
      await this.decide(order, (now) =>
        cancellable(now) && now.cancelState !== 'SENDING' ? { event: 'cancelling', at: clock.nowMicros(), cancelState: 'SENDING' } : null,
      );
      const outcome = await venue.cancel(id);
      if (outcome.kind === 'done') await this.absorbOrder(outcome.order, 'cancel_acknowledged');
      const reason = outcome.kind === 'done' ? 'acknowledged' : outcome.kind === 'gone' ? `gone: ${outcome.code}` : outcome.reason;
      // Refused: the order goes on working, the wish stays noted and is tried again. Only proof ends the wish.
      return await this.decide(order, (now) =>
        now.cancelState !== 'SENDING' ? null : {
          event: `cancel_${outcome.kind}`, at: clock.nowMicros(), reason,
          cancelState: outcome.kind === 'refused' || outcome.kind === 'not_sent' ? 'REQUESTED' : 'UNKNOWN',
        });
    } finally {
      this.#inFlight.delete(`cancel ${order.label}`);
      this.#moved(order.symbol);
    }
  }

  #told(order: OrderRecord): void {
    this.#moved(order.symbol);
    if (order.exchangeOrderId !== null && FINAL_STATES.includes(order.state)) this.#reported.forget(order.exchangeOrderId);
    if (order.origin === 'own' && order.exchangeOrderId !== null && order.cancelState === null && FINAL_STATES.includes(order.state)) {
      this.#ended.set(order.exchangeOrderId, order);
      if (this.#ended.size > ENDED_KEPT) this.#ended.delete(this.#ended.keys().next().value!);
    }
    this.#ports.booked.order(order);
    this.#ports.tell(orderUpdate(order));
  }

  #moved(symbol: string): void {
    this.#activity.set(symbol, this.#ports.clock.monotonicMs());
  }

  /** What is known must reach the store: it is tried until the store is back or the process ends (and then it is looked up again). */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (classify(error) !== 'infrastructure') throw error;
        this.#ports.log.warn({ err: toError(error) }, 'the store did not answer, trying again');
        await this.#ports.pause(RETRY_MS);
      }
    }
  }
}

/** Nothing has proven yet that the exchange has the order. */
function unproven(order: OrderRecord): boolean {
  return order.exchangeOrderId === null && (order.state === 'SENDING' || order.state === 'UNKNOWN');
}

function cancellable(order: OrderRecord): boolean {
  return ['SENDING', 'UNKNOWN', 'OPEN', 'PARTIALLY_FILLED'].includes(order.state);
}
