// Messages of one frame, held back until the whole frame has been read: nothing of a broken frame gets out.
import type { Resolution } from '../contracts/index.ts';
import type { MessageSink, TickerPatch } from './exchange.ts';

interface HeldTrade {
  kind: 'trade';
  symbol: string;
  seq: number | null;
  seqLast: number | null;
  exchangeTs: number;
  payload: string;
}

interface HeldCandle {
  kind: 'ohlc';
  symbol: string;
  resolution: Resolution;
  openTs: number;
  closed: boolean;
  payload: string;
}

export class Batch implements MessageSink {
  #held: (HeldTrade | HeldCandle | TickerPatch)[] = [];

  trade(symbol: string, seq: number | null, seqLast: number | null, exchangeTs: number, payload: string): void {
    this.#held.push({ kind: 'trade', symbol, seq, seqLast, exchangeTs, payload });
  }

  ticker(patch: TickerPatch): void {
    this.#held.push(patch);
  }

  ohlc(symbol: string, resolution: Resolution, openTs: number, closed: boolean, payload: string): void {
    this.#held.push({ kind: 'ohlc', symbol, resolution, openTs, closed, payload });
  }

  drop(): void {
    if (this.#held.length > 0) this.#held = [];
  }

  /** Hands everything over in the order of the frame. */
  flush(sink: MessageSink): void {
    const held = this.#held;
    if (held.length === 0) return;
    this.#held = [];
    for (const message of held) {
      if (!('kind' in message)) sink.ticker(message);
      else if (message.kind === 'trade') {
        sink.trade(message.symbol, message.seq, message.seqLast, message.exchangeTs, message.payload);
      } else sink.ohlc(message.symbol, message.resolution, message.openTs, message.closed, message.payload);
    }
  }
}
