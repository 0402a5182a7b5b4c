// What `npm run completeness` found: the rows, every missing run with the gap that tells of it, and who has nothing stored.
import { setTimeout as sleep } from 'node:timers/promises';
import { dayText } from '../../core/days.ts';
import type { Pool } from '../../store/connect.ts';
import {
  atOneMoment, droppedDays, gapsOfMissing, readCompleteness, strayGaps, type DayCompleteness, type Scope, type ScopeInstrument, type StrayGap, type ToldGap,
} from '../../store/completeness.ts';
import { checkCandles, type CandleDifference } from '../../store/candle_check.ts';
import { subtractRanges } from '../../store/coverage.ts';
import { loadTradeDays } from '../../store/partitions.ts';
import type { CandleWidth } from './options.ts';

/** As in v_completeness. */
export interface ReportRow {
  market_id: string;
  symbol: string;
  day: string;
  first_seq: number;
  last_seq: number;
  expected: number;
  stored: number;
  healed: number;
  missing: number;
  why: string | null;
}

/** A run of missing numbers; of times where the numbers are not known. */
export interface MissingRun {
  market_id: string;
  symbol: string;
  day: string;
  from_seq: number | null;
  to_seq: number | null;
  /** How many numbers; null where they are not known. */
  count: number | null;
  from_ts: string | null;
  to_ts: string | null;
  /** Of the gap; `untold` where data_gaps knows nothing of it. */
  status: string;
  reason: string;
}

export interface CandleReport {
  resolution: string;
  compared: number;
  /** Candles whose prices were not compared: block or combo trades are among theirs. */
  unpriced: number;
  /** Instruments whose volume was not compared: amounts and candle volumes have different units. */
  volume_not_compared: { market_id: string; symbol: string; amount_unit: string | null; base: string | null }[];
  differences: ({ market_id: string; symbol: string } & CandleDifference)[];
}

export interface Report {
  ok: boolean;
  from: string;
  to: string;
  totals: { instruments: number; days: number; expected: number; stored: number; healed: number; missing: number };
  rows: ReportRow[];
  missing: MissingRun[];
  nothing_stored: { market_id: string; symbol: string; missing: number }[];
  /** Days of the rows whose trades were stored and are gone since: retention dropped them. */
  dropped: string[];
  candles: CandleReport | null;
}

const LOOKS = 3;
const SETTLE_MS = 1_000;
const UNTOLD = { status: 'untold', reason: 'hole between stored trades' };

/** `wanted` are instruments of the scope that shall be named when nothing of them is stored. */
export async function buildReport(
  pool: Pool, scope: Scope, wanted: readonly ScopeInstrument[], candles: { width: CandleWidth; instruments: readonly ScopeInstrument[] } | null,
): Promise<Report> {
  const { days, gaps, strays, gone } = await settledLook(pool, scope);
  const missing = [...runsOf(days, gaps), ...strays.flatMap(strayRuns)];
  const seen = new Set(days.map(keyOf));
  const silent = new Map([...wanted, ...strays].filter((one) => !seen.has(keyOf(one))).map((one) => [keyOf(one), one]));
  const sum = (pick: (day: DayCompleteness) => number): number => days.reduce((total, day) => total + pick(day), 0);
  const lost = missing.reduce((total, { count }) => total + (count ?? 0), 0);
  const checked = candles === null ? null : await candleReport(pool, candles.width, candles.instruments, await daysToCheck(pool, scope));
  return {
    ok: missing.length === 0 && (checked === null || checked.differences.length === 0),
    from: scope.from,
    to: scope.to,
    totals: {
      instruments: seen.size, days: new Set(days.map(({ day }) => day)).size,
      expected: sum(({ stored }) => stored) + lost, stored: sum(({ stored }) => stored), healed: sum(({ healed }) => healed), missing: lost,
    },
    rows: days.map((day) => ({
      market_id: day.marketId, symbol: day.symbol, day: day.day, first_seq: day.firstSeq, last_seq: day.lastSeq, expected: day.expected,
      stored: day.stored, healed: day.healed, missing: day.missing, why: day.why,
    })),
    missing,
    nothing_stored: [...silent.values()].map(({ marketId, symbol }) => ({
      market_id: marketId, symbol,
      missing: missing.reduce((total, run) => total + (run.market_id === marketId && run.symbol === symbol ? run.count ?? 0 : 0), 0),
    })),
    dropped: gone.filter((day) => days.some((row) => row.day === day && row.stored > 0)),
    candles: checked,
  };
}

interface Look {
  days: DayCompleteness[];
  gaps: ToldGap[];
  strays: StrayGap[];
  gone: string[];
}

const lookAt = (pool: Pool, scope: Scope): Promise<Look> => atOneMoment(pool, async (db) => {
  const days = await readCompleteness(db, scope);
  return { days, gaps: await gapsOfMissing(db, days), strays: await strayGaps(db, scope), gone: await droppedDays(db, scope) };
});

/**
 * Two distributors commit in any order: for an instant the later trades are there and the earlier are not. A hole that nobody told of is
 * looked at again when such a batch has long been stored.
 */
async function settledLook(pool: Pool, scope: Scope): Promise<Look> {
  for (let look = 1; ; look++) {
    const found = await lookAt(pool, scope);
    if (look === LOOKS || runsOf(found.days, found.gaps).every(({ status }) => status !== UNTOLD.status)) return found;
    await sleep(SETTLE_MS);
  }
}

const keyOf = ({ marketId, symbol }: { marketId: string; symbol: string }): string => `${marketId} ${symbol}`;

/** Cuts the missing numbers where the gaps that tell of them begin and end; a number told by several goes to the first of them. */
function runsOf(days: readonly DayCompleteness[], gaps: readonly ToldGap[]): MissingRun[] {
  const told = Map.groupBy(gaps, keyOf);
  return days.flatMap((day) => {
    const place = { market_id: day.marketId, symbol: day.symbol, day: day.day, from_ts: null, to_ts: null };
    const run = (from: number, to: number, { status, reason }: { status: string; reason: string }): MissingRun =>
      ({ ...place, from_seq: from, to_seq: to, count: to - from + 1, status, reason });
    let left = day.missingSeqs;
    const runs: MissingRun[] = [];
    for (const gap of told.get(keyOf(day)) ?? []) {
      for (const [from, to] of left) {
        if (from <= gap.to && to >= gap.from) runs.push(run(Math.max(from, gap.from), Math.min(to, gap.to), gap));
      }
      left = left.flatMap((range) => subtractRanges(range, [[gap.from, gap.to]]));
    }
    for (const [from, to] of left) runs.push(run(from, to, UNTOLD));
    return runs.sort((a, b) => (a.from_seq ?? 0) - (b.from_seq ?? 0));
  });
}

function strayRuns({ marketId, symbol, day, seqs, fromTs, toTs, status, reason }: StrayGap): MissingRun[] {
  const place = { market_id: marketId, symbol, day, from_ts: fromTs, to_ts: toTs, status, reason };
  if (seqs === null) return [{ ...place, from_seq: null, to_seq: null, count: null }];
  return seqs.map(([from, to]) => ({ ...place, from_seq: from, to_seq: to, count: to - from + 1 }));
}

/** The scope's days but for those before the first and after the last trade: nothing is compared there, whatever century was asked for. */
async function daysToCheck(pool: Pool, { from, to }: Scope): Promise<string[]> {
  const held = await loadTradeDays(pool);
  if (held === null) return [];
  const days: string[] = [];
  const last = Math.min(dayOfText(to), held.last);
  for (let day = Math.max(dayOfText(from), held.first); day <= last; day++) days.push(dayText(day));
  return days;
}

const dayOfText = (text: string): number => Date.parse(text) / 86_400_000;

/** One statement per instrument and day: each looks into one partition and ends long before the server would stop it. */
async function candleReport(
  pool: Pool, { resolution, seconds }: CandleWidth, instruments: readonly ScopeInstrument[], days: readonly string[],
): Promise<CandleReport> {
  const report: CandleReport = { resolution, compared: 0, unpriced: 0, volume_not_compared: [], differences: [] };
  for (const { instrumentId, marketId, symbol, base, amountUnit } of instruments) {
    let compared = 0;
    for (const day of days) {
      const check = await checkCandles(pool, { instrumentId, day, resolution, seconds });
      compared += check.compared;
      report.unpriced += check.unpriced;
      for (const difference of check.differences) report.differences.push({ market_id: marketId, symbol, ...difference });
    }
    report.compared += compared;
    if (compared > 0 && (base === null || amountUnit !== base)) {
      report.volume_not_compared.push({ market_id: marketId, symbol, amount_unit: amountUnit, base });
    }
  }
  return report;
}
