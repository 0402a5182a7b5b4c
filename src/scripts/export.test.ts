// The command as a process: its files, read by DuckDB, against what SQL says.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createPool, type Pool } from '../store/connect.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { parseOptions } from './export/options.ts';
import { Progress } from './export/progress.ts';

const ROWS = 1_000_000;
const PIECE = 50_000;
let database: FreshDatabase;
let pool: Pool;
const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-export-'));

beforeAll(async () => {
  database = await freshDatabase('export', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, unified_symbol, amount_unit, tick_size, amount_step)
    VALUES ('binance_spot', 'BTCUSDT', 'binance', 'open', 'BTC/USDT', 'BTC', 0.01, 0.00001), ('deribit', 'ODD', 'deribit', 'open', NULL, NULL, NULL, NULL)`);
  // A hundred thousand trades on the first day, the rest on the second; in pieces, since a statement must not take 15 seconds.
  for (let from = 0; from < ROWS; from += PIECE) {
    await pool.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
      SELECT 1, 5000000000 + n, timestamptz '2026-11-10 00:00Z' + CASE WHEN n < 100000 THEN 0 ELSE 86400 END * interval '1 s' + n * interval '17 microseconds',
        timestamptz '2026-11-12 00:00Z', CASE WHEN n % 3 = 0 THEN 'buy' ELSE 'sell' END, (5000000000 + n)::text,
        (86000 + n % 9973 * 0.01)::numeric(20, 8), (n % 7919 * 0.00001 + 0.00001)::numeric(20, 8)
      FROM generate_series($1::int8, $2::int8 - 1) AS n`, [from, from + PIECE]);
  }
  await pool.query(`INSERT INTO public_trades (instrument_id, seq, seq_last, ts, received_at, side, trade_id, price, amount, iv, liquidation, combo_id) VALUES
    (2, 1, 3, '2026-11-10 01:02:03.000001Z', '2026-11-10 01:02:04Z', 'buy', 'a,"b', 123456789012345.123456789, 1e-18, 65.5, 'maker', NULL),
    (2, 4, NULL, '2026-11-10 01:02:03.999999Z', '2026-11-10 01:02:04Z', 'sell', 'c', -0.5, 70000, NULL, NULL, 'BTC-FS-25DEC26_PERP')`);
  await pool.query(`INSERT INTO ohlc (instrument_id, resolution, open_ts, open, high, low, close, volume, quote_volume, trade_count, is_final,
      source, updated_at)
    SELECT 1, r, timestamptz '2026-11-10 00:00Z' + n * interval '1 min', 1.10, 2.25, 0.5, 2, 1234.56789, NULL, n, n < 9, 'stream',
      timestamptz '2026-11-11 00:00Z'
    FROM generate_series(0, 9) AS n, unnest(ARRAY['1m', '5m']) AS r`);
}, 240_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await pool.end();
  await database.drop();
});

interface Ended {
  code: number;
  out: string;
  error: string;
  peakMb: number;
}

const spawned = (args: string[], url = database.url) =>
  spawn(process.execPath, [join(import.meta.dirname, 'export.ts'), ...args], { env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: url } });

async function run(...args: string[]): Promise<Ended> {
  const child = spawned(args);
  let [out, error, peakKb] = ['', '', 0];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  // The kernel keeps the high-water mark as long as the process lives.
  const look = setInterval(() => {
    const file = `/proc/${child.pid ?? 0}/status`;
    if (existsSync(file)) peakKb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(file, 'utf8'))?.[1] ?? peakKb);
  }, 20);
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  clearInterval(look);
  return { code, out, error, peakMb: peakKb / 1024 };
}

const SPOT = ['--market', 'binance_spot', '--symbol', 'BTCUSDT'];
const trades = (file: string, from: string, to: string, more: string[] = []): string[] =>
  [...SPOT, '--kind', 'trades', '--from', from, '--to', to, '--out', join(folder, file), ...more];

async function duck(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await connection.run(`SET TimeZone = 'UTC'`);
  const rows = (await connection.runAndReadAll(sql)).getRowObjectsJson();
  connection.closeSync();
  instance.closeSync();
  return rows;
}

describe('parquet', () => {
  it('holds a million trades, equal to SQL, in the memory that a tenth of them takes', async () => {
    const small = await run(...trades('small.parquet', '2026-11-10', '2026-11-10'));
    const large = await run(...trades('large.parquet', '2026-11-10', '2026-11-11'));
    expect(small).toMatchObject({ code: 0, error: '' });
    expect(large.code).toBe(0);
    expect(large.out).toMatch(/large\.parquet: 1,000,000 rows, [\d.]+ MB, [\d.]+ s/);
    expect(large.peakMb).toBeGreaterThan(50);
    // Garbage that the engine has not collected yet comes and goes; nine hundred thousand rows more, held, would be a gigabyte.
    expect(large.peakMb).toBeLessThan(small.peakMb + 200);
    const file = `'${join(folder, 'large.parquet')}'`;
    const [told] = await duck(`SELECT count(*)::text AS n, sum(price)::text AS prices, sum(amount)::text AS amounts, sum(seq)::text AS seqs,
      sum(epoch_us(ts))::text AS times, count(DISTINCT trade_id)::text AS ids, count(*) FILTER (WHERE side = 'buy')::text AS buys FROM ${file}`);
    const { rows: [stored] } = await pool.query<Record<string, string>>(`SELECT count(*)::text AS n, sum(price)::numeric(30, 2)::text AS prices,
      sum(amount)::numeric(30, 5)::text AS amounts, sum(seq)::text AS seqs, sum((extract(epoch FROM ts) * 1000000)::int8)::text AS times,
      count(DISTINCT trade_id)::text AS ids, count(*) FILTER (WHERE side = 'buy')::text AS buys FROM public_trades WHERE instrument_id = 1`);
    expect(told).toEqual(stored);
    const types = await duck(`SELECT column_name AS name, column_type AS type FROM (DESCRIBE SELECT ts, price, amount, seq, trade_id FROM ${file})`);
    expect(Object.fromEntries(types.map(({ name, type }) => [String(name), type]))).toEqual({
      ts: 'TIMESTAMP WITH TIME ZONE', price: 'DECIMAL(18,2)', amount: 'DECIMAL(18,5)', seq: 'BIGINT', trade_id: 'VARCHAR',
    });
    expect(await duck(`SELECT count(*)::text AS n FROM (SELECT seq, lag(seq) OVER () AS before FROM ${file}) WHERE seq <> before + 1`)).toEqual([{ n: '0' }]);
  }, 240_000);

  it('keeps every digit, every microsecond and every null', async () => {
    const out = join(folder, 'odd.parquet');
    expect((await run('--market', 'deribit', '--symbol', 'ODD', '--kind', 'trades', '--from', '2026-11-10', '--to', '2026-11-10', '--out', out)).code).toBe(0);
    const rows = await duck(`SELECT seq::text AS seq, seq_last::text AS last, epoch_us(ts)::text AS ts, price::text AS price, amount::text AS amount,
      iv::text AS iv, trade_id, liquidation, combo_id, market_id, symbol FROM '${out}'`);
    expect(rows).toEqual([
      { seq: '1', last: '3', ts: '1794272523000001', price: '123456789012345.123456789', amount: '0.000000000000000001', iv: '65.5', trade_id: 'a,"b',
        liquidation: 'maker', combo_id: null, market_id: 'deribit', symbol: 'ODD' },
      { seq: '4', last: null, ts: '1794272523999999', price: '-0.500000000', amount: '70000.000000000000000000', iv: null, trade_id: 'c', liquidation: null,
        combo_id: 'BTC-FS-25DEC26_PERP', market_id: 'deribit', symbol: 'ODD' },
    ]);
  });

  it('holds candles of one resolution and none where none are', async () => {
    const range = ['--kind', 'ohlc', '--from', '2026-11-10T00:03:00Z', '--to', '2026-11-10T00:05:00Z'];
    const out = join(folder, 'ohlc.parquet');
    expect((await run(...SPOT, ...range, '--out', out)).code).toBe(0);
    expect(await duck(`SELECT epoch_us(open_ts)::text AS ts, resolution, "open"::text AS o, volume::text AS v, quote_volume,
      trade_count::text AS n, is_final FROM '${out}'`))
      .toEqual([3, 4].map((n) => ({ ts: String(1794268800000000 + n * 60_000_000), resolution: '1m', o: '1.10', v: '1234.56789',
        quote_volume: null, n: String(n), is_final: true })));
    const none = join(folder, 'none.parquet');
    expect((await run(...SPOT, ...range, '--resolution', '1h', '--out', none)).out).toContain('0 rows');
    expect(await duck(`SELECT count(*)::text AS n FROM '${none}'`)).toEqual([{ n: '0' }]);
  });
});

describe('csv', () => {
  it('is the stored text, quoted where it must be', async () => {
    const out = join(folder, 'odd.csv');
    const { code } = await run('--market', 'deribit', '--symbol', 'ODD', '--kind', 'trades', '--from', '2026-11-10', '--to', '2026-11-10', '--out', out);
    expect(code).toBe(0);
    expect(readFileSync(out, 'utf8').split('\n')).toEqual([
      'market_id,symbol,ts,received_at,trade_id,seq,seq_last,price,amount,side,mark_price,index_price,iv,liquidation,block_trade_id,combo_id',
      'deribit,ODD,2026-11-10T01:02:03.000001Z,2026-11-10T01:02:04.000000Z,"a,""b",1,3,123456789012345.123456789,0.000000000000000001,buy,,,65.5,maker,,',
      'deribit,ODD,2026-11-10T01:02:03.999999Z,2026-11-10T01:02:04.000000Z,c,4,,-0.5,70000,sell,,,,,,BTC-FS-25DEC26_PERP',
      '',
    ]);
  });
});

describe('the file', () => {
  it('is not there under its name before it is whole, and a killed export leaves none', async () => {
    const out = join(folder, 'killed.csv');
    const begun = new Promise<void>((resolve) => {
      const watcher = watch(folder, (_event, name) => {
        if (name !== 'killed.csv.part' || readFileSync(`${out}.part`).length === 0) return;
        watcher.close();
        resolve();
      });
    });
    const child = spawned(trades('killed.csv', '2026-11-10', '2026-11-11'));
    const ended = once(child, 'close');
    await begun;
    child.kill('SIGKILL');
    await ended;
    expect(readdirSync(folder).filter((name) => name.startsWith('killed'))).toEqual(['killed.csv.part']);
    expect((await run(...trades('killed.csv', '2026-11-10', '2026-11-10'))).code).toBe(0);
    expect(readdirSync(folder).filter((name) => name.startsWith('killed'))).toEqual(['killed.csv']);
  }, 120_000);

  it('is begun and taken away again by Ctrl-C while the server still counts', async () => {
    const out = join(folder, 'stopped.csv');
    const lock = await pool.connect();
    try {
      // The count waits for this table, as it would take its time with a month of trades.
      await lock.query('BEGIN; LOCK TABLE public_trades IN ACCESS EXCLUSIVE MODE');
      const child = spawned(trades('stopped.csv', '2026-11-10', '2026-11-11'));
      let error = '';
      child.stderr.on('data', (chunk) => (error += String(chunk)));
      const ended = once(child, 'close');
      await vi.waitFor(() => expect(existsSync(`${out}.part`)).toBe(true), { timeout: 10_000, interval: 10 });
      child.kill('SIGINT');
      expect([await ended, error]).toEqual([[1, null], 'export: stopped by SIGINT\n']);
      expect(readdirSync(folder).filter((name) => name.startsWith('stopped'))).toEqual([]);
    } finally {
      await lock.query('ROLLBACK');
      lock.release();
    }
  });

  it('holds all that there is when eight thousand years are asked for', async () => {
    const ever = ['--from', '0001-01-01', '--to', '9999-12-31'];
    const odd = await run('--market', 'deribit', '--symbol', 'ODD', '--kind', 'trades', ...ever, '--out', join(folder, 'ever.csv'));
    expect(odd).toMatchObject({ code: 0, error: '', out: expect.stringContaining(': 2 rows,') as string });
    const candles = await run(...SPOT, '--kind', 'ohlc', ...ever, '--out', join(folder, 'ever.parquet'));
    expect(candles).toMatchObject({ code: 0, error: '', out: expect.stringContaining(': 10 rows,') as string });
    const none = await run('--market', 'deribit', '--symbol', 'ODD', '--kind', 'ohlc', ...ever, '--out', join(folder, 'never.csv'));
    expect(none).toMatchObject({ code: 0, error: '', out: expect.stringContaining(': 0 rows,') as string });
  }, 60_000);

  it('says which of its days retention has dropped', async () => {
    await pool.query(`INSERT INTO trade_coverage VALUES (2, '2026-10-11', '{[1,5]}'), (2, '2026-10-12', '{[6,9]}'), (1, '2026-10-13', '{[1,5]}')`);
    await pool.query(`INSERT INTO operator_actions (actor, action, target, reason, detail)
      SELECT 'maintenance', 'drop_partition', 'p', 'older', jsonb_build_object('table', 'public_trades', 'day', '2026-10-' || n)
      FROM generate_series(11, 13) AS n`);
    const odd = (name: string, to: string): string[] =>
      ['--market', 'deribit', '--symbol', 'ODD', '--kind', 'trades', '--from', '2026-10-01', '--to', to, '--out', join(folder, name)];
    expect(await run(...odd('one.csv', '2026-10-11'))).toMatchObject({
      code: 0, error: 'export: not in the file, since retention has dropped them: trades of 2026-10-11\n',
    });
    expect(await run(...odd('two.csv', '2026-11-10'))).toMatchObject({
      code: 0, error: 'export: not in the file, since retention has dropped them: trades of 2 days from 2026-10-11 to 2026-10-12\n',
      out: expect.stringContaining(': 2 rows,') as string,
    });
  });

  it('is never replaced without --force', async () => {
    const out = join(folder, 'mine.csv');
    writeFileSync(out, 'mine');
    const refused = await run(...trades('mine.csv', '2026-11-10', '2026-11-10'));
    expect([refused.code, refused.error]).toEqual([2, `export: --out: ${out} exists already; --force replaces it\n`]);
    expect(readFileSync(out, 'utf8')).toBe('mine');
    expect((await run(...trades('mine.csv', '2026-11-10T00:00:00Z', '2026-11-10T00:00:00.000018Z', ['--force']))).code).toBe(0);
    expect(readFileSync(out, 'utf8').split('\n')).toHaveLength(4);
  });
});

describe('what is refused', () => {
  const good = ['--market', 'binance_spot', '--symbol', 'BTCUSDT', '--kind', 'trades', '--from', '2026-11-10', '--to', '2026-11-11',
    '--out', join(folder, 'x.csv')];
  const having = (name: string, value: string): string[] => good.map((word, i) => (good[i - 1] === `--${name}` ? value : word));
  const markets = ['deribit', 'binance_spot', 'binance_usdm'];
  it.each([
    [having('market', 'binance_spto'), '--market: "binance_spto" is not one of deribit, binance_spot, binance_usdm, did you mean binance_spot?'],
    [having('kind', 'quotes'), '--kind: "quotes" is not one of trades, ohlc'],
    [having('from', '2026-02-30'), '--from: "2026-02-30" is neither a day like 2026-11-24 nor a time like 2026-11-24T08:30:00Z'],
    [having('to', 'now'), '--to: "now" is neither a day like 2026-11-24 nor a time like 2026-11-24T08:30:00Z'],
    [having('to', '2026-11-09'), '--from: "2026-11-10" is not before --to "2026-11-09"'],
    [having('out', 'x.txt'), '--out: "x.txt" ends neither in .parquet nor in .csv'],
    [having('out', '/nowhere/x.csv'), '--out: /nowhere is no folder'],
    [[...good, '--resolution', '1m'], '--resolution: "1m" is for candles: trades have none'],
    [[...having('kind', 'ohlc'), '--resolution', '2m'], '--resolution: "2m" is not one of 1s, '],
    [good.slice(2), '--market is missing; usage: npm run export'],
    [[...good, '--colour'], "Unknown option '--colour'"],
  ])('case %#', (args, line) => {
    expect(() => parseOptions(args, markets, {})).toThrow(line);
  });

  it('is said in one line, with exit code 2', async () => {
    const { code, out, error } = await run(...having('symbol', 'BTCUSDC'));
    expect([code, out, error]).toEqual([2, '', 'export: --symbol: "BTCUSDC" is not an instrument of binance_spot, did you mean BTCUSDT?\n']);
    expect(await run(...having('kind', 'quotes'))).toMatchObject({ code: 2, error: 'export: --kind: "quotes" is not one of trades, ohlc\n' });
  });

  it('fails with one line when there is no database', async () => {
    const child = spawned(good, 'postgres://x@127.0.0.1:1/x');
    let error = '';
    child.stderr.on('data', (chunk) => (error += String(chunk)));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(error).toMatch(/^export: PostgreSQL does not answer: [^\n]+\n$/);
  });
});

describe('progress', () => {
  it('is a bar on a terminal and a line elsewhere', () => {
    const shown = (isTTY: boolean): string => {
      let [text, now] = ['', 0];
      const progress = new Progress({ isTTY, write: (piece) => (text += piece) }, 2_000, () => now);
      for (now = 1_000; now <= 7_000; now += 1_000) progress.at(now / 5);
      progress.end();
      return text;
    };
    expect(shown(false)).toBe('50 %  1,000 of 2,000 rows  200/s\n');
    expect(shown(true)).toContain(`\r[${'█'.repeat(15)}${'░'.repeat(15)}]  50 %  1,000 of 2,000 rows  200/s`);
    expect(shown(true).endsWith('\r\u001b[K')).toBe(true);
  });
});
