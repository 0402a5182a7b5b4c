// Completeness by hour, beside counting by hand.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { readHours } from './hours.ts';

const DAY = '2026-11-28';

describe('hours of a day', () => {
  let database: FreshDatabase;
  let client: pg.Client;
  beforeAll(async () => {
    database = await freshDatabase('hours', { migrated: true });
    client = new pg.Client(database.url);
    await client.connect();
    await client.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('m', 'SINGLE', 'e', 'open'), ('m', 'RUNS', 'e', 'open')`);
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });
  const store = async (id: number, rows: readonly (readonly [seq: number, last: number | null, time: string])[]): Promise<void> => {
    for (const [seq, last, time] of rows) {
      await client.query(`INSERT INTO public_trades (instrument_id, seq, seq_last, ts, received_at, side, trade_id, price, amount)
        VALUES ($1, $2::int8, $3, $4, now(), 'buy', $2::text, 1, 1)`,
        [id, seq, last, `${DAY} ${time}+00`]);
    }
    const ranges = rows.map(([seq, last]) => `[${seq},${last ?? seq}]`).join(',');
    await client.query(`INSERT INTO trade_coverage SELECT $1, $2, $3::int8multirange`, [id, DAY, `{${ranges}}`]);
  };

  it('gives each number to one hour, of runs of aggregates too', async () => {
    await store(1, [[100, null, '00:00:00'], [101, null, '00:59:59.999'], [102, null, '01:00:00'], [105, null, '07:30:00'], [106, null, '23:59:59']]);
    await store(2, [[10, 14, '04:00:00'], [15, 15, '04:10:00'], [20, 29, '05:00:00'], [30, 44, '05:30:00']]);
    await client.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at)
      VALUES (1, 103, 104, 'open', 'cut', now()), (2, 13, 22, 'closed', 'late', now())`);
    // What is missing lies before the first number that came after it.
    const hours = await readHours(client, DAY, 10);
    expect(hours.map(({ symbol, hour, expected, missing, healed, why }) => [symbol, hour, expected, missing, healed, why])).toEqual([
      ['RUNS', 4, 6, 0, 3, null], ['RUNS', 5, 29, 4, 3, null],
      ['SINGLE', 0, 2, 0, 0, null], ['SINGLE', 1, 1, 0, 0, null], ['SINGLE', 7, 3, 2, 0, 'cut'], ['SINGLE', 23, 1, 0, 0, null],
    ]);
    expect(await readHours(client, '2026-11-27', 10)).toEqual([]);
  });
});
