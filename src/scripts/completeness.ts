// `npm run completeness`: what of the trades is stored, what was healed and what is missing, per instrument and UTC day; and
// whether the candles agree with the trades. Exit code 0 nothing missing, 1 something missing or different, 2 bad usage.
import { dayOfMicros } from '../core/days.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig, type Config } from '../runtime/env.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { instrumentsOf, type ScopeInstrument } from '../store/completeness.ts';
import { migrationStatus } from '../store/migrate.ts';
import { didYouMean, parseOptions, type CompletenessOptions } from './completeness/options.ts';
import { asText } from './completeness/print.ts';
import { buildReport } from './completeness/report.ts';

async function examine(pool: Pool, config: Config, options: CompletenessOptions): Promise<number> {
  await demandMigrations(pool);
  const instruments = await instrumentsOf(pool, options);
  if (options.symbol !== null && instruments.length === 0) await refuseSymbol(pool, options);
  const configured = new Set(config.markets.flatMap(({ marketId, symbols }) => symbols.map((symbol) => `${marketId} ${symbol}`)));
  // The exchanges' lists hold thousands that nobody records: nothing stored of them is no news.
  const wanted = instruments.filter((one) => options.symbol !== null || one.recorded || configured.has(keyOf(one)));
  const report = await buildReport(pool, options, wanted, options.candles === null ? null : { width: options.candles, instruments: wanted });
  process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : asText(report));
  return report.ok ? 0 : 1;
}

const keyOf = ({ marketId, symbol }: ScopeInstrument): string => `${marketId} ${symbol}`;

async function demandMigrations(pool: Pool): Promise<void> {
  const { pending } = await migrationStatus(pool).catch((error: unknown) => {
    throw new Error(`PostgreSQL does not answer: ${toError(error).message}`, { cause: error });
  });
  if (pending.length > 0) throw new Error(`the database lacks ${pending.join(', ')}: npm run migrate -- up`);
}

async function refuseSymbol(pool: Pool, { marketId, symbol }: CompletenessOptions): Promise<never> {
  const known = await instrumentsOf(pool, { marketId, symbol: null });
  const name = symbol ?? '';
  throw new UsageError(`--symbol: ${JSON.stringify(name)} is not an instrument of ${marketId ?? 'any market'}${
    didYouMean(name, [...new Set(known.map((one) => one.symbol))])}`);
}

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv, Object.keys(MARKETS), dayOfMicros(systemClock().nowMicros()));
  if (typeof options === 'string') {
    process.stdout.write(`${options}\n`);
    return 0;
  }
  const config = loadConfig(MARKETS);
  const pool = createPool(config.databaseUrl, { name: 'completeness', log: { warn: () => undefined }, max: 2 });
  try {
    return await examine(pool, config, options);
  } finally {
    await pool.end().catch(() => undefined);
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`completeness: ${toError(error).message}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  },
);
