// One logger: pino JSON on stdout. Secrets are removed twice, by key and by value.
import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

const SECRET_KEYS = ['password', 'secret', 'client_secret', 'access_token', 'refresh_token', 'authorization', 'apiKey', 'api_key'];

/** Secrets that became known after the logger was made. */
const LATER: string[] = [];

/** From now on no line of this process's loggers holds `secret`. */
export function hideFromLogs(secret: string): void {
  LATER.push(...needlesOf(secret));
}

/** A secret as it may be written: as it is, inside JSON, in a URL, encoded. */
function needlesOf(secret: string): string[] {
  if (secret.length < 4) return [];
  const bytes = Buffer.from(secret);
  const encoded = (['base64', 'base64url', 'hex'] as const).map((encoding) => bytes.toString(encoding));
  const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), ...encoded];
  // Longest first: what is left of a longer form would still tell most of it.
  return [...new Set(forms)].sort((a, b) => b.length - a.length);
}

/**
 * A logger whose lines never hold one of `secrets` (nor its URL-encoded, base64 or hex form), whatever object they came in.
 * Errors are written as type, message, code and stack: never with the request or the configuration they carry.
 */
export function createLogger(options: { service: string; level: string; secrets?: readonly string[] }): Logger {
  const needles = (options.secrets ?? []).flatMap(needlesOf);
  const target = pino.destination({ dest: 1, sync: true });
  const sink = {
    write(line: string): void {
      target.write([...needles, ...LATER].reduce((text, needle) => text.replaceAll(needle, '[redacted]'), line));
    },
  };
  return pino(
    {
      level: options.level,
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
      serializers: { err: serializeError, error: serializeError },
    },
    sink,
  );
}

function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  return { name, message, stack, ...(code === undefined ? {} : { code }), ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }) };
}
