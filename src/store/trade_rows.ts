// Single rows of public_trades: finding stored ones by key, comparing by value, and the INSERT … ON CONFLICT path.
import type { Trade } from '../contracts/index.ts';
import { dayOfMicros, dayStartMicros } from '../core/days.ts';
import type { Client } from './connect.ts';
import type { SeqRange } from './trade_plan.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

export interface TradeRow {
  readonly instrumentId: number;
  readonly message: Trade;
}

export interface StoredTrade {
  readonly range: SeqRange;
  /** µs since the epoch. */
  readonly ts: number;
  readonly side: string;
  readonly trade_id: string;
  readonly price: string;
  readonly amount: string;
}

const MICROS = `(extract(epoch FROM t.ts) * 1000000)::int8`;
const STORED = `t.seq, t.seq_last, ${MICROS} AS us, t.side, t.trade_id, t.price, t.amount`;

// LATERAL with LIMIT keeps the planner on the unique index however many keys there are and however small the table looks.
const BY_SEQ = `SELECT k.n::int4 AS n, t.* FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS k(i, key, n)
  CROSS JOIN LATERAL (SELECT ${STORED} FROM public_trades t WHERE t.instrument_id = k.i AND t.seq = k.key
    AND t.ts >= ${timestampOf('$3::int8')} AND t.ts < ${timestampOf('$4::int8')} ORDER BY t.ts LIMIT 1) AS t`;
const BY_TRADE_ID = `SELECT k.n::int4 AS n, t.* FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY AS k(i, key, n)
  CROSS JOIN LATERAL (SELECT ${STORED} FROM public_trades t WHERE t.instrument_id = k.i AND t.trade_id = k.key AND t.seq IS NULL
    AND t.ts >= ${timestampOf('$3::int8')} AND t.ts < ${timestampOf('$4::int8')} ORDER BY t.ts LIMIT 1) AS t`;

/**
 * The stored trade with the same key as each row (same position; undefined where there is none), from the day before the
 * first row to the day after the last, and on the days between these and `others`. Keys are seq, or trade_id where seq is
 * null; all rows must be of one kind.
 */
export async function findStored(client: Client, rows: readonly TradeRow[], others: readonly number[] = []): Promise<(StoredTrade | undefined)[]> {
  if (rows.length === 0) return [];
  const bySeq = rows[0]?.message.seq !== null;
  let [low, high] = [Infinity, -Infinity];
  for (const day of [...rows.map(({ message }) => dayOfMicros(message.exchange_ts)), ...others]) [low, high] = [Math.min(low, day), Math.max(high, day)];
  const { rows: found } = await client.query<Record<string, string | null> & { n: number }>(bySeq ? BY_SEQ : BY_TRADE_ID, [
    rows.map((row) => row.instrumentId),
    rows.map((row) => (bySeq ? row.message.seq : row.message.trade_id)),
    dayStartMicros(low - 1),
    dayStartMicros(high + 2),
  ]);
  const byPosition: (StoredTrade | undefined)[] = rows.map(() => undefined);
  for (const row of found) {
    const seq = Number(row['seq'] ?? -1);
    byPosition[row.n - 1] = {
      range: [seq, Number(row['seq_last'] ?? seq)],
      ts: Number(row['us']),
      side: row['side'] ?? '',
      trade_id: row['trade_id'] ?? '',
      price: row['price'] ?? '',
      amount: row['amount'] ?? '',
    };
  }
  return byPosition;
}

/** null when the stored trade says the same; else one line with the field and both values. Decimals compare by value. */
export function compareStored({ instrumentId, message }: TradeRow, stored: StoredTrade): string | null {
  const differs = (field: string, was: string | number, is: string | number): string =>
    `${field}: stored ${was}, got ${is} (instrument ${instrumentId}, ${message.seq === null ? `trade ${message.trade_id}` : `seq ${message.seq}`})`;
  if (stored.trade_id !== message.trade_id) return differs('trade_id', stored.trade_id, message.trade_id);
  if (!sameDecimal(stored.price, message.price)) return differs('price', stored.price, message.price);
  if (!sameDecimal(stored.amount, message.amount)) return differs('amount', stored.amount, message.amount);
  if (stored.side !== message.side) return differs('side', stored.side, message.side);
  if (stored.ts !== message.exchange_ts) return differs('exchange_ts', stored.ts, message.exchange_ts);
  const last = message.seq_last ?? message.seq ?? -1;
  if (stored.range[1] !== last) return differs('seq_last', stored.range[1], last);
  return null;
}

/** 1.50 is 1.5, and -0 is 0. */
export function sameDecimal(a: string, b: string): boolean {
  return a === b || plain(a) === plain(b);
}

function plain(text: string): string {
  const short = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  return short === '-0' ? '0' : short;
}

const TYPES: ColumnTypes = {
  instrument_id: 'int4', seq: 'int8', ts: 'micros', received_at: 'micros', seq_last: 'int8', side: 'text', trade_id: 'text',
  price: 'numeric', amount: 'numeric', mark_price: 'numeric', index_price: 'numeric', iv: 'numeric',
  liquidation: 'text', block_trade_id: 'text', combo_id: 'text',
};
const INSERT = unnestInsert('public_trades', TYPES, 'u.instrument_id, u.seq, u.trade_id',
  'ON CONFLICT DO NOTHING RETURNING instrument_id, seq, trade_id');

function cell({ instrumentId, message }: TradeRow, column: string): Cell {
  switch (column) {
    case 'instrument_id':
      return instrumentId;
    case 'ts':
      return message.exchange_ts;
    case 'received_at':
      return message.received_ts;
    default:
      return message[column as keyof typeof message] ?? null;
  }
}

/** INSERT … ON CONFLICT DO NOTHING; returns the positions of rows that were not inserted as their key is there. Keys must differ. */
export async function insertOneByOne(client: Client, rows: readonly TradeRow[]): Promise<number[]> {
  if (rows.length === 0) return [];
  const { rows: stored } = await client.query<{ instrument_id: number; seq: string | null; trade_id: string }>(
    INSERT, columnArrays(TYPES, rows, cell),
  );
  const done = new Set(stored.map((row) => `${row.instrument_id}:${row.seq ?? `t${row.trade_id}`}`));
  return rows.flatMap(({ instrumentId, message }, n) => (done.has(`${instrumentId}:${message.seq ?? `t${message.trade_id}`}`) ? [] : [n]));
}
