// What the analysis has to say, before it becomes a system event.
import { createHash } from 'node:crypto';

export interface Finding {
  readonly rule: string;
  readonly severity: 'info' | 'warning' | 'error' | 'critical';
  readonly marketId: string;
  /** null: the whole market. */
  readonly symbol: string | null;
  /** When, by the messages' own times, µs: a replay says the same. */
  readonly ts: number;
  /** Beginning of the window that it happened in, µs; with rule, market and symbol it names the event. */
  readonly windowStart: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The event id of a finding: equal whenever rule, market, symbol and window are. */
export function findingId({ rule, marketId, symbol, windowStart }: Pick<Finding, 'rule' | 'marketId' | 'symbol' | 'windowStart'>): string {
  const hash = createHash('sha256').update([rule, marketId, symbol ?? '', windowStart].join('\n')).digest('hex');
  return `${rule}-${hash.slice(0, 32)}`;
}
