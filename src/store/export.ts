// What `npm run export` reads: the rows of one instrument over a time, in the exchange's own order, through a cursor of the server,
// so that neither side ever holds more than a piece of them.
import { dayStartMicros } from '../core/days.ts';
import type { Client } from './connect.ts';
import { loadTradeDays } from './partitions.ts';

type Db = Pick<Client, 'query'>;

export type ExportKind = 'trades' | 'ohlc';
/** time: µs since the epoch. decimal and integer come as text, boolean as itself. */
export type ColumnType = 'text' | 'time' | 'decimal' | 'integer' | 'boolean';
export type Cell = string | boolean | null;
export type Row = readonly Cell[];

export interface ExportColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Which step of the instrument its decimals follow. */
  readonly step?: 'tick' | 'amount';
}

export interface ExportInstrument {
  readonly instrumentId: number;
  readonly marketId: string;
  readonly symbol: string;
  readonly unifiedSymbol: string | null;
  readonly amountUnit: string | null;
  /** Decimals of tick size and amount step; null where they are not known. */
  readonly tickScale: number | null;
  readonly amountScale: number | null;
}

export interface ExportScope {
  readonly kind: ExportKind;
  readonly instrument: ExportInstrument;
  /** Of candles; null for trades. */
  readonly resolution: string | null;
  /** µs since the epoch; `until` is not included. */
  readonly from: number;
  readonly until: number;
}

/** µs since the epoch; `until` is not included. */
type Span = Pick<ExportScope, 'from' | 'until'>;

/** What a decimal column needs: digits before and after the point. */
export interface DecimalSize {
  readonly whole: number;
  readonly scale: number;
}

export interface ExportSize {
  rows: number;
  /** By column; one without any value is left out. */
  decimals: Map<string, DecimalSize>;
}

interface Table {
  readonly table: string;
  readonly time: string;
  readonly where: string;
  readonly order: string;
  readonly columns: readonly ExportColumn[];
}

const texts = (...names: string[]): ExportColumn[] => names.map((name) => ({ name, type: 'text' }));
const prices = (...names: string[]): ExportColumn[] => names.map((name) => ({ name, type: 'decimal', step: 'tick' }));
const decimals = (...names: string[]): ExportColumn[] => names.map((name) => ({ name, type: 'decimal' }));
const integers = (...names: string[]): ExportColumn[] => names.map((name) => ({ name, type: 'integer' }));
const times = (...names: string[]): ExportColumn[] => names.map((name) => ({ name, type: 'time' }));

const TABLES: Readonly<Record<ExportKind, Table>> = {
  trades: {
    // By the counter, which is an index of each day: by time the server would have to sort millions first.
    table: 'public_trades', time: 'ts', where: '$4::text IS NULL', order: 'seq, ts',
    columns: [
      ...texts('market_id', 'symbol'), ...times('ts', 'received_at'), ...texts('trade_id'), ...integers('seq', 'seq_last'), ...prices('price'),
      { name: 'amount', type: 'decimal', step: 'amount' }, ...texts('side'), ...decimals('mark_price', 'index_price', 'iv'),
      ...texts('liquidation', 'block_trade_id', 'combo_id'),
    ],
  },
  ohlc: {
    table: 'ohlc', time: 'open_ts', where: 'resolution = $4', order: 'open_ts',
    columns: [
      ...texts('market_id', 'symbol', 'resolution'), ...times('open_ts'), ...prices('open', 'high', 'low', 'close'),
      ...decimals('volume', 'quote_volume'), ...integers('trade_count'), { name: 'is_final', type: 'boolean' }, ...texts('source'), ...times('updated_at'),
    ],
  },
};

const DAY_MICROS = 86_400_000_000;
const MICROS = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::int8`;
const AT = (parameter: string): string => `timestamptz 'epoch' + ${parameter}::int8 * interval '1 microsecond'`;
/** The piece that one fetch brings. */
const FETCH_ROWS = 8_192;
/** Counting a day of the busiest instrument reads millions of rows. */
const MEASURE_TIMEOUT_MS = 600_000;

/** The columns of an export, in order. */
export const exportColumns = (kind: ExportKind): readonly ExportColumn[] => TABLES[kind].columns;

/** The instrument, or null when there is none of that name. */
export async function exportInstrument(db: Db, marketId: string, symbol: string): Promise<ExportInstrument | null> {
  const { rows } = await db.query<ExportInstrument>(
    `SELECT instrument_id AS "instrumentId", market_id AS "marketId", symbol, unified_symbol AS "unifiedSymbol", amount_unit AS "amountUnit",
       scale(trim_scale(tick_size)) AS "tickScale", scale(trim_scale(amount_step)) AS "amountScale"
     FROM instruments WHERE market_id = $1 AND symbol = $2`, [marketId, symbol]);
  return rows[0] ?? null;
}

/**
 * The scope without the years before and after anything that is stored: reading goes day by day, and `--from 1970-01-01` means from
 * the beginning.
 */
export async function narrowScope(db: Db, scope: ExportScope): Promise<ExportScope> {
  const held = await (scope.kind === 'trades' ? spanOfTrades(db) : spanOfCandles(db, scope));
  const from = Math.max(scope.from, held?.from ?? scope.until);
  return { ...scope, from, until: Math.max(from, Math.min(scope.until, held?.until ?? scope.until)) };
}

async function spanOfTrades(db: Db): Promise<Span | null> {
  const days = await loadTradeDays(db);
  return days === null ? null : { from: dayStartMicros(days.first), until: dayStartMicros(days.last + 1) };
}

async function spanOfCandles(db: Db, { instrument, resolution }: ExportScope): Promise<Span | null> {
  const { rows: [row] } = await db.query<{ first: string | null; last: string }>(
    `SELECT ${MICROS('min(open_ts)')} AS first, ${MICROS('max(open_ts)')} AS last FROM ohlc WHERE instrument_id = $1 AND resolution = $2`,
    [instrument.instrumentId, resolution]);
  return typeof row?.first === 'string' ? { from: Number(row.first), until: Number(row.last) + 1 } : null;
}

/** How many rows there are and how many digits each decimal column needs, day by day. Rejects when the server does not answer. */
export async function measureExport(db: Db, scope: ExportScope): Promise<ExportSize> {
  const { table, where, time } = TABLES[scope.kind];
  const names = exportColumns(scope.kind).filter(({ type }) => type === 'decimal').map(({ name }) => name);
  const sizes = names.flatMap((name) => [`max(scale(trim_scale(${name})))`, `length(trunc(max(abs(${name})))::text)`]);
  const size: ExportSize = { rows: 0, decimals: new Map() };
  // A server that counts for somebody who has gone shall notice.
  await db.query(`SET LOCAL statement_timeout = ${MEASURE_TIMEOUT_MS}; SET LOCAL client_connection_check_interval = '1s'`);
  for (const [from, until] of daysOf(scope)) {
    const query = {
      text: `SELECT count(*), ${sizes.join(', ')} FROM ${table} WHERE instrument_id = $1 AND ${time} >= ${AT('$2')} AND ${time} < ${AT('$3')} AND ${where}`,
      values: [scope.instrument.instrumentId, from, until, scope.resolution], rowMode: 'array' as const, query_timeout: MEASURE_TIMEOUT_MS,
    };
    const { rows: [row] } = await db.query<[string, ...(number | null)[]]>(query);
    if (row === undefined) continue;
    const [count, ...found] = row;
    size.rows += Number(count);
    for (const [i, name] of names.entries()) {
      const [scale, whole] = [found[2 * i] ?? null, found[2 * i + 1] ?? null];
      if (scale === null || whole === null) continue;
      const before = size.decimals.get(name) ?? { whole: 1, scale: 0 };
      size.decimals.set(name, { whole: Math.max(before.whole, whole), scale: Math.max(before.scale, scale) });
    }
  }
  return size;
}

/**
 * The rows in pieces, by UTC day and within it by the exchange's counter (candles: by time). Needs a transaction around it, with
 * `measureExport` in the same one when both shall speak of the same rows.
 */
export async function* readExport(db: Db, scope: ExportScope): AsyncGenerator<Row[], void, undefined> {
  const { table, where, time, order } = TABLES[scope.kind];
  const { instrumentId, marketId, symbol } = scope.instrument;
  const wanted = exportColumns(scope.kind).map(({ name, type }) => {
    if (name === 'market_id') return '$5::text';
    if (name === 'symbol') return '$6::text';
    return type === 'time' ? MICROS(name) : name;
  });
  for (const [from, until] of daysOf(scope)) {
    await db.query(
      `DECLARE export_rows NO SCROLL CURSOR FOR SELECT ${wanted.join(', ')} FROM ${table}
       WHERE instrument_id = $1 AND ${time} >= ${AT('$2')} AND ${time} < ${AT('$3')} AND ${where} ORDER BY ${order}`,
      [instrumentId, from, until, scope.resolution, marketId, symbol]);
    for (;;) {
      const { rows } = await db.query<Cell[]>({ text: `FETCH FORWARD ${FETCH_ROWS} FROM export_rows`, rowMode: 'array' });
      if (rows.length > 0) yield rows;
      if (rows.length < FETCH_ROWS) break;
    }
    await db.query('CLOSE export_rows');
  }
}

/** UTC days, which are the partitions: [from, until) in µs. */
function* daysOf({ from, until }: ExportScope): Generator<[number, number], void, undefined> {
  for (let at = from; at < until; ) {
    const next = Math.min(until, (Math.floor(at / DAY_MICROS) + 1) * DAY_MICROS);
    yield [at, next];
    at = next;
  }
}
