// The trades of one market that are still in memory: a ring over contiguous sequence numbers, newest kept.

/** Flag bits of a trade. */
export const SELL = 1;
export const TICK_SHIFT = 1;
export const TICK_MASK = 6;
export const LIQUIDATION_SHIFT = 3;
export const LIQUIDATION_MASK = 24;

export class History {
  readonly #limit: number;
  #capacity = 256;
  #ts = new Float64Array(256);
  #price = new Float64Array(256);
  #lots = new Float64Array(256);
  #group = new Float64Array(256);
  #flags = new Uint8Array(256);
  /** Sequence numbers kept: first..last; empty while last < first. */
  first: number;
  last: number;

  /** Keeps at most `limit` trades (rounded up to a power of two); the next trade gets number `firstSeq`. */
  constructor(firstSeq: number, limit: number) {
    this.#limit = 2 ** Math.ceil(Math.log2(Math.max(limit, 256)));
    this.first = firstSeq;
    this.last = firstSeq - 1;
  }

  get size(): number {
    return this.last - this.first + 1;
  }

  /** Appends the trade with number last + 1 and returns that number. */
  push(tsUs: number, price: number, lots: number, flags: number, group: number): number {
    if (this.size === this.#capacity) {
      if (this.#capacity < this.#limit) this.#grow();
      else this.first++;
    }
    const slot = ++this.last % this.#capacity;
    this.#ts[slot] = tsUs;
    this.#price[slot] = price;
    this.#lots[slot] = lots;
    this.#flags[slot] = flags;
    this.#group[slot] = group;
    return this.last;
  }

  /** Forgets everything; the next trade gets number `firstSeq`. */
  restart(firstSeq: number): void {
    this.first = firstSeq;
    this.last = firstSeq - 1;
  }

  ts(seq: number): number {
    return this.#ts[seq % this.#capacity] ?? 0;
  }
  price(seq: number): number {
    return this.#price[seq % this.#capacity] ?? 0;
  }
  lots(seq: number): number {
    return this.#lots[seq % this.#capacity] ?? 0;
  }
  flags(seq: number): number {
    return this.#flags[seq % this.#capacity] ?? 0;
  }
  /** Trade id (where it is not the sequence number) or the id of the aggregate the trade belongs to. */
  group(seq: number): number {
    return this.#group[seq % this.#capacity] ?? 0;
  }
  isSell(seq: number): boolean {
    return (this.flags(seq) & SELL) !== 0;
  }

  /** The last trade of the run that `seq` belongs to, at most `limit`. */
  runEnd(seq: number, limit = this.last): number {
    const group = this.group(seq);
    let end = seq;
    while (end < limit && this.group(end + 1) === group) end++;
    return end;
  }

  /** The smallest number whose `of` is at least `value` (both never fall along the ring); last + 1 when there is none. */
  lowerBound(value: number, of: 'ts' | 'group'): number {
    let low = this.first;
    let high = this.last + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this[of](middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #grow(): void {
    const from = this.#capacity;
    const to = from * 2;
    const move = (old: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> => {
      const wide = new Float64Array(to);
      for (let seq = this.first; seq <= this.last; seq++) wide[seq % to] = old[seq % from] ?? 0;
      return wide;
    };
    this.#ts = move(this.#ts);
    this.#price = move(this.#price);
    this.#lots = move(this.#lots);
    this.#group = move(this.#group);
    const flags = new Uint8Array(to);
    for (let seq = this.first; seq <= this.last; seq++) flags[seq % to] = this.#flags[seq % from] ?? 0;
    this.#flags = flags;
    this.#capacity = to;
  }
}
