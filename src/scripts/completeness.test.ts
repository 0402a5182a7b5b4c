// The command as a process: what it prints, and with which exit code.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../runtime/clock.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import type { Report } from './completeness/report.ts';

let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await freshDatabase('completeness_command', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
});
beforeEach(async () => {
  await pool.query('TRUNCATE trade_coverage, data_gaps, public_trades, ohlc, instruments RESTART IDENTITY CASCADE');
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, base, amount_unit)
    VALUES ('deribit', 'BTC-PERPETUAL', 'deribit', 'open', 'BTC', 'USD'), ('binance_spot', 'BTCUSDT', 'binance', 'open', 'BTC', 'BTC'),
           ('binance_usdm', 'BTCUSDT', 'binance', 'open', 'BTC', 'BTC'), ('deribit', 'BTC-1JAN30', 'deribit', 'open', 'BTC', 'USD')`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

interface Ended {
  code: number;
  out: string;
  error: string;
}

async function run(args: string[], over: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'completeness.ts'), ...args], {
    env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url, ...over },
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, out, error };
}

const RANGE = ['--from', '2026-11-11', '--to', '2026-11-12'];
const report = async (...args: string[]): Promise<Report & { code: number }> => {
  const { code, out } = await run([...RANGE, '--json', ...args]);
  return { ...(JSON.parse(out) as Report), code };
};
const cover = async (id: number, day: string, seqs: string): Promise<void> => {
  await pool.query('INSERT INTO trade_coverage VALUES ($1, $2, $3)', [id, day, seqs]);
};
const gap = async (id: number, from: number, to: number, status: string, reason: string): Promise<void> => {
  await pool.query(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at) VALUES ($1, $2, $3, $4, $5, '2026-11-12 01:00Z')`,
    [id, from, to, status, reason]);
};

describe('completeness', () => {
  it('prints a table and a total, and exits 0 when nothing is missing', async () => {
    await cover(1, '2026-11-11', '{[1,1200]}');
    await cover(1, '2026-11-12', '{[1201,1300]}');
    await pool.query(`UPDATE trade_coverage SET healed = '{[5,9]}' WHERE day = '2026-11-11'`);
    const { code, out } = await run([...RANGE, '--market', 'deribit', '--symbol', 'BTC-PERPETUAL']);
    expect(out).toBe([
      'market   symbol                day  first seq  last seq  expected  stored  healed  missing',
      '-------  -------------  ----------  ---------  --------  --------  ------  ------  -------',
      'deribit  BTC-PERPETUAL  2026-11-11          1      1200     1,200   1,200       5        0',
      'deribit  BTC-PERPETUAL  2026-11-12       1201      1300       100     100       0        0',
      '2026-11-11..2026-11-12, 1 instrument: 1,300 expected, 1,300 stored, 5 healed, 0 missing',
      '',
    ].join('\n'));
    expect(code).toBe(0);
  });

  it('lists each missing run with its gap, cut where gaps begin and end, and exits 1', async () => {
    await cover(1, '2026-11-11', '{[1,10],[21,30]}');
    await cover(1, '2026-11-12', '{[33,40]}');
    await gap(1, 11, 14, 'open', 'reconnect');
    await gap(1, 14, 18, 'unfillable', 'cut\u001b[2J; the exchange does not have the rest');
    const { code, out } = await run([...RANGE, '--symbol', 'BTC-PERPETUAL']);
    expect(out.slice(out.indexOf('2026-11-11..'))).toBe([
      '2026-11-11..2026-11-12, 1 instrument: 40 expected, 28 stored, 0 healed, 12 missing',
      '',
      'missing  count  status      market   symbol                day  reason',
      '-------  -----  ----------  -------  -------------  ----------  --------------------------------------------',
      ' 11..14      4  open        deribit  BTC-PERPETUAL  2026-11-11  reconnect',
      ' 15..18      4  unfillable  deribit  BTC-PERPETUAL  2026-11-11  cut\uFFFD[2J; the exchange does not have the rest',
      ' 19..20      2  untold      deribit  BTC-PERPETUAL  2026-11-11  hole between stored trades',
      ' 31..32      2  untold      deribit  BTC-PERPETUAL  2026-11-12  hole between stored trades',
      '',
    ].join('\n'));
    expect(code).toBe(1);
  });

  it('has one shape as JSON', async () => {
    await cover(3, '2026-11-12', '{[1000,1499],[1510,1999]}');
    await gap(3, 1500, 1509, 'healing', 'reconnect');
    expect(await report('--market', 'binance_usdm')).toEqual({
      code: 1, ok: false, from: '2026-11-11', to: '2026-11-12',
      totals: { instruments: 1, days: 1, expected: 1000, stored: 990, healed: 0, missing: 10 },
      rows: [{
        market_id: 'binance_usdm', symbol: 'BTCUSDT', day: '2026-11-12', first_seq: 1000, last_seq: 1999, expected: 1000, stored: 990,
        healed: 0, missing: 10, why: 'reconnect',
      }],
      missing: [{
        market_id: 'binance_usdm', symbol: 'BTCUSDT', day: '2026-11-12', from_seq: 1500, to_seq: 1509, count: 10, from_ts: null, to_ts: null,
        status: 'healing', reason: 'reconnect',
      }],
      nothing_stored: [],
      dropped: [],
      candles: null,
    });
  });

  it('says of whom nothing is stored, and calls it missing only where a gap tells so', async () => {
    const named = await run([...RANGE, '--symbol', 'BTC-1JAN30']);
    expect(named).toEqual({
      code: 0, error: '',
      out: '2026-11-11..2026-11-12, 0 instruments: 0 expected, 0 stored, 0 healed, 0 missing\n\nderibit BTC-1JAN30: nothing stored\n',
    });
    // Of all: those that are configured or were recorded on other days, not whatever the exchange lists.
    const env = { BINANCE_SPOT_SYMBOLS: 'BTCUSDT', BINANCE_USDM_SYMBOLS: 'ETHUSDT', DERIBIT_SYMBOLS: 'ETH-PERPETUAL' };
    await cover(1, '2026-11-01', '{[1,2]}');
    expect((await run(RANGE, env)).out.split('\n').slice(2)).toEqual(['binance_spot BTCUSDT: nothing stored', 'deribit BTC-PERPETUAL: nothing stored', '']);
    await gap(4, 7, 9, 'open', 'reconnect');
    expect((await run([...RANGE, '--symbol', 'BTC-1JAN30'])).out).toContain('deribit BTC-1JAN30: nothing stored, but gaps tell of trades\n');
    const told = await report('--symbol', 'BTC-1JAN30');
    expect(told).toMatchObject({ code: 1, nothing_stored: [{ symbol: 'BTC-1JAN30', missing: 3 }], totals: { expected: 3, missing: 3 } });
    await pool.query(`UPDATE data_gaps SET from_seq = NULL, to_seq = NULL, from_ts = '2026-11-12 00:00Z', to_ts = '2026-11-12 00:10Z'`);
    expect(await run([...RANGE, '--symbol', 'BTC-1JAN30'])).toMatchObject({
      code: 1, out: expect.stringMatching(/0 missing, and 1 gap without numbers[\s\S]*2026-11-12T00:00:00Z\.\.2026-11-12T00:10:00Z +\? +open/) as string,
    });
  });

  it('looks again at a hole that nobody told of: another distributor may be about to store it', async () => {
    await cover(1, '2026-11-11', '{[1,9],[15,20]}');
    const lock = await pool.connect();
    try {
      // What the command reads last: it has seen the hole by then.
      await lock.query('BEGIN; LOCK TABLE operator_actions IN ACCESS EXCLUSIVE MODE');
      const told = run(RANGE);
      await vi.waitFor(async () => {
        const { rows } = await pool.query(`SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'completeness'
          AND wait_event_type = 'Lock'`);
        expect(rows).toHaveLength(1);
      }, { timeout: 10_000, interval: 10 });
      await pool.query(`UPDATE trade_coverage SET seqs = '{[1,20]}'`);
      await lock.query('ROLLBACK');
      expect(await told).toMatchObject({ code: 0, out: expect.stringContaining(': 20 expected, 20 stored, 0 healed, 0 missing') as string });
    } finally {
      lock.release();
    }
  });

  it('looks at yesterday and today unless said', async () => {
    const today = systemClock().nowMicros() / 1000;
    const [day, before, earlier] = [0, 1, 2].map((n) => new Date(today - n * 86_400_000).toISOString().slice(0, 10)) as [string, string, string];
    for (const [n, one] of [earlier, before, day].entries()) await cover(2, one, `{[${n * 10},${n * 10 + 9}]}`);
    const { rows } = JSON.parse((await run(['--json', '--market', 'binance_spot'])).out) as Report;
    expect(rows.map((row) => row.day)).toEqual([before, day]);
  });
});

describe('completeness --candles', () => {
  it('lists what differs from the candles and what was not compared', async () => {
    for (const id of [1, 2]) {
      await cover(id, '2026-11-11', '{[1,3]}');
      await pool.query(
        `INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
         VALUES ($1, 1, '2026-11-11 10:00:30Z', now(), 'buy', '1', 10, 1), ($1, 2, '2026-11-11 10:01:30Z', now(), 'buy', '2', 11, 2),
                ($1, 3, '2026-11-11 10:02:30Z', now(), 'buy', '3', 12, 3)`, [id]);
      await pool.query(
        `INSERT INTO ohlc VALUES ($1, '1m', '2026-11-11 10:01Z', 11, 11.5, 11, 11, $2, NULL, NULL, true, 'stream', now())`, [id, id === 1 ? '0.0002' : '2']);
    }
    const { code, out } = await run([...RANGE, '--candles', '1m']);
    expect(code).toBe(1);
    expect(out.slice(out.indexOf('2 final'))).toBe([
      '2 final 1m candles compared with the stored trades: 2 differences',
      'deribit BTC-PERPETUAL: volume not compared, amounts are in USD and candles in BTC',
      '',
      'market        symbol         opened                field  stored  rebuilt',
      '------------  -------------  --------------------  -----  ------  -------',
      'binance_spot  BTCUSDT        2026-11-11T10:01:00Z  high     11.5       11',
      'deribit       BTC-PERPETUAL  2026-11-11T10:01:00Z  high     11.5       11',
      '',
    ].join('\n'));
    await pool.query('UPDATE ohlc SET high = 11');
    const ever = await run(['--from', '0001-01-01', '--to', '9999-12-31', '--candles', '1m']);
    expect(ever.out).toContain('2 final 1m candles compared with the stored trades: no difference');
    const mended = await report('--candles', '1m', '--symbol', 'BTCUSDT');
    expect(mended).toMatchObject({ code: 0, ok: true, candles: { resolution: '1m', compared: 1, unpriced: 0, volume_not_compared: [], differences: [] } });
  });

  it('names the days that retention took away, and does not compare candles with what is gone', async () => {
    const days = ['2026-10-10', '2026-10-11', '2026-10-12'];
    await pool.query(`SELECT ensure_day_partitions('public_trades', '2026-10-10', '2026-10-12')`);
    for (const [n, day] of days.entries()) {
      await cover(2, day, `{[${n + 1},${n + 1}]}`);
      await pool.query(
        `INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
         VALUES (2, $1, $2::timestamptz + interval '30 s', now(), 'buy', $1::int8::text, 10, 2)`, [n + 1, `${day} 12:00Z`]);
      await pool.query(`INSERT INTO ohlc VALUES (2, '1m', $1, 10, 10, 10, 10, 2, NULL, 1, true, 'stream', now())`, [`${day} 12:00Z`]);
    }
    const args = ['--from', '2026-10-10', '--to', '2026-10-12', '--market', 'binance_spot', '--candles', '1m'];
    const before = JSON.parse((await run([...args, '--json'])).out) as Report;
    expect(before).toMatchObject({ ok: true, dropped: [], candles: { compared: 1 } });
    // As the task `partitions` does it. The days on either side stay, as one does whose gaps are still being healed.
    await pool.query(`SELECT drop_day_partition('public_trades', '2026-10-11')`);
    await pool.query(`INSERT INTO operator_actions (actor, action, target, reason, detail)
      VALUES ('maintenance', 'drop_partition', 'public_trades_p20261011', 'older', '{"table": "public_trades", "day": "2026-10-11"}')`);
    const { code, out } = await run(args);
    expect(out).toContain('0 final 1m candles compared with the stored trades: no difference\n');
    expect(out).toContain('2026-10-11: its trades were stored, and dropped by retention since\n');
    expect(code).toBe(0);
    // A partition that came again holds what was fetched again.
    await pool.query(`SELECT ensure_day_partitions('public_trades', '2026-10-11', '2026-10-11')`);
    expect(JSON.parse((await run([...args, '--json'])).out)).toMatchObject({ dropped: [] });
  });
});

describe('bad usage ends with exit code 2 and one line that names the field and the value', () => {
  const cases: [string[], string][] = [
    [['--market', 'binance_spto'], '--market: "binance_spto" is not one of deribit, binance_spot, binance_usdm, did you mean binance_spot?'],
    [['--market', 'deribit', '--symbol', 'BTC-PERPETUALS'], '--symbol: "BTC-PERPETUALS" is not an instrument of deribit, did you mean BTC-PERPETUAL?'],
    [['--symbol', 'NOPE'], '--symbol: "NOPE" is not an instrument of any market'],
    [['--from', '2026-02-30'], '--from: "2026-02-30" is not a date like 2026-11-24'],
    [['--to', 'yesterday'], '--to: "yesterday" is not a date like 2026-11-24'],
    [['--from', '2026-11-12', '--to', '2026-11-11'], '--from: "2026-11-12" is after --to "2026-11-11"'],
    [['--candles', '7m'], '--candles: "7m" is not one of 1s, 1m, 3m, 5m, 10m, 15m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h, 1d'],
    [['--form', '2026-11-12'], "Unknown option '--form'"],
    [['deribit'], "Unexpected argument 'deribit'"],
  ];
  it.each(cases)('%j', async (args, line) => {
    const { code, out, error } = await run(args);
    expect([code, out, error.split('\n').length]).toEqual([2, '', 2]);
    expect(error).toContain(`completeness: ${line}`);
  });

  it('other failures with exit code 1', async () => {
    expect(await run(RANGE, { DATABASE_URL: 'postgres://me:hunter22@127.0.0.1:1/x' }))
      .toMatchObject({ code: 1, error: expect.stringMatching(/^completeness: PostgreSQL does not answer: /) as string });
    await pool.query(`DELETE FROM pgmigrations WHERE name = '0008_completeness'`);
    expect(await run(RANGE)).toMatchObject({ code: 1, error: 'completeness: the database lacks 0008_completeness: npm run migrate -- up\n' });
  });
});
