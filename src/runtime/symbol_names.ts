// Names of symbols in the environment: what cannot be one is refused at the door.
import { show, tradeSchema } from '../contracts/index.ts';
import { UsageError } from '../core/errors.ts';
import { isPattern, patternError } from '../core/patterns.ts';

/** A symbol, as the contracts have them. Throws UsageError that names the variable and the value. */
export function symbolName(name: string, value: string): string {
  if (isPattern(value)) throw new UsageError(`${name}: ${show(value)} is a pattern, and symbols are named here`);
  if (tradeSchema.shape.symbol.safeParse(value).success && value.isWellFormed()) return value;
  throw new UsageError(`${name}: ${show(value)} cannot be a symbol: at most 96 characters, no space, quote or backslash`);
}

/** The same, or a pattern that can match. */
export function symbolOrPattern(name: string, value: string): string {
  if (!isPattern(value)) return symbolName(name, value);
  const error = patternError(value);
  if (error !== null) throw new UsageError(`${name}: ${error}`);
  if (!tradeSchema.shape.symbol.safeParse(value).success) throw new UsageError(`${name}: ${show(value)} can match no symbol`);
  return value;
}
