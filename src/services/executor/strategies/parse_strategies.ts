// STRATEGIES_FILE: which strategies trade what, read once at the start. Unknown keys are refused with their path.
import { load } from 'js-yaml';
import { z } from 'zod';
import { explain, resolutionValues, show, type Resolution } from '../../../contracts/index.ts';
import { UsageError, toError } from '../../../core/errors.ts';
import { closestName } from '../../../core/spelling.ts';
import { STRATEGIES } from './registry.ts';
import type { Strategy } from './strategy.ts';

export interface StrategyEntry {
  /** What signals, the risk file and labels call it; unique. */
  readonly name: string;
  readonly strategy: Strategy;
  readonly marketId: string;
  readonly symbol: string;
  /** Of its candles. */
  readonly resolution: Resolution;
  /** The same as a time, µs. */
  readonly widthMicros: number;
  /** A signal is sent at most so long after its view, ms. */
  readonly validForMs: number;
  /** As the strategy's schema made them. */
  readonly params: unknown;
}

/** Months differ in width. */
export const RESOLUTIONS = resolutionValues.filter((value) => value !== '1M');
const UNITS: Readonly<Record<string, number>> = { s: 1e6, m: 60e6, h: 3_600e6, d: 86_400e6, w: 604_800e6 };

/** Width of a candle, µs. */
export const widthOf = (resolution: Resolution): number => Number(resolution.slice(0, -1)) * (UNITS[resolution.slice(-1)] ?? NaN);

const entrySchema = z.strictObject({
  strategy: z.string(),
  name: z.string().regex(/^[a-z][a-z0-9-]{0,19}$/, 'not a name of small letters, digits and - (at most 20)').optional(),
  market: z.string(),
  symbol: z.string().min(1).max(96),
  resolution: z.enum(RESOLUTIONS).default('1m'),
  valid_for_ms: z.int().min(1).max(86_400_000).default(10_000),
  params: z.record(z.string(), z.unknown()).default({}),
});
const fileSchema = z.strictObject({ strategies: z.array(entrySchema).min(1) });

/** Throws UsageError with one line that names the file, the key and the value. */
export function parseStrategies(yaml: string, file: string, markets: readonly string[], known = STRATEGIES): StrategyEntry[] {
  const fail = (what: string): never => {
    throw new UsageError(`STRATEGIES_FILE ${file}: ${what}`);
  };
  let tree: unknown;
  try {
    tree = load(yaml);
  } catch (error) {
    return fail(toError(error).message.split('\n')[0] ?? 'not YAML');
  }
  const result = fileSchema.safeParse(tree);
  if (!result.success) return fail(explain(result.error, tree));
  const entries = result.data.strategies.map((entry, i): StrategyEntry => {
    const strategy = findStrategy(entry.strategy, known);
    if (typeof strategy === 'string') return fail(`strategies.${i}.strategy: ${strategy}`);
    if (!markets.includes(entry.market)) return fail(`strategies.${i}.market: ${show(entry.market)} is not one of ${markets.join(', ')}`);
    const params = readParams(strategy, entry.params);
    if ('error' in params) return fail(`strategies.${i}.params.${params.error}`);
    return {
      name: entry.name ?? strategy.name, strategy, marketId: entry.market, symbol: entry.symbol, resolution: entry.resolution,
      widthMicros: widthOf(entry.resolution), validForMs: entry.valid_for_ms, params: params.value,
    };
  });
  for (const [i, entry] of entries.entries()) {
    const before = entries.slice(0, i);
    if (before.some(({ name }) => name === entry.name)) fail(`strategies.${i}.name: ${show(entry.name)} is there twice`);
    const owner = before.find(({ marketId, symbol }) => marketId === entry.marketId && symbol === entry.symbol);
    // The position is the account's: two would undo each other's orders.
    if (owner !== undefined) fail(`strategies.${i}.symbol: ${show(entry.symbol)} belongs to ${owner.name} already`);
  }
  return entries;
}

/** The strategy of that name, or what is wrong with it. */
export function findStrategy(name: string, known: readonly Strategy[]): Strategy | string {
  const names = known.map((strategy) => strategy.name);
  const near = closestName(name, names);
  return known.find((strategy) => strategy.name === name)
    ?? `${show(name)} is not one of ${names.join(', ')}${near === null ? '' : ` (did you mean ${near}?)`}`;
}

/** The parameters as the strategy takes them; `error` begins with the key. */
export function readParams(strategy: Strategy, given: unknown): { value: unknown } | { error: string } {
  const result = strategy.parameters.safeParse(given);
  return result.success ? { value: result.data } : { error: explain(result.error, given) };
}
