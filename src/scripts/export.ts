// `npm run export`: trades or candles of one instrument as a Parquet or CSV file, exact to the last digit, in constant memory.
// Exit code 0 done, 1 failed (no file is left), 2 bad usage.
import { dayStartMicros, dayOfMicros, dayText } from '../core/days.ts';
import { UsageError, toError } from '../core/errors.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { atOneMoment, droppedDays, instrumentsOf } from '../store/completeness.ts';
import { closePool, createPool, type Client, type Pool } from '../store/connect.ts';
import { exportColumns, exportInstrument, measureExport, narrowScope, readExport, type ExportScope, type ExportSize } from '../store/export.ts';
import { migrationStatus } from '../store/migrate.ts';
import { didYouMean } from './completeness/options.ts';
import { CsvWriter, isoMicros } from './export/csv.ts';
import { parseOptions, type ExportOptions } from './export/options.ts';
import { OutFile } from './export/out_file.ts';
import { ParquetTableWriter } from './export/parquet.ts';
import { Progress } from './export/progress.ts';
import type { TableWriter } from './export/table_writer.ts';

const clock = systemClock();

async function scopeOf(pool: Pool, { marketId, symbol, kind, resolution, from, until }: ExportOptions): Promise<ExportScope> {
  const { pending } = await migrationStatus(pool).catch((error: unknown) => {
    throw new Error(`PostgreSQL does not answer: ${toError(error).message}`, { cause: error });
  });
  if (pending.length > 0) throw new Error(`the database lacks ${pending.join(', ')}: npm run migrate -- up`);
  const instrument = await exportInstrument(pool, marketId, symbol);
  if (instrument !== null) return { kind, instrument, resolution, from, until: notBeyondTomorrow(from, until) };
  const known = await instrumentsOf(pool, { marketId, symbol: null });
  throw new UsageError(`--symbol: ${JSON.stringify(symbol)} is not an instrument of ${marketId}${didYouMean(symbol, known.map((one) => one.symbol))}`);
}

/** Nothing is stored of days to come: `--to 2099-12-31` means until now. */
const notBeyondTomorrow = (from: number, until: number): number =>
  Math.max(from, Math.min(until, dayStartMicros(dayOfMicros(clock.nowMicros()) + 2)));

function writerOf(file: OutFile, options: ExportOptions, { instrument, kind }: ExportScope, size: ExportSize): TableWriter {
  const columns = exportColumns(kind);
  if (options.format === 'csv') return new CsvWriter(file, columns);
  const about = {
    market_id: instrument.marketId, symbol: instrument.symbol, unified_symbol: instrument.unifiedSymbol ?? '', amount_unit: instrument.amountUnit ?? '',
    kind, from: isoMicros(String(options.from)), until: isoMicros(String(options.until)),
  };
  return new ParquetTableWriter(file, { columns, instrument, size, about });
}

/** A file that lacks days which `npm run completeness` counts as stored says so. */
async function tellDropped(db: Pick<Client, 'query'>, { kind, instrument, from, until }: ExportScope): Promise<void> {
  if (kind !== 'trades' || until <= from) return;
  const days = await droppedDays(db, { from: dayText(dayOfMicros(from)), to: dayText(dayOfMicros(until - 1)) }, instrument.instrumentId);
  if (days.length === 0) return;
  const which = days.length === 1 ? days[0] : `${days.length} days from ${days[0]} to ${days.at(-1)}`;
  process.stderr.write(`export: not in the file, since retention has dropped them: trades of ${which}\n`);
}

/** Writes the file; returns the line that says so. Leaves none when it fails or `signal` aborts. */
async function exportRows(pool: Pool, options: ExportOptions, signal: AbortSignal): Promise<string> {
  const scope = await scopeOf(pool, options);
  const startMs = clock.monotonicMs();
  const file = await OutFile.create(options.out);
  try {
    const rows = await atOneMoment(pool, async (db) => {
      await tellDropped(db, scope);
      const held = await narrowScope(db, scope);
      const size = await measureExport(db, held);
      const progress = new Progress(process.stderr, size.rows, () => clock.monotonicMs());
      const writer = writerOf(file, options, scope, size);
      let written = 0;
      try {
        for await (const piece of readExport(db, held)) {
          signal.throwIfAborted();
          await writer.write(piece);
          progress.at((written += piece.length));
        }
        await writer.finish();
      } finally {
        progress.end();
      }
      return written;
    });
    await file.commit();
    const seconds = ((clock.monotonicMs() - startMs) / 1000).toFixed(1);
    return `${file.path}: ${rows.toLocaleString('en-US')} rows, ${(file.bytes / 1e6).toFixed(1)} MB, ${seconds} s`;
  } catch (error) {
    await file.discard();
    throw error;
  }
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv, Object.keys(MARKETS), process.env);
  if (typeof options === 'string') {
    process.stdout.write(`${options}\n`);
    return;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  const pool = createPool(loadConfig(MARKETS).databaseUrl, { name: 'export', log: { warn: () => undefined }, max: 1 });
  // Counting takes minutes where there are many rows: whoever stops it does not wait for the answer.
  stop.signal.addEventListener('abort', () => void closePool(pool));
  try {
    process.stdout.write(`${await exportRows(pool, options, stop.signal)}\n`);
  } catch (error) {
    stop.signal.throwIfAborted();
    throw error;
  } finally {
    await closePool(pool);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`export: ${toError(error).message}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
