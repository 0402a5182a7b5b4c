// ANALYZER_RULES_FILE, read once at the start.
import { readFileSync } from 'node:fs';
import { DEFAULT_RULES, parseRules, type Rules } from '../../core/analysis/rules.ts';
import { UsageError, toError } from '../../core/errors.ts';

/** null: the defaults. Throws UsageError with one line. */
export function readRules(file: string | null): Rules {
  if (file === null) return DEFAULT_RULES;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`ANALYZER_RULES_FILE: cannot read ${file}: ${(error as { code?: string }).code ?? toError(error).message}`);
  }
  return parseRules(text, file);
}
