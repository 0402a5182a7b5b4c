// All that is kept of one symbol: four windows of trades, its quote, its levels, and the rhythm of its messages. The size is fixed
// (about 5 kB, whatever comes): nothing here grows with the number of messages.
import { Pulse } from '../staleness.ts';
import { Levels } from './levels.ts';
import { Moments } from './moments.ts';
import { OUTLIER, TradeWindow, WINDOWS, finite, windowNames, type WindowFigures, type WindowName } from './window.ts';

/** Half-lives in trades and in quotes. */
const SIZES_HALF_LIFE = 500;
const SPREADS_HALF_LIFE = 600;
/** Sizes before one can be told to be large. */
const MIN_SIZES = 100;
/** A large trade: its ln(amount) is so many deviations above the mean of ln(amount). */
export const LARGE = 4;

export class SymbolStats {
  /** Time of the last message by the exchange, µs; never goes back. */
  ts = 0;
  readonly windows: readonly TradeWindow[] = WINDOWS.map((kind) => new TradeWindow(kind));
  readonly levels = new Levels();
  readonly sizes = new Moments(SIZES_HALF_LIFE);
  readonly spreads = new Moments(SPREADS_HALF_LIFE);
  readonly pulse: Pulse;
  bid = Number.NaN;
  ask = Number.NaN;
  /** Basis points of the mid price; negative when crossed, NaN without both sides. */
  spread = Number.NaN;
  lastPrice = Number.NaN;
  /** When the quote came, µs. */
  quoteTs = 0;

  constructor(receivedTs: number) {
    this.pulse = new Pulse(receivedTs / 1000);
  }

  window(name: WindowName): TradeWindow {
    return this.windows[windowNames.indexOf(name)]!;
  }

  /**
   * Adds a trade; a time before the last one counts as the last one's. Returns whether the shortest window was closed by it.
   */
  trade(ts: number, price: number, amount: number, isBuy: boolean, isLiquidation: boolean): boolean {
    this.ts = Math.max(this.ts, ts);
    const size = Math.log(amount);
    const isLarge = this.sizes.count >= MIN_SIZES && size > this.sizes.mean + LARGE * this.sizes.deviation;
    if (Number.isFinite(size)) this.sizes.addWithin(size, OUTLIER);
    let closed = false;
    for (let w = this.windows.length - 1; w >= 0; w--) {
      closed = this.windows[w]!.add(this.ts, price, amount, isBuy, isLarge, isLiquidation);
    }
    this.lastPrice = price;
    return closed;
  }

  /** Sets the quote; NaN: that side is empty. What it was like enters the usual spread only with the next quote. */
  quote(ts: number, bid: number, ask: number): void {
    this.ts = Math.max(this.ts, ts);
    if (this.spread >= 0) this.spreads.addWithin(this.spread, OUTLIER);
    this.bid = bid;
    this.ask = ask;
    this.spread = (10_000 * (ask - bid)) / ((ask + bid) / 2);
    this.quoteTs = this.ts;
  }

  /** Middle of the quote; NaN without both sides. */
  get mid(): number {
    return (this.bid + this.ask) / 2;
  }

  /** What can be told now, for people. */
  figures(): { spread_bp: number | null; mid: number | null; windows: WindowFigures[] } {
    return { spread_bp: finite(this.spread), mid: finite(this.mid), windows: this.windows.map((window) => window.figures()) };
  }
}
