// What an audit looks at: the series of candles that an exchange owes, and what is stored of them.
import type { Client } from './connect.ts';
import { timestampOf } from './unnest.ts';

type Db = Pick<Client, 'query'>;

/** Candles of one instrument and resolution; times in µs. */
export interface Series {
  readonly instrumentId: number;
  readonly marketId: string;
  readonly symbol: string;
  readonly resolution: string;
  /** Open times of the first and the last final candle. */
  readonly firstTs: number;
  readonly lastTs: number;
}

/** The series of some markets of which any final candle is stored, by market, symbol and resolution. */
export async function storedSeries(db: Db, marketIds: readonly string[], resolutions: readonly string[]): Promise<Series[]> {
  // Two descents of the key per series, however many candles there are.
  const end = (order: string): string =>
    `CROSS JOIN LATERAL (SELECT (extract(epoch FROM open_ts) * 1000000)::int8 AS us FROM ohlc o
       WHERE o.instrument_id = i.instrument_id AND o.resolution = s.resolution AND o.is_final ORDER BY open_ts ${order} LIMIT 1)`;
  const { rows } = await db.query<Omit<Series, 'firstTs' | 'lastTs'> & { first: string; last: string }>(
    `SELECT i.instrument_id AS "instrumentId", i.market_id AS "marketId", i.symbol, s.resolution, f.us AS first, l.us AS last
     FROM instruments i CROSS JOIN unnest($2::text[]) AS s(resolution) ${end('ASC')} AS f ${end('DESC')} AS l
     WHERE i.market_id = ANY($1) ORDER BY 2, 3, 4`, [marketIds, resolutions]);
  return rows.map(({ first, last, ...row }) => ({ ...row, firstTs: Number(first), lastTs: Number(last) }));
}

/** A stored candle; numbers as decimal text without trailing zeros, null where nobody told. */
export interface StoredCandle {
  readonly openTs: number;
  readonly open: string;
  readonly high: string;
  readonly low: string;
  readonly close: string;
  readonly volume: string;
  readonly quoteVolume: string | null;
  readonly tradeCount: string | null;
}

/** Final candles of a series with since ≤ open_ts < until (µs), ascending. */
export async function finalCandles(db: Db, { instrumentId, resolution }: Series, since: number, until: number): Promise<StoredCandle[]> {
  const text = (column: string, name: string): string => `trim_scale(${column})::text AS "${name}"`;
  const { rows } = await db.query<Omit<StoredCandle, 'openTs'> & { us: string }>(
    `SELECT (extract(epoch FROM open_ts) * 1000000)::int8 AS us, ${['open', 'high', 'low', 'close', 'volume'].map((name) => text(name, name)).join(', ')},
       ${text('quote_volume', 'quoteVolume')}, trade_count::text AS "tradeCount"
     FROM ohlc WHERE instrument_id = $1 AND resolution = $2 AND is_final
       AND open_ts >= ${timestampOf('$3::int8')} AND open_ts < ${timestampOf('$4::int8')} ORDER BY open_ts`, [instrumentId, resolution, since, until]);
  return rows.map(({ us, ...row }) => ({ ...row, openTs: Number(us) }));
}
