// What the exchanges' symbols are called across exchanges.
import type { Client } from './connect.ts';

export interface InstrumentName {
  readonly marketId: string;
  readonly symbol: string;
  readonly unifiedSymbol: string | null;
  readonly kind: string | null;
}

/** All instruments that are known. Rejects with the database's error. */
export async function loadInstrumentNames(client: Pick<Client, 'query'>): Promise<InstrumentName[]> {
  const { rows } = await client.query<{ market_id: string; symbol: string; unified_symbol: string | null; kind: string | null }>({
    name: 'instrument_names', text: 'SELECT market_id, symbol, unified_symbol, kind FROM instruments',
  });
  return rows.map((row) => ({ marketId: row.market_id, symbol: row.symbol, unifiedSymbol: row.unified_symbol, kind: row.kind }));
}
