// What an audit does about each kind of difference, and where its exchange goes then. One table each.
import type { SystemState } from '../../contracts/index.ts';
import type { AuditFinding, AuditVerdict, FindingKind, FindingResolution } from '../../store/audits.ts';

export interface Rule {
  /** What becomes of the difference when nothing is known of it. */
  readonly unknown: FindingResolution;
  /** What becomes of it when there is an explanation: the exchange's candle was stored, trades are known to be lost, … */
  readonly known: FindingResolution;
}

/**
 * The exchange's word counts for candles: theirs is stored, and the finding tells what was there. A candle that only we have, and
 * trades that contradict the exchange's candle though none is missing, are beyond repair: a human looks. Trades that are missing
 * and were told by nobody become gaps, which are healed as all others. Of our own trades the exchange's log counts: what is missing
 * is inserted, and for the executor to book; one that contradicts the log, or that the log does not tell, is beyond repair.
 */
export const RULES: Readonly<Record<FindingKind, Rule>> = {
  candle_missing: { unknown: 'repaired', known: 'repaired' },
  candle_differs: { unknown: 'repaired', known: 'repaired' },
  candle_unknown: { unknown: 'unexplained', known: 'explained' },
  trades_differ: { unknown: 'unexplained', known: 'explained' },
  trades_missing: { unknown: 'queued', known: 'explained' },
  own_trade_missing: { unknown: 'repaired', known: 'repaired' },
  own_trade_differs: { unknown: 'unexplained', known: 'explained' },
  own_trade_unknown: { unknown: 'unexplained', known: 'explained' },
};

export interface Outcome {
  readonly verdict: AuditVerdict;
  readonly state: SystemState;
}

/** The worst difference decides, from the worst on. */
const OUTCOMES: readonly (Outcome & { readonly resolution: FindingResolution | null })[] = [
  { resolution: 'unexplained', verdict: 'unexplained', state: 'LOCKED' },
  { resolution: 'queued', verdict: 'repairing', state: 'RECONCILING' },
  { resolution: null, verdict: 'good', state: 'HEALTHY' },
];

/** An audit that did not come to its end says nothing about the data: the data checks go on. */
export const FAILED: Outcome = { verdict: 'failed', state: 'HEALTHY' };

export function outcomeOf(findings: readonly Pick<AuditFinding, 'resolution'>[]): Outcome {
  const found = OUTCOMES.find(({ resolution }) => resolution === null || findings.some((finding) => finding.resolution === resolution));
  return found ?? FAILED;
}
