// The server as anybody meets it: its settings, and what an operator needs to know of trading.
import pg from 'pg';
import type { Client } from './connect.ts';

const SETTINGS = [
  'fsync', 'full_page_writes', 'synchronous_commit', 'max_connections', 'jit', 'track_commit_timestamp', 'data_directory',
] as const;

/** Settings by name; a name that this login may not see is missing. */
export type ServerSettings = Partial<Record<(typeof SETTINGS)[number], string>>;

export interface ServerFacts {
  readonly settings: ServerSettings;
  /** Connections in use, ours included. */
  readonly connections: number;
}

/**
 * Reads them over a connection of its own: those of the fleet set some of them for themselves. Rejects when the server does not
 * answer within five seconds.
 */
export async function readServerFacts(url: string): Promise<ServerFacts> {
  const client = new pg.Client({ connectionString: url, application_name: 'doctor', connectionTimeoutMillis: 5_000, query_timeout: 5_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ name: string; setting: string }>('SELECT name, setting FROM pg_settings WHERE name = ANY($1)', [SETTINGS]);
    const { rows: [used] } = await client.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'`);
    return { settings: Object.fromEntries(rows.map(({ name, setting }) => [name, setting])), connections: used?.n ?? 0 };
  } finally {
    await client.end().catch(() => undefined);
  }
}

export interface TradingState {
  /** null: it is off. */
  readonly killSwitch: { readonly by: string; readonly reason: string | null } | null;
  /** Cases for which the executor has locked itself. */
  readonly locked: readonly { readonly caseId: string; readonly kind: string; readonly symbol: string | null; readonly decision: string | null }[];
}

/** What keeps the executor from trading, on record. */
export async function readTradingState(client: Pick<Client, 'query'>): Promise<TradingState> {
  const { rows: [flag] } = await client.query<{ by: string; reason: string | null }>(
    `SELECT by, reason FROM trading_flags WHERE name = 'kill_switch' AND value = 'on'`);
  const { rows: locked } = await client.query<TradingState['locked'][number]>(
    `SELECT case_id AS "caseId", kind, symbol, decision FROM trading_cases WHERE status = 'locked' ORDER BY case_id`);
  return { killSwitch: flag ?? null, locked };
}
