// When a silence is worth asking about. Pure: time is handed in.
//
// A feed that sends every 200 ms is suspicious after 30 s; one that sends every ten minutes is not. So each key's limit
// follows its own rhythm: the larger of a minimum and a multiple of the median gap between its last messages.

export interface PulseLimits {
  minMs: number;
  /** Multiple of the median gap. */
  factor: number;
  /** Longest pause between two questions about the same silence. */
  maxDeferMs: number;
}

export const PULSE_LIMITS: PulseLimits = { minMs: 30_000, factor: 20, maxDeferMs: 600_000 };

const KEPT_GAPS = 32;

/** The rhythm of one feed. Cheap to tell (`seen`), so that every message can. */
export class Pulse {
  readonly #gaps = new Float64Array(KEPT_GAPS);
  #count = 0;
  #lastMs: number;
  /** Before this nothing is asked again. */
  #askAgainMs = 0;
  #deferMs = 0;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  /** When it was last heard, or began to be watched, ms. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Whether anything has been heard at all. */
  get heard(): boolean {
    return this.#count > 0;
  }

  seen(nowMs: number): void {
    this.#gaps[this.#count++ % KEPT_GAPS] = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#askAgainMs = 0;
    this.#deferMs = 0;
  }

  /** The watch begins anew (a reconnect): the silence so far does not count, nor does it enter the rhythm. */
  restart(nowMs: number): void {
    this.#lastMs = nowMs;
    this.#askAgainMs = 0;
    this.#deferMs = 0;
  }

  /** How long a silence is normal, ms. */
  limitMs(limits: PulseLimits): number {
    const known = this.#gaps.slice(0, Math.min(this.#count, KEPT_GAPS)).sort();
    const median = known.length === 0 ? 0 : known[known.length >> 1]!;
    return Math.max(limits.minMs, limits.factor * median);
  }

  /** Whether it is time to ask the exchange about the silence. */
  overdue(nowMs: number, limits: PulseLimits): boolean {
    // The cheap test first: most are not even silent for the minimum.
    if (nowMs < this.#askAgainMs || nowMs - this.#lastMs < limits.minMs) return false;
    return nowMs - this.#lastMs >= this.limitMs(limits);
  }

  /** It was asked and there is nothing newer: ask again after the limit, then after twice that, and so on. */
  defer(nowMs: number, limits: PulseLimits): void {
    this.#deferMs = Math.min(limits.maxDeferMs, this.#deferMs === 0 ? this.limitMs(limits) : 2 * this.#deferMs);
    this.#askAgainMs = nowMs + this.#deferMs;
  }
}
