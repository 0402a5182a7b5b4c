// One row of `npm run doctor`.
import { toError } from '../../core/errors.ts';

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

/** Runs one check with a deadline; what it throws is a failure with the given remedy. */
export async function examine(name: string, remedy: string, check: () => Promise<Finding | Finding[]>, timeoutMs = 8_000): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs / 1000} s`)), timeoutMs);
  });
  try {
    return [await Promise.race([check(), late])].flat();
  } catch (error) {
    return [fail(name, toError(error).message, remedy)];
  } finally {
    clearTimeout(timer);
  }
}

/** `12 ms`, `3.4 s`, `12 min`. */
export function age(ms: number): string {
  const size = Math.abs(ms);
  return size < 1_000 ? `${Math.round(ms)} ms` : size < 120_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}
