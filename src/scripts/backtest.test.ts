// The command as a process, on rows in PostgreSQL; figures against independent computations.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../store/connect.ts';
import { readCandles, readTickers, readTrades } from '../store/replay.ts';
import { riskFile } from './local/risk_file.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { EquityCurve, sharpe } from './backtest/equity.ts';
import { parseOptions } from './backtest/options.ts';
import type { Report } from './backtest/report.ts';

const ROWS = 3_000;
const START = '2026-11-10 00:00Z';
const FROM = Date.UTC(2026, 10, 10) * 1000;
const MINUTE = 60_000_000;
let database: FreshDatabase;
let pool: Pool;
const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-backtest-'));

/** Two waves: prices on the tick, the same for all three tables. */
const closeAt = (n: number): number => Math.round((80_000 + 900 * Math.sin(n / 97) + 250 * Math.sin(n / 11)) * 2) / 2;

beforeAll(async () => {
  database = await freshDatabase('backtest', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, kind, base, quote, settle, inverse, contract_size, tick_size, min_amount,
      amount_step, raw) VALUES
    ('deribit', 'BTC-PERPETUAL', 'deribit', 'open', 'perpetual', 'BTC', 'USD', 'BTC', true, 10, 0.5, 10, 10,
      '{"maker_commission": 0, "taker_commission": 0.0005}'),
    ('deribit', 'BTC_USDC', 'deribit', 'open', 'spot', 'BTC', 'USDC', NULL, false, NULL, 0.5, 0.0001, 0.0001, '{}'),
    ('binance_usdm', 'BTCUSDT', 'binance', 'open', 'perpetual', 'BTC', 'USDT', 'USDT', false, NULL, 0.1, 0.001, 0.001, '{}')`);
  const closes = Array.from({ length: ROWS }, (_close, n) => closeAt(n));
  const rows = 'FROM unnest($1::float8[]) WITH ORDINALITY AS t(f, i), LATERAL (SELECT f::numeric AS p, i - 1 AS n) AS x';
  await pool.query(`INSERT INTO ohlc SELECT 1, '1m', timestamptz '${START}' + n * interval '1 min', p, p + 5, p - 5, p, 12.5, NULL, 3, true, 'rest', now()
    ${rows}`, [closes]);
  await pool.query(`INSERT INTO ohlc VALUES (1, '1m', timestamptz '${START}' + $1 * interval '1 min', 1, 1, 1, 1, 1, NULL, 1, false, 'stream', now())`,
    [ROWS]);
  await pool.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
    SELECT 1, 100 + n, timestamptz '${START}' + n * interval '20 s', now(), CASE WHEN n % 2 = 0 THEN 'buy' ELSE 'sell' END, n::text, p, 5000
    ${rows}`, [closes]);
  await pool.query(`INSERT INTO tickers (instrument_id, ts, received_at, best_bid_price, best_ask_price, last_price, mark_price, index_price, funding_rate)
    SELECT 1, timestamptz '${START}' + n * interval '1 min', now(), p - 0.5, p + 0.5, p, p, NULL,
      CASE WHEN n % 1000 < 500 THEN 0.0003 ELSE -0.0001 END ${rows}`, [closes]);
}, 240_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await pool.end();
  await database.drop();
});

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const env = { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url };
  const child = spawn(process.execPath, [join(import.meta.dirname, 'backtest.ts'), ...args], { env });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, out, error };
}

function params(name: string, yaml: string): string {
  const file = join(folder, name);
  writeFileSync(file, yaml);
  return file;
}
const args = (strategy: string, file: string, ...more: string[]): string[] =>
  ['--strategy', strategy, '--market', 'deribit', '--symbol', 'BTC-PERPETUAL', '--from', '2026-11-10', '--to', '2026-11-12', '--params', file, ...more];
const reported = async (...of: string[]): Promise<Report> => {
  const { code, out, error } = await run(...of, '--json');
  expect({ code, error: error.replace(/^[\d,]+ rows in .*\n$/, '') }).toEqual({ code: 0, error: '' });
  return JSON.parse(out) as Report;
};

describe('the readers', () => {
  it('give every digit in order, candles that are final, and NaN where there is nothing', async () => {
    const scope = { instrumentId: 1, from: FROM, until: FROM + 5 * 86_400_000_000 };
    const candles = await readCandles(pool, scope, '1m').next();
    const [trades, tickers] = [await readTrades(pool, scope).next(), await readTickers(pool, scope).next()];
    if (candles.done === true || trades.done === true || tickers.done === true) throw new Error('nothing came');
    expect(candles.value.rows).toBe(ROWS);
    expect([...candles.value.close]).toEqual(Array.from({ length: ROWS }, (_close, n) => closeAt(n)));
    expect([...candles.value.openTs.subarray(0, 2)]).toEqual([FROM, FROM + MINUTE]);
    expect([...trades.value.ts.subarray(0, 2)]).toEqual([FROM, FROM + MINUTE / 3]);
    expect([...trades.value.sold.subarray(0, 3)]).toEqual([0, 1, 0]);
    expect(tickers.value.index[0]).toBeNaN();
    expect(tickers.value.funding[0]).toBe(0.0003);
  });

  it('go on after a piece, day by day', async () => {
    const count = async (pieces: AsyncIterable<{ rows: number }>): Promise<number> => {
      let rows = 0;
      for await (const piece of pieces) rows += piece.rows;
      return rows;
    };
    await pool.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
      SELECT 3, n, timestamptz '${START}' + n * interval '1 s', now(), 'buy', n::text, 12345.678901, 1e-8 FROM generate_series(1, 100000) AS n`);
    expect(await count(readTrades(pool, { instrumentId: 3, from: FROM, until: FROM + 86_400_000_000 * 3 }))).toBe(100_000);
    expect(await count(readTrades(pool, { instrumentId: 3, from: FROM + 10_000_000, until: FROM + 20_000_000 }))).toBe(10);
  });
});

describe('sma-cross', () => {
  const file = (): string => params('sma.yml', 'fast: 10\nslow: 60\namount: 1000\n');

  it('does what averages over the closes say, at the next open, with the exchange\'s fees, and the books agree', async () => {
    const out = join(folder, 'out');
    const report = await reported(...args('sma-cross', file(), '--out', out));
    // From scratch: side by averages of all closes, order at the next candle's open (1 tick worse), inverse P&L, 0.05 % fee.
    let [side, position, cost, realised, fees, fills, pending] = [0, 0, 0, 0, 0, 0, 0];
    const mean = (n: number, count: number): number =>
      Array.from({ length: count }, (_close, i) => closeAt(n - i)).reduce((sum, close) => sum + close, 0) / count;
    for (let n = 0; n < ROWS; n++) {
      if (pending !== 0) {
        const price = closeAt(n) + Math.sign(pending) * 0.5;
        // The limit is 20 bps from the close that was decided on: here the next open is always within it.
        const closed = Math.min(Math.abs(position), Math.abs(pending));
        if (position !== 0) realised += Math.sign(position) * (cost * (closed / Math.abs(position)) - closed / price);
        if (position !== 0) cost -= cost * (closed / Math.abs(position));
        position += pending;
        cost += (Math.abs(pending) - closed) / price;
        fees += (Math.abs(pending) / price) * 0.0005;
        fills++;
        pending = 0;
      }
      if (n < 59) continue;
      const gap = mean(n, 10) - mean(n, 60);
      if (Math.abs(gap) > 1e-9) side = Math.sign(gap);
      if (side !== 0 && position !== side * 1000) pending = side * 1000 - position;
    }
    expect(report.fills).toBe(fills);
    expect(fills).toBeGreaterThan(20);
    expect(report.position).toBe(String(position));
    expect(Number(report.realised)).toBeCloseTo(realised, 9);
    // The exchange books each fee in whole 1e-8.
    expect(Math.abs(Number(report.fees) - fees)).toBeLessThan(fills * 1e-8);
    const open = Math.sign(position) * (cost - Math.abs(position) / closeAt(ROWS - 1));
    expect(Number(report.equity)).toBeCloseTo(1 + realised + open - fees, 6);
    expect(report.books).toMatchObject({ cases: 0, equal: true });
    expect(report).toMatchObject({ rows: { candles: ROWS }, refusals: {}, locked: null, funding: null, currency: 'BTC', deposit: '1' });
    expect(report.max_drawdown_percent).toBeGreaterThan(0);
    expect(JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'))).toEqual(report);
    expect(readFileSync(join(out, 'fills.csv'), 'utf8').trim().split('\n')).toHaveLength(fills + 1);
    expect(readFileSync(join(out, 'equity.svg'), 'utf8')).toMatch(/^<svg [^]*<path d="M[\d.]+ [\d.]+L[^]*<\/svg>\n$/);
  });

  it('gives the same bytes in another process, and other intents for other parameters', async () => {
    const [first, second] = [await run(...args('sma-cross', file(), '--json')), await run(...args('sma-cross', file(), '--json'))];
    expect(second.out).toBe(first.out);
    const other = await reported(...args('sma-cross', params('other.yml', 'fast: 11\nslow: 60\namount: 1000\n')));
    expect(other.intents.sha256).not.toBe((JSON.parse(first.out) as Report).intents.sha256);
  });

  it('makes candles of trades', async () => {
    const report = await reported(...args('sma-cross', file(), '--data', 'trades'));
    expect(report.rows).toEqual({ trades: ROWS });
    expect(report.fills).toBeGreaterThan(5);
    expect(report.books.equal).toBe(true);
  });

  it('keeps to a risk file, and says what was refused', async () => {
    const risk = params('risk.yml', riskFile({
      strategies: ['sma-cross'], limits: { 'BTC-PERPETUAL': [1000, 5000, 1000] }, account: { max_open_orders: 3, max_gross_notional: 9000 },
    }));
    const report = await reported(...args('sma-cross', file(), '--risk', risk));
    // From 1000 to −1000 is an order of 2000: never sent.
    expect(report.refusals['ORDER_AMOUNT']).toBeGreaterThan(10);
    expect(report.fills).toBe(1);
  });
});

describe('the others', () => {
  it('funding-carry earns what the rates of its quotes say', async () => {
    const report = await reported(...args('funding-carry', params('carry.yml', 'amount: 1000\nenter_bps: 2\n')));
    expect(report.rows).toEqual({ tickers: ROWS });
    // Short while 0.0003 is paid, 500 of every 1000 minutes; it is entered at a quote and paid from the next one on.
    let expected = 0;
    for (let n = 1; n < ROWS; n++) if ((n - 1) % 1000 < 500) expected += (1000 / closeAt(n)) * (n % 1000 < 500 ? 0.0003 : -0.0001) / 480;
    expect(Number(report.funding)).toBeCloseTo(expected, 9);
    expect(report.position).toBe('0');
    expect(report.fills).toBe(6);
    expect(report.books.equal).toBe(true);
  });

  it('quote-maker is made at its own prices by trades between the quotes', async () => {
    const yaml = params('maker.yml', 'amount: 100\nmax_position: 500\nhalf_spread_bps: 1\nskew_bps: 1\n');
    const out = join(folder, 'maker');
    const report = await reported(...args('quote-maker', yaml, '--data', 'tickers,trades', '--out', out));
    expect(report.fills).toBeGreaterThan(50);
    const fills = readFileSync(join(out, 'fills.csv'), 'utf8').trim().split('\n').slice(1).map((line) => line.split(','));
    expect(fills.every(([, , , , , liquidity]) => liquidity === 'maker')).toBe(true);
    const net = fills.reduce((sum, [, , side, , amount]) => sum + (side === 'buy' ? 1 : -1) * Number(amount), 0);
    expect(String(net)).toBe(report.position);
    expect(Math.abs(net)).toBeLessThanOrEqual(500);
    expect(report.books).toMatchObject({ cases: 0, equal: true });
    expect(report.fees).toBe('0');
  });
});

describe('figures', () => {
  it('drawdown and Sharpe are the textbook\'s', () => {
    const curve = new EquityCurve({ from: FROM, until: FROM + 10 * MINUTE, deposit: 100, reciprocal: false });
    const record = { amount: '1', cost: '50', realised: '0', fees: '0' };
    curve.hold(record as never);
    [50, 60, 30, 40, 90].forEach((price, i) => curve.at(FROM + i * MINUTE, price));
    expect(curve.drawdown).toEqual({ fraction: 1 - 80 / 110, peakTs: FROM + MINUTE, bottomTs: FROM + 2 * MINUTE });
    // Returns 1 %, −1 %, 2 %: mean 0.00667, deviation 0.01528.
    const days = [101, 101 * 0.99, 101 * 0.99 * 1.02];
    expect(sharpe(100, days)).toBeCloseTo((0.02 / 3 / 0.015275252316519466) * Math.sqrt(365), 9);
    expect(sharpe(100, [100, 100])).toBeNull();
  });
});

describe('bad input', () => {
  const good = ['--strategy', 'sma-cross', '--market', 'deribit', '--symbol', 'X', '--from', '2026-11-10', '--to', '2026-11-11'];
  const read = (more: string[]): unknown => parseOptions([...good, ...more], ['deribit', 'binance_usdm'], {});
  it.each([
    [['--strategy', 'smacross'], /^--strategy: "smacross" is not one of .*did you mean sma-cross/],
    [['--market', 'deribt'], /^--market: "deribt" is not one of .*, did you mean deribit\?$/],
    [['--from', '2026-11-31'], /^--from: "2026-11-31" is neither a day/],
    [['--from', '2026-11-12'], /^--from: "2026-11-12" is not before --to "2026-11-11"$/],
    [['--params', '/none.yml'], /^--params: "\/none\.yml" cannot be read/],
    [[], /^--params \(none given\): amount: .*, got nothing$/],
    [['--data', 'tickers'], /^--data: "tickers" holds no candles or trades, which sma-cross needs$/],
    [['--data', 'ticks'], /^--data: "ticks" is not one of/],
    [['--slippage', '-1'], /slippage/],
    [['--slippage', '0.5'], /^--slippage: "0.5" is no whole number of ticks$/],
    [['--deposit', '1e3'], /^--deposit: "1e3" is no positive decimal without exponent$/],
    [['--resolution', '7m'], /^--resolution: "7m" is not one of/],
    [['--colour', 'red'], /colour/],
  ])('%j', (more, message) => {
    expect(() => read(more)).toThrow(message);
  });

  it('ends with one line and code 2, or 1 when nothing is stored', async () => {
    const file = params('good.yml', 'amount: 10\n');
    const of = (symbol: string, market = 'deribit'): string[] =>
      args('sma-cross', file).map((word) => (word === 'BTC-PERPETUAL' ? symbol : word === 'deribit' ? market : word));
    const ended = async (words: string[]): Promise<[number, string]> => {
      const { code, error } = await run(...words);
      return [code, error];
    };
    expect(await ended(of('BTC-PERPETUALS'))).toEqual([2, expect.stringMatching(/^backtest: --symbol: "BTC-PERPETUALS" is not .* mean BTC-PERPETUAL\?\n$/)]);
    expect(await ended(of('BTC_USDC'))).toEqual([2, 'backtest: --symbol: deribit BTC_USDC is a spot: only perpetuals and futures can be backtested\n']);
    expect(await ended(of('BTCUSDT', 'binance_usdm'))).toEqual([2, 'backtest: --maker-fee is missing: the instrument list of binance_usdm does not tell it\n']);
    expect(await ended(args('sma-cross', file).map((word) => word.replace('2026-11', '2025-11')))).toEqual([1,
      'backtest: no candles of BTC-PERPETUAL are stored ' + 'between --from and --to: of 1m candles they are from 2026-11-10T00:00Z to 2026-11-12T01:59Z\n']);
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('usage: npm run backtest') as string });
  });
});
