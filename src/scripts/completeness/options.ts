// Command line of `npm run completeness`.
import { parseArgs } from 'node:util';
import { resolutionValues, type Resolution } from '../../contracts/index.ts';
import { dayText } from '../../core/days.ts';
import { UsageError, toError } from '../../core/errors.ts';
import { closestName } from '../../core/spelling.ts';
import type { Scope } from '../../store/completeness.ts';

export interface CompletenessOptions extends Scope {
  readonly json: boolean;
  /** Candles to compare; null: none. */
  readonly candles: CandleWidth | null;
}

export interface CandleWidth {
  readonly resolution: Resolution;
  readonly seconds: number;
}

const USAGE = `usage: npm run completeness -- [--market ID] [--symbol NAME] [--from YYYY-MM-DD] [--to YYYY-MM-DD] [--candles RESOLUTION] [--json]
       UTC days, both included; yesterday and today unless said`;
const OPTIONS = {
  market: { type: 'string' }, symbol: { type: 'string' }, from: { type: 'string' }, to: { type: 'string' },
  candles: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;
const DAY_S = 86_400;
const UNIT_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: DAY_S };

/** Reads the command line; the usage text when help was asked for. Throws UsageError with one line on anything that is not right. */
export function parseOptions(argv: readonly string[], markets: readonly string[], today: number): CompletenessOptions | string {
  const { market, symbol, from, to, candles, json, help } = parse(argv);
  if (help === true) return USAGE;
  if (market !== undefined && !markets.includes(market)) {
    throw new UsageError(`--market: ${JSON.stringify(market)} is not one of ${markets.join(', ')}${didYouMean(market, markets)}`);
  }
  if (symbol === '') throw new UsageError('--symbol: "" is not a symbol');
  const last = to === undefined ? today : dayOf('to', to);
  const first = from === undefined ? last - 1 : dayOf('from', from);
  if (first > last) throw new UsageError(`--from: ${JSON.stringify(dayText(first))} is after --to ${JSON.stringify(dayText(last))}`);
  return {
    marketId: market ?? null, symbol: symbol ?? null, from: dayText(first), to: dayText(last), json: json === true,
    candles: candles === undefined ? null : widthOf(candles),
  };
}

/** `, did you mean X?`, or nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const meant = closestName(name, known);
  return meant === null ? '' : `, did you mean ${meant}?`;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(toError(error).message.split('. ')[0]);
  }
}

/** Day number of a date that exists. */
function dayOf(name: string, text: string): number {
  const ms = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN;
  const day = ms / (DAY_S * 1000);
  // Date.parse takes the 31st of any month; what it makes of it then reads otherwise.
  if (Number.isNaN(ms) || dayText(day) !== text) throw new UsageError(`--${name}: ${JSON.stringify(text)} is not a date like 2026-11-24`);
  return day;
}

function widthOf(text: string): CandleWidth {
  const known = resolutionValues.flatMap((resolution): CandleWidth[] => {
    const seconds = Number(resolution.slice(0, -1)) * (UNIT_S[resolution.slice(-1)] ?? Infinity);
    // Candles of several days would have to be put together from several days' trades.
    return seconds <= DAY_S ? [{ resolution, seconds }] : [];
  });
  const found = known.find(({ resolution }) => resolution === text);
  if (found === undefined) {
    throw new UsageError(`--candles: ${JSON.stringify(text)} is not one of ${known.map(({ resolution }) => resolution).join(', ')}`);
  }
  return found;
}
