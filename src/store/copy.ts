// COPY … FROM STDIN of bytes that are ready, inside the caller's transaction.
import { from as copyFrom } from 'pg-copy-streams';
import type { Client } from './connect.ts';

export const copyStatement = (table: string, columns: readonly string[]): string => `COPY ${table} (${columns.join(',')}) FROM STDIN (FORMAT binary)`;

/**
 * Sends one finished binary copy (CopyWriter.finish) and resolves with the number of rows the server took; with `commit`
 * when they are committed, too.
 */
export function copyBinary(client: Client, table: string, columns: readonly string[], bytes: Buffer, commit = false): Promise<number> {
  const target = client.query(copyFrom(`${copyStatement(table, columns)}${commit ? '; COMMIT' : ''}`));
  return new Promise((resolve, reject) => {
    target.once('error', reject);
    target.once('finish', () => resolve(target.rowCount));
    target.end(bytes);
  });
}
