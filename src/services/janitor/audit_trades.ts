// Stored trades: is any missing that nobody told of, and do those that are there make the candles that the exchange tells?
import { dayOfMicros, dayText } from '../../core/days.ts';
import type { Series } from '../../store/audit_scope.ts';
import type { AuditFinding } from '../../store/audits.ts';
import { checkCandles } from '../../store/candle_check.ts';
import { gapsOfMissing, readCompleteness, strayGaps, type DayCompleteness, type Scope } from '../../store/completeness.ts';
import type { Pool } from '../../store/connect.ts';
import { subtractRanges } from '../../store/coverage.ts';
import { insertHoles } from '../../store/gaps.ts';
import { findInstrumentIds } from '../../store/instruments.ts';
import type { SeqRange } from '../../store/trade_plan.ts';
import { RULES } from './audit_policy.ts';

const DAY_S = 86_400;

interface Missing {
  readonly day: DayCompleteness;
  readonly range: SeqRange;
  readonly status: string;
  readonly reason: string;
}

const placeOf = ({ marketId, symbol }: { marketId: string; symbol: string }): string => `${marketId} ${symbol}`;

/** Days that lack trades, by `market symbol day`: what their trades say about candles is no proof. */
export async function incompleteDays(pool: Pool, scope: Scope): Promise<Set<string>> {
  const days = (await readCompleteness(pool, scope)).filter(({ missing }) => missing > 0);
  return new Set([...days, ...(await strayGaps(pool, scope))].map((place) => `${placeOf(place)} ${place.day}`));
}

/**
 * Missing trades that no open gap tells of. Those that nobody told become gaps; an open gap is no finding, because it is being
 * healed as always. `settle` waits until what is on its way has come: only what is missing before and after is missing.
 */
export async function auditCoverage(pool: Pool, scope: Scope, settle: () => Promise<void>): Promise<AuditFinding[]> {
  let missing = await missingOf(pool, scope);
  if (missing.some(({ status }) => status === 'untold')) {
    await settle();
    missing = await missingOf(pool, scope);
  }
  const ids = new Map((await findInstrumentIds(pool, missing.map(({ day }) => day))).map((known) => [placeOf(known), known.instrumentId]));
  const findings = missing.flatMap(({ day, range: [fromSeq, toSeq], status, reason }): AuditFinding[] => {
    const instrumentId = ids.get(placeOf(day));
    if (instrumentId === undefined || status === 'open' || status === 'healing') return [];
    const { marketId, symbol } = day;
    const rule = RULES.trades_missing;
    return [{
      instrumentId, marketId, symbol, kind: 'trades_missing', candle: null, openTs: null, fromSeq, toSeq, ours: null, theirs: null,
      // A gap that was closed though trades of it are missing contradicts itself.
      resolution: status === 'untold' ? rule.unknown : status === 'unfillable' ? rule.known : 'unexplained', detail: `${status}: ${reason}`,
    }];
  });
  const holes = findings.filter(({ resolution }) => resolution === 'queued')
    .map(({ instrumentId, fromSeq, toSeq }) => ({ instrumentId, from: fromSeq ?? 0, to: toSeq ?? 0 }));
  await insertHoles(pool, holes, 'hole found by an audit');
  return findings;
}

/** The missing runs, cut where the gaps that tell of them begin and end. */
async function missingOf(pool: Pool, scope: Scope): Promise<Missing[]> {
  const days = (await readCompleteness(pool, scope)).filter(({ missing }) => missing > 0);
  const told = Map.groupBy(await gapsOfMissing(pool, days), placeOf);
  return days.flatMap((day) => {
    let left = day.missingSeqs;
    const runs: Missing[] = [];
    for (const { from, to, status, reason } of told.get(placeOf(day)) ?? []) {
      for (const [first, last] of left) {
        if (first <= to && last >= from) runs.push({ day, range: [Math.max(first, from), Math.min(last, to)], status, reason });
      }
      left = left.flatMap((range) => subtractRanges(range, [[from, to]]));
    }
    return [...runs, ...left.map((range) => ({ day, range, status: 'untold', reason: 'hole between stored trades' }))];
  });
}

/** Candles of a series rebuilt from trades, against the stored ones, since ≤ open_ts < until (µs). Months and weeks are left out. */
export async function auditTrades(
  pool: Pool, series: Series, seconds: number, since: number, until: number, incomplete: ReadonlySet<string>,
): Promise<AuditFinding[]> {
  const findings: AuditFinding[] = [];
  if (seconds > DAY_S) return findings;
  const { instrumentId, marketId, symbol, resolution } = series;
  for (let day = dayOfMicros(since); day <= dayOfMicros(until - 1); day++) {
    const text = dayText(day);
    const { differences } = await checkCandles(pool, { instrumentId, day: text, resolution, seconds });
    for (const [open, fields] of Map.groupBy(differences, (difference) => difference.open_ts)) {
      const openTs = Date.parse(open) * 1_000;
      if (openTs < since || openTs >= until) continue;
      const known = incomplete.has(`${placeOf(series)} ${text}`);
      findings.push({
        instrumentId, marketId, symbol, candle: resolution, kind: 'trades_differ', openTs, fromSeq: null, toSeq: null,
        ours: Object.fromEntries(fields.map(({ field, rebuilt }) => [field, rebuilt])),
        theirs: Object.fromEntries(fields.map(({ field, stored }) => [field, stored])),
        resolution: RULES.trades_differ[known ? 'known' : 'unknown'],
        detail: known ? 'trades of that day are known to be missing' : 'the trades of the candle are complete, and make another one',
      });
    }
  }
  return findings;
}
