// The ReconciliationAgent: compares orders, fills and positions with the exchange, heals what can be healed, and opens a case for
// what cannot. A query that failed is not a flat position: it throws, and nothing is concluded. What is in motion is left alone.
import { Exact, ZERO, plain } from '../../core/trading/exact.ts';
import type { OrderReport } from '../../core/trading/order.ts';
import type { CaseRecord, OrderRecord } from '../../core/trading/records.ts';
import type { PositionReport } from '../../exchanges/trading.ts';
import type { OrderDesk } from './desk.ts';
import { bookTerms, type DeskPorts } from './ports.ts';
import { isEdited, stateAfter } from './reported.ts';
import { caseUpdate } from './updates.ts';

/** Symbols with activity within this time are skipped: both views move (nautilus#3493). */
const QUIET_MS = 5_000;
/** Where it is never quiet, the same difference in so many rounds is no motion: what moves leaves another one each time. */
const STEADY_ROUNDS = 3;
/** A disagreement that outlives so many rounds is persistent. */
const ATTEMPTS = 4;
/** Fills are asked for again from so long before the newest one, µs: late fills carry old times. */
const OVERLAP = 10 * 60_000_000;
const AHEAD = 5_000_000;
/** Fills that are booked in one transaction. */
const PER_COMMIT = 1_000;
/** A contract is delivered within this of its expiry, µs. */
const DELIVERY = 10 * 60_000_000;

export interface Disagreement {
  symbol: string;
  ours: string;
  theirs: string;
}

export interface ReconcilePorts extends DeskPorts {
  /** Asks the janitor for an audit of our own trades; durable. */
  askAudit: (reason: string) => Promise<void>;
  /** Up to when (µs) the exchange's log was read; null: never yet. Absent: nobody reads it. */
  logThrough?: () => number | null;
}

export class ReconciliationAgent {
  readonly #ports: ReconcilePorts;
  readonly #desk: OrderDesk;
  /** What restless symbols and orders have shown, and in how many rounds on end. */
  readonly #steady = new Map<string, { seen: string; rounds: number }>();

  constructor(ports: ReconcilePorts, desk: OrderDesk) {
    this.#ports = ports;
    this.#desk = desk;
  }

  /** Everything, from the first fill on record: before any trade. Throws when the exchange could not be asked. */
  async full(): Promise<Disagreement[]> {
    await this.fills();
    await this.orders();
    return this.positions({ settled: true });
  }

  /** Fills since the newest recorded one; all there are when none is recorded. `from` (µs) goes further back. Returns how many were missing. */
  async fills(from?: number): Promise<number> {
    const { store, venue, account, clock } = this.#ports;
    const last = await store.lastFillTs(account);
    const start = from ?? (last === null ? 0 : Math.max(0, last - OVERLAP));
    const found = await venue.fills(start, clock.nowMicros() + AHEAD);
    let missing = 0;
    // Oldest first and page by page: an end in between is gone on from, and neither heartbeats nor news wait for fifty thousand of them.
    for (let at = 0; at < found.length; at += PER_COMMIT) missing += (await this.#desk.absorbFills(found.slice(at, at + PER_COMMIT), 'rest')).fresh.length;
    return missing;
  }

  /** Open orders of the exchange against ours: theirs are adopted, ours that are missing there are looked up. */
  async orders(): Promise<void> {
    const { store, venue, account } = this.#ports;
    const ours = await store.liveOrders(account);
    const open = await venue.openOrders();
    const known = new Map(ours.map((order) => [order.exchangeOrderId, order]));
    for (const report of open) {
      const order = known.get(report.exchangeOrderId);
      // A thousand resting orders are the usual case: what says nothing new costs nothing.
      if (order !== undefined && order.cancelState === null && stateAfter(order, report) === order.state && !isEdited(order, report)) continue;
      // Without a label it can only be known by its id.
      if (order === undefined && report.label === '') await this.adopt(report);
      else await this.#absorb(report);
    }
    const listed = new Set(open.map((report) => report.exchangeOrderId));
    const missing = ours.filter(({ exchangeOrderId: id, state }) => id !== null && !listed.has(id) && (state === 'OPEN' || state === 'PARTIALLY_FILLED'));
    this.#forget('order', missing.map(({ label }) => label));
    const archived: OrderRecord[] = [];
    const lost = new Set(missing.map(({ label }) => label));
    for (const order of missing) {
      if (this.#moves(order.symbol, `order ${order.label}`, 'missing')) continue;
      const report = await venue.order(order.exchangeOrderId!);
      if (report === null) archived.push(order);
      else await this.#ended(order, report);
      if (report !== null) lost.delete(order.label);
    }
    for (const order of await this.#archived(archived)) lost.delete(order.label);
    const isFound = ({ ours: wanted }: CaseRecord): boolean => !lost.has(String((wanted as { label?: unknown } | null)?.label));
    await this.#heal((open) => open.kind === 'missing_order' && isFound(open), 'the order is known again');
  }

  /** Exchanges forget soon what has ended: whoever comes back after an hour finds in the archive alone what the guard has cancelled. Those found. */
  async #archived(orders: readonly OrderRecord[]): Promise<OrderRecord[]> {
    if (orders.length === 0) return [];
    const found: OrderRecord[] = [];
    const since = Math.min(...orders.map((order) => order.sentTs ?? order.createdTs)) - AHEAD;
    const closed = new Map((await this.#ports.venue.closedOrders(since)).map((report) => [report.exchangeOrderId, report]));
    for (const order of orders) {
      const report = closed.get(order.exchangeOrderId!);
      if (report !== undefined) {
        await this.#ended(order, report);
        found.push(order);
        continue;
      }
      await this.#case(
        {
          kind: 'missing_order', symbol: order.symbol, theirs: null,
          ours: { label: order.label, state: order.state, exchange_order_id: order.exchangeOrderId },
        },
        `order ${order.label} is not known to the exchange any more`,
      );
    }
    return found;
  }

  async #absorb(report: OrderReport): Promise<void> {
    if ((await this.#desk.absorbOrder(report, 'reconciled')) === null) await this.adopt(report);
  }

  /** Books an order that is not ours: it counts, and is left alone. */
  async adopt(report: OrderReport): Promise<void> {
    const { store, account, marketId, epoch, clock } = this.#ports;
    const order = await store.adoptExternal(account, marketId, report, { epoch, at: clock.nowMicros() });
    this.#desk.note(order);
    if (stateAfter(order, report) !== order.state) await this.#desk.absorbOrder(report, 'reconciled');
  }

  /** Not in the list of open orders: it ended, or the list lags. What the exchange says of it, and its fills. */
  async #ended(order: OrderRecord, report: OrderReport): Promise<void> {
    const { venue, clock } = this.#ports;
    if (new Exact(report.filledAmount).gt(order.filledAmount)) {
      await this.#desk.absorbFills(await venue.fills((order.sentTs ?? order.createdTs) - AHEAD, clock.nowMicros() + AHEAD), 'rest');
    }
    await this.#desk.absorbOrder(report, 'reconciled');
  }

  /** Positions of both sides; `settled`: nothing is in motion (at the start). Returns what disagrees. */
  async positions({ settled = false } = {}): Promise<Disagreement[]> {
    const theirs = await this.#ports.venue.positions();
    const ours = await this.#ours();
    const symbols = [...new Set([...theirs.map((position) => position.symbol), ...ours.keys()])].sort();
    const found: Disagreement[] = [];
    for (const symbol of symbols) {
      if (this.#isBeingDelivered(symbol) && !theirs.some((position) => position.symbol === symbol)) continue;
      const disagreement = compare(
        symbol,
        ours.get(symbol) ?? ZERO,
        theirs.find((position) => position.symbol === symbol),
      );
      const differs = disagreement === null ? '' : plain(new Exact(disagreement.theirs).minus(disagreement.ours));
      if (!settled && this.#moves(symbol, `position ${symbol}`, differs)) continue;
      if (disagreement === null) await this.#healed(symbol);
      else if (await this.#mismatch(disagreement)) found.push(disagreement);
    }
    return found;
  }

  /** Both views of it may be in motion, so that what they differ in (`seen`) proves nothing yet. */
  #moves(symbol: string, what: string, seen: string): boolean {
    if (this.#desk.quietMs(symbol) >= QUIET_MS) {
      this.#steady.delete(what);
      return false;
    }
    const before = this.#steady.get(what);
    const rounds = before?.seen === seen ? before.rounds + 1 : 1;
    if (rounds < STEADY_ROUNDS) this.#steady.set(what, { seen, rounds });
    else this.#steady.delete(what);
    return rounds < STEADY_ROUNDS;
  }

  /** Of this kind only these are still of interest. */
  #forget(kind: string, names: readonly string[]): void {
    const kept = new Set(names.map((name) => `${kind} ${name}`));
    for (const what of this.#steady.keys()) if (what.startsWith(`${kind} `) && !kept.has(what)) this.#steady.delete(what);
  }

  /** What has expired is settled without a trade: the log tells, and was not read so far yet. Nothing of it can be traded any more. */
  #isBeingDelivered(symbol: string): boolean {
    const { logThrough, terms, clock } = this.#ports;
    if (logThrough === undefined) return false;
    const [through, known] = [logThrough(), terms.of(symbol)];
    if (known === null) return through === null;
    return known.expiryTs !== null && known.expiryTs <= clock.nowMicros() && (through === null || through < known.expiryTs + DELIVERY);
  }

  /** Our derivative positions: spot holdings are balances, and a combo that somebody traded by hand has become positions in its legs. */
  async #ours(): Promise<Map<string, Exact>> {
    const records = await this.#ports.store.positions(this.#ports.account);
    const derivative = records.filter((record) => bookTerms(this.#ports.terms, record.symbol).position);
    return new Map(derivative.map((record) => [record.symbol, new Exact(record.amount)]));
  }

  /** true when it is still there after looking for missing fills. */
  async #mismatch(disagreement: Disagreement): Promise<boolean> {
    const { clock } = this.#ports;
    const { symbol } = disagreement;
    // A fill that we missed is the usual reason; the whole of the last day is asked for, then everything.
    const recovered = (await this.fills(clock.nowMicros() - 86_400_000_000)) || (await this.fills(0));
    const theirs = (await this.#ports.venue.positions()).find((position) => position.symbol === symbol);
    const again = compare(symbol, (await this.#ours()).get(symbol) ?? ZERO, theirs);
    if (again === null) {
      await this.#healed(symbol);
      return false;
    }
    if (this.#desk.quietMs(symbol) < QUIET_MS && recovered > 0) return true;
    await this.#ports.askAudit(`position of ${symbol}: ours ${again.ours}, the exchange's ${again.theirs}`);
    await this.#case(
      { kind: 'position_mismatch', symbol, ours: { amount: again.ours }, theirs: { amount: again.theirs } },
      `Persistent Position Mismatch: ${symbol} ours ${again.ours}, the exchange's ${again.theirs}`,
    );
    return true;
  }

  #healed(symbol: string): Promise<void> {
    return this.#heal((open) => open.kind === 'position_mismatch' && open.symbol === symbol, 'both sides agree again');
  }

  async #heal(which: (open: CaseRecord) => boolean, decision: string): Promise<void> {
    const { store, account, clock, tell } = this.#ports;
    for (const open of await store.openCases(account)) {
      if (open.status !== 'open' || !which(open)) continue;
      await store.settleCase(open.caseId, 'healed', decision, clock.nowMicros());
      tell(caseUpdate({ ...open, status: 'healed', decision }));
    }
  }

  async #case(entry: Pick<CaseRecord, 'kind' | 'symbol' | 'ours' | 'theirs'>, decision: string): Promise<void> {
    const { store, account, marketId, clock, tell, lock, log } = this.#ports;
    const evidence = (await store.liveOrders(account))
      .filter((order) => order.symbol === entry.symbol)
      .map(({ label, state, filledAmount, cancelState }) => ({ label, state, filled_amount: filledAmount, cancel_state: cancelState }));
    const opened = await store.openCase({ ...entry, account, marketId, evidence }, clock.nowMicros());
    tell(caseUpdate(opened));
    if (opened.attempts < ATTEMPTS || opened.status === 'locked') return;
    await store.settleCase(opened.caseId, 'locked', decision, clock.nowMicros());
    tell(caseUpdate({ ...opened, status: 'locked', decision }));
    log.error({ case: opened.caseId, symbol: entry.symbol, ours: entry.ours, theirs: entry.theirs }, decision);
    lock(decision);
  }
}

function compare(symbol: string, ours: Exact, theirs: PositionReport | undefined): Disagreement | null {
  const amount = new Exact(theirs?.amount ?? '0');
  return amount.eq(ours) ? null : { symbol, ours: plain(ours), theirs: plain(amount) };
}
