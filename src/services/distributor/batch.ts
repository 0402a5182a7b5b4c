// What goes into one transaction: entries as delivered, their messages, and (once prepared) rows ready for the store.
import type { StreamEntry } from '../../bus/consumer.ts';
import type { DeadLetter } from '../../bus/dlq.ts';
import type { FeedStatus, Ohlc, StreamMessage, Ticker, Trade } from '../../contracts/index.ts';
import { planTrades, type TradePlan } from '../../store/trade_plan.ts';
import { decode, type Refusal } from './decode.ts';
import type { InstrumentIds } from './instruments.ts';
import type { TickerSampler } from './sampler.ts';

export interface Item<M extends StreamMessage = StreamMessage> {
  readonly entry: StreamEntry;
  readonly message: M;
  /** 0 until resolved; never 0 in a plan. */
  instrumentId: number;
}

export interface BatchContext {
  instruments: InstrumentIds;
  sampler: TickerSampler;
  nowMicros: () => number;
}

/** A batch while it is filled. */
export class Batch {
  readonly items: Item[] = [];
  readonly letters: DeadLetter[] = [];
  /** Entries with nothing to store: feed news, tickers between two samples. */
  readonly ackOnly: string[] = [];
  /** Items whose instrument must be looked up first. */
  readonly unresolved: Item[] = [];
  /** Receive time of the oldest message, µs. */
  oldest = Infinity;

  get size(): number {
    return this.items.length + this.letters.length + this.ackOnly.length;
  }

  /** Decodes one entry and files it. */
  add(entry: StreamEntry, context: BatchContext): void {
    const decoded = decode(entry.payload);
    if (!decoded.ok) {
      this.letters.push(letterOf(entry, decoded, context.nowMicros()));
      return;
    }
    const { message } = decoded;
    if (message.received_ts < this.oldest) this.oldest = message.received_ts;
    const instrumentId = context.instruments.get(message) ?? 0;
    if (message.type === 'feed_status' ? message.status !== 'gap' : message.type === 'ticker' && !context.sampler.wants(instrumentId, message)) {
      this.ackOnly.push(entry.id);
      return;
    }
    const item: Item = { entry, message, instrumentId };
    this.items.push(item);
    if (instrumentId === 0) this.unresolved.push(item);
  }
}

/** Items sorted by table, trades planned and encoded. */
export interface Prepared {
  readonly items: readonly Item[];
  readonly trades: TradePlan<Item<Trade>>;
  readonly ohlc: Item<Ohlc>[];
  readonly tickers: Item<Ticker>[];
  readonly gaps: Item<FeedStatus>[];
}

/** All instruments must be resolved. */
export function prepare(items: readonly Item[]): Prepared {
  const trades: Item<Trade>[] = [];
  const ohlc: Item<Ohlc>[] = [];
  const tickers: Item<Ticker>[] = [];
  const gaps: Item<FeedStatus>[] = [];
  for (const item of items) {
    switch (item.message.type) {
      case 'trade':
        trades.push(item as Item<Trade>);
        break;
      case 'ohlc':
        ohlc.push(item as Item<Ohlc>);
        break;
      case 'ticker':
        tickers.push(item as Item<Ticker>);
        break;
      case 'feed_status':
        gaps.push(item as Item<FeedStatus>);
        break;
    }
  }
  return { items, trades: planTrades(trades), ohlc, tickers, gaps };
}

export function letterOf(entry: StreamEntry, { error, errorClass }: Refusal, nowMicros: number): DeadLetter {
  return { sourceId: entry.id, payload: entry.bytes ?? entry.payload ?? '', error, errorClass, deliveries: entry.deliveries, failedAtMicros: nowMicros };
}
