// Candles. What may replace a stored one: a final candle replaces a provisional one whatever their age; among equals the
// one received later wins. So a redelivered or reordered candle changes nothing, and nothing provisional hides a final one.
import { resolutionValues, type Ohlc } from '../contracts/index.ts';
import { CopyWriter } from './binary.ts';
import { sqlState, type Client } from './connect.ts';
import { copyBinary } from './copy.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

export interface OhlcRow {
  readonly instrumentId: number;
  readonly message: Ohlc;
}

const TYPES: ColumnTypes = {
  instrument_id: 'int4', resolution: 'text', open_ts: 'micros', open: 'numeric', high: 'numeric', low: 'numeric', close: 'numeric',
  volume: 'numeric', quote_volume: 'numeric', trade_count: 'int8', is_final: 'bool', source: 'text', updated_at: 'micros',
};
const REPLACED = Object.keys(TYPES).slice(3).map((name) => `${name} = excluded.${name}`).join(', ');
const UPSERT = {
  name: 'upsert_ohlc',
  text: unnestInsert('ohlc AS o', TYPES, 'u.instrument_id, u.resolution, u.open_ts',
    `ON CONFLICT (instrument_id, resolution, open_ts) DO UPDATE SET ${REPLACED}
     WHERE (excluded.is_final, excluded.updated_at) > (o.is_final, o.updated_at)`),
};

function cell({ instrumentId, message }: OhlcRow, column: string): Cell {
  switch (column) {
    case 'instrument_id':
      return instrumentId;
    case 'is_final':
      return message.closed;
    case 'updated_at':
      return message.received_ts;
    default:
      return message[column as keyof Ohlc];
  }
}

/** Inserts or replaces candles; returns how many rows changed. */
export async function upsertOhlc(client: Client, rows: readonly OhlcRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { rowCount } = await client.query({ ...UPSERT, values: columnArrays(TYPES, strongest(rows), cell) });
  return rowCount ?? 0;
}

const COLUMNS = Object.keys(TYPES);
const UNIQUE_VIOLATION = '23505';

/**
 * Stores a page of history: candles of one series, rising. Where nothing of that stretch is stored yet, which is what history is asked
 * for, the rows go in by COPY: half the server's and a third of our time of the upsert, which otherwise decides row by row. Must run
 * in a transaction. Returns how many rows changed.
 */
export async function storeHistory(client: Client, rows: readonly OhlcRow[]): Promise<number> {
  const [first, last] = [rows[0], rows.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const { rows: found } = await client.query({
    name: 'ohlc_stretch',
    text: `SELECT 1 FROM ohlc WHERE instrument_id = $1 AND resolution = $2
      AND open_ts BETWEEN ${timestampOf('$3::int8')} AND ${timestampOf('$4::int8')} LIMIT 1`,
    values: [first.instrumentId, first.message.resolution, first.message.open_ts, last.message.open_ts],
  });
  if (found.length > 0) return upsertOhlc(client, rows);
  await client.query('SAVEPOINT history');
  try {
    return await copyBinary(client, 'ohlc', COLUMNS, encoded(rows));
  } catch (error) {
    // Somebody stored one of them this moment: then each is decided by itself after all.
    if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
    await client.query('ROLLBACK TO SAVEPOINT history');
    return upsertOhlc(client, rows);
  }
}

/** The rows in binary COPY format, columns as in TYPES. */
function encoded(rows: readonly OhlcRow[]): Buffer {
  const writer = new CopyWriter(rows.length * 160);
  for (const { instrumentId, message } of rows) {
    writer.row(COLUMNS.length);
    writer.int4(instrumentId);
    writer.text(message.resolution);
    writer.micros(message.open_ts);
    for (const value of [message.open, message.high, message.low, message.close, message.volume]) writer.numeric(value);
    writer.optionalNumeric(message.quote_volume ?? undefined);
    if (message.trade_count === null) writer.null();
    else writer.int8(message.trade_count);
    writer.bool(message.closed);
    writer.text(message.source);
    writer.micros(message.received_ts);
  }
  return writer.finish();
}

/** Open time (µs) of the newest final candle of each series `market symbol resolution`. */
export async function lastFinalCandles(client: Pick<Client, 'query'>): Promise<Map<string, number>> {
  // One descent of the key per series, however many candles there are.
  const { rows } = await client.query<{ series: string; us: string }>(
    `SELECT i.market_id || ' ' || i.symbol || ' ' || s.resolution AS series, (extract(epoch FROM last.open_ts) * 1000000)::int8 AS us
     FROM instruments i CROSS JOIN unnest($1::text[]) AS s(resolution)
     CROSS JOIN LATERAL (SELECT open_ts FROM ohlc o WHERE o.instrument_id = i.instrument_id AND o.resolution = s.resolution AND o.is_final
       ORDER BY open_ts DESC LIMIT 1) AS last WHERE i.status = 'open'`, [resolutionValues]);
  return new Map(rows.map((row) => [row.series, Number(row.us)]));
}

/** One statement may touch a row once: the candle that would have won in the end. */
function strongest(rows: readonly OhlcRow[]): OhlcRow[] {
  const best = new Map<string, OhlcRow>();
  for (const row of rows) {
    const key = `${row.instrumentId}:${row.message.resolution}:${row.message.open_ts}`;
    const other = best.get(key);
    if (other === undefined || outranks(row.message, other.message)) best.set(key, row);
  }
  return [...best.values()];
}

function outranks(a: Ohlc, b: Ohlc): boolean {
  return a.closed === b.closed ? a.received_ts > b.received_ts : a.closed;
}
