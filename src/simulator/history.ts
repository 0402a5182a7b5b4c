// The trades of one market that are still in memory: a ring over contiguous sequence numbers, newest kept.

/** Flag bits of a trade. */
export const SELL = 1;
export const TICK_SHIFT = 1;
export const TICK_MASK = 6;
export const LIQUIDATION_SHIFT = 3;
export const LIQUIDATION_MASK = 24;
/** A number further back than this is no late trade but another beginning. */
const STRAGGLERS = 100_000;

export class History {
  readonly #limit: number;
  /** Slots are counted from here: numbers beyond 2^31 must not cost a division each. */
  #base: number;
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
    this.#base = firstSeq;
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
    const slot = this.#slot(++this.last);
    this.#ts[slot] = tsUs;
    this.#price[slot] = price;
    this.#lots[slot] = lots;
    this.#flags[slot] = flags;
    this.#group[slot] = group;
    return this.last;
  }

  /** Forgets everything; the next trade gets number `firstSeq`. */
  restart(firstSeq: number): void {
    this.#base = firstSeq;
    this.first = firstSeq;
    this.last = firstSeq - 1;
  }

  /**
   * Where a recorded trade belongs. `kept`: it is here already (two connections of a capture heard it). `late`: it is older than what
   * is kept, and nothing is made of it. `next`: it may be pushed; the history began anew with it unless it follows the last.
   */
  place(seq: number): 'kept' | 'late' | 'next' {
    if (this.size > 0 && seq <= this.last && this.last - seq < STRAGGLERS) return seq >= this.first ? 'kept' : 'late';
    if (this.last + 1 !== seq) this.restart(seq);
    return 'next';
  }

  ts(seq: number): number {
    return this.#ts[this.#slot(seq)] ?? 0;
  }
  price(seq: number): number {
    return this.#price[this.#slot(seq)] ?? 0;
  }
  lots(seq: number): number {
    return this.#lots[this.#slot(seq)] ?? 0;
  }
  flags(seq: number): number {
    return this.#flags[this.#slot(seq)] ?? 0;
  }
  /** Trade id (where it is not the sequence number) or the id of the aggregate the trade belongs to. */
  group(seq: number): number {
    return this.#group[this.#slot(seq)] ?? 0;
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

  #slot(seq: number): number {
    return (seq - this.#base) & (this.#capacity - 1);
  }

  #grow(): void {
    const from = this.#capacity - 1;
    const to = this.#capacity * 2;
    const move = <A extends Float64Array | Uint8Array>(old: A, wide: A): A => {
      for (let seq = this.first - this.#base; seq <= this.last - this.#base; seq++) wide[seq & (to - 1)] = old[seq & from] ?? 0;
      return wide;
    };
    this.#ts = move(this.#ts, new Float64Array(to));
    this.#price = move(this.#price, new Float64Array(to));
    this.#lots = move(this.#lots, new Float64Array(to));
    this.#group = move(this.#group, new Float64Array(to));
    this.#flags = move(this.#flags, new Uint8Array(to));
    this.#capacity = to;
  }
}
