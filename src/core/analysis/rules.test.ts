// The rules file: what it is refused for, and in which words; and the alarm that makes single events of a measure.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../errors.ts';
import { lineOf } from '../yaml_lines.ts';
import { Alarm } from './alarm.ts';
import { findingId } from './finding.ts';
import { DEFAULT_RULES, parseRules } from './rules.ts';

const SHIPPED = join(import.meta.dirname, '../../../docs/analyzer_rules.yml');

function refusal(yaml: string): string {
  try {
    parseRules(yaml, 'r.yml');
  } catch (error) {
    if (error instanceof UsageError) return error.message.replace('ANALYZER_RULES_FILE r.yml: ', '');
    throw error;
  }
  return 'accepted';
}

describe('rules', () => {
  it('are by default what the shipped file says', () => {
    expect(parseRules(readFileSync(SHIPPED, 'utf8'), SHIPPED)).toEqual(DEFAULT_RULES);
  });

  it('may be given in part', () => {
    const { rules } = parseRules('rules:\n  price_spike:\n    z: 5\n    window: 5m\n', 'r.yml');
    expect(rules).toEqual({ ...DEFAULT_RULES.rules, price_spike: { ...DEFAULT_RULES.rules.price_spike, z: 5, window: '5m' } });
    expect(parseRules('# rules:\n#   price_spike:\n\n', 'r.yml')).toEqual(DEFAULT_RULES);
  });

  it('are refused with line, key and value, and a proposal', () => {
    expect(refusal('rules:\n  # moves\n  price_spkie:\n    z: 1\n')).toBe('line 3: rules.price_spkie: unknown rule, did you mean price_spike?');
    expect(refusal('rules:\n  price_spike:\n    windw: 1s\n')).toBe('line 3: rules.price_spike.windw: unknown key, did you mean window?');
    expect(refusal('rules: {price_spike: {z: 3},\n volume_spike: {times: -1}}'))
      .toBe('line 2: rules.volume_spike.times: Too small: expected number to be >0, got -1');
    expect(refusal('rules:\n  volume_spike:\n    window: -5\n')).toMatch(/^line 3: rules\.volume_spike\.window: Invalid option: .*, got -5$/);
    expect(refusal('quarantine:\n  retyr_s: 1\n')).toBe('line 2: quarantine.retyr_s: unknown key, did you mean retry_s?');
    expect(refusal('quarantine:\n  retry_s: 700\n')).toBe('line 2: quarantine.retry_s: is above max_retry_s (600 unless set), got 700');
    expect(refusal('ruels: {}\n')).toBe('line 1: ruels: unknown key, did you mean rules?');
    expect(refusal('rules:\n\t- a')).toBe('line 2: tab characters must not be used in indentation, in "- a"');
    expect(refusal('rules:\n  price_spike:\n    z: 8\n    z: 9\n')).toBe('line 4: duplicated mapping key, in "z: 9"');
    expect(refusal('rules: [1]')).toBe('line 1: rules: Invalid input: expected object, received array, got [1]');
    expect(refusal('- 1')).toMatch(/Invalid input: expected object, received array/);
  });

  it('finds the line of a key in any style, or of the nearest one above', () => {
    const yaml = 'a:\n  - b: 1\n  - c:\n      d: 2\n"e": {f: 3,\n  g: 4}\n';
    expect(lineOf(yaml, ['a', '1', 'c', 'd'])).toBe(4);
    expect(lineOf(yaml, ['a', '0', 'b'])).toBe(2);
    expect(lineOf(yaml, ['e', 'g'])).toBe(6);
    expect(lineOf(yaml, ['e', 'x'])).toBe(5);
    expect(lineOf(yaml, ['x'])).toBeNull();
    expect(lineOf('a: [', ['a'])).toBeNull();
  });
});

describe('alarm', () => {
  const limits = { clear: 0.5, cool_down_s: 60 };
  const told = (...steps: [second: number, measure: number][]): number[] => {
    const alarm = new Alarm();
    return steps.filter(([second, measure]) => alarm.update(second * 1e6, measure, limits)).map(([second]) => second);
  };

  it('makes one event of a measure that wavers around its threshold', () => {
    expect(told([0, 1], [100, 0.9], [200, 1.1], [300, 0.6], [400, 2], [500, 0.4], [600, 1])).toEqual([0, 600]);
  });

  it('takes what rises again in the cool-down for the same event', () => {
    expect(told([0, 2], [1, 0], [59, 2], [61, 2], [70, 0], [71, 2])).toEqual([0, 71]);
  });

  it('is not raised by what is no number', () => {
    expect(told([0, Number.NaN], [1, -Infinity], [2, Infinity])).toEqual([2]);
  });
});

describe('the id of a finding', () => {
  it('is that of its rule, market, symbol and window', () => {
    const finding = { rule: 'price_spike', marketId: 'deribit', symbol: 'BTC-PERPETUAL', windowStart: 1_790_000_000_000_000 };
    expect(findingId(finding)).toBe(findingId({ ...finding }));
    expect(new Set([finding, { ...finding, windowStart: 1 }, { ...finding, symbol: null }, { ...finding, rule: 'x' }].map(findingId)).size).toBe(4);
  });
});
