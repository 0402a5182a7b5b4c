// Reading the whole stream once more must change no row: at least once delivered, exactly once in effect.
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../../contracts/index.ts';
import type { Pool } from '../../store/connect.ts';
import { waitForDrain } from './drain.ts';
import { verdict, type Verdict } from './verdict.ts';

const GROUP = 'distributor';

/**
 * Tables that hold facts, with what of a row is one. Sampled quotes are none: which of an interval's quotes is kept depends on who
 * reads it. When a candle was written last is none either.
 */
const FACTS: Readonly<Record<string, string>> = {
  public_trades: 't', trade_coverage: 't', data_gaps: 't', ohlc: `to_jsonb(t) - 'updated_at'`,
};

/** table → `rows md5`, whatever the order of the rows on disk. */
export async function tableHashes(pool: Pool): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [table, fact] of Object.entries(FACTS)) {
    const { rows } = await pool.query<{ hash: string }>(
      `SELECT count(*) || ' ' || md5(coalesce(string_agg(h, '' ORDER BY h), '')) AS hash FROM (SELECT md5((${fact})::text) AS h FROM ${table} AS t) AS hashed`);
    found.set(table, rows[0]?.hash ?? '');
  }
  return found;
}

/** Tables whose hash is not what it was. */
export function changedTables(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...before].filter(([table, hash]) => after.get(table) !== hash)
    .map(([table, hash]) => `${table}: ${hash} before, ${after.get(table) ?? 'nothing'} after`);
}

/** Sets the group back to the stream's beginning under the running distributors, lets them read all of it, and compares. */
export async function checkReplay(redis: Redis, pool: Pool, seconds: number): Promise<Verdict> {
  const entries = await redis.xlen(streamMarketDataKey);
  const before = await tableHashes(pool);
  await redis.xgroup('SETID', streamMarketDataKey, GROUP, '0');
  const drained = await waitForDrain(redis, seconds);
  const offenders = [
    ...(entries === 0 ? ['the stream was empty: nothing was read again'] : []),
    ...(drained.ok ? [] : [`not read to the end: ${drained.detail}`]),
    ...changedTables(before, await tableHashes(pool)),
  ];
  return verdict('replay', offenders, `${entries} entries read again, ${offenders.length === 0 ? 'no row changed' : 'rows changed'}`, { entries });
}
