// Exponentially weighted first and second moments in constant memory.
//
// The n-th value gets the weight α(n) = max(1/n, 1 − 2^(−1/H)) and every earlier weight is multiplied by 1 − α(n); H is the half-life in
// values. So the first values are averaged evenly and none of them weighs for ever, and later each value's weight halves every H values.

/** Values an outlier limit is not trusted before. */
const SETTLED = 20;

export class Moments {
  /** How many values came, zeros included. */
  count = 0;
  /** Weighted mean of the values, in their unit. */
  mean = 0;
  /** Weighted mean of their squares. */
  square = 0;
  readonly #alpha: number;
  /** From this many values on the weight of the next is constant. */
  readonly #full: number;

  constructor(halfLife: number) {
    this.#alpha = 1 - 2 ** (-1 / halfLife);
    this.#full = Math.floor(1 / this.#alpha);
  }

  add(value: number): void {
    const n = ++this.count;
    const alpha = n <= this.#full ? 1 / n : this.#alpha;
    this.mean += alpha * (value - this.mean);
    this.square += alpha * (value * value - this.square);
  }

  /** The same as add(0) `n` times, in constant time. */
  zeros(n: number): void {
    if (n <= 0) return;
    const even = Math.max(0, Math.min(n, this.#full - this.count));
    const factor = (even > 0 ? this.count / (this.count + even) : 1) * (1 - this.#alpha) ** (n - even);
    this.mean *= factor;
    this.square *= factor;
    this.count += n;
  }

  /** Adds a value cut to at most `limit` deviations from the mean: one outlier must not hide the next one. */
  addWithin(value: number, limit: number): void {
    this.add(this.within(value, limit));
  }

  /** The value, cut to at most `limit` deviations from the mean. */
  within(value: number, limit: number): number {
    if (this.count < SETTLED) return value;
    const reach = limit * this.deviation;
    return Math.min(Math.max(value, this.mean - reach), this.mean + reach);
  }

  /** √(E[x²] − E[x]²), in the values' unit. */
  get deviation(): number {
    return Math.sqrt(Math.max(0, this.square - this.mean * this.mean));
  }

  /** √E[x²]: the deviation of values whose true mean is zero, as returns are. */
  get rms(): number {
    return Math.sqrt(this.square);
  }
}
