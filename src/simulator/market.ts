// The generator of one market: a seeded walk of a two-sided quote whose trades have contiguous sequence numbers, prices
// on tick and amounts on lot. It knows nothing of sockets; the venue turns ranges of its history into frames.
import { Candles } from './candles.ts';
import { History, LIQUIDATION_SHIFT, SELL, TICK_SHIFT } from './history.ts';
import { Prng, hashText } from './prng.ts';
import { scaledText, type Spec } from './spec.ts';

const SIZES = 64;
const AMOUNTS = 4_096;
/** An exchange never gives an id twice: a later start begins with higher ones, as if it had traded so fast in between. */
const EPOCH_S = 1_780_000_000;
const IDS_PER_S = 1_000;

export interface MarketOptions {
  seed: number;
  /** Trades kept for REST. */
  keep: number;
  /** When this life of the exchange began. */
  startMs: number;
  liquidations: boolean;
}

export class Market {
  readonly spec: Spec;
  readonly history: History;
  readonly candles: Candles;
  readonly seed: number;
  /** Parts of a trade that few trades have: JSON members to append to its object, by sequence number. */
  readonly extras = new Map<number, string>();
  /** Best bid; the ask is one spread above. */
  bid: number;
  spread: number;
  bidLots: number;
  askLots: number;
  /** Grows with every change of quote or trade. */
  version = 0;
  /** Fraction of a trade that is due, for the pacing of the engine. */
  due: number;
  /** Subscribers of anything of this market. */
  watchers = 0;
  readonly #random: Prng;
  readonly #sizeRandom: Prng;
  readonly #sizes: number[] = [];
  readonly #liquidations: boolean;
  #run: number;
  #tickDirection = 0;
  readonly #amounts = new Map<number, string>();
  #textOf = NaN;
  #text = '';

  constructor(spec: Spec, options: MarketOptions) {
    this.spec = spec;
    this.seed = hashText(`${options.seed} ${spec.marketId} ${spec.symbol}`);
    this.#random = new Prng(this.seed);
    this.#sizeRandom = new Prng(this.seed ^ 0x51ab);
    this.#liquidations = options.liquidations;
    const firstSeq = 1_000_000 + (this.seed % 300_000_000) + Math.max(0, Math.floor(options.startMs / 1000) - EPOCH_S) * IDS_PER_S;
    this.#run = Math.floor(firstSeq * 0.8);
    this.history = new History(firstSeq, options.keep);
    this.candles = new Candles(spec, this.seed, this.history);
    for (let i = 0; i < SIZES; i++) {
      const u = this.#random.float();
      this.#sizes.push(Math.max(1, Math.round(spec.typicalLots * 4 * u ** 3) + (i & 1)));
    }
    this.bid = spec.startPrice;
    this.spread = spec.tick;
    this.bidLots = spec.typicalLots * 7;
    this.askLots = spec.typicalLots * 5;
    this.due = this.#random.float();
  }

  get ask(): number {
    return this.bid + this.spread;
  }

  get lastPrice(): number {
    return this.history.size > 0 ? this.history.price(this.history.last) : this.spec.startPrice;
  }

  /** The decimal text of a scaled price; the last one is remembered. */
  priceText(price: number): string {
    if (price !== this.#textOf) {
      this.#textOf = price;
      this.#text = scaledText(price, this.spec.priceDecimals) + this.spec.pricePad;
    }
    return this.#text;
  }

  /** The decimal text of an amount; the sizes of a market are few and remembered. */
  amountText(lots: number): string {
    const known = this.#amounts.get(lots);
    if (known !== undefined) return known;
    const text = scaledText(lots * this.spec.lot, this.spec.amountDecimals) + this.spec.amountPad;
    if (this.#amounts.size < AMOUNTS) this.#amounts.set(lots, text);
    return text;
  }

  /** Makes about `count` trades with times from `fromUs` to `toUs`; returns how many units of the rate it made. */
  generate(count: number, fromUs: number, toUs: number): number {
    const { spec } = this;
    const step = (toUs - fromUs) / Math.max(count, 1);
    let made = 0;
    while (made < count) {
      const at = spec.milliseconds ? Math.floor((fromUs + made * step) / 1000) * 1000 : Math.floor(fromUs + made * step);
      const ts = this.history.size > 0 ? Math.max(at, this.history.ts(this.history.last)) : at;
      const length = this.#print(this.#random.u32(), ts);
      made += spec.countRuns ? 1 : length;
    }
    return made;
  }

  /** One taker order: a run of trades of one price, side and time. Returns how many. */
  #print(r: number, ts: number): number {
    this.#run++;
    this.#move(r);
    const length = (r >>> 24) < this.spec.runs ? 2 + ((r >>> 22) & 1) : 1;
    const isSell = (r & 1) === 1;
    const price = isSell ? this.bid : this.ask;
    const liquidated = this.#liquidations && (r & 0x1ff00) === 0x1a500 ? 1 + ((r >>> 20) & 1) : 0;
    for (let i = 0; i < length; i++) {
      const lots = this.#sizes[(r >>> (9 + i)) & (SIZES - 1)] ?? 1;
      this.record(ts, price, lots, isSell, this.#run, liquidated);
    }
    return length;
  }

  /** Appends one trade that was made elsewhere (a combo's leg, a recording) or here; returns its sequence number. */
  record(tsUs: number, price: number, lots: number, isSell: boolean, group: number, liquidated = 0): number {
    const last = this.history.size > 0 ? this.history.price(this.history.last) : price;
    // 0 plus, 1 zero-plus, 2 minus, 3 zero-minus
    if (price > last) this.#tickDirection = 0;
    else if (price < last) this.#tickDirection = 2;
    else this.#tickDirection |= 1;
    const flags = (isSell ? SELL : 0) | (this.#tickDirection << TICK_SHIFT) | (liquidated << LIQUIDATION_SHIFT);
    const seq = this.history.push(tsUs, price, lots, flags, group);
    this.candles.add(tsUs, price, lots, isSell, seq);
    this.version++;
    return seq;
  }

  /** Changes the sizes of the quote, as makers do all the time. */
  jitter(): void {
    const r = this.#sizeRandom.u32();
    this.bidLots = this.spec.typicalLots * (1 + (r & 63));
    this.askLots = this.spec.typicalLots * (1 + ((r >>> 6) & 63));
    this.version++;
  }

  /** Remembers what only this trade has; the oldest are forgotten. */
  addExtra(seq: number, members: string): void {
    this.extras.set(seq, members);
    if (this.extras.size <= 5_000) return;
    const oldest = this.extras.keys().next().value;
    if (oldest !== undefined) this.extras.delete(oldest);
  }

  /** Half of the time the quote moves one to four ticks, pulled back to where it started. */
  #move(r: number): void {
    if ((r & 2) === 0) return;
    const { tick, startPrice } = this.spec;
    const away = (this.bid - startPrice) / (Math.abs(startPrice) + tick * 100);
    const up = ((r >>> 6) & 1023) / 1024 < 0.5 - away * 8;
    const ticks = 1 + ((r >>> 4) & 3);
    const moved = this.bid + (up ? ticks : -ticks) * tick;
    this.bid = moved > 0 || this.spec.kind === 'combo' ? moved : tick;
    this.spread = tick * ((r & 12) === 0 ? 2 : 1);
    this.bidLots = this.spec.typicalLots * (1 + ((r >>> 16) & 63));
    this.askLots = this.spec.typicalLots * (1 + ((r >>> 10) & 63));
    this.version++;
  }
}
