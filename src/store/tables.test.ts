// Candles, tickers, gaps, instruments, partitions and the audit tables: what repeating and reordering must not change.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FeedStatus, Ohlc, Ticker } from '../contracts/index.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { createPool, partitionsMoved, transaction, type Pool } from './connect.ts';
import { insertGaps } from './gaps.ts';
import {
  findInstrumentIds,
  insertStubInstrument,
  loadInstrumentIds,
  replaceInstruments,
  upsertInstruments,
  type InstrumentFacts,
} from './instruments.ts';
import { upsertOhlc } from './ohlc.ts';
import { countDefaultRows, ensureDayPartitions, loadPartitionDays } from './partitions.ts';
import { insertOperatorAction, insertStateChanges } from './state_log.ts';
import { insertTickers } from './tickers.ts';

const NOW = 1_795_000_000_000_000;
let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await freshDatabase('tables', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
beforeEach(() => pool.query('TRUNCATE ohlc, tickers, data_gaps, instruments RESTART IDENTITY CASCADE'));
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const candle = (close: string, closed: boolean, received: number): Ohlc => ({
  v: 1,
  type: 'ohlc',
  market_id: 'm',
  symbol: 'S',
  exchange_ts: NOW,
  received_ts: NOW + received,
  resolution: '1m',
  open_ts: NOW,
  open: '1',
  high: '9',
  low: '1',
  close,
  volume: '5',
  quote_volume: null,
  trade_count: null,
  closed,
  source: 'stream',
});

describe('ohlc', () => {
  // close, final, received; what stays
  const cases: [string, [string, boolean, number][], string][] = [
    [
      'a newer provisional one wins',
      [
        ['1', false, 1],
        ['2', false, 2],
      ],
      '2',
    ],
    [
      'an older provisional one changes nothing',
      [
        ['2', false, 2],
        ['1', false, 1],
      ],
      '2',
    ],
    [
      'a final one wins over a provisional one of any age',
      [
        ['1', false, 5],
        ['2', true, 3],
      ],
      '2',
    ],
    [
      'nothing provisional replaces a final one',
      [
        ['2', true, 3],
        ['1', false, 9],
      ],
      '2',
    ],
    [
      'a later final one corrects an earlier',
      [
        ['1', true, 3],
        ['2', true, 4],
      ],
      '2',
    ],
  ];
  it.each(cases)('%s', async (_name, candles, close) => {
    const rows = candles.map((args) => ({ instrumentId: 1, message: candle(...args) }));
    for (const row of rows) await transaction(pool, (client) => upsertOhlc(client, [row]));
    expect((await pool.query('SELECT close FROM ohlc')).rows).toEqual([{ close }]);
    await pool.query('TRUNCATE ohlc');
    expect(await transaction(pool, (client) => upsertOhlc(client, rows))).toBe(1);
    expect((await pool.query('SELECT close FROM ohlc')).rows).toEqual([{ close }]);
    expect(await transaction(pool, (client) => upsertOhlc(client, rows))).toBe(0);
  });
});

describe('tickers', () => {
  const ticker: Ticker = {
    v: 1,
    type: 'ticker',
    market_id: 'm',
    symbol: 'S',
    exchange_ts: NOW,
    received_ts: NOW + 1,
    best_bid_price: '1.50',
    best_bid_amount: null,
    best_ask_price: null,
    best_ask_amount: null,
    last_price: '-2',
    mark_price: null,
    index_price: null,
    open_interest: null,
    funding_rate: '0.0001',
    volume_24h: null,
    delta: '0.5',
  };

  it('keep the first sample of a time; an absent quote is null', async () => {
    await ensureDayPartitions(pool, 'tickers', Math.floor(NOW / 86_400_000_000), Math.floor(NOW / 86_400_000_000));
    const insert = (message: Ticker): Promise<number> =>
      transaction(pool, (client) => insertTickers(client, [{ instrumentId: 3, message }]));
    expect([await insert(ticker), await insert({ ...ticker, last_price: '7' })]).toEqual([1, 0]);
    const { rows } = await pool.query<Record<string, unknown>>('SELECT *, tableoid::regclass::text AS at FROM tickers');
    expect(rows).toMatchObject([
      {
        instrument_id: 3,
        ts: new Date(NOW / 1000),
        best_bid_price: '1.50',
        best_bid_amount: null,
        last_price: '-2',
        funding_rate: '0.0001',
        delta: '0.5',
        rho: null,
      },
    ]);
    expect(rows[0]!['at']).toMatch(/^tickers_p\d{8}$/);
  });
});

describe('data_gaps', () => {
  const gap = (more: Partial<FeedStatus>): FeedStatus => ({
    v: 1,
    type: 'feed_status',
    market_id: 'm',
    symbol: 'S',
    exchange_ts: NOW - 60_000_000,
    received_ts: NOW,
    status: 'gap',
    reason: 'killed',
    ...more,
  });

  it('hold a gap once, by sequence or by time, whatever became of it', async () => {
    const instrumentId = (await insertStubInstrument(pool, { marketId: 'm', symbol: 'S' }, 'm'))!;
    const rows = [gap({ from_seq: 5, to_seq: 9 }), gap({}), gap({ from_seq: 5, to_seq: 9 })].map((message) => ({
      instrumentId,
      message,
    }));
    expect(await transaction(pool, (client) => insertGaps(client, rows))).toBe(2);
    await pool.query(`UPDATE data_gaps SET status = 'closed'`);
    expect(await transaction(pool, (client) => insertGaps(client, rows))).toBe(0);
    expect(
      (await pool.query('SELECT from_seq, to_seq, from_ts, to_ts, expected, status FROM data_gaps ORDER BY from_seq'))
        .rows,
    ).toEqual([
      { from_seq: '5', to_seq: '9', from_ts: null, to_ts: null, expected: '5', status: 'closed' },
      {
        from_seq: null,
        to_seq: null,
        from_ts: new Date(NOW / 1000 - 60_000),
        to_ts: new Date(NOW / 1000),
        expected: null,
        status: 'closed',
      },
    ]);
  });
});

describe('instruments', () => {
  const facts: InstrumentFacts = {
    market_id: 'm',
    exchange: 'x',
    symbol: 'BTC-1',
    unified_symbol: 'BTC/USD:BTC',
    kind: 'option',
    base: 'BTC',
    quote: 'USD',
    settle: 'BTC',
    inverse: true,
    contract_size: '10',
    amount_unit: 'USD',
    tick_size: '0.50',
    min_amount: '10',
    amount_step: '10',
    strike: '100000',
    option_type: 'call',
    expiry_ts: NOW,
    status: 'open',
    raw: { a: 1 },
  };

  it('fill the stub that the data made, keep its number, and change only when the facts do', async () => {
    const id = await insertStubInstrument(pool, { marketId: 'm', symbol: 'BTC-1' }, 'x');
    expect(await insertStubInstrument(pool, { marketId: 'm', symbol: 'BTC-1' }, 'x')).toBeNull();
    const upsert = (row: InstrumentFacts): Promise<number> => upsertInstruments(pool, [row]);
    expect([
      await upsert(facts),
      await upsert({ ...facts, raw: { a: 2 } }),
      await upsert({ ...facts, raw: { a: 2 }, tick_size: '0.1' }),
    ]).toEqual([1, 0, 1]);
    expect(
      (await pool.query('SELECT instrument_id, kind, tick_size, inverse, expiry, raw FROM v_instruments')).rows,
    ).toEqual([
      {
        instrument_id: id,
        kind: 'option',
        tick_size: '0.1',
        inverse: true,
        expiry: new Date(NOW / 1000),
        raw: { a: 2 },
      },
    ]);
    expect(await upsert({ ...facts, status: 'closed' })).toBe(1);
    expect((await pool.query('SELECT * FROM v_instruments')).rows).toEqual([]);
    expect(await loadInstrumentIds(pool)).toEqual([{ instrumentId: id, marketId: 'm', symbol: 'BTC-1' }]);
    expect(
      await findInstrumentIds(pool, [
        { marketId: 'm', symbol: 'BTC-1' },
        { marketId: 'n', symbol: 'BTC-1' },
      ]),
    ).toHaveLength(1);
  });

  it('that vanish from the list are not tradable any more, and are again when they come back', async () => {
    const row = (symbol: string, more: Partial<InstrumentFacts> = {}): InstrumentFacts => ({ ...facts, symbol, ...more });
    const statuses = async (): Promise<string> =>
      (await pool.query<{ line: string }>(`SELECT string_agg(market_id || ' ' || symbol || ' ' || status, ', ' ORDER BY 1) AS line
        FROM (SELECT * FROM instruments ORDER BY market_id, symbol) AS i`)).rows[0]!.line;
    const replace = (rows: InstrumentFacts[], also: string[] = []): Promise<string[]> =>
      transaction(pool, (client) => replaceInstruments(client, 'm', rows, also));
    await upsertInstruments(pool, [row('A', { market_id: 'n' })]);
    await insertStubInstrument(pool, { marketId: 'm', symbol: 'STUB' }, 'x');
    expect(await replace([row('A'), row('B'), row('C'), row('D', { status: 'locked' })])).toEqual([]);
    expect(await replace([row('A')], ['C'])).toEqual(['B']);
    expect(await statuses()).toBe('m A open, m B unlisted, m C open, m D locked, m STUB stub, n A open');
    // Whoever comes first tells of it, and nobody twice.
    expect((await Promise.all([replace([row('B'), row('C')]), replace([row('C'), row('B')])])).flat()).toEqual(['A']);
    expect(await statuses()).toBe('m A unlisted, m B open, m C open, m D locked, m STUB stub, n A open');
  });

  it('take any symbol as data', async () => {
    const symbol = `'; DROP TABLE instruments; --`;
    expect(await insertStubInstrument(pool, { marketId: 'm', symbol }, 'x')).toBeGreaterThan(0);
    expect(await loadInstrumentIds(pool)).toMatchObject([{ symbol }]);
  });
});

describe('day partitions', () => {
  it('are made once by several makers at once, while rows come in', async () => {
    const insert = (day: number): Promise<unknown> =>
      insertOnce(day).catch((error: unknown) => {
        // Sent to the default partition a moment before its own was there: the distributor repeats that, too.
        expect(partitionsMoved(error)).toBe(true);
        return insertOnce(day);
      });
    const insertOnce = (day: number): Promise<unknown> =>
      pool.query(
        `INSERT INTO tickers (instrument_id, ts, received_at) SELECT 9, timestamptz '2030-01-01' + $1::int * interval '1 day' + g * interval '1 second', now()
       FROM generate_series(1, 200) g`,
        [day],
      );
    const first = 21_915;
    const work = [
      insert(0),
      ensureDayPartitions(pool, 'tickers', first, first + 2),
      insert(1),
      ensureDayPartitions(pool, 'tickers', first, first + 2),
      insert(2),
    ];
    const results = await Promise.all(work);
    expect(Number(results[1]) + Number(results[3])).toBe(3);
    expect(await countDefaultRows(pool, 'tickers')).toBe(0);
    expect(
      (
        await pool.query(
          `SELECT tableoid::regclass::text AS t, count(*)::int AS n FROM tickers WHERE instrument_id = 9 GROUP BY 1 ORDER BY 1`,
        )
      ).rows,
    ).toEqual([
      { t: 'tickers_p20300101', n: 200 },
      { t: 'tickers_p20300102', n: 200 },
      { t: 'tickers_p20300103', n: 200 },
    ]);
    expect([...(await loadPartitionDays(pool, 'tickers'))]).toEqual(
      expect.arrayContaining([first, first + 1, first + 2]),
    );
  });

  it('refuse a range that can only be a mistake; another check is another error', async () => {
    expect(
      partitionsMoved(
        await pool
          .query(`INSERT INTO ohlc VALUES (1, '1m', now(), 1, 1, 1, 1, 1, 1, 1, true, 'x', now())`)
          .catch((e: unknown) => e),
      ),
    ).toBe(false);
    await expect(ensureDayPartitions(pool, 'tickers', 0, 20_000)).rejects.toThrow(/20000 days at once/);
  });
});

describe('audit', () => {
  it('is append only, and a state change told twice is one row', async () => {
    const change = {
      exchange: 'x',
      ver: 1,
      epoch: 1,
      from: null,
      to: 'LOCKED',
      atMicros: NOW,
      by: 'test',
      reason: 'r',
    };
    await insertStateChanges(pool, [change, { ...change, to: 'HEALTHY' }]);
    await insertOperatorAction(pool, { actor: 'me', action: 'dlq.discard', target: '1-0', detail: { n: 1 } });
    expect((await pool.query('SELECT to_state, at FROM state_log')).rows).toEqual([
      { to_state: 'LOCKED', at: new Date(NOW / 1000) },
    ]);
    expect((await pool.query('SELECT action, detail FROM operator_actions')).rows).toEqual([
      { action: 'dlq.discard', detail: { n: 1 } },
    ]);
    for (const statement of ['DELETE FROM state_log', 'UPDATE state_log SET ver = 2', 'DELETE FROM operator_actions']) {
      await expect(pool.query(statement)).rejects.toThrow(/append only/);
    }
  });
});
