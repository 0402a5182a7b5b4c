// `npm run backtest`: a strategy on stored data, through the executor's own code and the simulator's matching.
// Exit code 0 done, 1 failed (also when the books differ), 2 bad usage.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { instrumentsOf } from '../store/completeness.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { migrationStatus } from '../store/migrate.ts';
import { readCandles, readTickers, readTrades, replayInstrument, storedRange, type ReplayInstrument } from '../store/replay.ts';
import { parseOptions, type BacktestOptions } from './backtest/options.ts';
import { fillsCsv, reportTable, type Report } from './backtest/report.ts';
import { backtest } from './backtest/run.ts';
import { setupOf } from './backtest/setup.ts';
import { equitySvg } from './backtest/svg.ts';
import { didYouMean } from './completeness/options.ts';

const clock = systemClock();

async function instrument(pool: Pool, { entry: { marketId, symbol } }: BacktestOptions): Promise<ReplayInstrument> {
  const { pending } = await migrationStatus(pool).catch((error: unknown) => {
    throw new Error(`PostgreSQL does not answer: ${toError(error).message}`, { cause: error });
  });
  if (pending.length > 0) throw new Error(`the database lacks ${pending.join(', ')}: npm run migrate -- up`);
  const row = await replayInstrument(pool, marketId, symbol);
  if (row !== null) return row;
  const known = await instrumentsOf(pool, { marketId, symbol: null });
  throw new UsageError(`--symbol: ${JSON.stringify(symbol)} is not an instrument of ${marketId}${didYouMean(symbol, known.map((one) => one.symbol))}`);
}

async function run(pool: Pool, options: BacktestOptions, signal: AbortSignal): Promise<Report> {
  const row = await instrument(pool, options);
  const setup = setupOf(row, options);
  const scope = { instrumentId: row.instrumentId, from: options.from, until: options.until };
  const { report, fills } = await backtest(options, setup, {
    candles: () => readCandles(pool, scope, options.entry.resolution), trades: () => readTrades(pool, scope), tickers: () => readTickers(pool, scope),
  }, signal);
  if (Object.values(report.rows).every((rows) => rows === 0)) throw new Error(await nothingStored(pool, row, options));
  if (options.out !== null) {
    mkdirSync(options.out, { recursive: true });
    writeFileSync(join(options.out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(join(options.out, 'fills.csv'), fillsCsv(fills));
    writeFileSync(join(options.out, 'equity.svg'), equitySvg(report));
  }
  return report;
}

async function nothingStored(pool: Pool, { instrumentId, symbol }: ReplayInstrument, { data, entry }: BacktestOptions): Promise<string> {
  const day = (micros: number): string => new Date(micros / 1000).toISOString().slice(0, 16);
  const range = await storedRange(pool, instrumentId, entry.resolution);
  const there = range === null ? 'there are none at all' : `they are from ${day(range.first)}Z to ${day(range.last)}Z`;
  const candles = data.includes('candles') ? `: of ${entry.resolution} candles ${there}` : '';
  return `no ${data.join(' or ')} of ${symbol} are stored between --from and --to${candles}`;
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv, Object.keys(MARKETS), process.env);
  if (typeof options === 'string') {
    process.stdout.write(`${options}\n`);
    return;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  const startMs = clock.monotonicMs();
  const pool = createPool(loadConfig(MARKETS).databaseUrl, { name: 'backtest', log: { warn: () => undefined }, max: 2 });
  try {
    const report = await run(pool, options, stop.signal);
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : reportTable(report));
    const seconds = (clock.monotonicMs() - startMs) / 1000;
    const rows = Object.values(report.rows).reduce((sum, n) => sum + n, 0);
    // Beside the report, which is the same on every machine.
    process.stderr.write(`${rows.toLocaleString('en-US')} rows in ${seconds.toFixed(1)} s${options.out === null ? '' : `; ${options.out}`}\n`);
    if (!report.books.equal) process.exitCode = 1;
  } finally {
    await pool.end().catch(() => undefined);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`backtest: ${toError(error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
