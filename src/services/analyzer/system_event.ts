// Findings as system events.
import type { SystemEvent } from '../../contracts/index.ts';
import { findingId, type Finding } from '../../core/analysis/finding.ts';

const DIGITS = 8;

/** The event of a finding: its id says what it is, so that the same finding is always the same event. */
export function eventOf(finding: Finding): SystemEvent {
  const { rule, severity, marketId, symbol, ts, data } = finding;
  const family = rule === 'quarantined' || rule === 'resumed' ? 'analyzer' : 'market';
  return {
    event_id: findingId(finding),
    type: `${family}.${rule}` as SystemEvent['type'],
    severity,
    market_id: marketId,
    ...(symbol === null ? {} : { symbol }),
    ts,
    data: Object.fromEntries(Object.entries(data).map(([name, value]) => [name, typeof value === 'number' ? readable(value) : value])),
  };
}

/** Estimates need no seventeen digits; what is whole stays exact. */
const readable = (value: number): number => (Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS)));
