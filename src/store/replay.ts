// What `npm run backtest` reads: stored candles, trades and quotes of one instrument in order, as columns of numbers. The server packs
// thousands of rows into one value per column (its own binary form of timestamps and numerics), which costs both sides a fraction of
// what rows of text cost; neither ever holds more than two pieces of them.
import type { Client } from './connect.ts';

type Db = Pick<Client, 'query'>;

/** Decimals are text; null where the exchange's list has not told. */
export interface ReplayInstrument {
  readonly instrumentId: number;
  readonly marketId: string;
  readonly symbol: string;
  readonly kind: string | null;
  readonly inverse: boolean | null;
  readonly base: string | null;
  readonly quote: string | null;
  readonly settle: string | null;
  readonly tickSize: string | null;
  readonly minAmount: string | null;
  readonly amountStep: string | null;
  readonly contractSize: string | null;
  /** µs; null: never. */
  readonly expiryTs: number | null;
  /** Fees as parts of the value, where the exchange's own description tells them. */
  readonly makerFee: string | null;
  readonly takerFee: string | null;
}

export interface ReplayScope {
  readonly instrumentId: number;
  /** µs since the epoch; `until` is not included. Candles are counted by their start. */
  readonly from: number;
  readonly until: number;
}

/** Times in µs since the epoch. A column has `rows` values. */
export interface CandleChunk {
  readonly rows: number;
  readonly openTs: Float64Array;
  readonly open: Float64Array;
  readonly high: Float64Array;
  readonly low: Float64Array;
  readonly close: Float64Array;
  readonly volume: Float64Array;
}

export interface TradeChunk {
  readonly rows: number;
  readonly ts: Float64Array;
  readonly price: Float64Array;
  readonly amount: Float64Array;
  /** 1: the taker sold; 0: it bought. */
  readonly sold: Float64Array;
}

/** NaN: there was none. */
export interface TickerChunk {
  readonly rows: number;
  readonly ts: Float64Array;
  readonly bid: Float64Array;
  readonly ask: Float64Array;
  readonly last: Float64Array;
  readonly mark: Float64Array;
  readonly index: Float64Array;
  readonly funding: Float64Array;
}

const CHUNK_ROWS = 32_768;
const DAY_MICROS = 86_400_000_000;
const AT = (parameter: string): string => `timestamptz 'epoch' + ${parameter}::int8 * interval '1 microsecond'`;
const time = (name: string): string => `string_agg(timestamptz_send(${name}), ''::bytea)`;
const number = (name: string): string => `string_agg(numeric_send(${name}), ''::bytea)`;
const maybe = (name: string): string => `string_agg(coalesce(numeric_send(${name}), numeric_send('NaN')), ''::bytea)`;

/** The instrument, or null when there is none of that name. */
export async function replayInstrument(db: Db, marketId: string, symbol: string): Promise<ReplayInstrument | null> {
  const { rows } = await db.query<Omit<ReplayInstrument, 'expiryTs'> & { expiryTs: string | null }>(
    `SELECT instrument_id AS "instrumentId", market_id AS "marketId", symbol, kind, inverse, base, quote, settle,
       trim_scale(tick_size)::text AS "tickSize", trim_scale(min_amount)::text AS "minAmount", trim_scale(amount_step)::text AS "amountStep",
       trim_scale(contract_size)::text AS "contractSize", (extract(epoch FROM expiry) * 1000000)::int8 AS "expiryTs",
       trim_scale((raw ->> 'maker_commission')::numeric)::text AS "makerFee", trim_scale((raw ->> 'taker_commission')::numeric)::text AS "takerFee"
     FROM instruments WHERE market_id = $1 AND symbol = $2`, [marketId, symbol]);
  const [row] = rows;
  return row === undefined ? null : { ...row, expiryTs: row.expiryTs === null ? null : Number(row.expiryTs) };
}

/** Final candles, by time. */
export function readCandles(db: Db, { instrumentId, from, until }: ReplayScope, resolution: string): AsyncGenerator<CandleChunk, void, undefined> {
  const names = ['open', 'high', 'low', 'close', 'volume'];
  const text = `SELECT ${[time('open_ts'), ...names.map(number)].join(', ')} FROM (
    SELECT open_ts, ${names.join(', ')} FROM ohlc WHERE instrument_id = $1 AND resolution = $2 AND is_final AND open_ts >= ${AT('$3')} AND open_ts < ${AT('$4')}
    ORDER BY open_ts LIMIT ${CHUNK_ROWS}) AS piece`;
  return ahead(async function* () {
    for (let start = from; ; ) {
      const piece = await packed(db, text, [instrumentId, resolution, start, until]);
      if (piece === null) return;
      const [openTs, open, high, low, close, volume] = piece as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
      yield { rows: openTs.length, openTs, open, high, low, close, volume };
      if (openTs.length < CHUNK_ROWS) return;
      start = openTs.at(-1)! + 1;
    }
  });
}

/** The last `count` final candles, oldest first. */
export async function lastCandles(db: Db, instrumentId: number, resolution: string, count: number): Promise<CandleChunk> {
  const names = ['open', 'high', 'low', 'close', 'volume'];
  const text = `SELECT ${[time('open_ts'), ...names.map(number)].join(', ')} FROM (SELECT * FROM (
    SELECT open_ts, ${names.join(', ')} FROM ohlc WHERE instrument_id = $1 AND resolution = $2 AND is_final ORDER BY open_ts DESC LIMIT $3) AS newest
    ORDER BY open_ts) AS piece`;
  const none = new Float64Array();
  const [openTs = none, open = none, high = none, low = none, close = none, volume = none] = (await packed(db, text, [instrumentId, resolution, count])) ?? [];
  return { rows: openTs.length, openTs, open, high, low, close, volume };
}

/** Trades by UTC day and within it by the exchange's counter, which is an index of each day. Trades without a counter are left out. */
export function readTrades(db: Db, { instrumentId, from, until }: ReplayScope): AsyncGenerator<TradeChunk, void, undefined> {
  const text = `SELECT ${[time('ts'), number('price'), number('amount'), number('sold'), number('seq::numeric')].join(', ')} FROM (
    SELECT ts, price, amount, (CASE side WHEN 'sell' THEN 1 ELSE 0 END)::numeric AS sold, seq FROM public_trades
    WHERE instrument_id = $1 AND ts >= ${AT('$2')} AND ts < ${AT('$3')} AND seq > $4 ORDER BY seq LIMIT ${CHUNK_ROWS}) AS piece`;
  return ahead(async function* () {
    for (let start = from; start < until; ) {
      const end = Math.min(until, (Math.floor(start / DAY_MICROS) + 1) * DAY_MICROS);
      for (let after = -1; ; ) {
        const piece = await packed(db, text, [instrumentId, start, end, after]);
        if (piece === null) break;
        const [ts, price, amount, sold, seq] = piece as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
        yield { rows: ts.length, ts, price, amount, sold };
        if (ts.length < CHUNK_ROWS) break;
        after = seq.at(-1)!;
      }
      start = end;
    }
  });
}

/** Sampled quotes, by time. */
export function readTickers(db: Db, { instrumentId, from, until }: ReplayScope): AsyncGenerator<TickerChunk, void, undefined> {
  const names = ['best_bid_price', 'best_ask_price', 'last_price', 'mark_price', 'index_price', 'funding_rate'];
  const text = `SELECT ${[time('ts'), ...names.map(maybe)].join(', ')} FROM (
    SELECT ts, ${names.join(', ')} FROM tickers WHERE instrument_id = $1 AND ts >= ${AT('$2')} AND ts < ${AT('$3')} ORDER BY ts LIMIT ${CHUNK_ROWS}) AS piece`;
  type Column = Float64Array;
  return ahead(async function* () {
    for (let start = from; ; ) {
      const piece = await packed(db, text, [instrumentId, start, until]);
      if (piece === null) return;
      const [ts, bid, ask, last, mark, index, funding] = piece as [Column, Column, Column, Column, Column, Column, Column];
      yield { rows: ts.length, ts, bid, ask, last, mark, index, funding };
      if (ts.length < CHUNK_ROWS) return;
      start = ts.at(-1)! + 1;
    }
  });
}

/** Times of the first and last thing that is stored (µs), or null when there is nothing; for the line that says so. */
export async function storedRange(db: Db, instrumentId: number, resolution: string): Promise<{ first: number; last: number } | null> {
  const { rows: [row] } = await db.query<{ first: string | null; last: string | null }>(
    `SELECT (extract(epoch FROM min(open_ts)) * 1000000)::int8 AS first, (extract(epoch FROM max(open_ts)) * 1000000)::int8 AS last
     FROM ohlc WHERE instrument_id = $1 AND resolution = $2 AND is_final`, [instrumentId, resolution]);
  return row === undefined || row.first === null || row.last === null ? null : { first: Number(row.first), last: Number(row.last) };
}

/** One piece is asked for while the one before is worked on. */
async function* ahead<T>(make: () => AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
  const pieces = make();
  let next = pieces.next();
  try {
    for (;;) {
      const piece = await next;
      if (piece.done === true) return;
      next = pieces.next();
      // Whoever stops early waits for nothing more.
      next.catch(() => undefined);
      yield piece.value;
    }
  } finally {
    await next.catch(() => undefined);
  }
}

/** Columns of the one row that `text` gives: the first one times, the others numerics; null when there was nothing to pack. */
async function packed(db: Db, text: string, values: readonly (number | string)[]): Promise<Float64Array[] | null> {
  // As text, `\x…`: the driver reads every value as one, whatever the format.
  const { rows: [row] } = await db.query<(string | null)[]>({ text, values: [...values], rowMode: 'array', types: AS_TEXT });
  const columns = row?.flatMap((value) => (value === null ? [] : [Buffer.from(value.slice(2), 'hex')])) ?? [];
  return columns.length === 0 ? null : columns.map((bytes, i) => (i === 0 ? decodeTimes(bytes) : decodeNumerics(bytes)));
}

const AS_TEXT = { getTypeParser: () => (value: string) => value };
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;
const TWO_32 = 4_294_967_296;

/** int8 µs since 2000-01-01 each. */
function decodeTimes(bytes: Buffer): Float64Array {
  const found = new Float64Array(bytes.length / 8);
  for (let i = 0, at = 0; i < found.length; i++, at += 8) found[i] = bytes.readInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4) + POSTGRES_EPOCH_MICROS;
  return found;
}

const SPECIAL = 0xc000;
const NEGATIVE = 0x4000;

/**
 * numeric_send each (src/backend/utils/adt/numeric.c): int16 digits, weight, sign, scale, then base-10000 digits. A whole number below
 * 2^53 over a power of ten up to 10^22 is the nearest double: what parsing the text would give.
 */
function decodeNumerics(bytes: Buffer): Float64Array {
  const found = new Float64Array(bytes.length / 8);
  let rows = 0;
  for (let at = 0; at < bytes.length; rows++) {
    const digits = bytes.readUInt16BE(at);
    const weight = bytes.readInt16BE(at + 2);
    const sign = bytes.readUInt16BE(at + 4);
    at += 8;
    let whole = 0;
    for (let i = 0; i < digits; i++, at += 2) whole = whole * 10_000 + bytes.readUInt16BE(at);
    const places = 4 * (digits - 1 - weight);
    const value = places > 0 ? whole / 10 ** places : whole * 10 ** -places;
    found[rows] = sign >= SPECIAL ? NaN : sign === NEGATIVE ? -value : value;
  }
  return found.subarray(0, rows);
}
