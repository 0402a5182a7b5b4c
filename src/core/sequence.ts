// What has come of one symbol's trade counter, and what is missing. Pure: time is handed in.
//
// Trades may come twice, late and in runs (aggregates cover from..to). A hole stays pending for a reordering window,
// then becomes a gap. `position` is the promise that a restart builds on: everything up to it has come or was declared
// a gap.

export interface SeqRange {
  from: number;
  to: number;
}

export interface Gap extends SeqRange {
  reason: string;
}

/** rebased: the exchange's counter went back for good, and the count goes on from there. */
export type Verdict = 'new' | 'duplicate' | 'rebased';

/** A covered range beyond the position, and the hole before it. */
interface Island extends SeqRange {
  noticedMs: number;
  reason: string;
}

/** More holes than this at once are no reordering: the oldest are declared without waiting. */
const MAX_PENDING_HOLES = 256;
/** So many trades in a row that are all old, for so long, are no replay: the counter started anew. */
const BACK_TRADES = 200;
const BACK_MS = 30_000;
const IN_STREAM = 'missing in the stream';

export class SymbolSequence {
  #position: number | null;
  /** Ascending, disjoint, none adjacent to another or to the position. */
  readonly #islands: Island[] = [];
  /** Why the next trade need not follow the last one. */
  #pause: string | null;
  #backCount = 0;
  #backSinceMs = 0;

  /**
   * `position` null: never seen, so that the first trade starts without a gap; else `pause` says why a gap may follow.
   */
  constructor(position: number | null, pause: string | null = null) {
    this.#position = position;
    this.#pause = pause;
  }

  /** Everything up to here has come or was declared; null before the first trade. */
  get position(): number | null {
    return this.#position;
  }

  /** The highest seq that has come; null before the first trade. */
  get highest(): number | null {
    return this.#islands.at(-1)?.to ?? this.#position;
  }

  /** Whether holes are pending: then `expire` has work. */
  get waiting(): boolean {
    return this.#islands.length > 0;
  }

  /** The feed was interrupted: a hole at its resumption is because of that. */
  paused(reason: string): void {
    this.#pause = reason;
  }

  /** Takes trades from..to (equal unless an aggregate). A partly known run is new. */
  accept(from: number, to: number, nowMs: number): Verdict {
    if (this.#position === null || (from === this.#position + 1 && this.#islands.length === 0)) {
      this.#position = to;
      this.#pause = null;
      this.#backCount = 0;
      return 'new';
    }
    const last = this.#islands.at(-1);
    if (to <= this.#position || this.#islands.some((island) => from >= island.from && to <= island.to)) {
      return this.#isBack(nowMs) ? this.#rebase(to) : 'duplicate';
    }
    this.#backCount = 0;
    const start = Math.max(from, this.#position + 1);
    if (last === undefined || start > last.to + 1) {
      this.#islands.push({ from: start, to, noticedMs: nowMs, reason: this.#pause ?? IN_STREAM });
      this.#pause = null;
    } else {
      this.#insert(start, to);
    }
    this.#absorb();
    return 'new';
  }

  /** Whether `expire` would declare something. */
  overdue(nowMs: number, windowMs: number): boolean {
    const first = this.#islands[0];
    return first !== undefined && (nowMs - first.noticedMs >= windowMs || this.#islands.length > MAX_PENDING_HOLES);
  }

  /** Everything up to `to` has come or was declared elsewhere: what is missing here up to there is no hole. */
  settled(to: number): void {
    if (this.#position === null || this.#islands.length === 0) return;
    // Never beyond what has come here: the number may be of another count.
    const upTo = Math.min(to, this.highest ?? to);
    while (this.#islands[0] !== undefined && this.#islands[0].to <= upTo) this.#islands.shift();
    this.#position = Math.max(this.#position, upTo);
    this.#absorb();
  }

  /** Declares the holes that are older than the window, lowest first, and moves the position past them. */
  expire(nowMs: number, windowMs: number): Gap[] {
    const gaps: Gap[] = [];
    for (let island = this.#islands[0]; island !== undefined; island = this.#islands[0]) {
      if (!this.overdue(nowMs, windowMs)) break;
      gaps.push({ from: (this.#position ?? 0) + 1, to: island.from - 1, reason: island.reason });
      this.#position = island.to;
      this.#islands.shift();
    }
    return gaps;
  }

  /** Puts a late run among the islands; a hole that it splits stays as old as it was. */
  #insert(start: number, end: number): void {
    const islands = this.#islands;
    let first = islands.findIndex((island) => island.to + 1 >= start);
    if (first < 0) first = islands.length;
    let next = first;
    while (next < islands.length && islands[next]!.from <= end + 1) next++;
    const touched = islands.slice(first, next);
    const hole = touched[0] ?? islands[first]!;
    islands.splice(first, touched.length, {
      from: Math.min(start, touched[0]?.from ?? start),
      to: Math.max(end, touched.at(-1)?.to ?? end),
      noticedMs: hole.noticedMs,
      reason: hole.reason,
    });
  }

  #absorb(): void {
    const island = this.#islands[0];
    if (island === undefined || this.#position === null || island.from > this.#position + 1) return;
    this.#position = island.to;
    this.#islands.shift();
  }

  #isBack(nowMs: number): boolean {
    if (this.#backCount++ === 0) this.#backSinceMs = nowMs;
    return this.#backCount >= BACK_TRADES && nowMs - this.#backSinceMs >= BACK_MS;
  }

  #rebase(to: number): Verdict {
    this.#islands.length = 0;
    this.#position = to;
    this.#backCount = 0;
    return 'rebased';
  }
}

/**
 * A set of seqs as ranges, bounded: beyond `maxRanges` the nearest two become one, and the set tells more than was
 * added.
 */
export class RangeSet {
  readonly #ranges: SeqRange[] = [];
  readonly #maxRanges: number;

  constructor(maxRanges: number) {
    this.#maxRanges = maxRanges;
  }

  get ranges(): readonly Readonly<SeqRange>[] {
    return this.#ranges;
  }

  add(from: number, to: number): void {
    const ranges = this.#ranges;
    const last = ranges.at(-1);
    if (last !== undefined && from >= last.from && from <= last.to + 1) {
      last.to = Math.max(last.to, to);
      return;
    }
    let first = ranges.findIndex((range) => range.to + 1 >= from);
    if (first < 0) first = ranges.length;
    let next = first;
    while (next < ranges.length && ranges[next]!.from <= to + 1) next++;
    const touched = ranges.slice(first, next);
    ranges.splice(first, touched.length, {
      from: Math.min(from, touched[0]?.from ?? from),
      to: Math.max(to, touched.at(-1)?.to ?? to),
    });
    if (ranges.length > this.#maxRanges) this.#joinNearest();
  }

  #joinNearest(): void {
    const ranges = this.#ranges;
    let at = 1;
    for (let i = 2; i < ranges.length; i++) {
      if (ranges[i]!.from - ranges[i - 1]!.to < ranges[at]!.from - ranges[at - 1]!.to) at = i;
    }
    ranges[at - 1]!.to = ranges[at]!.to;
    ranges.splice(at, 1);
  }
}
