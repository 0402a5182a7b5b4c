// Messages of one frame, held back until the whole frame has been read: nothing of a broken frame gets out.
import type { Resolution } from '../contracts/index.ts';
import type { MessageSink, TickerPatch } from './exchange.ts';

interface HeldTrade {
  symbol: string;
  seq: number | null;
  seqLast: number | null;
  exchangeTs: number;
  payload: string;
}

interface HeldCandle {
  symbol: string;
  resolution: Resolution;
  openTs: number;
  closed: boolean;
  payload: string;
}

/** An array that is filled again and again: growing a new one for every frame costs more than the frame's trade. */
class Held<T> {
  items: T[] = [];
  count = 0;

  add(item: T): void {
    this.items[this.count++] = item;
  }

  /** Forgets; of a burst not even the room is kept. */
  clear(): void {
    if (this.count > 64) this.items = [];
    this.count = 0;
  }
}

export class Batch implements MessageSink {
  readonly #trades = new Held<HeldTrade>();
  readonly #tickers = new Held<TickerPatch>();
  readonly #candles = new Held<HeldCandle>();

  trade(symbol: string, seq: number | null, seqLast: number | null, exchangeTs: number, payload: string): void {
    this.#trades.add({ symbol, seq, seqLast, exchangeTs, payload });
  }

  ticker(patch: TickerPatch): void {
    this.#tickers.add(patch);
  }

  ohlc(symbol: string, resolution: Resolution, openTs: number, closed: boolean, payload: string): void {
    this.#candles.add({ symbol, resolution, openTs, closed, payload });
  }

  drop(): void {
    this.#trades.clear();
    this.#tickers.clear();
    this.#candles.clear();
  }

  /** Hands everything over, each kind in the order of the frame. */
  flush(sink: MessageSink): void {
    const trades = this.#trades;
    for (let i = 0; i < trades.count; i++) {
      const trade = trades.items[i]!;
      sink.trade(trade.symbol, trade.seq, trade.seqLast, trade.exchangeTs, trade.payload);
    }
    const tickers = this.#tickers;
    for (let i = 0; i < tickers.count; i++) sink.ticker(tickers.items[i]!);
    const candles = this.#candles;
    for (let i = 0; i < candles.count; i++) {
      const candle = candles.items[i]!;
      sink.ohlc(candle.symbol, candle.resolution, candle.openTs, candle.closed, candle.payload);
    }
    this.drop();
  }
}
