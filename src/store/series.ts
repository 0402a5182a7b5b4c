// What a chart of one instrument shows: candles and the last trades. Decimals as text, times as µs.
import type { Client } from './connect.ts';

type Db = Pick<Client, 'query'>;

export interface ChartCandle {
  readonly openTs: number;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
  readonly isFinal: boolean;
}

/** The newest `limit` candles of a series, oldest first. Rejects with the database's error. */
export async function newestCandles(db: Db, marketId: string, symbol: string, resolution: string, limit: number): Promise<ChartCandle[]> {
  const { rows } = await db.query<Omit<ChartCandle, 'openTs'> & { openTs: string }>({
    name: 'newest_candles',
    text: `SELECT (extract(epoch FROM o.open_ts) * 1000000)::int8 AS "openTs", o.open, o.high, o.low, o.close, o.volume, o.is_final AS "isFinal"
      FROM ohlc o WHERE o.instrument_id = (SELECT instrument_id FROM instruments WHERE market_id = $1 AND symbol = $2) AND o.resolution = $3
      ORDER BY o.open_ts DESC LIMIT $4`,
    values: [marketId, symbol, resolution, limit],
  });
  return rows.map((row) => ({ ...row, openTs: Number(row.openTs) })).reverse();
}

export interface RecordedInstrument {
  readonly marketId: string;
  readonly symbol: string;
  readonly unifiedSymbol: string | null;
  readonly kind: string | null;
  readonly base: string | null;
  readonly quote: string | null;
  readonly amountUnit: string | null;
}

/** Those of `keys` that are known. Rejects with the database's error. */
export async function describeInstruments(db: Db, keys: readonly { marketId: string; symbol: string }[]): Promise<RecordedInstrument[]> {
  const { rows } = await db.query<RecordedInstrument>(
    `SELECT i.market_id AS "marketId", i.symbol, i.unified_symbol AS "unifiedSymbol", i.kind, i.base, i.quote, i.amount_unit AS "amountUnit"
     FROM unnest($1::text[], $2::text[]) AS k(market_id, symbol) JOIN instruments i USING (market_id, symbol)
     ORDER BY i.unified_symbol, i.market_id, i.symbol`, [keys.map((key) => key.marketId), keys.map((key) => key.symbol)]);
  return rows;
}

/** Whether an instrument of that name is known. */
export async function knowsInstrument(db: Db, marketId: string, symbol: string): Promise<boolean> {
  const { rows } = await db.query('SELECT 1 FROM instruments WHERE market_id = $1 AND symbol = $2', [marketId, symbol]);
  return rows.length > 0;
}
