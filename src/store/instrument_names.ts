// What the exchanges' symbols are called across exchanges.
import type { Client } from './connect.ts';

export interface InstrumentName {
  readonly marketId: string;
  readonly symbol: string;
  readonly unifiedSymbol: string | null;
  readonly kind: string | null;
  /** µs since the epoch; null: it has no end. */
  readonly expiryTs: number | null;
}

/** All instruments that are known. Rejects with the database's error. */
export async function loadInstrumentNames(client: Pick<Client, 'query'>): Promise<InstrumentName[]> {
  const { rows } = await client.query<{
    market_id: string; symbol: string; unified_symbol: string | null; kind: string | null; expiry: string | null;
  }>({
    name: 'instrument_names',
    text: 'SELECT market_id, symbol, unified_symbol, kind, (extract(epoch FROM expiry) * 1000000)::int8::text AS expiry FROM instruments',
  });
  return rows.map(({ market_id: marketId, symbol, unified_symbol: unifiedSymbol, kind, expiry }) =>
    ({ marketId, symbol, unifiedSymbol, kind, expiryTs: expiry === null ? null : Number(expiry) }));
}
