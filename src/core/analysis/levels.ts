// Values that stand until the next one comes: open interest, funding rate, implied volatility. Per window the last value of the one
// before it is kept, so that the change over a window is known at once.
import { WINDOWS } from './window.ts';

export const levelNames = ['open_interest', 'funding_rate', 'mark_iv'] as const;
export type LevelName = (typeof levelNames)[number];

const COUNT = levelNames.length;

export class Levels {
  readonly #starts = new Float64Array(WINDOWS.length).fill(-1);
  /** Of the window before, by window and level; NaN: none. */
  readonly #before = new Float64Array(WINDOWS.length * COUNT).fill(Number.NaN);
  readonly #now = new Float64Array(COUNT).fill(Number.NaN);

  /** Sets what is told at `ts` (µs); NaN stands for what is not told, and leaves the value as it was. */
  set(ts: number, openInterest: number, fundingRate: number, markIv: number): void {
    for (let w = 0; w < WINDOWS.length; w++) {
      const { micros } = WINDOWS[w]!;
      if (ts < this.#starts[w]! + micros) continue;
      this.#starts[w] = Math.floor(ts / micros) * micros;
      for (let n = 0; n < COUNT; n++) this.#before[w * COUNT + n] = this.#now[n]!;
    }
    if (!Number.isNaN(openInterest)) this.#now[0] = openInterest;
    if (!Number.isNaN(fundingRate)) this.#now[1] = fundingRate;
    if (!Number.isNaN(markIv)) this.#now[2] = markIv;
  }

  /** The value now; NaN before it was told. */
  value(level: LevelName): number {
    return this.#now[levelNames.indexOf(level)]!;
  }

  /** Value now minus the last one before the open window began, in the level's own unit (IV: percentage points); NaN: not known. */
  change(level: LevelName, window: number): number {
    const n = levelNames.indexOf(level);
    return this.#now[n]! - this.#before[window * COUNT + n]!;
  }

  /** When the open window began, µs. */
  start(window: number): number {
    return this.#starts[window]!;
  }
}
