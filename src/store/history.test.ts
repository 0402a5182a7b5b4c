// A page of history goes in by COPY where its stretch is empty, and row by row where it is not; both ways store the same.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Ohlc } from '../contracts/index.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { createPool, transaction, type Client, type Pool } from './connect.ts';
import { storeHistory, upsertOhlc, type OhlcRow } from './ohlc.ts';

const START = 1_796_000_040_000_000;
const MINUTE = 60_000_000;
let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await freshDatabase('history', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
beforeEach(() => pool.query('TRUNCATE ohlc'));
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const row = (minute: number, over: Partial<Ohlc> = {}): OhlcRow => ({
  instrumentId: 1,
  message: {
    v: 1, type: 'ohlc', market_id: 'm', symbol: 'S', exchange_ts: START, received_ts: START + 1, resolution: '1m', open_ts: START + minute * MINUTE,
    open: '0.00001230', high: '90071992547409931.5', low: '-0.5', close: String(minute), volume: '0', quote_volume: '12.50', trade_count: 7,
    closed: true, source: 'rest', ...over,
  },
});
const page = (from: number, to: number): OhlcRow[] => Array.from({ length: to - from }, (_, n) => row(from + n));
const stored = async (): Promise<unknown[]> => (await pool.query('SELECT * FROM ohlc ORDER BY open_ts')).rows as unknown[];
const inOne = (rows: readonly OhlcRow[]): Promise<number> => transaction(pool, (client) => storeHistory(client, rows));

describe('a page of history', () => {
  it('is the same by COPY as row by row, absent values included', async () => {
    const rows = [...page(0, 50), row(50, { quote_volume: null, trade_count: null }), row(51, { closed: false, source: 'trades' })];
    expect(await inOne(rows)).toBe(52);
    const copied = await stored();
    await pool.query('TRUNCATE ohlc');
    await transaction(pool, (client) => upsertOhlc(client, rows));
    expect(copied).toEqual(await stored());
  });

  it('changes what it outranks and nothing else where some of it is stored', async () => {
    await transaction(pool, (client) => upsertOhlc(client, [row(3, { close: '99', closed: false }), row(4, { close: '98', received_ts: START + 9 })]));
    expect(await inOne(page(0, 10))).toBe(9);
    const closes = (await stored()).map((candle) => (candle as { close: string }).close);
    expect(closes).toEqual(['0', '1', '2', '3', '98', '5', '6', '7', '8', '9']);
    expect(await inOne(page(0, 10))).toBe(0);
  });

  it('that meets a candle stored this very moment is decided row by row', async () => {
    // The other writer commits between our look and our COPY: here, in the statement that both share.
    const racing = transaction(pool, async (client) => {
      const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
      const meanwhile = async (): Promise<void> => {
        expect(await transaction(pool, (other) => upsertOhlc(other, [row(2, { close: '77', received_ts: START + 5 })]))).toBe(1);
      };
      const watched = Object.assign(Object.create(client) as Client, {
        query: (...args: unknown[]) => (args[0] === 'SAVEPOINT history' ? meanwhile().then(() => query(...args)) : query(...args)),
      });
      return storeHistory(watched, page(0, 5));
    });
    expect(await racing).toBe(4);
    expect((await stored()).map((candle) => (candle as { close: string }).close)).toEqual(['0', '1', '77', '3', '4']);
  });

  it('of nothing is nothing', async () => {
    expect(await inOne([])).toBe(0);
  });
});
