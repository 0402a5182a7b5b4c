// Sampled history of quotes.
import type { Ticker } from '../contracts/index.ts';
import type { Client } from './connect.ts';
import { columnArrays, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

export interface TickerRow {
  readonly instrumentId: number;
  readonly message: Ticker;
}

const TYPES: ColumnTypes = {
  instrument_id: 'int4', ts: 'micros', received_at: 'micros', best_bid_price: 'numeric', best_bid_amount: 'numeric',
  best_ask_price: 'numeric', best_ask_amount: 'numeric', last_price: 'numeric', mark_price: 'numeric', index_price: 'numeric',
  open_interest: 'numeric', funding_rate: 'numeric', volume_24h: 'numeric', underlying_price: 'numeric', bid_iv: 'numeric',
  ask_iv: 'numeric', mark_iv: 'numeric', delta: 'numeric', gamma: 'numeric', vega: 'numeric', theta: 'numeric', rho: 'numeric',
};
const INSERT = {
  name: 'insert_tickers',
  text: unnestInsert('tickers', TYPES, 'u.instrument_id, u.ts', 'ON CONFLICT (instrument_id, ts) DO NOTHING'),
};

function cell({ instrumentId, message }: TickerRow, column: string): Cell {
  switch (column) {
    case 'instrument_id':
      return instrumentId;
    case 'ts':
      return message.exchange_ts;
    case 'received_at':
      return message.received_ts;
    default:
      return message[column as keyof Ticker] ?? null;
  }
}

/** Stores samples; the first one of an instrument and time stays. Returns how many rows are new. */
export async function insertTickers(client: Client, rows: readonly TickerRow[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { rowCount } = await client.query({ ...INSERT, values: columnArrays(TYPES, rows, cell) });
  return rowCount ?? 0;
}
