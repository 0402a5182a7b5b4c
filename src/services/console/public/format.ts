// Figures as people read them. Prices and amounts stay the text that they are.

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });

export const count = (value: number | null): string => (value === null ? '–' : WHOLE.format(value));

/** `1 gap`, `2 gaps` */
export const plural = (value: number, thing: string): string => `${count(value)} ${thing}${value === 1 ? '' : 's'}`;

export const rate = (value: number | null): string => (value === null ? '–' : `${(value < 10 ? TENTH : WHOLE).format(value)}/s`);

export function bytes(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const step = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  return `${TENTH.format(value / 1000 ** step)} ${units[step]!}`;
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${WHOLE.format(Math.max(0, ms))} ms`;
  if (ms < 60_000) return `${TENTH.format(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${WHOLE.format(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${TENTH.format(ms / 3_600_000)} h` : `${WHOLE.format(ms / 86_400_000)} days`;
}

/** How long ago `ts` (µs) was, seen at `nowTs`. */
export const ago = (ts: number | null, nowTs: number): string => (ts === null ? 'never' : duration((nowTs - ts) / 1000));

const iso = (ts: number): string => new Date(ts / 1000).toISOString();

/** `14:03:22.117` */
export const clock = (ts: number): string => iso(ts).slice(11, 23);

/** `2026-11-28 14:03:22` */
export const moment = (ts: number | null): string => (ts === null ? '–' : iso(ts).slice(0, 19).replace('T', ' '));

export const dash = (text: string | null | undefined): string => (text === null || text === undefined || text === '' ? '–' : text);

/** A decimal without the zeros at its end, which an exchange sends for its own convenience. */
export const trimmed = (decimal: string): string => (decimal.includes('.') ? decimal.replace(/\.?0+$/, '') : decimal);

export const toneOfState = (state: string | null): string =>
  state === 'HEALTHY' || state === 'AUDITING' ? 'good' : state === 'LOCKED' || state === null ? 'bad' : 'warn';

export const toneOfAge = (ms: number | null): string => (ms === null || ms > 60_000 ? 'bad' : ms > 10_000 ? 'warn' : 'good');

export const toneOfSeverity = (severity: string): string => (severity === 'info' ? 'muted' : severity === 'warning' ? 'warn' : 'bad');
