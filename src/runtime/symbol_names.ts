// Names of symbols in the environment: what cannot be one is refused at the door.
import { show, tradeSchema } from '../contracts/index.ts';
import { UsageError } from '../core/errors.ts';
import { isPattern, patternError } from '../core/patterns.ts';

function symbolName(name: string, value: string): string {
  if (tradeSchema.shape.symbol.safeParse(value).success && value.isWellFormed()) return value;
  throw new UsageError(`${name}: ${show(value)} cannot be a symbol: at most 96 characters, no space, quote or backslash`);
}

/** A symbol, as the contracts have them, or a pattern that can match. Throws UsageError that names the variable and the value. */
export function symbolOrPattern(name: string, value: string): string {
  if (!isPattern(value)) return symbolName(name, value);
  const error = patternError(value);
  if (error !== null) throw new UsageError(`${name}: ${error}`);
  if (!tradeSchema.shape.symbol.safeParse(value).success) throw new UsageError(`${name}: ${show(value)} can match no symbol`);
  return value;
}
