// Candles, trades and quotes as lanes of the replay.
import type { CandleView, TickerView } from '../../services/executor/strategies/strategy.ts';
import type { CandleChunk, TickerChunk, TradeChunk } from '../../store/replay.ts';
import type { Lane, Replay } from './replay.ts';

type Pieces<T> = AsyncIterator<T, void, undefined>;
const BOTH = ['buy', 'sell'] as const;
const BUYS = ['buy'] as const;
const SELLS = ['sell'] as const;

abstract class Rows<T extends { readonly rows: number }> implements Lane {
  protected readonly replay: Replay;
  readonly #pieces: Pieces<T>;
  protected piece: T | null = null;
  protected at = 0;
  #before = 0;
  #ended = false;

  constructor(replay: Replay, pieces: Pieces<T>) {
    this.replay = replay;
    this.#pieces = pieces;
  }

  abstract get next(): number;
  abstract scan(limit: number): void;
  abstract slow(): Promise<void>;

  get rows(): number {
    return this.#before + this.at;
  }

  async refill(): Promise<void> {
    while (!this.#ended && (this.piece === null || this.at >= this.piece.rows)) {
      this.#before += this.at;
      this.at = 0;
      const result = await this.#pieces.next();
      this.#ended = result.done === true;
      this.piece = result.done === true ? null : result.value;
    }
  }
}

/** A candle is known at its end. While an order stands, it is walked open → nearer extreme → other extreme → close, a quarter of its volume each. */
export class CandleLane extends Rows<CandleChunk> {
  readonly #width: number;
  readonly #inBase: boolean;
  readonly #view: CandleView = { kind: 'candle', ts: 0, openTs: 0, open: 0, high: 0, low: 0, close: 0, volume: 0 };

  /** `width` in µs. `inBase`: amounts are quote, but volumes are base (inverse contracts). */
  constructor(replay: Replay, pieces: Pieces<CandleChunk>, { width, inBase }: { width: number; inBase: boolean }) {
    super(replay, pieces);
    this.#width = width;
    this.#inBase = inBase;
  }

  get next(): number {
    return this.piece === null ? Infinity : this.piece.openTs[this.at]! + this.#width;
  }

  scan(limit: number): void {
    const { replay, piece } = this;
    if (piece === null) return;
    for (; this.at < piece.rows; this.at++) {
      const end = piece.openTs[this.at]! + this.#width;
      if (end > limit || replay.busy || end >= replay.settlesTs) return;
      this.#end(piece, this.at, end);
    }
  }

  async slow(): Promise<void> {
    const { replay, piece, at } = this;
    if (piece === null) return;
    const { session } = replay;
    const [openTs, open, high, low, close] = [piece.openTs[at]!, piece.open[at]!, piece.high[at]!, piece.low[at]!, piece.close[at]!];
    const part = (piece.volume[at]! * (this.#inBase ? (open + close) / 2 : 1)) / 4;
    session.nowTs = Math.max(openTs, session.nowTs);
    await session.print(open, part, BOTH);
    session.market.trade(open);
    await replay.deliver();
    for (const price of close >= open ? [low, high, close] : [high, low, close]) {
      session.market.trade(price);
      await session.print(price, part, BOTH);
    }
    const end = openTs + this.#width;
    session.nowTs = end;
    session.market.trade(close);
    await replay.advance(end);
    this.#end(piece, at, end);
    this.at++;
  }

  #end(piece: CandleChunk, at: number, end: number): void {
    const { replay } = this;
    const view = this.#view;
    view.ts = end;
    view.openTs = piece.openTs[at]!;
    view.open = piece.open[at]!;
    view.high = piece.high[at]!;
    view.low = piece.low[at]!;
    view.close = piece.close[at]!;
    view.volume = piece.volume[at]!;
    replay.lastTs = end;
    replay.session.market.trade(view.close);
    replay.curve.at(end, view.close);
    replay.show(view);
  }
}

/** Trades; they are put together to candles of `width` µs, which end with the first trade after them. One without trades is none. */
export class TradeLane extends Rows<TradeChunk> {
  readonly #width: number;
  readonly #candle: CandleView = { kind: 'candle', ts: -Infinity, openTs: 0, open: 0, high: 0, low: 0, close: 0, volume: 0 };

  constructor(replay: Replay, pieces: Pieces<TradeChunk>, { width }: { width: number }) {
    super(replay, pieces);
    this.#width = width;
  }

  get next(): number {
    return this.piece === null ? Infinity : this.piece.ts[this.at]!;
  }

  scan(limit: number): void {
    const { replay, piece } = this;
    if (piece === null) return;
    const { market } = replay.session;
    for (; this.at < piece.rows; this.at++) {
      const ts = piece.ts[this.at]!;
      if (ts > limit || replay.busy || ts >= replay.settlesTs) return;
      // The candle that ended asks for something: at this trade's price.
      if (ts >= this.#candle.ts && this.#begin(ts, piece.price[this.at]!)) return;
      const price = piece.price[this.at]!;
      this.#fold(price, piece.amount[this.at]!);
      replay.lastTs = ts;
      market.trade(price);
      replay.curve.at(ts, price);
    }
  }

  async slow(): Promise<void> {
    const { replay, piece, at } = this;
    if (piece === null) return;
    const { session } = replay;
    const [ts, price] = [piece.ts[at]!, piece.price[at]!];
    // Trades are ordered by the exchange's counter; its clock may step back between two of them.
    session.nowTs = Math.max(ts, session.nowTs);
    if (ts >= this.#candle.ts) this.#begin(ts, price);
    await session.print(price, piece.amount[at]!, piece.sold[at] === 1 ? BUYS : SELLS);
    session.market.trade(price);
    await replay.deliver();
    await replay.advance(ts);
    this.#fold(price, piece.amount[at]!);
    replay.lastTs = ts;
    replay.curve.at(ts, price);
    this.at++;
  }

  /** Shows the candle that has ended, if there was one, and begins the one of `ts`. True: somebody waits for the executor now. */
  #begin(ts: number, price: number): boolean {
    const candle = this.#candle;
    if (candle.ts !== -Infinity) this.replay.show(candle);
    const openTs = Math.floor(ts / this.#width) * this.#width;
    Object.assign(candle, { ts: openTs + this.#width, openTs, open: price, high: price, low: price, close: price, volume: 0 });
    return this.replay.busy;
  }

  #fold(price: number, amount: number): void {
    const candle = this.#candle;
    if (price > candle.high) candle.high = price;
    if (price < candle.low) candle.low = price;
    candle.close = price;
    candle.volume += amount;
  }
}

/** Quotes: what positions are valued at, what takers find, and the funding rate. */
export class TickerLane extends Rows<TickerChunk> {
  readonly #view: TickerView = { kind: 'ticker', ts: 0, bid: null, ask: null, last: null, mark: null, index: null, funding: null };

  get next(): number {
    return this.piece === null ? Infinity : this.piece.ts[this.at]!;
  }

  scan(limit: number): void {
    const { replay, piece } = this;
    if (piece === null) return;
    for (; this.at < piece.rows; this.at++) {
      const ts = piece.ts[this.at]!;
      if (ts > limit || replay.busy || ts >= replay.settlesTs) return;
      replay.session.nowTs = Math.max(ts, replay.session.nowTs);
      this.#quote(piece, this.at);
      this.#show(piece, this.at);
    }
  }

  async slow(): Promise<void> {
    const { replay, piece, at } = this;
    if (piece === null) return;
    const ts = piece.ts[at]!;
    replay.session.nowTs = Math.max(ts, replay.session.nowTs);
    this.#quote(piece, at);
    await replay.deliver();
    await replay.advance(ts);
    this.#show(piece, at);
    this.at++;
  }

  #quote(piece: TickerChunk, at: number): void {
    const { session, curve } = this.replay;
    session.market.quote(piece.bid[at]!, piece.ask[at]!, piece.last[at]!, piece.mark[at]!, piece.index[at]!);
    curve.fund(piece.ts[at]!, piece.funding[at]!, session.market.markPrice);
  }

  #show(piece: TickerChunk, at: number): void {
    const { replay } = this;
    const view = this.#view;
    view.ts = piece.ts[at]!;
    view.bid = known(piece.bid[at]!);
    view.ask = known(piece.ask[at]!);
    view.last = known(piece.last[at]!);
    view.mark = known(piece.mark[at]!);
    view.index = known(piece.index[at]!);
    view.funding = known(piece.funding[at]!);
    replay.lastTs = view.ts;
    replay.curve.at(view.ts, replay.session.market.markPrice);
    const before = replay.intents;
    replay.show(view);
    if (replay.intents > before) replay.quoted();
  }
}

const known = (value: number): number | null => (Number.isNaN(value) ? null : value);
