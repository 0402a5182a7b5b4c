// What the full buffer could not take, remembered exactly and reported once there is room: no trade vanishes silently.
import { RangeSet } from '../../core/sequence.ts';
import type { MarketFigures } from './figures.ts';
import type { FeedStatusReporter } from './status.ts';
import type { SymbolFeed } from './symbol_feed.ts';

const REASON = 'the buffer was full while redis did not take messages';
/** Ranges per symbol; live counters are contiguous, so one is usual. */
const MAX_RANGES = 256;

export class Overflow {
  readonly #ranges = new Map<SymbolFeed, RangeSet>();
  readonly #figures: MarketFigures;
  #unnumbered: Record<'trade' | 'ohlc', number> = { trade: 0, ohlc: 0 };
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

  /** A message without a sequence number was dropped. */
  unnumbered(type: 'trade' | 'ohlc'): void {
    this.#figures.dropped(type);
    this.#unnumbered[type]++;
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
    const unnumbered = { ...this.#unnumbered };
    if (unnumbered.trade + unnumbered.ohlc > 0) {
      status.unnumberedGap(`${REASON}: ${unnumbered.trade} trades without number, ${unnumbered.ohlc} closed candles`);
    }
    if (this.#trades > 0 || unnumbered.trade + unnumbered.ohlc > 0) {
      status.event('feed.overflow', 'error', null, {
        symbols: this.#ranges.size,
        trades: this.#trades,
        missing,
        unnumbered,
      });
    }
    this.#ranges.clear();
    this.#trades = 0;
    this.#unnumbered = { trade: 0, ohlc: 0 };
  }
}
