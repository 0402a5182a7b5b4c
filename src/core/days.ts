// UTC calendar days as whole numbers since 1970-01-01: what partitions and coverage are keyed by.
const DAY_MICROS = 86_400_000_000;
const DAY_MS = 86_400_000;

/** The UTC day of a time in µs since the epoch. */
export const dayOfMicros = (micros: number): number => Math.floor(micros / DAY_MICROS);

/** First microsecond of a day. */
export const dayStartMicros = (day: number): number => day * DAY_MICROS;

/** `YYYY-MM-DD`. */
export const dayText = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10);

/** `2026-11-28T17:00:00.123456Z` of a time in µs since the epoch. */
export function timeText(micros: number): string {
  const ms = Math.floor(micros / 1_000);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(micros - ms * 1_000).padStart(3, '0')}Z`;
}
