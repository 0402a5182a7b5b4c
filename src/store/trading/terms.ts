// What trading must know of instruments.
import type { Client } from '../connect.ts';
import { decimal, type Row } from './rows.ts';

export interface TermsRow {
  symbol: string;
  kind: 'spot' | 'perpetual' | 'future' | 'option' | 'combo';
  inverse: boolean;
  settle: string | null;
  quote: string;
  tickSize: string;
  minAmount: string;
  amountStep: string;
  /** µs; null: never. */
  expiryTs: number | null;
  status: string;
  /** The exchange's own object, JSON text. */
  raw: string;
}

/** Instruments of a market that are tradable, or were until a week ago: what has just expired is still in the books. */
export async function loadTerms(client: Pick<Client, 'query'>, marketId: string): Promise<TermsRow[]> {
  const { rows } = await client.query<Row>(
    `SELECT symbol, kind, inverse, settle, quote, tick_size, min_amount, amount_step, (extract(epoch FROM expiry) * 1000000)::int8 AS expiry, status,
       raw::text AS raw
     FROM instruments WHERE market_id = $1 AND tick_size IS NOT NULL AND min_amount IS NOT NULL AND amount_step IS NOT NULL
       AND (status = 'open' OR updated_at > now() - interval '7 days')`, [marketId]);
  return rows.map((row) => ({
    symbol: String(row['symbol']), kind: row['kind'] as TermsRow['kind'], inverse: row['inverse'] === true,
    settle: row['settle'] === null ? null : String(row['settle']), quote: String(row['quote']), tickSize: decimal(row['tick_size']!),
    minAmount: decimal(row['min_amount']!), amountStep: decimal(row['amount_step']!), expiryTs: row['expiry'] === null ? null : Number(row['expiry']),
    status: String(row['status']), raw: row['raw'] === null ? '{}' : String(row['raw']),
  }));
}
