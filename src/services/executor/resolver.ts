// Orders whose outcome nobody knows: looked up by label, never sent again. Two look-ups after `valid_until` and a grace that found
// nothing anywhere are the proof that there is no order. Wanted cancellations are pushed until the order is proven to work no more.
import { Exact } from '../../core/trading/exact.ts';
import { FINAL_STATES, type FillReport, type OrderReport } from '../../core/trading/order.ts';
import type { OrderRecord } from '../../core/trading/records.ts';
import type { OrderDesk } from './desk.ts';
import type { DeskPorts } from './ports.ts';

/** An answer that takes longer is none; above every timeout of a request. */
const ORPHANED_AFTER = 12_000_000;
/** µs after `valid_until` before not finding it counts: lists lag (python-binance#690 saw 30 s; the cancellation below does not). */
const GRACE = 10_000_000;
/** µs between two look-ups that count. */
const SPACING = 8_000_000;
const PROOFS = 2;
/** The exchange's clock and ours agree at least so well, µs. */
const SKEW = 5_000_000;

/** What the exchange's lists say at one moment. */
interface Lists {
  open: OrderReport[];
  closed: OrderReport[];
  fills: FillReport[];
}

export class Resolver {
  readonly #ports: DeskPorts;
  readonly #desk: OrderDesk;

  constructor(ports: DeskPorts, desk: OrderDesk) {
    this.#ports = ports;
    this.#desk = desk;
  }

  /**
   * One round over all orders that are in doubt. Throws VenueError when the exchange could not be asked: then nothing was concluded.
   * Returns how many are still in doubt.
   */
  async step(): Promise<number> {
    const doubtful: OrderRecord[] = [];
    for (const order of await this.#ports.store.liveOrders(this.#ports.account)) {
      if (this.#desk.inFlight(order.label) || this.#desk.inFlight(`cancel ${order.label}`)) continue;
      const now = await this.#orphan(order);
      if (FINAL_STATES.includes(now.state)) await this.#settleCancel(now);
      else if (now.state === 'UNKNOWN' || (now.cancelState !== null && now.cancelState !== 'REQUESTED')) doubtful.push(now);
      else if (now.cancelState === 'REQUESTED') await this.#desk.pushCancel(now);
    }
    if (doubtful.length === 0) return 0;
    const lists = await this.#lists(doubtful);
    let left = 0;
    for (const order of doubtful) left += (await this.#resolve(order, lists)) ? 0 : 1;
    return left;
  }

  /** An order that a process before us, or a lost reply of the store, left between commit and outcome. */
  async #orphan(order: OrderRecord): Promise<OrderRecord> {
    const at = this.#ports.clock.nowMicros();
    if (order.state === 'PENDING') {
      return this.#desk.decide(order, (now) => (now.state === 'PENDING' ? { event: 'never_sent', at, state: 'EXPIRED', code: 'NOT_SENT' } : null));
    }
    const others = order.epoch !== this.#ports.epoch;
    if (order.state !== 'SENDING' || (!others && at < (order.sentTs ?? at) + ORPHANED_AFTER)) return order;
    return this.#desk.decide(order, (now) =>
      now.state === 'SENDING' ? { event: 'orphaned', at, state: 'UNKNOWN', reason: 'no outcome on record' } : null,
    );
  }

  /** Few requests for any number of orders. */
  async #lists(doubtful: readonly OrderRecord[]): Promise<Lists> {
    const since = Math.min(...doubtful.map((order) => order.sentTs ?? order.createdTs)) - SKEW;
    const { venue, clock } = this.#ports;
    const fills = await venue.fills(since, clock.nowMicros() + SKEW);
    const closed = await venue.closedOrders(since);
    return { fills, closed, open: await venue.openOrders() };
  }

  /** true: no longer in doubt. */
  async #resolve(order: OrderRecord, lists: Lists): Promise<boolean> {
    const mine = (candidate: { label: string; exchangeOrderId: string; symbol: string }): boolean =>
      order.exchangeOrderId === null
        ? candidate.label === order.label && candidate.symbol === order.symbol
        : candidate.exchangeOrderId === order.exchangeOrderId;
    const fills = lists.fills.filter(mine);
    const reports = [...lists.closed.filter(mine), ...lists.open.filter(mine)];
    if (reports.length === 0 && order.exchangeOrderId === null)
      reports.push(...(await this.#ports.venue.ordersByLabel(order.label, order.symbol)).filter(mine));
    if (reports.length === 0 && order.exchangeOrderId !== null) {
      const report = await this.#ports.venue.order(order.exchangeOrderId);
      if (report !== null) reports.push(report);
    }
    if (new Set(reports.map((report) => report.exchangeOrderId)).size > 1) {
      this.#ports.lock(`label ${order.label} is carried by more than one order of the exchange`);
    }
    if (fills.length > 0) await this.#desk.absorbFills(fills, 'rest');
    for (const report of reports) await this.#desk.absorbOrder(report, 'looked_up');
    if (fills.length === 0 && reports.length === 0) return order.exchangeOrderId === null ? this.#notFound(order) : false;
    return this.#afterProof(order);
  }

  /** What works no more needs no cancellation. */
  async #settleCancel(order: OrderRecord): Promise<void> {
    await this.#desk.decide(order, (now) =>
      now.cancelState !== null && FINAL_STATES.includes(now.state)
        ? { event: 'cancel_settled', at: this.#ports.clock.nowMicros(), cancelState: null }
        : null,
    );
  }

  /** The order is there: a cancellation that went unanswered is settled by its state, or sent again. */
  async #afterProof(order: OrderRecord): Promise<boolean> {
    const now = await this.#ports.store.orderByLabel(order.label);
    if (now === null || now.cancelState === null) return now === null || now.state !== 'UNKNOWN';
    const working = now.state === 'OPEN' || now.state === 'PARTIALLY_FILLED';
    const filledUp = new Exact(now.filledAmount).gte(now.amount);
    if (!working || filledUp) {
      await this.#desk.decide(now, (again) =>
        again.cancelState === null ? null : { event: 'cancel_settled', at: this.#ports.clock.nowMicros(), cancelState: null },
      );
      return true;
    }
    // Cancelling twice does no harm, unlike sending twice.
    await this.#desk.decide(now, (again) =>
      again.cancelState === 'REQUESTED' || again.cancelState === null
        ? null
        : { event: 'cancel_again', at: this.#ports.clock.nowMicros(), cancelState: 'REQUESTED' },
    );
    await this.#desk.pushCancel((await this.#ports.store.orderByLabel(order.label)) ?? now);
    return false;
  }

  async #notFound(order: OrderRecord): Promise<boolean> {
    const { venue, clock } = this.#ports;
    const at = clock.nowMicros();
    if (at < order.validUntil + GRACE || (order.lookups > 0 && at < order.updatedTs + SPACING)) return false;
    // Asks the matching engine itself, where no list lags: whatever still waits there under this label is ended.
    const purged = await venue.cancelByLabel(order.label, order.symbol);
    if (purged.kind === 'unknown' || purged.count > 0) return false;
    const after = await this.#desk.decide(order, (now) => {
      if (now.state !== 'UNKNOWN' || now.exchangeOrderId !== null) return null;
      const lookups = now.lookups + 1;
      const proven = lookups >= PROOFS;
      return {
        event: proven ? 'abandoned' : 'not_found',
        at,
        lookups,
        ...(proven
          ? { state: 'ABANDONED' as const, code: 'NOT_FOUND', cancelState: null, reason: `not at the exchange: ${lookups} look-ups after valid_until` }
          : {}),
      };
    });
    return after.state === 'ABANDONED';
  }
}
