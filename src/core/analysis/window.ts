// Trades of one symbol in windows of one length, aligned to the epoch: the open window, and what its closed ones were like.
//
//   return of a window     r = ln(C / C′)   C its last price, C′ the last price of the last window before it that had a trade
//   return z-score         r / R            R = rms of the returns of closed windows that had trades (Moments, their half-life)
//   EWMA volatility        √E[r²]           over all closed windows, an empty one counts as r = 0; per window, as a fraction
//   fast, slow volatility  √E[c²]           the same of c, r cut to OUTLIER deviations, with half-lives of H / FAST and H · SLOW
//   volume z-score         (V − E[V]) / D   V = Σ amount; mean and deviation over closed windows that had trades
//   trade imbalance        Σ ±amount / V    + for taker buys; from −1 to 1
//   VWAP                   Σ price·amount / V, in the unit of the price
//   trade rate             trades per second, over all closed windows
// Values enter the moments cut to OUTLIER deviations, and a score is null before MIN_WINDOWS closed windows had trades.
import { Moments } from './moments.ts';

/** Length in µs, and the half-life of what its closed windows leave, in windows. */
export interface WindowKind {
  readonly name: WindowName;
  readonly micros: number;
  readonly halfLife: number;
}

export const windowNames = ['1s', '1m', '5m', '1h'] as const;
export type WindowName = (typeof windowNames)[number];

export const WINDOWS: readonly WindowKind[] = [
  { name: '1s', micros: 1_000_000, halfLife: 300 },
  { name: '1m', micros: 60_000_000, halfLife: 60 },
  { name: '5m', micros: 300_000_000, halfLife: 48 },
  { name: '1h', micros: 3_600_000_000, halfLife: 24 },
];

/** The half-lives of the fast and the slow volatility against that of everything else. */
export const FAST = 5;
export const SLOW = 8;
export const OUTLIER = 6;
export const MIN_WINDOWS = 20;

/** The figures of the open window; null where there is not enough to tell. */
export interface WindowFigures {
  window: WindowName;
  start: number;
  trades: number;
  volume: number;
  return: number | null;
  return_z: number | null;
  volume_z: number | null;
  /** Per window, a fraction: 0.001 is 10 bp. */
  volatility: number | null;
  imbalance: number | null;
  vwap: number | null;
  /** Per second, of the closed windows. */
  trade_rate: number | null;
  large_trades: number;
}

export class TradeWindow {
  readonly kind: WindowKind;
  /** When the open window began, µs; -1: no trade yet. */
  start = -1;
  trades = 0;
  volume = 0;
  signed = 0;
  notional = 0;
  largeTrades = 0;
  liquidations = 0;
  liquidated = 0;
  /** Last price of the open window, and of the last one before it that had a trade. */
  close = Number.NaN;
  closeBefore = Number.NaN;
  readonly returns: Moments;
  readonly volumes: Moments;
  readonly volatility: Moments;
  readonly fastVolatility: Moments;
  readonly slowVolatility: Moments;
  readonly counts: Moments;

  constructor(kind: WindowKind) {
    this.kind = kind;
    this.returns = new Moments(kind.halfLife);
    this.volumes = new Moments(kind.halfLife);
    this.volatility = new Moments(kind.halfLife);
    this.fastVolatility = new Moments(kind.halfLife / FAST);
    this.slowVolatility = new Moments(kind.halfLife * SLOW);
    this.counts = new Moments(kind.halfLife);
  }

  /** Adds a trade at `ts` (µs; never before the last one). Returns whether windows were closed by it. */
  add(ts: number, price: number, amount: number, isBuy: boolean, isLarge: boolean, isLiquidation: boolean): boolean {
    const closed = ts >= this.start + this.kind.micros && this.#turn(ts);
    this.trades++;
    this.volume += amount;
    this.signed += isBuy ? amount : -amount;
    this.notional += price * amount;
    this.close = price;
    if (isLarge) this.largeTrades++;
    if (isLiquidation) {
      this.liquidations++;
      this.liquidated += amount;
    }
    return closed;
  }

  /** ln of the last price over that of the window before; NaN before there is one, or when prices are not positive. */
  get return(): number {
    return Math.log(this.close / this.closeBefore);
  }

  /** NaN before there is enough to compare with, Infinity when nothing has ever moved before. */
  get returnZ(): number {
    return this.returns.count < MIN_WINDOWS ? Number.NaN : this.return / this.returns.rms;
  }

  /** As returnZ. */
  get volumeZ(): number {
    return this.volumes.count < MIN_WINDOWS ? Number.NaN : (this.volume - this.volumes.mean) / this.volumes.deviation;
  }

  figures(): WindowFigures {
    const { kind, start, trades, volume, volatility, counts } = this;
    return {
      window: kind.name, start, trades, volume,
      return: finite(this.return), return_z: finite(this.returnZ), volume_z: finite(this.volumeZ),
      volatility: volatility.count === 0 ? null : volatility.rms,
      imbalance: finite(this.signed / volume), vwap: finite(this.notional / volume),
      trade_rate: counts.count === 0 ? null : counts.mean / (kind.micros / 1e6),
      large_trades: this.largeTrades,
    };
  }

  /** Closes the open window and opens the one of `ts`. */
  #turn(ts: number): boolean {
    const { micros } = this.kind;
    const next = Math.floor(ts / micros) * micros;
    const isFirst = this.start < 0;
    if (!isFirst) this.#close(Math.round((next - this.start) / micros) - 1);
    this.start = next;
    this.trades = this.volume = this.signed = this.notional = this.largeTrades = this.liquidations = this.liquidated = 0;
    return !isFirst;
  }

  /** The open window had at least one trade, and `empty` ones follow it. */
  #close(empty: number): void {
    const moved = this.return;
    this.volumes.addWithin(this.volume, OUTLIER);
    this.counts.add(this.trades);
    this.counts.zeros(empty);
    if (Number.isFinite(moved)) {
      const cut = this.returns.within(moved, OUTLIER);
      this.returns.add(cut);
      this.#volatility(moved, cut, empty);
    }
    this.closeBefore = this.close;
  }

  #volatility(moved: number, cut: number, empty: number): void {
    this.volatility.add(moved);
    this.volatility.zeros(empty);
    this.fastVolatility.add(cut);
    this.fastVolatility.zeros(empty);
    this.slowVolatility.add(cut);
    this.slowVolatility.zeros(empty);
  }
}

/** What JSON can hold. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
