// Append-only audit: changes of exchange states, and what operators did.
import type { Client } from './connect.ts';
import { timestampOf } from './unnest.ts';

/** One change of an exchange's state. */
export interface StateChangeRow {
  exchange: string;
  ver: number;
  epoch: number;
  from: string | null;
  to: string;
  atMicros: number;
  by: string;
  reason: string;
}

/** Mirrors state changes; telling one twice is one row. */
export async function insertStateChanges(client: Pick<Client, 'query'>, changes: readonly StateChangeRow[]): Promise<void> {
  for (const { exchange, ver, epoch, from, to, atMicros, by, reason } of changes) {
    await client.query(
      `INSERT INTO state_log (exchange, ver, epoch, from_state, to_state, at, by, reason)
       VALUES ($1, $2, $3, $4, $5, ${timestampOf('$6::int8')}, $7, $8) ON CONFLICT (exchange, ver) DO NOTHING`,
      [exchange, ver, epoch, from, to, atMicros, by, reason],
    );
  }
}

/** The last change on record; null when there is none. */
export async function lastStateChange(
  client: Pick<Client, 'query'>, exchange: string,
): Promise<Pick<StateChangeRow, 'ver' | 'epoch' | 'to' | 'by' | 'reason'> | null> {
  const { rows } = await client.query<{ ver: string; epoch: string; to_state: string; by: string; reason: string }>(
    `SELECT ver, (SELECT max(epoch) FROM state_log WHERE exchange = $1) AS epoch, to_state, by, reason
     FROM state_log WHERE exchange = $1 ORDER BY ver DESC LIMIT 1`, [exchange]);
  const [row] = rows;
  return row === undefined ? null : { ver: Number(row.ver), epoch: Number(row.epoch), to: row.to_state, by: row.by, reason: row.reason };
}

export interface OperatorAction {
  actor: string;
  action: string;
  target: string;
  reason?: string;
  detail?: unknown;
}

/** Records what a human did. */
export async function insertOperatorAction(client: Pick<Client, 'query'>, entry: OperatorAction): Promise<void> {
  await client.query('INSERT INTO operator_actions (actor, action, target, reason, detail) VALUES ($1, $2, $3, $4, $5)', [
    entry.actor, entry.action, entry.target, entry.reason ?? null, entry.detail === undefined ? null : JSON.stringify(entry.detail),
  ]);
}
