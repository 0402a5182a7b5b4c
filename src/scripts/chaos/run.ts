// One seeded run: signals, faults and kills for a minute of virtual time, then everything is healed, then the books are compared.
import type { RiskLimits } from '../../services/executor/risk/limits.ts';
import { decText } from '../../simulator/deribit/private/money.ts';
import { PRIVATE_FAULT_KINDS, type PrivateFaultKind } from '../../simulator/faults.ts';
import { Prng } from '../../simulator/prng.ts';
import { VirtualExchange } from './exchange.ts';
import { Life, type Plant } from './life.ts';
import { MemoryTradingStore } from './memory_store.ts';
import { VirtualTime } from './time.ts';
import { judgeRun, type WireNote } from './verdict.ts';

export interface RunResult {
  seed: number;
  violations: string[];
  /** Equal for equal seeds. */
  digest: string;
  figures: { signals: number; orders: number; fills: number; kills: number; unknown: number; abandoned: number; locked: number; struck: number };
  locked: string | null;
  /** How often each fault, and each act from outside, has struck. */
  faults: Record<string, number>;
}

const ORDERS = ['private/buy', 'private/sell'];
const WRITES = [...ORDERS, 'private/cancel'];
const ANY = [...WRITES, 'private/get'];
/** Methods that a fault can be narrowed to; null: it is none of methods. */
const CHANNELS: Readonly<Record<PrivateFaultKind, readonly string[] | null>> = {
  request_lost: ANY, request_late: WRITES, response_lost: ANY, response_late: ANY, fill_before_ack: ORDERS, late_fill: null, duplicate_fill: null,
  stale_orders: ['private/get_open_orders_by_label'], stale_states: ['private/get_order_state_by_label'], cancel_unknown: null, maintenance: null,
  locked: ORDERS,
};
/** What is most dangerous comes twice as often. */
const FAULTS: readonly PrivateFaultKind[] = [...PRIVATE_FAULT_KINDS, 'response_lost'];

const START_MS = Date.UTC(2026, 10, 12, 10);
const FAULTS_MS = 60_000;
/** Kills end with the faults; then orders in doubt have this long to be resolved, positions to agree or to be found persistent. */
const HEAL_MS = 180_000;
/** At last the market stands still, so that the last fill has been told when the books are compared. */
const STILL_MS = 10_000;
const SYMBOLS = ['BTC-PERPETUAL', 'ETH_USDC-PERPETUAL'] as const;
const ACCOUNT = 'sim';

const LIMITS: RiskLimits = {
  strategies: ['chaos'],
  instruments: SYMBOLS.map((symbol) => ({ symbol, max_order_amount: '100000', max_order_notional: '100000000', max_position: '1000000' })),
  account: {
    max_open_orders: 50, max_orders_per_second: 50, max_orders_per_minute: 500, max_gross_notional: '1000000000',
    max_daily_loss: { BTC: '1000', USDC: '1000000' }, min_available_percent: '1',
  },
  price_collar_percent: '10', reference_max_age_ms: 5_000, duplicate_window_ms: 0, repeated_executions: { count: 1_000, window_ms: 60_000 },
  runaway: { refused: 1_000_000, window_ms: 1 },
  max_clock_offset_ms: 1_000,
};

/** Runs `seed` to its end. Never throws for what the run found. */
export async function chaosRun(seed: number, plant: Plant | null = null): Promise<RunResult> {
  const run = new ChaosRun(seed, plant);
  return run.go();
}

class ChaosRun {
  readonly #seed: number;
  readonly #plant: Plant | null;
  readonly #prng: Prng;
  readonly #time = new VirtualTime(START_MS);
  readonly #exchange: VirtualExchange;
  readonly #store = new MemoryTradingStore();
  readonly #wire: WireNote[] = [];
  /** The durable stream of signals: delivered until it is acknowledged. */
  readonly #signals: { id: string; payload: string; acked: boolean; given: Life | null }[] = [];
  #life: Life | null = null;
  #kills = 0;
  #locks: string[] = [];
  #storeFaults = 0;
  #healthy = true;
  #healed = false;
  /** What was done from outside, and was not refused. */
  readonly #operated: Record<string, number> = {};

  constructor(seed: number, plant: Plant | null) {
    this.#seed = seed;
    this.#plant = plant;
    this.#prng = new Prng(seed ^ 0x5eed);
    this.#exchange = new VirtualExchange({ time: this.#time, seed, random: () => this.#random(), symbols: SYMBOLS, rate: 4 });
  }

  #random(): number {
    return this.#prng.float();
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }

  async go(): Promise<RunResult> {
    this.#plan();
    await this.#birth();
    await this.#time.run(START_MS + FAULTS_MS);
    this.#heal();
    await this.#time.run(START_MS + FAULTS_MS + HEAL_MS);
    this.#exchange.still = true;
    await this.#time.run(START_MS + FAULTS_MS + HEAL_MS + STILL_MS);
    const violations = judgeRun({
      store: this.#store, exchange: this.#exchange, wire: this.#wire, locked: this.#life?.trader.locked ?? null, account: ACCOUNT,
      edited: this.#operated['position'] !== undefined,
      signals: this.#signals.map(({ id, acked }) => ({ id, acked })),
    });
    const states = this.#store.events.map((event) => event.to);
    return {
      seed: this.#seed, violations, digest: this.#exchange.digest(), locked: this.#life?.trader.locked ?? null,
      faults: { ...this.#exchange.faults.struck, ...this.#operated },
      figures: {
        signals: this.#signals.length, orders: this.#store.orders.length, fills: this.#store.fills.length, kills: this.#kills, locked: this.#locks.length,
        unknown: this.#store.events.filter((event) => event.to === 'UNKNOWN' && event.from !== 'UNKNOWN').length,
        abandoned: states.filter((state) => state === 'ABANDONED').length, struck: this.#exchange.ledger.filter((entry) => entry.k === 'request_lost').length,
      },
    };
  }

  /** Everything that will happen to this run, by the seed. */
  #plan(): void {
    for (let n = 8 + Math.floor(this.#random() * 14); n > 0; n--) this.#time.after(this.#random() * FAULTS_MS, () => this.#say());
    for (let n = Math.floor(this.#random() * 10); n > 0; n--) this.#time.after(this.#random() * FAULTS_MS, () => this.#fault());
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#window((on) => (this.#exchange.network.refused = on), 4_000);
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#window((on) => this.#exchange.interrupted?.(on), 8_000);
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#window((on) => (this.#storeFaults = on ? 0.3 : 0), 5_000);
    for (let n = Math.floor(this.#random() * 2); n > 0; n--) this.#window((on) => (this.#healthy = !on), 10_000);
    if (this.#random() < 0.3) this.#window((on) => (this.#exchange.network.latencyMs = on ? () => 2 + this.#random() * 3_000 : () => 2), 10_000);
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#time.after(this.#random() * FAULTS_MS, () => this.#byHand());
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#time.after(this.#random() * FAULTS_MS, () => this.#cancelByHand());
    for (let n = Math.floor(this.#random() * 3); n > 0; n--) this.#time.after(this.#random() * FAULTS_MS, () => this.#operate('expire_tokens'));
    if (this.#random() < 0.3) this.#window((on) => this.#deaf(on), 20_000);
    if (this.#random() < 0.05) this.#time.after(this.#random() * FAULTS_MS, () => this.#editPosition());
  }

  #window(set: (on: boolean) => void, longest: number): void {
    const from = this.#random() * FAULTS_MS;
    this.#time.after(from, () => set(true));
    this.#time.after(Math.min(FAULTS_MS, from + this.#random() * longest), () => set(false));
  }

  async #birth(): Promise<void> {
    // Some lives last to the end; the others die at a step that may be any, early ones more often.
    const dieAfter = this.#healed || this.#random() < 0.25 ? null : 1 + Math.floor(this.#random() ** 2 * 600);
    this.#life = await Life.start({
      time: this.#time, exchange: this.#exchange, store: this.#store, random: () => this.#random(), limits: LIMITS, account: ACCOUNT, dieAfter,
      plant: this.#plant,
      storeFaults: () => this.#storeFaults, healthy: () => this.#healthy,
      onWire: (method, params) => {
        const label = typeof params['label'] === 'string' ? params['label'] : '';
        this.#wire.push({ method, label, healthy: this.#healthy, reduceOnly: params['reduce_only'] === true });
      },
      onLock: (reason) => this.#locks.push(reason),
    }, () => {
      this.#kills++;
      this.#life = null;
      this.#time.after(50 + this.#random() * (this.#healed ? 500 : 8_000), () => void this.#birth());
    });
    this.#deliver();
  }

  /** Hands what is not acknowledged to the living process, as a consumer group does. */
  #deliver(): void {
    const life = this.#life;
    if (life === null) return;
    for (const signal of this.#signals) {
      if (signal.acked || signal.given === life) continue;
      signal.given = life;
      void life.trader.entry(signal.payload, null).then(
        () => {
          if (life.alive) signal.acked = true;
        },
        // Not acknowledged: it comes again.
        () => this.#time.after(500, () => {
          signal.given = null;
          this.#deliver();
        }),
      );
    }
  }

  #say(): void {
    const symbol = this.#pick(SYMBOLS);
    const side = this.#pick(['buy', 'sell'] as const);
    const orders = this.#store.orders.filter((order) => order.origin === 'own');
    const cancelled = this.#random() < 0.25 && orders.length > 0 ? this.#pick(orders).label : null;
    const id = `s-${this.#seed}-${this.#signals.length}`;
    const validForMs = 1_000 + Math.floor(this.#random() * 20_000);
    const base = { v: 1, signal_id: id, strategy: 'chaos', created_ts: this.#time.clock.nowMicros(), valid_for_ms: validForMs };
    const order = { ...base, market_id: 'deribit', symbol, side, ...this.#priced(symbol, side) };
    const payload = JSON.stringify(cancelled === null ? order : { ...base, cancel_label: cancelled });
    this.#signals.push({ id, payload, acked: false, given: null });
    // A producer that is not sure says it twice.
    if (this.#random() < 0.1) this.#signals.push({ id, payload, acked: false, given: null });
    this.#deliver();
  }

  #priced(symbol: string, side: 'buy' | 'sell'): Record<string, unknown> {
    const { markets } = this.#exchange.desk.engine;
    const terms = markets.contract(symbol)!;
    const { bid, ask } = markets.best(symbol);
    const amount = decText(terms.lot * BigInt(1 + Math.floor(this.#random() * 200)));
    if (this.#random() < 0.2) return { amount, order_type: 'market' };
    // From well behind the market to well through it.
    const away = terms.tick * BigInt(Math.floor((this.#random() - 0.6) * 200));
    const price = (side === 'buy' ? ask + away : bid - away) / terms.tick * terms.tick;
    const style = this.#random();
    return {
      amount, order_type: 'limit', price: decText(price),
      ...(style < 0.2 ? { post_only: true } : style < 0.4 ? { time_in_force: this.#pick(['immediate_or_cancel', 'fill_or_kill']) } : {}),
      ...(this.#random() < 0.1 ? { reduce_only: true } : {}),
    };
  }

  #fault(): void {
    const kind = this.#pick(FAULTS);
    const channels = CHANNELS[kind];
    this.#exchange.faults.add({
      kind, duration_ms: 500 + this.#random() * 15_000, probability: 0.3 + this.#random() * 0.7,
      delay_ms: Math.floor(this.#random() * (kind === 'request_late' ? 2_500 : 6_000)),
      ...(channels !== null && this.#random() < 0.5 ? { channel: this.#pick(channels) } : {}),
    });
  }

  /** The private stream is half open: nothing comes and nobody says so, until the connection is given up and made anew. */
  #deaf(on: boolean): void {
    if (on) {
      this.#exchange.listener = null;
      return;
    }
    this.#exchange.interrupted?.(true);
    this.#exchange.interrupted?.(false);
  }

  #operate(action: string, more: Record<string, unknown> = {}): void {
    if (this.#exchange.byHand({ action, ...more })) this.#operated[action] = (this.#operated[action] ?? 0) + 1;
  }

  /** Somebody takes one of the account's orders off the market on the website. */
  #cancelByHand(): void {
    const open = this.#exchange.desk.engine.orders.open();
    if (open.length > 0) this.#operate('cancel', { order_id: this.#pick(open).id });
  }

  #byHand(): void {
    const symbol = this.#pick(SYMBOLS);
    const side = this.#pick(['buy', 'sell'] as const);
    this.#operate('order', { symbol, side, ...numbersOf(this.#priced(symbol, side)) });
  }

  /** The exchange corrects a position: no fill explains it, the executor must lock. */
  #editPosition(): void {
    const symbol = this.#pick(SYMBOLS);
    const lot = this.#exchange.desk.engine.markets.contract(symbol)!.lot;
    this.#operate('position', { symbol, amount: Number(decText(lot * 7n)) });
  }

  #heal(): void {
    this.#healed = true;
    this.#exchange.faults.remove();
    this.#exchange.network = { refused: false, latencyMs: () => 2 };
    this.#exchange.interrupted?.(false);
    this.#storeFaults = 0;
    this.#healthy = true;
    if (this.#life !== null && this.#life.options.dieAfter !== null) this.#life.options.dieAfter = null;
  }
}

/** By hand, numbers are numbers, and a type is called so. */
function numbersOf(priced: Record<string, unknown>): Record<string, unknown> {
  const { amount, price, order_type: type, ...rest } = priced;
  return { ...rest, type, amount: Number(amount), ...(price === undefined ? {} : { price: Number(price) }) };
}

