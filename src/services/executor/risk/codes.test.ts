import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { REFUSALS } from './codes.ts';
import { parseRiskLimits } from './limits.ts';

const text = readFileSync(join(import.meta.dirname, '../../../../docs/executor.md'), 'utf8');

it('docs/executor.md lists every refusal code with its meaning, and no other', () => {
  const rows = [...text.slice(text.indexOf('## Refusal codes')).matchAll(/^\| `([A-Z_]+)` \| (.+) \|$/gm)].map(([, code, means]) => [code, means]);
  expect(rows).toEqual(Object.entries(REFUSALS));
});

it('the risk file of docs/executor.md is one', () => {
  const yaml = /```yaml\n(# RISK_FILE[\s\S]*?)```/.exec(text)?.[1] ?? '';
  expect(parseRiskLimits(yaml, 'docs').strategies).toEqual(['sma-cross', 'manual']);
});
