// What the account is worth over time: followed in doubles at every price, since a million prices a second leave no time for more.
// What is reported at the end is computed exactly, beside it.
import type { PositionRecord } from '../../core/trading/records.ts';

const DAY_MICROS = 86_400_000_000;
const EIGHT_HOURS = DAY_MICROS / 3;
/** Points of the curve; the picture is not wider. */
const POINTS = 1_000;

export interface Drawdown {
  /** Of the peak; 0: it never fell. */
  fraction: number;
  /** µs */
  peakTs: number;
  bottomTs: number;
}

export class EquityCurve {
  readonly #reciprocal: boolean;
  readonly #deposit: number;
  readonly #step: number;
  /** [µs, worth] */
  readonly points: [number, number][] = [];
  /** Worth at the end of each UTC day. */
  readonly days: number[] = [];
  readonly drawdown: Drawdown;
  /** Received (paid: negative), in the settlement currency. */
  funding = 0;
  value: number;
  #amount = 0;
  #cost = 0;
  #base: number;
  #peak: number;
  #peakTs: number;
  #dayEnd: number;
  #pointEnd: number;
  #edge = -Infinity;
  #fundedTs = NaN;

  constructor({ from, until, deposit, reciprocal }: { from: number; until: number; deposit: number; reciprocal: boolean }) {
    this.#reciprocal = reciprocal;
    this.#deposit = this.#base = this.#peak = this.value = deposit;
    this.#peakTs = from;
    this.#step = Math.max(1, Math.ceil((until - from) / POINTS));
    this.#dayEnd = (Math.floor(from / DAY_MICROS) + 1) * DAY_MICROS;
    this.#pointEnd = from;
    this.drawdown = { fraction: 0, peakTs: from, bottomTs: from };
  }

  get exposed(): boolean {
    return this.#amount !== 0;
  }

  /** The books have changed. */
  hold(position: PositionRecord | null): void {
    this.#amount = Number(position?.amount ?? 0);
    this.#cost = Number(position?.cost ?? 0);
    this.#base = this.#deposit + Number(position?.realised ?? 0) - Number(position?.fees ?? 0) + this.funding;
    if (this.#amount === 0) this.value = this.#base;
    this.#edge = -Infinity;
  }

  /** A price at `ts`; the curve's only work while there is neither a position nor a new day or point. */
  at(ts: number, price: number): void {
    if (this.#amount === 0 && ts < this.#edge) return;
    while (ts >= this.#dayEnd) {
      this.days.push(this.value);
      this.#dayEnd += DAY_MICROS;
    }
    const size = Math.abs(this.#amount);
    const gain = this.#amount === 0 ? 0 : this.#reciprocal ? this.#cost - size / price : size * price - this.#cost;
    this.value = this.#base + (this.#amount < 0 ? -gain : gain);
    if (this.value > this.#peak) {
      this.#peak = this.value;
      this.#peakTs = ts;
    } else if (1 - this.value / this.#peak > this.drawdown.fraction) {
      Object.assign(this.drawdown, { fraction: 1 - this.value / this.#peak, peakTs: this.#peakTs, bottomTs: ts });
    }
    if (ts >= this.#pointEnd) {
      this.points.push([ts, this.value]);
      this.#pointEnd = ts + this.#step;
    }
    this.#edge = Math.min(this.#dayEnd, this.#pointEnd);
  }

  /** Funding since the last quote at `rate` per 8 hours (longs pay when positive); NaN: not known, nothing is counted. */
  fund(ts: number, rate: number, mark: number): void {
    if (this.#amount !== 0 && !Number.isNaN(this.#fundedTs) && !Number.isNaN(rate) && mark > 0) {
      const worth = this.#reciprocal ? this.#amount / mark : this.#amount * mark;
      const received = (-worth * rate * (ts - this.#fundedTs)) / EIGHT_HOURS;
      this.funding += received;
      this.#base += received;
    }
    this.#fundedTs = ts;
  }

  /** Ends the last day and the curve. */
  end(ts: number): void {
    this.days.push(this.value);
    if (this.points.at(-1)?.[0] !== ts) this.points.push([ts, this.value]);
  }
}

/** Mean over deviation of daily returns × √365, no risk-free rate; null below two days or without any deviation. */
export function sharpe(start: number, days: readonly number[]): number | null {
  const returns = days.map((value, i) => value / (days[i - 1] ?? start) - 1);
  if (returns.length < 2) return null;
  const mean = returns.reduce((sum, r) => sum + r, 0) / returns.length;
  const variance = returns.reduce((sum, r) => sum + (r - mean) ** 2, 0) / (returns.length - 1);
  return variance > 0 ? (mean / Math.sqrt(variance)) * Math.sqrt(365) : null;
}
