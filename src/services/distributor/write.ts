// One batch, one transaction: trades with their coverage, candles, tickers and gaps commit together or not at all.
import { transaction, type Pool } from '../../store/connect.ts';
import { insertGaps } from '../../store/gaps.ts';
import { upsertOhlc } from '../../store/ohlc.ts';
import { insertTickers } from '../../store/tickers.ts';
import { storeTrades, type TradeOptions, type TradeOutcome } from '../../store/trades.ts';
import type { Prepared } from './batch.ts';

export interface WriteOutcome {
  trades: TradeOutcome;
  ohlc: number;
  tickers: number;
  gaps: number;
}

/** Rejects with the database's first error, nothing stored; or, when COMMIT itself got no answer, unknown: write it again. */
export function writeBatch(pool: Pool, { batch, trades }: Prepared, options: TradeOptions): Promise<WriteOutcome> {
  // The tables in one fixed order, rows in key order within each: writers queue up behind each other, never in a circle.
  return transaction(pool, async (client) => ({
    trades: await storeTrades(client, trades, options),
    ohlc: await upsertOhlc(client, batch.ohlc),
    tickers: await insertTickers(client, batch.tickers),
    gaps: await insertGaps(client, batch.gaps),
  }));
}
