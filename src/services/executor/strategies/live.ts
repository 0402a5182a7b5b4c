// What strategies see in life: final candles from the ohlc table, quotes from the ticker hashes. Both are asked for by the clock: a
// candle is final a moment after its end, and quotes that came in between are none that anybody could have traded on.
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { readTicker } from '../../../bus/quotes.ts';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import { marketOf } from '../../../exchanges/registry.ts';
import type { Logger } from '../../../runtime/log.ts';
import type { Pool } from '../../../store/connect.ts';
import { lastCandles, readCandles, replayInstrument, type CandleChunk } from '../../../store/replay.ts';
import { loadTerms } from '../../../store/trading/terms.ts';
import type { InstrumentTerms } from '../ports.ts';
import type { StrategyEntry } from './parse_strategies.ts';
import type { CandleView, MarketView, TickerView } from './strategy.ts';

export interface LivePorts {
  redis: Redis;
  pool: Pool;
  clock: Clock;
  log: Pick<Logger, 'warn'>;
}

const CANDLES_MS = 1_000;
const QUOTES_MS = 250;
/** At the start, candles that began more widths ago are no news: the warm-up has them. */
const WIDTHS_BACK = 3;

/** The instrument of an entry. Rejects when there is none, or the exchange's list has not told its tick and lot. */
export async function liveTerms({ pool }: LivePorts, { marketId, symbol }: StrategyEntry): Promise<InstrumentTerms> {
  const row = (await loadTerms(pool, marketId)).find((one) => one.symbol === symbol);
  if (row === undefined) throw new Error(`${marketId} ${symbol}: no such instrument`);
  const { raw, inverse, ...terms } = row;
  const reciprocal = inverse && (row.kind === 'perpetual' || row.kind === 'future');
  return { ...terms, marketId, reciprocal, tickSteps: marketOf(marketId)?.trading?.tickSteps(raw) ?? [] };
}

/** The last `candles` final candles, oldest first. */
export async function livePast({ pool }: LivePorts, entry: StrategyEntry, candles: number): Promise<MarketView[]> {
  const instrumentId = await idOf(pool, entry);
  return viewsOf(await lastCandles(pool, instrumentId, entry.resolution, candles), entry);
}

/** Views from now on, each once, until `signal` aborts. While a server is away there are none. */
export function liveViews(ports: LivePorts, entry: StrategyEntry, signal: AbortSignal): AsyncIterable<MarketView> {
  return entry.strategy.needs === 'ticker' ? quotes(ports, entry, signal) : candles(ports, entry, signal);
}

async function* candles(ports: LivePorts, entry: StrategyEntry, signal: AbortSignal): AsyncGenerator<MarketView, void, undefined> {
  const instrumentId = await idOf(ports.pool, entry);
  let after = ports.clock.nowMicros() - WIDTHS_BACK * entry.widthMicros;
  while (!signal.aborted) {
    const until = ports.clock.nowMicros();
    const found = await asked(ports, entry, async () => {
      const pieces: CandleView[] = [];
      for await (const piece of readCandles(ports.pool, { instrumentId, from: after + 1, until }, entry.resolution)) pieces.push(...viewsOf(piece, entry));
      return pieces;
    });
    for (const view of found ?? []) {
      after = view.openTs;
      yield view;
    }
    await sleep(CANDLES_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function* quotes(ports: LivePorts, entry: StrategyEntry, signal: AbortSignal): AsyncGenerator<MarketView, void, undefined> {
  let last = 0;
  while (!signal.aborted) {
    const told = await asked(ports, entry, () => readTicker(ports.redis, entry.marketId, entry.symbol));
    const view = told === null ? null : quoteView(told);
    if (view !== null && view.ts > last) {
      last = view.ts;
      yield view;
    }
    await sleep(QUOTES_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** null: nobody answered; that is the whole fleet's trouble, and told by others. */
async function asked<T>({ log }: LivePorts, entry: StrategyEntry, ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    log.warn({ err: toError(error), strategy: entry.name }, 'no news for the strategy, asking again');
    return null;
  }
}

async function idOf(pool: Pool, { marketId, symbol }: StrategyEntry): Promise<number> {
  const row = await replayInstrument(pool, marketId, symbol);
  if (row === null) throw new Error(`${marketId} ${symbol}: no such instrument`);
  return row.instrumentId;
}

function viewsOf(piece: CandleChunk, { widthMicros }: StrategyEntry): CandleView[] {
  return Array.from({ length: piece.rows }, (_view, i): CandleView => ({
    kind: 'candle', ts: piece.openTs[i]! + widthMicros, openTs: piece.openTs[i]!, open: piece.open[i]!, high: piece.high[i]!, low: piece.low[i]!,
    close: piece.close[i]!, volume: piece.volume[i]!,
  }));
}

/** null: there is no quote yet, or its feed is not known to be fresh. */
function quoteView(fields: Readonly<Record<string, string>>): TickerView | null {
  const value = (name: string): number | null => (fields[name] === undefined ? null : Number(fields[name]));
  const ts = value('exchange_ts');
  if (ts === null || fields['feed_status'] !== 'fresh') return null;
  return {
    kind: 'ticker', ts, bid: value('best_bid_price'), ask: value('best_ask_price'), last: value('last_price'), mark: value('mark_price'),
    index: value('index_price'), funding: value('funding_rate'),
  };
}
