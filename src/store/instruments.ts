// instruments: what is recorded, and the number everything else refers to.
import type { Client } from './connect.ts';
import { columnArrays, timestampOf, unnestInsert, type Cell, type ColumnTypes } from './unnest.ts';

/** An instrument as the exchanges describe it (src/exchanges/exchange.ts); decimals are text, expiry_ts is µs. */
export interface InstrumentFacts {
  market_id: string;
  exchange: string;
  symbol: string;
  unified_symbol: string | null;
  kind: string;
  base: string;
  quote: string;
  settle: string | null;
  inverse: boolean;
  contract_size: string | null;
  amount_unit: string;
  tick_size: string | null;
  min_amount: string | null;
  amount_step: string | null;
  strike: string | null;
  option_type: string | null;
  expiry_ts: number | null;
  status: string;
  raw: unknown;
}

export interface InstrumentKey {
  readonly marketId: string;
  readonly symbol: string;
}

export interface InstrumentId extends InstrumentKey {
  readonly instrumentId: number;
}

const TYPES: ColumnTypes = {
  market_id: 'text', symbol: 'text', exchange: 'text', unified_symbol: 'text', kind: 'text', base: 'text', quote: 'text', settle: 'text',
  inverse: 'bool', contract_size: 'numeric', amount_unit: 'text', tick_size: 'numeric', min_amount: 'numeric', amount_step: 'numeric',
  strike: 'numeric', option_type: 'text', expiry: 'micros', status: 'text', raw: 'jsonb',
};
const FACTS = Object.keys(TYPES).slice(2);
// A row is written only when the exchange says something new: updated_at then means that. raw is left out of the
// comparison: venues put running figures into it.
const COMPARED = FACTS.filter((name) => name !== 'raw');
const UPSERT = {
  name: 'upsert_instruments',
  text: unnestInsert('instruments AS i', TYPES, 'u.market_id, u.symbol',
    `ON CONFLICT (market_id, symbol) DO UPDATE SET ${FACTS.map((name) => `${name} = excluded.${name}`).join(', ')}, updated_at = now()
     WHERE (${COMPARED.map((name) => `i.${name}`).join(', ')}) IS DISTINCT FROM (${COMPARED.map((name) => `excluded.${name}`).join(', ')})`),
};

function cell(row: InstrumentFacts, column: string): Cell {
  if (column === 'expiry') return row.expiry_ts;
  if (column === 'raw') return row.raw === undefined ? null : JSON.stringify(row.raw);
  return row[column as keyof Omit<InstrumentFacts, 'raw' | 'expiry_ts'>];
}

/** Inserts or corrects instruments (stubs included); returns how many rows changed. Keys must differ. */
export async function upsertInstruments(client: Pick<Client, 'query'>, rows: readonly InstrumentFacts[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { rowCount } = await client.query({ ...UPSERT, values: columnArrays(TYPES, rows, cell) });
  return rowCount ?? 0;
}

/**
 * Takes over a market's whole list in the caller's transaction: upserts `rows`, and gives open instruments that are neither in
 * them nor in `alsoListed` the status `unlisted`; returns the symbols of those. Several at once wait for each other.
 */
export async function replaceInstruments(
  client: Client, marketId: string, rows: readonly InstrumentFacts[], alsoListed: readonly string[] = [],
): Promise<string[]> {
  // Two that upsert and unlist in different orders would lock each other out.
  await client.query(`SELECT pg_advisory_xact_lock(hashtext('replace_instruments'), hashtext($1))`, [marketId]);
  await upsertInstruments(client, rows);
  const { rows: gone } = await client.query<{ symbol: string }>(
    `UPDATE instruments AS i SET status = 'unlisted', updated_at = now()
     WHERE i.market_id = $1 AND i.status = 'open' AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS l(symbol) WHERE l.symbol = i.symbol)
     RETURNING i.symbol`, [marketId, [...rows.map((row) => row.symbol), ...alsoListed]]);
  return gone.map((row) => row.symbol).sort();
}

/** Number and key of every instrument. */
export async function loadInstrumentIds(client: Pick<Client, 'query'>): Promise<InstrumentId[]> {
  const { rows } = await client.query<InstrumentId>(
    'SELECT instrument_id AS "instrumentId", market_id AS "marketId", symbol FROM instruments',
  );
  return rows;
}

/** Numbers of the instruments that exist among `keys`. */
export async function findInstrumentIds(client: Pick<Client, 'query'>, keys: readonly InstrumentKey[]): Promise<InstrumentId[]> {
  const { rows } = await client.query<InstrumentId>(
    `SELECT i.instrument_id AS "instrumentId", i.market_id AS "marketId", i.symbol
     FROM unnest($1::text[], $2::text[]) AS k(market_id, symbol) JOIN instruments i USING (market_id, symbol)`,
    [keys.map((key) => key.marketId), keys.map((key) => key.symbol)],
  );
  return rows;
}

/**
 * A row with status `stub` for an instrument that the data names before the exchange's list did, so that no trade waits
 * for a list. null when somebody else made it first (findInstrumentIds then has it).
 */
export async function insertStubInstrument(client: Pick<Client, 'query'>, key: InstrumentKey, exchange: string): Promise<number | null> {
  const { rows } = await client.query<{ id: number }>(
    `INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ($1, $2, $3, 'stub')
     ON CONFLICT (market_id, symbol) DO NOTHING RETURNING instrument_id AS id`,
    [key.marketId, key.symbol, exchange],
  );
  return rows[0]?.id ?? null;
}

/** Instruments that are open though they expired before `beforeMicros`. */
export async function findExpired(client: Pick<Client, 'query'>, beforeMicros: number): Promise<InstrumentKey[]> {
  const { rows } = await client.query<InstrumentKey>(
    `SELECT market_id AS "marketId", symbol FROM instruments WHERE status = 'open' AND expiry < ${timestampOf('$1::int8')} ORDER BY 1, 2`,
    [beforeMicros]);
  return rows;
}

/** Gives them the status `expired`; returns those that it changed. */
export async function markExpired(client: Pick<Client, 'query'>, beforeMicros: number): Promise<InstrumentKey[]> {
  const { rows } = await client.query<InstrumentKey>(
    `UPDATE instruments SET status = 'expired', updated_at = now() WHERE status = 'open' AND expiry < ${timestampOf('$1::int8')}
     RETURNING market_id AS "marketId", symbol`, [beforeMicros]);
  return rows;
}

/** Those of a market's symbols that are not open any more because they expired. */
export async function findExpiredAmong(client: Pick<Client, 'query'>, marketId: string, symbols: readonly string[]): Promise<Set<string>> {
  if (symbols.length === 0) return new Set();
  const { rows } = await client.query<{ symbol: string }>(
    `SELECT symbol FROM instruments WHERE market_id = $1 AND symbol = ANY($2) AND status <> 'open' AND expiry < now()`, [marketId, symbols]);
  return new Set(rows.map(({ symbol }) => symbol));
}

/** Those of `keys` that expired, or are not open any more, since before `beforeMicros`. */
export async function findGone(client: Pick<Client, 'query'>, keys: readonly InstrumentKey[], beforeMicros: number): Promise<InstrumentKey[]> {
  const { rows } = await client.query<InstrumentKey>(
    `SELECT i.market_id AS "marketId", i.symbol
     FROM unnest($1::text[], $2::text[]) AS k(market_id, symbol) JOIN instruments i USING (market_id, symbol),
       LATERAL (SELECT ${timestampOf('$3::int8')} AS cutoff) AS c
     WHERE i.expiry < c.cutoff OR (i.status <> 'open' AND i.updated_at < c.cutoff)`,
    [keys.map((key) => key.marketId), keys.map((key) => key.symbol), beforeMicros]);
  return rows;
}

/** How many instruments of an exchange can be traded. */
export async function countTradable(client: Pick<Client, 'query'>, exchange: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>('SELECT count(*)::int AS n FROM v_instruments WHERE exchange = $1', [exchange]);
  return rows[0]?.n ?? 0;
}
