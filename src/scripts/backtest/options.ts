// Command line of `npm run backtest`.
import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { load } from 'js-yaml';
import { show, type Resolution } from '../../contracts/index.ts';
import { UsageError, toError } from '../../core/errors.ts';
import { exact, plain } from '../../core/trading/exact.ts';
import { parseRiskLimits, type RiskLimits } from '../../services/executor/risk/limits.ts';
import { RESOLUTIONS, findStrategy, readParams, widthOf, type StrategyEntry } from '../../services/executor/strategies/parse_strategies.ts';
import { STRATEGIES } from '../../services/executor/strategies/registry.ts';
import type { Strategy } from '../../services/executor/strategies/strategy.ts';
import { didYouMean } from '../completeness/options.ts';
import { momentOf } from '../export/options.ts';
import { userPath } from '../local/user_path.ts';

export type DataKind = 'candles' | 'trades' | 'tickers';

export interface BacktestOptions {
  readonly entry: StrategyEntry;
  readonly data: readonly DataKind[];
  /** µs since the epoch; `until` is not included. */
  readonly from: number;
  readonly until: number;
  /** In the settlement currency; null: by the currency. */
  readonly deposit: string | null;
  readonly slippageTicks: number;
  /** Parts of the value; null: what the exchange's instrument list says. */
  readonly makerFee: string | null;
  readonly takerFee: string | null;
  /** null: only what the exchange itself limits. */
  readonly limits: RiskLimits | null;
  readonly json: boolean;
  /** Absolute path; null: no files. */
  readonly out: string | null;
}

const USAGE = `usage: npm run backtest -- --strategy NAME --market ID --symbol NAME --from WHEN --to WHEN [--params FILE] [--data candles|trades|tickers,…]
       [--resolution 1m] [--deposit AMOUNT] [--slippage TICKS] [--maker-fee RATE] [--taker-fee RATE] [--risk FILE] [--json] [--out DIR]
       WHEN is a UTC day (2026-11-24; as --to it is included) or a time (2026-11-24T08:30:00Z; as --to it is not)
       strategies: ${STRATEGIES.map(({ name, about }) => `${name} (${about})`).join(', ')}`;
const text = { type: 'string' } as const;
const OPTIONS = {
  strategy: text, market: text, symbol: text, from: text, to: text, params: text, data: text, resolution: text, deposit: text, slippage: text,
  'maker-fee': text, 'taker-fee': text, risk: text, out: text, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;
const KINDS: readonly DataKind[] = ['candles', 'trades', 'tickers'];
const DAY_MICROS = 86_400_000_000;

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads the command line and the files that it names; the usage text when help was asked for. `known`: the strategies there are. Throws
 * UsageError with one line that names the option (or file and key) and the value.
 */
export function parseOptions(argv: readonly string[], markets: readonly string[], env: Env, known: readonly Strategy[] = STRATEGIES): BacktestOptions | string {
  const values = parse(argv);
  if (values.help === true) return USAGE;
  const strategy = findStrategy(needed('strategy', values.strategy), known);
  if (typeof strategy === 'string') throw new UsageError(`--strategy: ${strategy}`);
  const marketId = oneOf('market', needed('market', values.market), markets);
  const symbol = needed('symbol', values.symbol);
  const [fromText, toText] = [needed('from', values.from), needed('to', values.to)];
  const from = momentOf('from', fromText).micros;
  const to = momentOf('to', toText);
  const until = to.isDay ? to.micros + DAY_MICROS : to.micros;
  if (from >= until) throw new UsageError(`--from: ${show(fromText)} is not before --to ${show(toText)}`);
  const resolution = oneOf<Resolution>('resolution', values.resolution ?? '1m', RESOLUTIONS);
  const slippage = Number(values.slippage ?? 1);
  if (!Number.isInteger(slippage) || slippage < 0 || slippage > 1_000_000) {
    throw new UsageError(`--slippage: ${show(values.slippage)} is no whole number of ticks`);
  }
  return {
    data: dataOf(values.data, strategy), from, until,
    deposit: decimalOf('deposit', values.deposit, false), slippageTicks: slippage, makerFee: decimalOf('maker-fee', values['maker-fee'], true),
    takerFee: decimalOf('taker-fee', values['taker-fee'], true),
    limits: values.risk === undefined ? null : parseRiskLimits(fileText('risk', values.risk, env), values.risk),
    json: values.json === true, out: values.out === undefined ? null : folder(values.out, env),
    entry: {
      name: strategy.name, strategy, marketId, symbol, resolution, widthMicros: widthOf(resolution), validForMs: 60_000,
      params: paramsOf(strategy, values.params, env),
    },
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
  if (found === undefined) throw new UsageError(`--${name}: ${show(value)} is not one of ${allowed.join(', ')}${didYouMean(value, allowed)}`);
  return found;
}

/** What the strategy needs, unless said; what is said must hold it. */
function dataOf(given: string | undefined, { name, needs }: Strategy): DataKind[] {
  if (given === undefined) return [needs === 'ticker' ? 'tickers' : 'candles'];
  const kinds = given.split(',').map((kind) => oneOf('data', kind, KINDS));
  const missing = needs === 'ticker' ? !kinds.includes('tickers') : !kinds.includes('candles') && !kinds.includes('trades');
  if (missing) throw new UsageError(`--data: ${show(given)} holds no ${needs === 'ticker' ? 'tickers' : 'candles or trades'}, which ${name} needs`);
  if (kinds.includes('candles') && kinds.includes('trades')) throw new UsageError(`--data: ${show(given)}: candles are made of the trades already`);
  // Of rows with equal times the quotes come first.
  return [...new Set(kinds)].sort((a, b) => KINDS.indexOf(b) - KINDS.indexOf(a));
}

function decimalOf(name: string, value: string | undefined, orZero: boolean): string | null {
  if (value === undefined) return null;
  const parsed = exact(value);
  if (parsed === null || parsed.lt(0) || (parsed.isZero() && !orZero)) {
    throw new UsageError(`--${name}: ${show(value)} is no ${orZero ? 'decimal' : 'positive decimal'} without exponent`);
  }
  return plain(parsed);
}

/** A YAML file of parameters (JSON is YAML). */
function paramsOf(strategy: Strategy, path: string | undefined, env: Env): unknown {
  let tree: unknown = {};
  if (path !== undefined) {
    try {
      tree = load(fileText('params', path, env)) ?? {};
    } catch (error) {
      throw error instanceof UsageError ? error : new UsageError(`--params ${path}: ${toError(error).message.split('\n')[0]}`);
    }
  }
  const params = readParams(strategy, tree);
  if ('error' in params) throw new UsageError(`--params ${path ?? '(none given)'}: ${params.error}`);
  return params.value;
}

function fileText(name: string, path: string, env: Env): string {
  try {
    return readFileSync(userPath(path, env), 'utf8');
  } catch (error) {
    throw new UsageError(`--${name}: ${show(path)} cannot be read: ${toError(error).message.split(',')[0]}`);
  }
}

function folder(path: string, env: Env): string {
  const absolute = userPath(path, env);
  if (statSync(absolute, { throwIfNoEntry: false })?.isDirectory() === false) throw new UsageError(`--out: ${show(path)} is no folder`);
  return absolute;
}
