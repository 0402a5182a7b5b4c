// What goes into one transaction: entries as delivered, trades encoded for COPY, other messages decoded, and (once prepared)
// the plan of the trades.
import type { StreamEntry } from '../../bus/consumer.ts';
import type { DeadLetter } from '../../bus/dlq.ts';
import type { Run } from '../../bus/runs.ts';
import type { FeedStatus, Ohlc, StreamMessage, Ticker, Trade } from '../../contracts/index.ts';
import { planTrades, type TradePlan } from '../../store/trade_plan.ts';
import { TradeTable } from '../../store/trade_table.ts';
import { decodeByReference, decodeEntry, type Refusal } from './decode.ts';
import type { InstrumentIds } from './instruments.ts';
import type { TickerSampler } from './sampler.ts';
import { TradeScanner } from './trade_scanner.ts';

export interface Item<M extends StreamMessage = StreamMessage> {
  readonly entry: StreamEntry;
  readonly message: M;
  /** 0 until resolved. */
  instrumentId: number;
}

export interface BatchContext {
  instruments: InstrumentIds;
  sampler: Pick<TickerSampler, 'wants'>;
  nowMicros: () => number;
}

const scanner = new TradeScanner();
/** Columns and encode buffers of some megabytes, used again: fresh ones for each batch kept the garbage collector busy. */
const freeTables: TradeTable[] = [];
const MAX_FREE_TABLES = 4;

/** A batch while it is filled. */
export class Batch {
  /** Entry of each row of `trades`. */
  readonly tradeEntries: StreamEntry[] = [];
  readonly trades: TradeTable = freeTables.pop() ?? new TradeTable();
  readonly ohlc: Item<Ohlc>[] = [];
  readonly tickers: Item<Ticker>[] = [];
  readonly gaps: Item<FeedStatus>[] = [];
  /** Dead letters of entries that are no message, and those entries. */
  readonly letters: DeadLetter[] = [];
  readonly refused: StreamEntry[] = [];
  /** Entries with nothing to store: feed news, tickers between two samples. */
  readonly ackOnly: StreamEntry[] = [];
  /** What waits for the number of its instrument. */
  readonly unresolved: { message: StreamMessage; resolve: (instrumentId: number) => void }[] = [];
  /** Receive time of the oldest trade, µs: the receiver holds tickers and forming candles back on purpose. */
  oldest = Infinity;

  constructor() {
    this.trades.reuse((row) => this.#tradeAgain(row));
  }

  /** Gives the columns back for another batch; this one must not be used any more. */
  release(): void {
    if (freeTables.length < MAX_FREE_TABLES) freeTables.push(this.trades);
  }

  get size(): number {
    return this.rows + this.letters.length + this.ackOnly.length;
  }

  /** Entries that the database will see. */
  get rows(): number {
    return this.tradeEntries.length + this.ohlc.length + this.tickers.length + this.gaps.length;
  }

  /** Decodes one entry and files it. */
  add(entry: StreamEntry, context: BatchContext): void {
    if (scanner.scan(entry.source, entry.payloadStart, entry.payloadEnd, this.trades)) {
      const instrumentId = context.instruments.byKey(entry.source, scanner.keyStart, scanner.keyEnd);
      if (scanner.receivedTs < this.oldest) this.oldest = scanner.receivedTs;
      this.trades.commit(instrumentId, scanner.seq, scanner.last, scanner.exchangeTs);
      this.tradeEntries.push(entry);
      const row = this.trades.length - 1;
      if (instrumentId !== 0) this.trades.resolve(row, instrumentId);
      else this.#waitFor(this.#tradeAgain(row), (id) => this.trades.resolve(row, id));
      return;
    }
    const decoded = decodeEntry(entry);
    if (decoded.ok) this.#file(entry, decoded.message, context);
    else this.refuse(entry, decoded, context);
  }

  /** Makes an entry a dead letter. */
  refuse(entry: StreamEntry, why: Refusal, { nowMicros }: BatchContext): void {
    this.letters.push(letterOf(entry, why, nowMicros()));
    this.refused.push(entry);
  }

  #file(entry: StreamEntry, message: StreamMessage, { instruments, sampler }: BatchContext): void {
    const instrumentId = message.symbol === null ? 0 : instruments.get(message.market_id, message.symbol);
    if (message.type === 'trade') {
      if (message.received_ts < this.oldest) this.oldest = message.received_ts;
      this.tradeEntries.push(entry);
      this.trades.add(instrumentId, message);
      const row = this.trades.length - 1;
      if (instrumentId === 0) this.#waitFor(message, (id) => this.trades.resolve(row, id));
      return;
    }
    const skipped = message.type === 'ticker' ? !sampler.wants(instrumentId, message) : message.type === 'feed_status' && message.status !== 'gap';
    if (skipped) {
      this.ackOnly.push(entry);
      return;
    }
    const item = { entry, message, instrumentId };
    if (instrumentId === 0) this.#waitFor(message, (id) => (item.instrumentId = id));
    if (message.type === 'ohlc') this.ohlc.push(item as Item<Ohlc>);
    else if (message.type === 'ticker') this.tickers.push(item as Item<Ticker>);
    else this.gaps.push(item as Item<FeedStatus>);
  }

  /** Entries that the database will see, trades first. */
  entries(): StreamEntry[] {
    return [...this.tradeEntries, ...[...this.ohlc, ...this.tickers, ...this.gaps].map((item) => item.entry)];
  }

  /** How the batch is acknowledged: entries that are pending by themselves, and runs that are wholly in it. */
  pending(): { ids: string[]; runs: Set<Run> } {
    const ids: string[] = [];
    const runs = new Set<Run>();
    for (const group of [this.entries(), this.ackOnly, this.refused]) {
      for (const entry of group) {
        if (entry.run === null) ids.push(entry.id);
        else runs.add(entry.run);
      }
    }
    return { ids, runs };
  }

  #waitFor(message: StreamMessage, resolve: (instrumentId: number) => void): void {
    this.unresolved.push({ message, resolve });
  }

  #tradeAgain(row: number): Trade {
    const decoded = decodeByReference(this.tradeEntries[row]?.payload ?? '');
    if (!decoded.ok || decoded.message.type !== 'trade') throw new Error(`row ${row} was accepted and is no trade`);
    return decoded.message;
  }
}

/** A batch whose trades are planned. */
export interface Prepared {
  readonly batch: Batch;
  readonly trades: TradePlan;
}

/** All instruments must be resolved. */
export function prepare(batch: Batch): Prepared {
  return { batch, trades: planTrades(batch.trades) };
}

/** Accepts every ticker: what was a sample once stays one when its batch is split. */
const everyTicker = { wants: () => true };

/** Some entries of a batch as one of their own. */
export function batchOf(entries: readonly StreamEntry[], context: BatchContext): Batch {
  const batch = new Batch();
  for (const entry of entries) {
    batch.add(entry, { ...context, sampler: everyTicker });
  }
  return batch;
}

export function letterOf(entry: StreamEntry, { error, errorClass }: Refusal, nowMicros: number): DeadLetter {
  return { sourceId: entry.id, payload: entry.payloadBytes(), error, errorClass, deliveries: entry.deliveries, failedAtMicros: nowMicros };
}
