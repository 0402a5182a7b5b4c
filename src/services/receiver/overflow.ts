// What the full buffer could not take, remembered exactly and reported once there is room: no trade vanishes silently.
import { RangeSet } from '../../core/sequence.ts';
import type { MarketFigures } from './figures.ts';
import type { FeedStatusReporter } from './status.ts';
import type { SymbolFeed } from './symbol_feed.ts';

const REASON = 'the buffer was full while redis did not take messages';
/** Ranges per symbol; live counters are contiguous, so one is usual. */
const MAX_RANGES = 256;

/** What a symbol lost that has no sequence number. */
interface Unnumbered {
  trade: number;
  ohlc: number;
  /** Exchange time of the first one, µs. */
  fromTs: number;
}

export class Overflow {
  readonly #ranges = new Map<SymbolFeed, RangeSet>();
  readonly #figures: MarketFigures;
  readonly #unnumbered = new Map<string, Unnumbered>();
  #trades = 0;

  constructor(figures: MarketFigures) {
    this.#figures = figures;
  }

  /** Trades from..to were dropped. A duplicate of what went in or was noted before needs no note. */
  trade(feed: SymbolFeed, from: number, to: number, duplicate: boolean): void {
    this.#figures.dropped('trade');
    if (duplicate) return;
    this.#trades++;
    this.gap(feed, from, to);
  }

  /** A gap of the stream itself, found while the buffer was full: reported with the rest. */
  gap(feed: SymbolFeed, from: number, to: number): void {
    let ranges = this.#ranges.get(feed);
    if (ranges === undefined) this.#ranges.set(feed, (ranges = new RangeSet(MAX_RANGES)));
    ranges.add(from, to);
  }

  /** A message without a sequence number was dropped; `ts`: its exchange time, or its candle's opening, µs. */
  unnumbered(type: 'trade' | 'ohlc', symbol: string, ts: number): void {
    this.#figures.dropped(type);
    const lost = this.#unnumbered.get(symbol) ?? { trade: 0, ohlc: 0, fromTs: ts };
    lost[type]++;
    lost.fromTs = Math.min(lost.fromTs, ts);
    this.#unnumbered.set(symbol, lost);
  }

  /** Reports everything dropped so far, in-band before whatever comes next, and forgets it. */
  report(status: FeedStatusReporter): void {
    let missing = 0;
    for (const [feed, { ranges }] of this.#ranges) {
      for (const { from, to } of ranges) {
        missing += to - from + 1;
        this.#figures.gap('overflow', to - from + 1);
        // The position may be promised with the last range only: before it, the others are not reported yet.
        const position = feed.sequence.position ?? to;
        const isLast = from === ranges.at(-1)?.from;
        status.quietGap(feed.symbol, { from, to, reason: REASON }, isLast ? position : Math.min(position, from - 1));
      }
    }
    const unnumbered = { trade: 0, ohlc: 0 };
    for (const [symbol, { trade, ohlc, fromTs }] of this.#unnumbered) {
      unnumbered.trade += trade;
      unnumbered.ohlc += ohlc;
      status.unnumberedGap(symbol, fromTs, `${REASON}: ${trade} trades without number, ${ohlc} closed candles`);
    }
    if (this.#trades > 0 || this.#unnumbered.size > 0) {
      const symbols = new Set([...[...this.#ranges.keys()].map((feed) => feed.symbol), ...this.#unnumbered.keys()]).size;
      status.event('feed.overflow', 'error', null, { symbols, trades: this.#trades, missing, unnumbered });
    }
    this.#ranges.clear();
    this.#trades = 0;
    this.#unnumbered.clear();
  }
}
