// What a check found: a row of `npm run doctor`, of an unlock, and what the governor moves states by.

export interface Finding {
  name: string;
  level: 'ok' | 'warn' | 'fail';
  detail: string;
  /** What to do about it; absent when all is well. */
  remedy?: string;
}

export const ok = (name: string, detail: string): Finding => ({ name, level: 'ok', detail });
export const warn = (name: string, detail: string, remedy: string): Finding => ({ name, level: 'warn', detail, remedy });
export const fail = (name: string, detail: string, remedy: string): Finding => ({ name, level: 'fail', detail, remedy });

/** The failures in one line; empty when there are none. */
export const failures = (found: readonly Finding[]): string =>
  found.filter(({ level }) => level === 'fail').map(({ name, detail }) => `${name}: ${detail}`).join('; ');

/** `12 ms`, `3.4 s`, `12 min`. */
export function age(ms: number): string {
  const size = Math.abs(ms);
  return size < 1_000 ? `${Math.round(ms)} ms` : size < 120_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}
