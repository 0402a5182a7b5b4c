// Command line of `npm run trace`.
import { parseArgs } from 'node:util';
import { UsageError, toError } from '../../core/errors.ts';
import { didYouMean } from '../completeness/options.ts';

export interface TraceOptions {
  readonly marketId: string;
  readonly symbol: string;
  /** One of the two is not null. */
  readonly tradeId: string | null;
  readonly seq: number | null;
  readonly json: boolean;
}

const USAGE = 'usage: npm run trace -- --market ID --symbol NAME (--trade-id ID | --seq NUMBER) [--json]';
const OPTIONS = {
  market: { type: 'string' }, symbol: { type: 'string' }, 'trade-id': { type: 'string' }, seq: { type: 'string' },
  json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
} as const;

/** Reads the command line; the usage text when help was asked for. Throws UsageError with one line on anything that is not right. */
export function parseOptions(argv: readonly string[], markets: readonly string[]): TraceOptions | string {
  const { market, symbol, 'trade-id': tradeId, seq, json, help } = parse(argv);
  if (help === true) return USAGE;
  if (market === undefined) throw new UsageError(`--market is missing; ${USAGE}`);
  if (!markets.includes(market)) {
    throw new UsageError(`--market: ${JSON.stringify(market)} is not one of ${markets.join(', ')}${didYouMean(market, markets)}`);
  }
  if (symbol === undefined) throw new UsageError(`--symbol is missing; ${USAGE}`);
  if ((tradeId === undefined) === (seq === undefined)) throw new UsageError(`give one of --trade-id and --seq; ${USAGE}`);
  if (tradeId !== undefined && !/^[\w.:-]{1,100}$/.test(tradeId)) throw new UsageError(`--trade-id: ${JSON.stringify(tradeId)} is no id of a trade`);
  if (seq !== undefined && !(/^\d{1,16}$/.test(seq) && Number.isSafeInteger(Number(seq)))) {
    throw new UsageError(`--seq: ${JSON.stringify(seq)} is not a whole number`);
  }
  return { marketId: market, symbol, tradeId: tradeId ?? null, seq: seq === undefined ? null : Number(seq), json: json === true };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(toError(error).message.split(/\n|\. /)[0]);
  }
}
