// What the generator knows of an instrument. Prices and amounts are whole numbers of the smallest decimal the wire
// shows (scaled integers), so that sums are exact and text never passes through a float.

export type Kind = 'spot' | 'perpetual' | 'future' | 'option' | 'combo';

export interface Spec {
  readonly marketId: string;
  readonly symbol: string;
  readonly kind: Kind;
  readonly base: string;
  readonly quote: string;
  /** Settlement currency; null on spot. */
  readonly settle: string | null;
  /** Decimals of the scaled price; the wire text may pad more zeros. */
  readonly priceDecimals: number;
  /** Zeros the wire appends to a price: `000000` where prices always show eight decimals. */
  readonly pricePad: string;
  /** Tick in scaled units. */
  readonly tick: number;
  /** First trade's price in scaled units, a multiple of `tick`. */
  readonly startPrice: number;
  readonly amountDecimals: number;
  readonly amountPad: string;
  /** Amount step in scaled units. */
  readonly lot: number;
  /** Typical trade size, in lots. */
  readonly typicalLots: number;
  /** Share of the overall rate. */
  readonly weight: number;
  /** Times of trades on the wire are whole milliseconds. */
  readonly milliseconds: boolean;
  /** Chance in 256 that a print is a run of several trades of one taker order. */
  readonly runs: number;
  /** One unit of the rate is a whole run (aggregated stream) rather than one trade. */
  readonly countRuns: boolean;
  /** The venue's own description of the instrument, ready for its instrument list. */
  readonly wire: Readonly<Record<string, unknown>>;
  /** Combos: the legs and their signed ratios. */
  readonly legs?: readonly { symbol: string; ratio: number }[];
  readonly strike?: number;
  readonly optionType?: 'call' | 'put';
  /** Milliseconds since the epoch. */
  readonly expiry?: number;
  /** Plays back a recording: nothing of it is generated. */
  readonly replayed?: boolean;
}

/** The decimal text of a scaled integer: `scaledText(8550050, 2)` is `85500.50`. */
export function scaledText(value: number, decimals: number): string {
  if (decimals === 0) return String(value);
  const negative = value < 0;
  const digits = String(negative ? -value : value).padStart(decimals + 1, '0');
  const at = digits.length - decimals;
  return `${negative ? '-' : ''}${digits.slice(0, at)}.${digits.slice(at)}`;
}

/** As `scaledText` for exact sums of any size. */
export function scaledBigText(value: bigint, decimals: number): string {
  const negative = value < 0n;
  const digits = String(negative ? -value : value).padStart(decimals + 1, '0');
  const at = digits.length - decimals;
  return `${negative ? '-' : ''}${digits.slice(0, at)}${decimals === 0 ? '' : `.${digits.slice(at)}`}`;
}

/** The scaled integer of a plain decimal text, rounded: `parseScaled('0.35210000', 4)` is 3521. */
export function parseScaled(text: string, decimals: number): number {
  return Math.round(Number(text) * 10 ** decimals);
}

/** Decimals that a decimal text needs: `0.00010000` needs 4. */
export function decimalsOf(text: string): number {
  const fraction = (text.split('.')[1] ?? '').replace(/0+$/, '');
  return fraction.length;
}
