// Virtual time: a queue of timers and a clock that jumps to the next one. A run of minutes takes milliseconds, and the same seed
// gives the same run: nothing here reads the machine's clock.
import type { Clock } from '../../core/clock.ts';

interface Timer {
  atMs: number;
  order: number;
  fire: () => void;
}

export class VirtualTime {
  nowMs: number;
  readonly #startMs: number;
  #timers: Timer[] = [];
  #order = 0;

  constructor(startMs: number) {
    this.nowMs = startMs;
    this.#startMs = startMs;
  }

  readonly clock: Clock = {
    nowMicros: () => Math.round(this.nowMs * 1000),
    monotonicMs: () => this.nowMs - this.#startMs,
  };

  after(ms: number, fire: () => void): void {
    const timer = { atMs: this.nowMs + Math.max(0, ms), order: this.#order++, fire };
    let at = this.#timers.length;
    while (at > 0 && this.#timers[at - 1]!.atMs > timer.atMs) at--;
    this.#timers.splice(at, 0, timer);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Runs timers in order until `untilMs`, letting everything that they set going come to rest in between. */
  async run(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    for (;;) {
      await settled();
      const next = this.#timers[0];
      if (stop() || next === undefined || next.atMs > untilMs) break;
      this.#timers.shift();
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.fire();
    }
    this.nowMs = Math.max(this.nowMs, stop() ? this.nowMs : untilMs);
  }
}

/** All promises that can settle without a timer have: the queue of microtasks is empty when a macrotask runs. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
