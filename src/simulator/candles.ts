// Candles of one market: minutes built from its trades, wider intervals summed from minutes, and a seeded archive for the
// time before the market's first trade (so that history has content and joins the live minutes without a jump).
import type { History } from './history.ts';
import { hashPair } from './prng.ts';
import type { Spec } from './spec.ts';

/** One candle; prices scaled, volumes in lots and in scaled price × lots (split, so that the sum stays exact). */
export interface Bar {
  openMs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  lots: number;
  buyLots: number;
  /** Sum of price × lots: `turnoverHigh` holds whole multiples of 2^48. */
  turnover: number;
  turnoverHigh: number;
  buyTurnover: number;
  buyTurnoverHigh: number;
  /** Sum of lots / price: what an inverse contract's volume is made of. */
  perPrice: number;
  count: number;
  firstSeq: number;
  lastSeq: number;
}

const MINUTE = 60_000;
const KEEP_MINUTES = 8_000;
const CARRY = 2 ** 48;
const WEEK_OFFSET = 4 * 86_400_000;

/** Width in ms of the intervals the venues have, or null; months are handled by `openOf`. */
export function intervalMs(interval: string): number | null {
  const match = /^(\d+)([smhdwM])$/.exec(interval);
  if (match === null) return null;
  const unit = { s: 1000, m: MINUTE, h: 3_600_000, d: 86_400_000, w: 604_800_000, M: 2_592_000_000 }[match[2] as 's'];
  return Number(match[1]) * unit;
}

/** Open time of the candle that `ms` falls into; weeks start on Monday, months on the first, all UTC. */
export function openOf(interval: string, ms: number): number {
  if (interval.endsWith('M')) {
    const at = new Date(ms);
    return Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1);
  }
  const width = intervalMs(interval) ?? MINUTE;
  const offset = interval.endsWith('w') ? WEEK_OFFSET : 0;
  return Math.floor((ms - offset) / width) * width + offset;
}

/** Open time of the candle after the one that opens at `openMs`. */
export function nextOpen(interval: string, openMs: number): number {
  if (interval.endsWith('M')) {
    const at = new Date(openMs);
    return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1);
  }
  return openMs + (intervalMs(interval) ?? MINUTE);
}

export class Candles {
  readonly #spec: Spec;
  readonly #seed: number;
  readonly #history: History;
  readonly #minutes = new Map<number, Bar>();
  #current: Bar | null = null;
  /** First minute that holds (or may hold) real trades. */
  #genesisMs = 0;
  #anchor = 0;
  readonly #cache = new Map<string, { until: number; bar: Bar }>();

  constructor(spec: Spec, seed: number, history: History) {
    this.#spec = spec;
    this.#seed = seed;
    this.#history = history;
  }

  add(tsUs: number, price: number, lots: number, isSell: boolean, seq: number): void {
    const openMs = Math.floor(tsUs / 60_000_000) * MINUTE;
    let bar = this.#current;
    if (bar === null || bar.openMs !== openMs) bar = this.#open(openMs, price, seq);
    count(bar, price, lots, isSell, seq);
  }

  /** The candle of `interval` opening at `openMs` as it stands at `nowMs`: flat at the last close when nothing traded. */
  bar(interval: string, openMs: number, nowMs: number): Bar {
    if ((intervalMs(interval) ?? MINUTE) < MINUTE) return this.#seconds(interval, openMs);
    const end = Math.min(nextOpen(interval, openMs), nowMs + 1);
    const lastMinute = Math.floor((end - 1) / MINUTE) * MINUTE;
    const key = `${interval} ${openMs}`;
    const cached = this.#cache.get(key);
    let closed = cached?.bar ?? null;
    for (let at = cached?.until ?? Math.floor(openMs / MINUTE) * MINUTE; at < lastMinute; at += MINUTE) {
      closed = merge(closed, this.minute(at), openMs);
    }
    if (closed !== null && lastMinute - openMs > 10 * MINUTE) {
      if (this.#cache.size > 2_000) this.#cache.clear();
      this.#cache.set(key, { until: lastMinute, bar: { ...closed } });
    }
    return merge(closed === null ? null : { ...closed }, this.minute(lastMinute), openMs);
  }

  /** All candles of `interval` with fromMs ≤ open ≤ toMs, at most `limit`, oldest first; none opens after `nowMs`. */
  range(interval: string, fromMs: number, toMs: number, limit: number, nowMs: number): Bar[] {
    const bars: Bar[] = [];
    let at = openOf(interval, fromMs);
    if (at < fromMs) at = nextOpen(interval, at);
    for (; at <= toMs && at <= nowMs && bars.length < limit; at = nextOpen(interval, at)) {
      bars.push(this.bar(interval, at, nowMs));
    }
    return bars;
  }

  /** The last 24 hours until now, as one bar. */
  day(nowMs: number): Bar {
    const minute = Math.floor(nowMs / MINUTE) * MINUTE;
    const start = minute - 1439 * MINUTE;
    let cached = this.#cache.get('24h');
    if (cached === undefined || cached.until !== minute) {
      let sum: Bar | null = null;
      for (let at = start; at < minute; at += MINUTE) sum = merge(sum, this.minute(at), start);
      cached = { until: minute, bar: sum ?? this.minute(minute) };
      this.#cache.set('24h', cached);
    }
    return merge({ ...cached.bar }, this.minute(minute), start);
  }

  /** One minute: real, invented (before the first trade) or flat. */
  minute(openMs: number): Bar {
    const real = this.#minutes.get(openMs);
    if (real !== undefined) return real;
    if (this.#genesisMs === 0 || openMs < this.#genesisMs) return this.#archive(openMs);
    let before = openMs - MINUTE;
    while (before >= this.#genesisMs && !this.#minutes.has(before)) before -= MINUTE;
    const last = this.#minutes.get(before);
    return flat(openMs, last?.close ?? this.#spec.startPrice, last?.lastSeq ?? 0);
  }

  /** Less than a minute: from the trades that are still in memory. */
  #seconds(interval: string, openMs: number): Bar {
    const h = this.#history;
    const from = h.lowerBound(openMs * 1000, 'ts');
    const until = nextOpen(interval, openMs) * 1000;
    const bar = flat(openMs, from > h.first ? h.price(from - 1) : this.#spec.startPrice, from - 1);
    for (let seq = from; seq <= h.last && h.ts(seq) < until; seq++) {
      if (bar.count === 0) bar.open = bar.high = bar.low = h.price(seq);
      count(bar, h.price(seq), h.lots(seq), h.isSell(seq), seq);
    }
    return bar;
  }

  #open(openMs: number, price: number, seq: number): Bar {
    const kept = this.#minutes.get(openMs);
    if (kept !== undefined) {
      this.#current = kept;
      return kept;
    }
    if (this.#genesisMs === 0) {
      this.#genesisMs = openMs;
      this.#anchor = noise(this.#seed, openMs / MINUTE);
    }
    const bar = { ...flat(openMs, price, seq), firstSeq: seq };
    this.#minutes.set(openMs, bar);
    this.#current = bar;
    if (this.#minutes.size > KEEP_MINUTES) {
      const oldest = this.#minutes.keys().next().value;
      if (oldest !== undefined) this.#minutes.delete(oldest);
      this.#genesisMs = Math.max(this.#genesisMs, (oldest ?? 0) + MINUTE);
    }
    return bar;
  }

  #archive(openMs: number): Bar {
    const minute = openMs / MINUTE;
    const at = (m: number): number => {
      const swing = 0.02 * (noise(this.#seed, m) - this.#anchor);
      return Math.round((this.#spec.startPrice * (1 + swing)) / this.#spec.tick) * this.#spec.tick;
    };
    const open = at(minute);
    const close = at(minute + 1);
    const h = hashPair(this.#seed, minute);
    const wick = this.#spec.tick * (h & 7);
    // What trades rarely now has traded rarely before.
    const liveliness = Math.max(1, Math.round(this.#spec.weight));
    const lots = this.#spec.typicalLots * liveliness * (1 + ((h >>> 3) & 15));
    const bar = flat(openMs, close, 0);
    bar.open = open;
    bar.high = Math.max(open, close) + wick;
    bar.low = Math.min(open, close) - wick;
    bar.lots = lots;
    bar.buyLots = Math.floor(lots / 2);
    bar.turnover = Math.round((open + close) / 2) * lots;
    bar.perPrice = (2 * lots) / (open + close);
    bar.buyTurnover = Math.round((open + close) / 2) * bar.buyLots;
    bar.count = liveliness * (1 + ((h >>> 11) & 7));
    carry(bar);
    return bar;
  }
}

function count(bar: Bar, price: number, lots: number, isSell: boolean, seq: number): void {
  if (price > bar.high) bar.high = price;
  if (price < bar.low) bar.low = price;
  bar.close = price;
  bar.count++;
  bar.lastSeq = seq;
  bar.lots += lots;
  bar.turnover += price * lots;
  bar.perPrice += lots / price;
  if (bar.turnover >= CARRY) carry(bar);
  if (isSell) return;
  bar.buyLots += lots;
  bar.buyTurnover += price * lots;
  if (bar.buyTurnover >= CARRY) carry(bar);
}

function carry(bar: Bar): void {
  bar.turnoverHigh += Math.floor(bar.turnover / CARRY);
  bar.turnover %= CARRY;
  bar.buyTurnoverHigh += Math.floor(bar.buyTurnover / CARRY);
  bar.buyTurnover %= CARRY;
}

/** The exact sum of price × lots. */
export function turnoverOf(low: number, high: number): bigint {
  return BigInt(high) * BigInt(CARRY) + BigInt(low);
}

function flat(openMs: number, price: number, lastSeq: number): Bar {
  return {
    openMs, open: price, high: price, low: price, close: price, lots: 0, buyLots: 0, turnover: 0, turnoverHigh: 0,
    buyTurnover: 0, buyTurnoverHigh: 0, perPrice: 0, count: 0, firstSeq: lastSeq + 1, lastSeq,
  };
}

/** Adds a later bar to `into` (which it changes); a bar without trades only continues. */
function merge(into: Bar | null, bar: Bar, openMs: number): Bar {
  if (into === null || (into.count === 0 && bar.count > 0)) return { ...bar, openMs };
  if (bar.count === 0) return into;
  into.high = Math.max(into.high, bar.high);
  into.low = Math.min(into.low, bar.low);
  into.close = bar.close;
  into.lots += bar.lots;
  into.buyLots += bar.buyLots;
  into.turnover += bar.turnover;
  into.turnoverHigh += bar.turnoverHigh;
  into.buyTurnover += bar.buyTurnover;
  into.buyTurnoverHigh += bar.buyTurnoverHigh;
  into.perPrice += bar.perPrice;
  into.count += bar.count;
  into.lastSeq = Math.max(into.lastSeq, bar.lastSeq);
  carry(into);
  return into;
}

/** Smooth noise in about -1..1: sums of seeded lattices of a day, four hours, an hour and ten minutes. */
function noise(seed: number, minute: number): number {
  let sum = 0;
  for (const [period, share] of [[1440, 0.5], [240, 0.25], [60, 0.15], [10, 0.1]] as const) {
    const x = minute / period;
    const cell = Math.floor(x);
    const t = x - cell;
    const smooth = t * t * (3 - 2 * t);
    const a = hashPair(seed ^ period, cell) / 2147483648 - 1;
    const b = hashPair(seed ^ period, cell + 1) / 2147483648 - 1;
    sum += share * (a + (b - a) * smooth);
  }
  return sum;
}
