// The closed list of error classes and the policy of each. Design §8.3:
//   infrastructure  pause, retry with jitter, never a dead letter
//   data            bisect, dead letter
//   unknown         count, then isolate
export type ErrorClass = 'infrastructure' | 'data' | 'unknown';

/** Bad configuration or bad usage; ends the process with exit code 2 and the message alone. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** An address that `<prefix>_HOST` and `<prefix>_PORT` give, and that the system does not let us listen on. */
export function cannotListen(prefix: string, host: string, port: number, cause: Error & { code?: string }): UsageError {
  const message = {
    EADDRINUSE: `${prefix}_PORT: ${port} is taken on ${host}`,
    EACCES: `${prefix}_PORT: ${port} is for privileged users`,
    EADDRNOTAVAIL: `${prefix}_HOST: ${JSON.stringify(host)} is no address of this machine`,
  }[cause.code ?? ''];
  return new UsageError(message ?? `${prefix}_HOST: cannot listen on ${JSON.stringify(host)}: ${cause.code ?? cause.message}`, { cause });
}

const INFRASTRUCTURE_SQLSTATES = /^(08|57|53|58|XX|40001|40P01|55P03|25006|28)/;
// Programmer-visible states (undefined table/column/function: 42P01 …) mean a wrong schema version: waiting is right, dead letters are not.
const SCHEMA_SQLSTATES = /^(42|3F|3D)/;
const DATA_SQLSTATES = /^(22|23|21)/;
const REDIS_INFRASTRUCTURE =
  /^(OOM|MISCONF|LOADING|READONLY|NOGROUP|NOPERM|NOAUTH|WRONGPASS|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|UNBLOCKED|NOSCRIPT|EXECABORT)/;
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
  'ECANCELED',
]);
/** What pg, ioredis and sockets say without a code. */
const NETWORK_MESSAGES = new RegExp(
  'timeout|timed out|Connection (is closed|terminated|ended)|socket|max retries|Client has encountered a connection error|' +
    "not queryable|Stream isn't writeable|ECONN|aborted",
  'i',
);

/** Sorts anything thrown by pg, ioredis or a socket into the closed list. */
export function classify(error: unknown): ErrorClass {
  const e = toError(error) as Error & { code?: unknown };
  const code = typeof e.code === 'string' ? e.code : '';
  if (/^[0-9A-Z]{5}$/.test(code) && !NETWORK_CODES.has(code)) {
    if (DATA_SQLSTATES.test(code)) return 'data';
    if (INFRASTRUCTURE_SQLSTATES.test(code) || SCHEMA_SQLSTATES.test(code)) return 'infrastructure';
  }
  if (NETWORK_CODES.has(code) || REDIS_INFRASTRUCTURE.test(e.message) || NETWORK_MESSAGES.test(e.message))
    return 'infrastructure';
  if (e instanceof AggregateError && e.errors.length > 0) return classify(e.errors[0]);
  return 'unknown';
}

/** The one place where `unknown` from a catch becomes an Error. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
