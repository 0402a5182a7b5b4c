// Values of environment variables: each parser gives the value, or throws UsageError with one line that names the variable and what
// it was given.
import { UsageError } from '../core/errors.ts';

/** Items between commas, each once; `none` when there is no item. */
export function list(text: string, none: string[] = []): string[] {
  const items = [...new Set(text.split(',').map((item) => item.trim()).filter((item) => item !== ''))];
  return items.length === 0 ? none : items;
}

/** Throws UsageError that names the variable and the value unless it is one of `allowed`. */
export function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw new UsageError(`${name}: ${JSON.stringify(value)} is not one of ${allowed.join(', ')}`);
  return found;
}

/** A whole number from `min` to `max`. */
export function whole(name: string, value: string, min: number, max: number): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max)
    throw new UsageError(`${name}: ${JSON.stringify(value)} is not a whole number from ${min} to ${max}`);
  return number;
}

/** A number above zero, without exponent. */
export function positive(name: string, value: string): number {
  const number = Number(value);
  if (!/^\d+(\.\d+)?$/.test(value) || number <= 0) throw new UsageError(`${name}: ${JSON.stringify(value)} is not a positive number`);
  return number;
}

/** A URL of one of `protocols` (with their colon), without slashes at its end. */
export function url(name: string, value: string, protocols: readonly string[]): string {
  const parsed = URL.canParse(value) ? new URL(value) : null;
  if (parsed === null || !protocols.includes(parsed.protocol) || parsed.hostname === '') {
    // The value may hold a password: name the scheme and host at most.
    throw new UsageError(`${name}: ${JSON.stringify(withoutPassword(value))} is not a ${protocols.map((p) => `${p}//`).join(' or ')} URL`);
  }
  return value.replace(/\/+$/, '');
}

function withoutPassword(value: string): string {
  return value.replace(/\/\/[^@/]*@/, '//***@');
}

/** Loopback, or one of Compose's one-word host names. */
export const isNearby = (hostname: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[a-z0-9_-]+)$/i.test(hostname);

/** Plain ws:// and http:// are for loopback and for Compose's one-word host names. */
export function insecureOnlyNearby(name: string, value: string): string {
  const { protocol, hostname } = new URL(value);
  if ((protocol === 'ws:' || protocol === 'http:') && !isNearby(hostname)) {
    throw new UsageError(`${name}: ${protocol}// is accepted for loopback and the Compose network only, not for ${hostname}`);
  }
  return value;
}
