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

it('the faults of docs/executor.md are proven by tests that are there', () => {
  const table = text.slice(text.indexOf('## Faults and what proves them'), text.indexOf('## Refusal codes'));
  const rows = [...table.matchAll(/^\| (.+?) \| .+? \| (.+) \|$/gm)].slice(1).map(([, fault = '', proof = '']) => ({ fault, proof }));
  expect(rows.length).toBeGreaterThan(25);
  for (const { fault, proof } of rows) {
    const named = [...proof.matchAll(/`([\w/.]+\.ts)`((?:,? \*[^*]+\*)+)/g)];
    expect([fault, named.length > 0 || proof.startsWith('chaos')]).toEqual([fault, true]);
    for (const [, file = '', names = ''] of named) {
      const source = readFileSync(join(import.meta.dirname, '../../..', file), 'utf8');
      for (const [, name = ''] of names.matchAll(/\*([^*]+)\*/g)) expect(`${file}: ${source.includes(name) ? name : 'no such test'}`).toBe(`${file}: ${name}`);
    }
  }
});
