// The books in memory: positions, working orders and what was asked for a moment ago. Seeded from the store, then told of every
// change after its commit; the gate reads them without waiting for the database.
import { Exact, plain } from '../../core/trading/exact.ts';
import { LIVE_STATES } from '../../core/trading/order.ts';
import type { OrderRecord, PositionRecord, TradingStore } from '../../core/trading/records.ts';
import type { Working } from './risk/gate.ts';

const ENDED = 1_000;

export class AccountBook {
  readonly #positions = new Map<string, PositionRecord>();
  readonly #live = new Map<string, OrderRecord>();
  /** Versions with which orders ended, of the latest: what is overtaken by its end must not come to life again. */
  readonly #ended = new Map<string, number>();
  readonly #reserved = new Map<string, Working>();
  /** What is live, as the gate counts it: made once per change of an order, not for a thousand of them with each signal and each look at prices. */
  readonly #working = new Map<string, Working>();

  /** Reads everything anew. */
  async load(store: TradingStore, account: string): Promise<void> {
    const [positions, live] = [await store.positions(account), await store.liveOrders(account)];
    this.#positions.clear();
    this.#live.clear();
    this.#working.clear();
    for (const position of positions) this.position(position);
    for (const order of live) this.order(order);
  }

  /** An order that passed the gate and is not on record yet: the next one is judged with it. */
  reserve(label: string, working: Working): void {
    this.#reserved.set(label, working);
  }

  /** Nothing came of a reservation. */
  release(label: string): void {
    this.#reserved.delete(label);
  }

  order(order: OrderRecord): void {
    this.#reserved.delete(order.label);
    // News may overtake each other; the version tells.
    if ((this.#live.get(order.label)?.version ?? this.#ended.get(order.label) ?? 0) > order.version) return;
    if (LIVE_STATES.includes(order.state) || order.cancelState !== null) this.#live.set(order.label, order);
    else this.#end(order);
    if (LIVE_STATES.includes(order.state)) this.#working.set(order.label, workingOf(order));
    else this.#working.delete(order.label);
  }

  #end({ label, version }: OrderRecord): void {
    this.#live.delete(label);
    this.#ended.set(label, version);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > ENDED && oldest !== undefined) this.#ended.delete(oldest);
  }

  position(position: PositionRecord): void {
    const known = this.#positions.get(position.symbol);
    if (known === undefined || known.version <= position.version) this.#positions.set(position.symbol, position);
  }

  /** Signed amounts of what is not flat. */
  positions(): Map<string, string> {
    return new Map([...this.#positions.values()].filter(({ amount }) => amount !== '0').map(({ symbol, amount }) => [symbol, amount]));
  }

  /** What may still be filled, orders of unknown outcome included. */
  working(): Working[] {
    return [...this.#working.values(), ...this.#reserved.values()];
  }

  /** A live order by its label. */
  find(label: string): OrderRecord | null {
    return this.#live.get(label) ?? null;
  }

  get live(): readonly OrderRecord[] {
    return [...this.#live.values()];
  }
}

const workingOf = ({ symbol, side, price, amount, filledAmount }: OrderRecord): Working => ({
  symbol, side, price, open: plain(Exact.max(0, new Exact(amount).minus(filledAmount))),
});
