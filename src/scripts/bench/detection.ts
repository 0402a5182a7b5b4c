// What the default rules find in generated markets: anomalies that were planted, and in quiet markets nothing, or nearly so.
import { Analysis } from '../../core/analysis/analysis.ts';
import type { Finding } from '../../core/analysis/finding.ts';
import { DEFAULT_RULES } from '../../core/analysis/rules.ts';
import { PLANTED_KINDS, momentOf, plantedPairs, play, type Pair, type PlantedKind } from './planted.ts';

export interface Detection {
  messages: number;
  planted: number;
  found: number;
  recall: number;
  byKind: Record<PlantedKind, { planted: number; found: number }>;
  quietSymbolHours: number;
  falseEvents: number;
  falsePerSymbolHour: number;
}

const GRACE_MICROS = 10_000_000;

/** Plays `planted` anomalies in `pairs` pairs, and as many pairs without any. The same for the same seed. */
export function detect(pairs: number, planted: number, seed: number): Detection {
  const busy = plantedPairs(pairs, planted, seed);
  const noisy = findings(busy.pairs, busy.seconds, seed);
  const byKind = Object.fromEntries(PLANTED_KINDS.map((kind) => [kind, { planted: 0, found: 0 }])) as Detection['byKind'];
  for (const pair of busy.pairs) {
    const told = noisy.findings.filter(({ symbol }) => symbol === pair.symbol);
    for (const { kind, from, to } of pair.plants) {
      byKind[kind].planted++;
      const [begin, end] = [momentOf(from) - GRACE_MICROS, momentOf(to) + GRACE_MICROS];
      if (told.some((finding) => finding.rule === kind && finding.ts >= begin && finding.ts <= end)) byKind[kind].found++;
    }
  }
  const quiet = plantedPairs(pairs, 0, seed + 1);
  const silent = findings(quiet.pairs, busy.seconds, seed + 1);
  const found = PLANTED_KINDS.reduce((sum, kind) => sum + byKind[kind].found, 0);
  const quietSymbolHours = (2 * pairs * busy.seconds) / 3_600;
  return {
    messages: noisy.messages + silent.messages, planted, found, recall: found / planted, byKind, quietSymbolHours,
    falseEvents: silent.findings.length, falsePerSymbolHour: silent.findings.length / quietSymbolHours,
  };
}

function findings(pairs: readonly Pair[], seconds: number, seed: number): { findings: Finding[]; messages: number } {
  const unified = new Map(pairs.map((pair) => [pair.symbol, { unifiedSymbol: pair.unified, kind: 'spot' }]));
  const found: Finding[] = [];
  const analysis = new Analysis({ rules: DEFAULT_RULES, instrument: (_market, symbol) => unified.get(symbol), found: (finding) => found.push(finding) });
  let messages = 0;
  play(pairs, seconds, seed, (marketId, symbol, fields) => {
    messages++;
    analysis.take(analysis.track(marketId, symbol), fields);
  });
  return { findings: found, messages };
}
