// Thins tickers out to at most one row per instrument and interval, by the exchange's time.
import type { Ticker } from '../../contracts/index.ts';

/**
 * The first ticker of each interval is kept, with its own time: a row never shows what was not known at its time. Two
 * processes that share an instrument may keep one each; a restart may keep one more.
 */
export class TickerSampler {
  readonly #intervalMicros: number;
  readonly #last = new Map<number, number>();

  constructor(intervalMs: number) {
    this.#intervalMicros = intervalMs * 1000;
  }

  /** Whether this ticker is a sample; remembers it when it is. instrumentId 0 (not resolved yet) always is. */
  wants(instrumentId: number, { exchange_ts: ts }: Ticker): boolean {
    if (this.#intervalMicros === 0 || instrumentId === 0) return true;
    const slot = Math.floor(ts / this.#intervalMicros);
    const last = this.#last.get(instrumentId);
    if (last !== undefined && slot <= last) return false;
    this.#last.set(instrumentId, slot);
    return true;
  }
}
