// Waiting longer after each failure, and never in step with others.

export interface BackoffOptions {
  /** Ceiling of the first wait, ms. */
  baseMs: number;
  /** Ceiling of every later one, ms. */
  maxMs: number;
  /** 0 ≤ x < 1. */
  random: () => number;
}

/**
 * Full jitter below a ceiling that doubles up to maxMs, and at least a tenth of the ceiling: a draw near zero would
 * hammer a peer that is already in trouble.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How often next() was asked since the last reset(). */
  get attempts(): number {
    return this.#attempt;
  }

  /** The next wait in ms. */
  next(): number {
    const { baseMs, maxMs, random } = this.#options;
    // 2 ** 30 is beyond any maxMs; more would only lose precision.
    const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(this.#attempt++, 30));
    return Math.round(ceiling / 10 + random() * ceiling * 0.9);
  }

  /** After a success: the next failure waits shortly again. */
  reset(): void {
    this.#attempt = 0;
  }
}
