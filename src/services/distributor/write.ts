// One batch, one transaction: trades with their coverage, candles, tickers and gaps commit together or not at all.
import { packedTransaction, type Pool } from '../../store/connect.ts';
import { insertGaps } from '../../store/gaps.ts';
import { upsertOhlc } from '../../store/ohlc.ts';
import { insertTickers } from '../../store/tickers.ts';
import { flyTrades, openTrades, storeTrades, type TradeOptions, type TradeOutcome } from '../../store/trades.ts';
import type { Prepared } from './batch.ts';

export interface WriteOutcome {
  trades: TradeOutcome;
  ohlc: number;
  tickers: number;
  gaps: number;
}

/** Rejects with the database's first error, nothing stored; or, when COMMIT itself got no answer, unknown: write it again. */
export async function writeBatch(pool: Pool, { batch, trades: plan }: Prepared, options: TradeOptions): Promise<WriteOutcome> {
  if (!options.careful && batch.ohlc.length + batch.tickers.length + batch.gaps.length === 0) {
    const trades = await flyTrades(pool, plan, options);
    if (trades !== null) return { trades, ohlc: 0, tickers: 0, gaps: 0 };
  }
  // Locks in one fixed order (coverage, then the tables below, in key order each): writers queue up, never in a circle.
  return packedTransaction(pool, openTrades(plan), async (client, opened) => {
    const ohlc = await upsertOhlc(client, batch.ohlc);
    const tickers = await insertTickers(client, batch.tickers);
    const gaps = await insertGaps(client, batch.gaps);
    const trades = await storeTrades(client, plan, { ...options, opened, commit: true });
    return { value: { trades, ohlc, tickers, gaps }, committed: trades.committed };
  });
}
