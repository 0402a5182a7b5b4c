// How often a market's connections may be opened, over all of them: venues ban those who reconnect in a storm.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';

const PERIOD_MS = 300_000;

export class ConnectBudget {
  readonly #clock: Clock;
  readonly #most: number;
  #takenMs: number[] = [];

  /** `most` attempts in any five minutes. */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Resolves when an attempt may be made, which then counts. Rejects when `signal` aborts. */
  async take(signal: AbortSignal): Promise<void> {
    while (true) {
      signal.throwIfAborted();
      const nowMs = this.#clock.monotonicMs();
      this.#takenMs = this.#takenMs.filter((at) => nowMs - at < PERIOD_MS);
      const oldest = this.#takenMs[0];
      if (oldest === undefined || this.#takenMs.length < this.#most) break;
      await sleep(oldest + PERIOD_MS - nowMs, undefined, { signal });
    }
    this.#takenMs.push(this.#clock.monotonicMs());
  }
}
