// Paired measuring: candidates run in turn within each round, in reversed order every other round, and what counts is the
// median of the per-round ratios. Absolute figures of a shared machine drift; ratios within one round do not.

export interface Candidate {
  name: string;
  /** Does the work once over all items and returns how many items it handled. */
  run(): number;
}

export interface Measured {
  name: string;
  /** Items per second, median of the rounds. */
  perSecond: number;
  /** Time per item of this candidate over that of the first one, median of the per-round ratios. */
  timesFirst: number;
}

const ROUND_MS = 150;

/** Measures all candidates over `rounds` rounds; each gets at least 150 ms a round. */
export function paired(candidates: readonly Candidate[], rounds: number): Measured[] {
  for (const candidate of candidates) runFor(candidate, ROUND_MS);
  const times = candidates.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    const order = candidates.map((_candidate, i) => i);
    if (round % 2 === 1) order.reverse();
    for (const i of order) times[i]!.push(runFor(candidates[i]!, ROUND_MS));
  }
  return candidates.map((candidate, i) => ({
    name: candidate.name,
    perSecond: 1e9 / median(times[i]!),
    timesFirst: median(times[i]!.map((ns, round) => ns / times[0]![round]!)),
  }));
}

/** Nanoseconds per item. */
function runFor(candidate: Candidate, ms: number): number {
  const from = process.hrtime.bigint();
  const until = from + BigInt(ms) * 1_000_000n;
  let items = 0;
  let now = from;
  while (now < until) {
    items += candidate.run();
    now = process.hrtime.bigint();
  }
  return Number(now - from) / items;
}

/**
 * Where the median of all such values lies in 95 of 100 cases, from order statistics: nothing is assumed about their distribution. As wide
 * as the values for fewer than six.
 */
export function medianInterval(values: readonly number[]): readonly [from: number, to: number] {
  const sorted = values.toSorted((a, b) => a - b);
  const half = 0.98 * Math.sqrt(sorted.length);
  const at = (n: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, n))] ?? Number.NaN;
  return [at(Math.floor(sorted.length / 2 - half) - 1), at(Math.ceil(sorted.length / 2 + half))];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A table for the terminal: numbers to the right, text to the left. */
export function table(rows: readonly Record<string, string | number>[]): string {
  const first = rows[0];
  if (first === undefined) return '(nothing measured)\n';
  const columns = Object.keys(first);
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_column, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const numeric = columns.map((_column, i) => cells.slice(1).every((row) => /^[\d.,%×<>≥≤ -]*$/.test(row[i]!)));
  const line = (row: string[]): string =>
    row.map((cell, i) => (numeric[i] === true ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ').trimEnd();
  return [line(cells[0]!), widths.map((w) => '-'.repeat(w)).join('  '), ...cells.slice(1).map(line)].join('\n') + '\n';
}

export const rate = (perSecond: number): string => Math.round(perSecond).toLocaleString('en-US');
export const ratio = (value: number): string => value.toFixed(2);
