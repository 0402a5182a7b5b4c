// A value that is read again when it is too old.
import type { Clock } from '../../core/clock.ts';

export class Remembered<T> {
  readonly #read: () => Promise<T>;
  readonly #forMs: number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #value: Promise<T> | null = null;
  #readAtMs = 0;

  constructor(read: () => Promise<T>, forMs: number, clock: Pick<Clock, 'monotonicMs'>) {
    this.#read = read;
    this.#forMs = forMs;
    this.#clock = clock;
  }

  /** Rejects with the error of reading; the next call reads again. */
  get(): Promise<T> {
    const now = this.#clock.monotonicMs();
    if (this.#value === null || now - this.#readAtMs > this.#forMs) {
      this.#readAtMs = now;
      const value = this.#read();
      value.catch(() => {
        if (this.#value === value) this.#value = null;
      });
      this.#value = value;
    }
    return this.#value;
  }

  /** The next call reads again. */
  forget(): void {
    this.#value = null;
  }
}
