// Frames in, messages into the outbox. Everything here is synchronous and belongs to one market, whatever number of
// connections its frames come over.
import type { Resolution } from '../../contracts/index.ts';
import { CandleBook } from '../../core/candles.ts';
import type { Clock } from '../../core/clock.ts';
import type { Market, MessageSink, Normaliser, TickerPatch } from '../../exchanges/exchange.ts';
import { TICKER_FIELDS } from '../../exchanges/exchange.ts';
import type { Frame } from '../../net/websocket.ts';
import type { TickerHashes } from '../../bus/ticker.ts';
import type { MarketFigures } from './figures.ts';
import type { Outbox } from './outbox.ts';
import type { Overflow } from './overflow.ts';
import type { Shedding } from './shedding.ts';
import type { FeedStatusReporter } from './status.ts';
import type { SymbolFeed, SymbolFeeds } from './symbol_feed.ts';
import { TickerBook } from './tickers.ts';

export interface PipelineOptions {
  market: Market;
  clock: Clock;
  feeds: SymbolFeeds;
  outbox: Outbox;
  overflow: Overflow;
  hashes: TickerHashes;
  status: FeedStatusReporter;
  figures: MarketFigures;
  /** symbol → up to where everything is published or reported, by whoever did it. */
  readPublished: () => Promise<ReadonlyMap<string, number>>;
  tickerIntervalMs: number;
  shedding: Pick<Shedding, 'tickers'>;
}

/** A hole may be filled by a late trade this long; then it is a gap. */
const REORDER_WINDOW_MS = 1_000;
const CANDLE_INTERVAL_MS = 1_000;
const MALFORMED_EVENT_MS = 10_000;
const SAMPLE_CHARS = 200;

/** Where our own candle payloads hold what the overflow wants to know. */
const SYMBOL = /"symbol":"([^"]+)"/;
const OPEN_TS = /"open_ts":(\d+)/;

export class Pipeline implements MessageSink {
  readonly #o: PipelineOptions;
  readonly #normaliser: Normaliser;
  readonly #tickers: TickerBook;
  readonly #candles: CandleBook;
  /** Symbols with pending holes. */
  readonly #holes = new Set<SymbolFeed>();
  #declaring = false;
  #nowMs: number;
  #receivedTs = 0;
  #onFirst: (() => void) | null = null;
  #lastDataMs: number;
  #malformedEventMs = -Infinity;

  constructor(options: PipelineOptions) {
    this.#o = options;
    this.#normaliser = options.market.normaliser();
    this.#candles = new CandleBook({ closes: options.market.closesCandles, intervalMs: CANDLE_INTERVAL_MS });
    this.#tickers = new TickerBook({
      marketId: options.market.marketId,
      intervalMs: options.tickerIntervalMs,
      out: (payload, state) => this.#tickerOut(payload, state),
    });
    this.#nowMs = this.#lastDataMs = options.clock.monotonicMs();
  }

  /** When the last data frame came, monotonic ms (or when the pipeline was made). */
  get lastDataMs(): number {
    return this.#lastDataMs;
  }

  /**
   * Takes one batch of frames of one connection; `onControl` gets those that are not market data, `onFirst` is called before
   * the first message of the others. Returns how many were data.
   */
  take(frames: readonly Frame[], onControl: (text: string) => void, onFirst: () => void): number {
    this.#onFirst = onFirst;
    this.#nowMs = this.#o.clock.monotonicMs();
    let data = 0;
    let ignored = 0;
    for (const { text, receivedTs } of frames) {
      this.#receivedTs = receivedTs;
      const kind = this.#normaliser.normalise(text, receivedTs, this);
      if (kind === 'data') data++;
      else if (kind === 'ignored') ignored++;
      else if (kind === 'malformed') this.#malformed(text);
      else {
        this.#o.figures.frames('control', 1);
        onControl(text);
      }
    }
    if (data > 0) {
      this.#lastDataMs = this.#nowMs;
      this.#o.figures.frames('data', data);
    }
    if (ignored > 0) this.#o.figures.frames('ignored', ignored);
    this.#o.outbox.kick();
    return data;
  }

  /** Called a few times per second: what waited for its time goes out. */
  tick(): void {
    this.#nowMs = this.#o.clock.monotonicMs();
    for (const feed of this.#holes) if (!feed.sequence.waiting) this.#holes.delete(feed);
    const due = [...this.#holes].filter((feed) => feed.sequence.overdue(this.#nowMs, REORDER_WINDOW_MS));
    if (due.length > 0 && !this.#declaring) void this.#declare(due, this.#nowMs);
    if (!this.#o.outbox.crowded) {
      this.#tickers.flush(this.#nowMs);
      this.#candles.flush(this.#nowMs, this.#candleOut);
    }
    this.#o.outbox.kick();
    void this.#o.hashes.flush();
  }

  forgetTicker(symbol: string): void {
    this.#tickers.forget(symbol);
  }

  forgetCandles(symbol: string): void {
    this.#candles.forget(symbol);
  }

  trade(symbol: string, seq: number | null, seqLast: number | null, exchangeTs: number, payload: string): void {
    const { outbox, overflow, figures, feeds } = this.#o;
    const feed = feeds.of(symbol);
    this.#heard(feed, 'trade');
    if (seq === null) {
      if (!outbox.push(payload, null, 0, this.#receivedTs)) overflow.unnumbered('trade', symbol, exchangeTs);
      figures.trades++;
      return;
    }
    const { sequence } = feed;
    const last = seqLast ?? seq;
    feed.firstSeq ??= seq;
    const verdict = sequence.accept(seq, last, this.#nowMs);
    if (sequence.waiting) this.#holes.add(feed);
    if (verdict === 'duplicate') figures.duplicates++;
    // Duplicates go on: only the store can see whether the same trade came with other values.
    // While a hole is pending there is nothing new to promise, and another receiver's promise must not be undone.
    const promised = sequence.waiting ? null : symbol;
    if (outbox.push(payload, promised, sequence.position ?? last, this.#receivedTs)) figures.trades++;
    else overflow.trade(feed, seq, last, verdict === 'duplicate');
  }

  ticker(patch: TickerPatch): void {
    this.#heard(this.#o.feeds.of(patch.symbol), 'ticker');
    this.#tickers.update(patch, this.#nowMs, this.#o.outbox.crowded);
  }

  ohlc(symbol: string, resolution: Resolution, openTs: number, closed: boolean, payload: string): void {
    this.#heard(this.#o.feeds.of(symbol), 'ohlc');
    this.#candles.update(
      symbol,
      resolution,
      openTs,
      closed,
      payload,
      this.#nowMs,
      this.#o.outbox.crowded,
      this.#candleOut,
    );
  }

  #heard(feed: SymbolFeed, channel: 'trade' | 'ticker' | 'ohlc'): void {
    this.#onFirst?.();
    this.#onFirst = null;
    feed.pulses[channel]?.seen(this.#nowMs);
    if (feed.stale.size > 0 && feed.stale.delete(channel)) this.#o.status.fresh(feed.symbol, channel);
  }

  readonly #candleOut = (payload: string, closed: boolean): void => {
    if (this.#o.outbox.push(payload, null, 0, 0)) this.#o.figures.candles++;
    else if (closed) this.#o.overflow.unnumbered('ohlc', SYMBOL.exec(payload)?.[1] ?? '', Number(OPEN_TS.exec(payload)?.[1]));
  };

  #tickerOut(payload: string, state: Readonly<TickerPatch>): void {
    if (this.#o.shedding.tickers) this.#o.figures.shed++;
    else if (this.#o.outbox.push(payload, null, 0, 0)) this.#o.figures.tickers++;
    const fields = new Map<string, string | null>([
      ['exchange_ts', String(state.exchangeTs)],
      ['received_ts', String(state.receivedTs)],
      ['feed_status', this.#o.feeds.of(state.symbol).stale.has('ticker') ? 'stale' : 'fresh'],
    ]);
    for (let i = 0; i < TICKER_FIELDS.length; i++) {
      const value = state.values[i];
      if (value !== undefined) fields.set(TICKER_FIELDS[i]!, value);
    }
    this.#o.hashes.set(state.symbol, fields);
  }

  /**
   * Holes whose time is over become gaps, except for what another receiver of the market has published or reported
   * meanwhile. Where Redis does not tell, they do: a gap too many is harmless, one too few is not.
   */
  async #declare(due: readonly SymbolFeed[], atMs: number): Promise<void> {
    this.#declaring = true;
    const published = await this.#o.readPublished().catch(() => new Map<string, number>());
    this.#declaring = false;
    for (const feed of due) {
      feed.sequence.settled(published.get(feed.symbol) ?? 0);
      for (const gap of feed.sequence.expire(atMs, REORDER_WINDOW_MS)) this.#gap(feed, gap);
    }
    this.#o.outbox.kick();
  }

  #gap(feed: SymbolFeed, gap: { from: number; to: number; reason: string }): void {
    const { outbox, overflow, status, figures } = this.#o;
    // While the buffer is full its position would promise what has been dropped: it is remembered with that.
    if (outbox.full) return overflow.gap(feed, gap.from, gap.to);
    figures.gap('stream', gap.to - gap.from + 1);
    status.gap(feed.symbol, gap, feed.sequence.position ?? gap.to);
  }

  #malformed(text: string): void {
    const { figures, status } = this.#o;
    figures.frames('malformed', 1);
    if (this.#nowMs - this.#malformedEventMs < MALFORMED_EVENT_MS) return;
    this.#malformedEventMs = this.#nowMs;
    status.event('feed.malformed', 'warning', null, { sample: text.slice(0, SAMPLE_CHARS), length: text.length });
  }
}
