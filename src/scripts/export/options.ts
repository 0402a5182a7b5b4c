// Command line of `npm run export`.
import { existsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { resolutionValues } from '../../contracts/index.ts';
import { UsageError, toError } from '../../core/errors.ts';
import type { ExportKind } from '../../store/export.ts';
import { didYouMean } from '../completeness/options.ts';
import { userPath } from '../local/user_path.ts';

export type Format = 'parquet' | 'csv';

export interface ExportOptions {
  readonly marketId: string;
  readonly symbol: string;
  readonly kind: ExportKind;
  /** Of candles; null for trades. */
  readonly resolution: string | null;
  /** µs since the epoch; `until` is not included. */
  readonly from: number;
  readonly until: number;
  /** Absolute path. */
  readonly out: string;
  readonly format: Format;
}

const USAGE = `usage: npm run export -- --market ID --symbol NAME --kind trades|ohlc --from WHEN --to WHEN --out FILE.parquet|FILE.csv
       [--resolution 1m] [--force]
       WHEN is a UTC day (2026-11-24; as --to it is included) or a time (2026-11-24T08:30:00Z; as --to it is not)`;
const OPTIONS = {
  market: { type: 'string' }, symbol: { type: 'string' }, kind: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' },
  resolution: { type: 'string' }, out: { type: 'string' }, force: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;
const KINDS: readonly ExportKind[] = ['trades', 'ohlc'];
const FORMATS: readonly Format[] = ['parquet', 'csv'];
const DAY_MICROS = 86_400_000_000;
const WHEN = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?Z)?$/;

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the command line; the usage text when help was asked for. Throws UsageError with one line on anything that is not right, a
 * FILE that exists already (without --force) or cannot be made included.
 */
export function parseOptions(argv: readonly string[], markets: readonly string[], env: Env): ExportOptions | string {
  const values = parse(argv);
  if (values.help === true) return USAGE;
  const market = oneOf('market', needed('market', values.market), markets);
  const symbol = needed('symbol', values.symbol);
  const kind = oneOf('kind', needed('kind', values.kind), KINDS);
  if (kind === 'trades' && values.resolution !== undefined) {
    throw new UsageError(`--resolution: ${JSON.stringify(values.resolution)} is for candles: trades have none`);
  }
  const [fromText, toText] = [needed('from', values.from), needed('to', values.to)];
  const from = momentOf('from', fromText).micros;
  const to = momentOf('to', toText);
  const until = to.isDay ? to.micros + DAY_MICROS : to.micros;
  if (from >= until) throw new UsageError(`--from: ${JSON.stringify(fromText)} is not before --to ${JSON.stringify(toText)}`);
  return {
    marketId: market, symbol, kind, from, until, resolution: kind === 'ohlc' ? oneOf('resolution', values.resolution ?? '1m', resolutionValues) : null,
    ...fileOf(needed('out', values.out), values.force === true, env),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(toError(error).message.split('. ')[0]);
  }
}

function needed(name: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new UsageError(`--${name} is missing; ${USAGE.split('\n', 1)[0] ?? ''}`);
  return value;
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`--${name}: ${JSON.stringify(value)} is not one of ${allowed.join(', ')}${didYouMean(value, allowed)}`);
  return found;
}

/** A UTC day or time of the command line. Throws UsageError. */
export function momentOf(name: string, text: string): { micros: number; isDay: boolean } {
  const [, day = '', minute, second = '00', fraction = ''] = WHEN.exec(text) ?? [];
  const iso = `${day}T${minute ?? '00:00'}:${second}.000Z`;
  const ms = day === '' ? NaN : Date.parse(iso);
  // Date.parse takes the 31st of any month and 24:00; what it makes of them then reads otherwise.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) {
    throw new UsageError(`--${name}: ${JSON.stringify(text)} is neither a day like 2026-11-24 nor a time like 2026-11-24T08:30:00Z`);
  }
  return { micros: ms * 1000 + Number(fraction.padEnd(6, '0')), isDay: minute === undefined };
}

function fileOf(text: string, force: boolean, env: Env): { out: string; format: Format } {
  const format = FORMATS.find((name) => text.endsWith(`.${name}`));
  if (format === undefined) throw new UsageError(`--out: ${JSON.stringify(text)} ends neither in .parquet nor in .csv`);
  const out = userPath(text, env);
  if (statSync(dirname(out), { throwIfNoEntry: false })?.isDirectory() !== true) throw new UsageError(`--out: ${dirname(out)} is no folder`);
  if (statSync(out, { throwIfNoEntry: false })?.isDirectory() === true) throw new UsageError(`--out: ${out} is a folder`);
  if (!force && existsSync(out)) throw new UsageError(`--out: ${out} exists already; --force replaces it`);
  return { out, format };
}
