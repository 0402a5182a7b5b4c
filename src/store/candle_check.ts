// Candles rebuilt from the stored trades, beside the final ones that the exchange told. In numeric throughout: equal means equal.
import type { Client } from './connect.ts';

export interface CandleDifference {
  /** ISO 8601, UTC. */
  readonly open_ts: string;
  readonly field: string;
  readonly stored: string;
  readonly rebuilt: string;
}

export interface CandleCheck {
  /** Final candles that were compared. */
  readonly compared: number;
  /** Those whose prices were left out: trades outside the order book are among theirs. */
  readonly unpriced: number;
  readonly differences: readonly CandleDifference[];
}

export interface CandleScope {
  readonly instrumentId: number;
  /** `YYYY-MM-DD`, UTC. */
  readonly day: string;
  readonly resolution: string;
  /** Width of `resolution`; a divisor of a day. */
  readonly seconds: number;
}

// A candle in which recording began or ended holds fewer trades than were made, and nobody lost one: only those that lie
// between the first and the last stored trade count, or reach up to a neighbouring day that is stored as well.
// Of a day whose partition was dropped (retention) there is nothing to compare with, though trade_coverage knows of its trades.
// The first and last price by sequence number are the least and the greatest pair (seq, price): no sorting, no list in memory.
const CHECK = `
  WITH rebuilt AS (
    SELECT date_bin(make_interval(secs => $4), ts, timestamptz 'epoch') AS open_ts, min(ts) AS first_ts, max(ts) AS last_ts,
      (min(ARRAY[coalesce(seq, extract(epoch FROM ts) * 1000000), price]))[2] AS open, max(price) AS high, min(price) AS low,
      (max(ARRAY[coalesce(seq, extract(epoch FROM ts) * 1000000), price]))[2] AS close, sum(amount) AS volume,
      sum(coalesce(seq_last - seq, 0) + 1) AS trade_count, bool_or(block_trade_id IS NOT NULL OR combo_id IS NOT NULL) AS off_book
    FROM public_trades WHERE instrument_id = $1 AND ts >= $2::date AND ts < $2::date + 1 GROUP BY 1
  ), recorded AS (
    SELECT CASE WHEN EXISTS (SELECT FROM trade_coverage WHERE instrument_id = $1 AND day = $2::date - 1 AND NOT isempty(seqs))
        THEN $2::date ELSE min(first_ts) END AS since,
      CASE WHEN EXISTS (SELECT FROM trade_coverage WHERE instrument_id = $1 AND day = $2::date + 1 AND NOT isempty(seqs))
        THEN $2::date + 1 ELSE max(last_ts) END AS until
    FROM rebuilt
    HAVING count(*) > 0 OR to_regclass('public_trades_p' || to_char($2::date, 'YYYYMMDD')) IS NOT NULL
      OR NOT EXISTS (SELECT FROM trade_coverage WHERE instrument_id = $1 AND day = $2::date AND NOT isempty(seqs))
  ), pairs AS (
    SELECT o.open_ts, o.open, o.high, o.low, o.close, o.volume, o.trade_count, r.open AS r_open, r.high AS r_high, r.low AS r_low,
      r.close AS r_close, r.volume AS r_volume, r.trade_count AS r_count, r.off_book, i.amount_unit = i.base AS same_unit
    FROM recorded JOIN ohlc o ON o.open_ts >= since AND o.open_ts + make_interval(secs => $4) <= until
    JOIN instruments i USING (instrument_id) LEFT JOIN rebuilt r USING (open_ts)
    WHERE o.instrument_id = $1 AND o.resolution = $3 AND o.is_final AND o.open_ts >= $2::date AND o.open_ts < $2::date + 1
  ), differences AS (
    SELECT p.open_ts, f.n, f.field, f.stored, f.rebuilt FROM pairs p, LATERAL (VALUES
      (1, 'open', p.open, p.r_open, NOT p.off_book), (2, 'high', p.high, p.r_high, NOT p.off_book),
      (3, 'low', p.low, p.r_low, NOT p.off_book), (4, 'close', p.close, p.r_close, NOT p.off_book),
      -- Without a trade the volume is 0 in any unit.
      (5, 'volume', p.volume, coalesce(p.r_volume, 0), p.same_unit OR p.r_volume IS NULL),
      (6, 'trade_count', p.trade_count, coalesce(p.r_count, 0), true)
    ) AS f(n, field, stored, rebuilt, comparable)
    WHERE f.comparable AND f.stored <> f.rebuilt
  )
  SELECT count(*)::int AS compared, (count(*) FILTER (WHERE off_book))::int AS unpriced,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('open_ts', to_char(open_ts, 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'field', field,
       'stored', trim_scale(stored)::text, 'rebuilt', trim_scale(rebuilt)::text) ORDER BY open_ts, n), '[]') FROM differences) AS differences
  FROM pairs`;

/**
 * Compares the final candles of one instrument and day with its stored trades. Volume is compared where trades and candles
 * have the same unit (amount_unit = base), the number of trades where the candle tells it, prices where all trades of the candle
 * came from the order book (no block trades, no legs of combos).
 */
export async function checkCandles(db: Pick<Client, 'query'>, { instrumentId, day, resolution, seconds }: CandleScope): Promise<CandleCheck> {
  const { rows } = await db.query<CandleCheck>(CHECK, [instrumentId, day, resolution, seconds]);
  return rows[0] ?? { compared: 0, unpriced: 0, differences: [] };
}
