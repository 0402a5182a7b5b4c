// (f) questions to the database: a day of one symbol's trades as candles beside the same question to a plain indexed table, a year of
// minutes read, and completeness of a month of many symbols with a year stored beside it.
import pg from 'pg';
import { migrateUp } from '../../store/migrate.ts';
import { ensureDayPartitions } from '../../store/partitions.ts';
import { median } from './measure.ts';
import { openStage } from './stage.ts';

export interface QueriesResult {
  trades: number;
  aggregateMs: number;
  plainMs: number;
  timesPlain: number;
  candles: number;
  yearMs: number;
  days: number;
  completenessMs: number;
}

const DAY = Date.UTC(2026, 0, 1) / 86_400_000;
const CANDLES = 365 * 1440;
const SYMBOLS = 100;

const aggregate = (table: string): string =>
  `SELECT date_trunc('minute', ts) AS open_ts, (array_agg(price ORDER BY seq))[1] AS open, max(price) AS high, min(price) AS low,
     (array_agg(price ORDER BY seq DESC))[1] AS close, sum(amount) AS volume, count(*) AS trade_count
   FROM ${table} WHERE instrument_id = 1 AND ts >= '2026-01-01' AND ts < '2026-01-02' GROUP BY 1`;

const SETUP = [
  // A day of one symbol, and as many trades of others around it.
  `INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
   SELECT 1 + n % 2, n / 2, timestamptz '2026-01-01' + n * (interval '1 day' / (2 * $1::int)), now(), 'buy', n::text,
     86000 + (n::int8 * 7919 % 10000) / 100.0, 0.001 * (1 + n % 90)
   FROM generate_series(0, 2 * $1::int - 1) AS n`,
  'CREATE TABLE bench_plain AS SELECT * FROM public_trades',
  'CREATE INDEX ON bench_plain (instrument_id, seq, ts)',
];
const CANDLE_ROWS = `INSERT INTO ohlc SELECT 1 + n % 5, '1m', timestamptz '2026-01-01' + n / 5 * interval '1 minute', 86000.12, 86010.5, 85990.25, 86001.75,
  12.34567, 1061234.5678, 57, true, 'rest', now() FROM generate_series(0, 5 * $1::int - 1) AS n ORDER BY 1, 2, 3`;
/** Three holes and two gaps a day. */
const COVERAGE = [
  `INSERT INTO instruments (market_id, symbol, exchange, status) SELECT 'bench', 'S' || n, 'bench', 'open' FROM generate_series(1, ${SYMBOLS}) AS n`,
  `INSERT INTO trade_coverage (instrument_id, day, seqs, healed)
   SELECT n, date '2026-01-01' + d,
     format('{[%s,%s],[%s,%s],[%s,%s],[%s,%s]}', b, b + 20000, b + 20004, b + 50000, b + 50003, b + 80000, b + 80006, b + 99999)::int8multirange,
     format('{[%s,%s]}', b + 30001, b + 30013)::int8multirange
   FROM generate_series(1, ${SYMBOLS}) AS n, generate_series(0, 364) AS d, LATERAL (SELECT 10000000::int8 + d * 100000 AS b) AS base`,
  `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at, expected)
   SELECT n, b + f, b + f + 2, s, 'reconnect', now(), 3 FROM generate_series(1, ${SYMBOLS}) AS n, generate_series(0, 364) AS d,
     LATERAL (SELECT 10000000::int8 + d * 100000 AS b) AS base, (VALUES (20001, 'open'), (30001, 'closed')) AS g(f, s)`,
];
const COMPLETENESS = `SELECT * FROM v_completeness WHERE day BETWEEN '2026-12-01' AND '2026-12-30'`;

/** `rows` trades a day; each figure is the median of `rounds` warm rounds, the two of a pair in turn. */
export async function benchQueries(rows: number, rounds: number): Promise<QueriesResult> {
  const stage = await openStage();
  const client = new pg.Client(stage.databaseUrl);
  client.on('error', () => undefined); // the stage ends its server under us when something failed
  try {
    await migrateUp(stage.databaseUrl);
    await client.connect();
    await ensureDayPartitions(client, 'public_trades', DAY, DAY);
    for (const [n, statement] of SETUP.entries()) await client.query(statement, n === 0 ? [rows] : []);
    await client.query(CANDLE_ROWS, [CANDLES]);
    for (const statement of COVERAGE) await client.query(statement);
    await client.query('VACUUM ANALYZE');
    const timed = async (text: string): Promise<number> => {
      const from = performance.now();
      await client.query(text);
      return performance.now() - from;
    };
    const year = `SELECT open_ts, open, high, low, close, volume FROM ohlc WHERE instrument_id = 1 AND resolution = '1m' ORDER BY open_ts`;
    const times = { own: [] as number[], plain: [] as number[], year: [] as number[], completeness: [] as number[] };
    for (let round = 0; round <= rounds; round++) {
      const [own, plain] = [await timed(aggregate('public_trades')), await timed(aggregate('bench_plain'))];
      const [all, completeness] = [await timed(readOf(year)), await timed(COMPLETENESS)];
      // The first round only warms up.
      if (round > 0) for (const [name, ms] of Object.entries({ own, plain, year: all, completeness })) times[name as keyof typeof times].push(ms);
    }
    const { rows: [counts] } = await client.query<{ days: number }>(`SELECT count(*)::int AS days FROM (${COMPLETENESS}) AS c`);
    return {
      trades: rows, aggregateMs: median(times.own), plainMs: median(times.plain), timesPlain: median(times.own.map((ms, n) => ms / times.plain[n]!)),
      candles: CANDLES, yearMs: median(times.year), days: counts!.days, completenessMs: median(times.completeness),
    };
  } finally {
    await client.end().catch(() => undefined);
    await stage.close();
  }
}

/** All rows are read in order by the server and none is sent: what a client makes of half a million rows is the client's. */
const readOf = (query: string): string => `${query} OFFSET ${CANDLES}`;
