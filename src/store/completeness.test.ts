// v_completeness on coverage and gaps as they come: holes inside and between days, healed ones, aggregates, midnight.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { checkCandles, type CandleCheck } from './candle_check.ts';
import { gapsOfMissing, instrumentsOf, readCompleteness, strayGaps, type DayCompleteness, type Scope } from './completeness.ts';
import { createPool, type Pool } from './connect.ts';
import { markHealed, settleGaps } from './gaps.ts';

const MONTH: Scope = { marketId: null, symbol: null, from: '2026-11-01', to: '2026-11-30' };
let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await freshDatabase('completeness', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
beforeEach(async () => {
  await pool.query('TRUNCATE trade_coverage, data_gaps, public_trades, ohlc, instruments RESTART IDENTITY CASCADE');
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, base, amount_unit)
    VALUES ('m', 'A', 'x', 'open', 'BTC', 'BTC'), ('m', 'B', 'x', 'open', 'BTC', 'USD'), ('n', 'A', 'x', 'closed', 'BTC', 'BTC')`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const cover = async (day: number, seqs: string, id = 1): Promise<void> => {
  await pool.query('INSERT INTO trade_coverage VALUES ($1, $2, $3)', [id, `2026-11-${String(day).padStart(2, '0')}`, seqs]);
};
const gap = async (from: number, to: number, status: string, reason: string, recovered: number | null = null, id = 1): Promise<void> => {
  await pool.query(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at, expected, recovered)
     VALUES ($1, $2, $3, $4, $5, '2026-11-12 12:00Z', $3::int8 - $2::int8 + 1, $6)`, [id, from, to, status, reason, recovered]);
};
const figures = async (scope: Scope = MONTH): Promise<unknown[]> => (await readCompleteness(pool, scope))
  .map(({ day, expected, stored, healed, missing, why }) => [day.slice(8), expected, stored, healed, missing, why]);

describe('v_completeness', () => {
  it('counts a whole day', async () => {
    await cover(11, '{[5,14]}');
    expect(await readCompleteness(pool, MONTH)).toEqual<DayCompleteness[]>([{
      marketId: 'm', symbol: 'A', day: '2026-11-11', firstSeq: 5, lastSeq: 14, expected: 10, stored: 10, healed: 0, missing: 0, why: null, missingSeqs: [],
    }]);
  });

  it('counts a hole within a day, and says what no gap tells', async () => {
    await cover(11, '{[1,10],[14,20]}');
    expect(await figures()).toEqual([['11', 20, 17, 0, 3, 'hole between stored trades']]);
    expect((await readCompleteness(pool, MONTH))[0]?.missingSeqs).toEqual([[11, 13]]);
  });

  it('gives a hole across midnight, and across days without a trade, to the day behind it', async () => {
    await cover(11, '{[1,10]}');
    await cover(12, '{[13,20]}');
    await cover(15, '{[25,25]}');
    await cover(16, '{}');
    expect(await figures()).toEqual([
      ['11', 10, 10, 0, 0, null], ['12', 10, 8, 0, 2, 'hole between stored trades'], ['15', 5, 1, 0, 4, 'hole between stored trades'],
    ]);
    // The day asked for alone still knows its neighbour.
    expect(await figures({ ...MONTH, from: '2026-11-12', to: '2026-11-12' })).toEqual([['12', 10, 8, 0, 2, 'hole between stored trades']]);
  });

  it('misses nothing where trades of one moment lie on both sides of midnight', async () => {
    await cover(11, '{[1,10],[12,12]}');
    await cover(12, '{[11,11],[13,20]}');
    expect(await figures()).toEqual([['11', 11, 11, 0, 0, null], ['12', 9, 9, 0, 0, null]]);
  });

  it('counts as healed what was fetched into gaps, each number once, and nothing that came by the stream after all', async () => {
    await cover(11, '{[1,20],[24,40]}');
    await gap(5, 9, 'closed', 'restart', 5);
    await gap(7, 12, 'closed', 'told by another receiver, overlapping', 6);
    await gap(18, 26, 'unfillable', 'cut; the exchange does not have the rest', 6);
    await gap(30, 39, 'closed', 'they were only late', 10);
    const day = Date.UTC(2026, 10, 11) / 86_400_000;
    await markHealed(pool, 1, day, [[5, 12]], [[5, 9]]);
    await markHealed(pool, 1, day, [[8, 12]], [[7, 12]]);
    await markHealed(pool, 1, day, [[24, 26]], [[18, 26]]);
    await markHealed(pool, 1, day, [[35, 39]], [[1, 2]]);
    expect(await figures()).toEqual([['11', 40, 37, 11, 3, 'cut; the exchange does not have the rest']]);
    // Taken back from what is stored: not healed either.
    await pool.query(`UPDATE trade_coverage SET seqs = seqs - '{[24,24]}'`);
    expect(await figures()).toEqual([['11', 40, 36, 10, 4, 'cut; the exchange does not have the rest']]);
  });

  it('names each reason once, those of gaps that touch nothing missing never', async () => {
    await cover(11, '{[1,10],[14,20],[24,30]}');
    await gap(11, 11, 'open', 'reconnect');
    await gap(12, 13, 'healing', 'buffer full');
    await gap(21, 23, 'open', 'reconnect');
    await gap(2, 12, 'closed', 'long ago');
    expect(await figures()).toEqual([['11', 30, 24, 0, 6, 'buffer full; reconnect']]);
  });

  it('counts numbers, not rows: an aggregate covers a run of them', async () => {
    await cover(11, '{[1000,1499],[1510,1999]}');
    await pool.query(`INSERT INTO public_trades (instrument_id, seq, seq_last, ts, received_at, side, trade_id, price, amount)
      VALUES (1, 1000, 1499, '2026-11-11', now(), 'buy', 'a1', 1, 1), (1, 1510, 1999, '2026-11-11', now(), 'buy', 'a2', 1, 1)`);
    expect(await figures()).toEqual([['11', 1000, 990, 0, 10, 'hole between stored trades']]);
  });

  it('keeps instruments apart', async () => {
    for (const id of [1, 2, 3]) await cover(11, `{[${id}00,${id}09]}`, id);
    const named = async (marketId: string | null, symbol: string | null): Promise<string[]> =>
      (await readCompleteness(pool, { ...MONTH, marketId, symbol })).map((row) => `${row.marketId} ${row.symbol}`);
    expect([await named(null, null), await named('m', null), await named(null, 'A')]).toEqual([['m A', 'm B', 'n A'], ['m A', 'm B'], ['m A', 'n A']]);
    await markHealed(pool, 2, Date.UTC(2026, 10, 11) / 86_400_000, [[200, 204]], [[200, 209]]);
    expect((await readCompleteness(pool, MONTH)).map(({ healed }) => healed)).toEqual([0, 5, 0]);
  });
});

describe('gaps', () => {
  it('are settled by one of two who try at once', async () => {
    await gap(5, 9, 'open', 'restart');
    const first = await pool.connect();
    await first.query('BEGIN');
    expect(await settleGaps(first, 1, [1, 20], [], null)).toHaveLength(1);
    const second = settleGaps(pool, 1, [1, 20], [], null);
    // It waits for the row, and finds it settled.
    for (let waits = 0; waits === 0;) {
      // Not on `first`: within a transaction pg_stat_activity stays what it was at the first look.
      const { rows } = await pool.query<{ n: number }>(
        `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`);
      waits = rows[0]!.n;
    }
    await first.query('COMMIT');
    first.release();
    expect(await second).toEqual([]);
  });

  it('that touch what is missing come with those that still wait first', async () => {
    await cover(11, '{[1,10],[21,30]}');
    await gap(11, 12, 'unfillable', 'u', 0);
    await gap(11, 20, 'open', 'o');
    await gap(1, 10, 'open', 'elsewhere');
    expect((await gapsOfMissing(pool, await readCompleteness(pool, MONTH))).map(({ reason }) => reason)).toEqual(['o', 'u']);
    expect(await gapsOfMissing(pool, [])).toEqual([]);
  });

  it('outside of all that is stored, or without numbers, are told apart from those', async () => {
    await cover(11, '{[10,20]}');
    await gap(5, 12, 'open', 'before');
    await gap(14, 15, 'open', 'inside');
    await gap(21, 25, 'closed', 'healed', 5);
    await gap(7, 9, 'open', 'nothing is stored of B', null, 2);
    await pool.query(`INSERT INTO data_gaps (instrument_id, from_ts, to_ts, reason, detected_at)
      VALUES (1, '2026-11-11 23:59Z', '2026-11-12 00:01Z', 'by time', '2026-11-12 00:01Z')`);
    const told = async (scope: Scope): Promise<unknown[]> =>
      (await strayGaps(pool, scope)).map(({ symbol, day, seqs, fromTs, reason }) => [symbol, day, seqs, fromTs, reason]);
    expect(await told(MONTH)).toEqual([
      ['A', '2026-11-12', [[5, 9]], null, 'before'], ['A', '2026-11-11', null, '2026-11-11T23:59:00Z', 'by time'],
      ['B', '2026-11-12', [[7, 9]], null, 'nothing is stored of B'],
    ]);
    expect(await told({ ...MONTH, to: '2026-11-11' })).toHaveLength(1);
    expect(await told({ ...MONTH, from: '2026-11-13' })).toEqual([]);
  });

  it('instruments: recorded are those that trade and of which something is stored', async () => {
    await cover(1, '{[1,2]}', 2);
    await cover(1, '{[1,2]}', 3);
    expect((await instrumentsOf(pool, MONTH)).map(({ marketId, symbol, recorded }) => [marketId, symbol, recorded]))
      .toEqual([['m', 'A', false], ['m', 'B', true], ['n', 'A', false]]);
  });
});

describe('candles rebuilt from trades', () => {
  const trade = async (id: number, seq: number, time: string, price: string, amount: string, last: number | null = null, block: string | null = null) => {
    await pool.query(
      `INSERT INTO public_trades (instrument_id, seq, seq_last, ts, received_at, side, trade_id, price, amount, block_trade_id)
       VALUES ($1, $2, $3, ('2026-11-11 ' || $4 || 'Z')::timestamptz, now(), 'buy', $2::int8::text, $5, $6, $7)`, [id, seq, last, time, price, amount, block]);
  };
  const candle = async (id: number, time: string, prices: string[], volume: string, count: number | null, final = true): Promise<void> => {
    await pool.query(
      `INSERT INTO ohlc VALUES ($1, '1m', ('2026-11-11 ' || $2 || 'Z')::timestamptz, $3, $4, $5, $6, $7, NULL, $8, $9, 'stream', now())`,
      [id, time, ...prices, volume, count, final]);
  };
  const check = (id: number): Promise<CandleCheck> => checkCandles(pool, { instrumentId: id, day: '2026-11-11', resolution: '1m', seconds: 60 });

  /** Trades of four minutes; recording begins in the first and ends in the last. */
  const trades = async (id: number): Promise<void> => {
    await trade(id, 1, '10:00:30', '9', '1');
    // The first and the last of a minute by their numbers: times repeat.
    await trade(id, 3, '10:01:10', '10.5', '0.2');
    await trade(id, 2, '10:01:10', '10', '0.1');
    await trade(id, 4, '10:01:40', '8.50', '0.3', 6);
    await trade(id, 7, '10:01:59.999999', '9.1', '0.4');
    await trade(id, 8, '10:03:30', '9', '1');
  };

  it('equal the stored ones, whatever their trailing zeros, between the first and the last stored trade', async () => {
    await trades(1);
    await candle(1, '10:00', ['1', '1', '1', '1'], '99', 9);
    await candle(1, '10:01', ['10.0', '10.50', '8.5', '9.10'], '1.000', 6);
    await candle(1, '10:02', ['9.1', '9.1', '9.1', '9.1'], '0', 0);
    await candle(1, '10:03', ['1', '1', '1', '1'], '99', 9);
    expect(await check(1)).toEqual({ compared: 2, unpriced: 0, differences: [] });
    // Where the days beside it are stored, the edges count as well.
    await cover(10, '{[0,0]}');
    await cover(12, '{[9,9]}');
    expect((await check(1)).differences.map(({ open_ts: opened }) => opened.slice(11, 16))).toEqual([
      ...Array.from({ length: 6 }, () => '10:00'), ...Array.from({ length: 6 }, () => '10:03'),
    ]);
  });

  it('differ field by field', async () => {
    await trades(1);
    await candle(1, '10:01', ['10', '11', '8.5', '9.1'], '1', 7);
    await candle(1, '10:02', ['9', '9', '9', '9'], '0.5', 1, true);
    expect((await check(1)).differences).toEqual([
      { open_ts: '2026-11-11T10:01:00Z', field: 'high', stored: '11', rebuilt: '10.5' },
      { open_ts: '2026-11-11T10:01:00Z', field: 'trade_count', stored: '7', rebuilt: '6' },
      { open_ts: '2026-11-11T10:02:00Z', field: 'volume', stored: '0.5', rebuilt: '0' },
      { open_ts: '2026-11-11T10:02:00Z', field: 'trade_count', stored: '1', rebuilt: '0' },
    ]);
  });

  it('are compared with final ones alone, in volume only where the unit is the same, in price only without block trades', async () => {
    await trades(2);
    await candle(2, '10:01', ['10', '10.5', '8.5', '9.1'], '777', null);
    await candle(2, '10:02', ['1', '1', '1', '1'], '5', 5, false);
    expect(await check(2)).toEqual({ compared: 1, unpriced: 0, differences: [] });
    await trade(2, 9, '10:01:30', '500', '1', null, 'BLOCK-1');
    expect(await check(2)).toEqual({ compared: 1, unpriced: 1, differences: [] });
  });

  it('are none where nothing is stored', async () => {
    await candle(1, '10:01', ['1', '1', '1', '1'], '5', 5);
    expect(await check(1)).toEqual({ compared: 0, unpriced: 0, differences: [] });
  });
});
