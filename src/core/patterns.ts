// Patterns of symbols: `BTC-*-C` (each * stands for any run of characters) and `kind:perpetual`. They are wanted instead of symbols
// that do not exist yet.
import { closestName } from './spelling.ts';

/** Kinds of instruments that a pattern may ask for. */
export const PATTERN_KINDS = ['spot', 'perpetual', 'future', 'option', 'combo'] as const;
export type PatternKind = (typeof PATTERN_KINDS)[number];

const KIND = 'kind:';

/** Whether a name is meant as a pattern: no exchange has such symbols. */
export const isPattern = (text: string): boolean => text.includes('*') || text.startsWith(KIND);

/** The kind that a pattern asks for; null when it is one of names. */
export const kindOf = (pattern: string): PatternKind | null =>
  pattern.startsWith(KIND) ? PATTERN_KINDS.find((kind) => kind === pattern.slice(KIND.length)) ?? null : null;

/** Why a pattern can never match, in one line that names it; null when it can. */
export function patternError(pattern: string): string | null {
  if (pattern.startsWith(KIND)) {
    if (kindOf(pattern) !== null) return null;
    const meant = closestName(pattern.slice(KIND.length), PATTERN_KINDS);
    const hint = meant === null ? '' : `, did you mean ${KIND}${meant}?`;
    return `${JSON.stringify(pattern)} is not one of ${PATTERN_KINDS.map((kind) => KIND + kind).join(', ')}${hint}`;
  }
  return pattern.includes('**') ? `${JSON.stringify(pattern)} has ** in it: one * stands for any run of characters already` : null;
}

/** Those of `symbols` that a pattern of names matches as a whole, in their order. */
export function matching(pattern: string, symbols: readonly string[]): string[] {
  const parts = pattern.split('*');
  return symbols.filter((symbol) => matches(symbol, parts));
}

/** Those of the listed that one of `patterns` matches, in their order. */
export function matchingAny<T extends { readonly symbol: string; readonly kind: string }>(patterns: readonly string[], listed: readonly T[]): T[] {
  const kinds = new Set<string | null>(patterns.map(kindOf));
  const symbols = listed.map(({ symbol }) => symbol);
  const named = new Set(patterns.filter((pattern) => kindOf(pattern) === null).flatMap((pattern) => matching(pattern, symbols)));
  return listed.filter(({ symbol, kind }) => kinds.has(kind) || named.has(symbol));
}

/** By hand: a regular expression of many * can take for ever. */
function matches(symbol: string, parts: readonly string[]): boolean {
  const [first = ''] = parts;
  if (parts.length === 1) return symbol === first;
  const last = parts.at(-1) ?? '';
  if (!symbol.startsWith(first) || !symbol.endsWith(last) || symbol.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = symbol.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at + last.length <= symbol.length;
}
