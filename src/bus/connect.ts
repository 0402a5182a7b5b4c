// Connections to Redis. They reconnect for ever with jitter; what a command does meanwhile is the caller's business
// (see whenReady). Blocking reads and pub/sub need a connection of their own.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';

export interface ConnectOptions {
  /** CLIENT SETNAME, and `redis` in log lines. */
  name: string;
  log: Pick<Logger, 'info' | 'warn'>;
  /** For XREADGROUP BLOCK and SUBSCRIBE: no command timeout. The reader sets its own outer deadline. */
  blocking?: boolean;
  random?: () => number;
  /** The process is to end: a server that does not answer within two seconds from then on is not waited for any more. */
  signal?: AbortSignal;
}

const COMMAND_TIMEOUT_MS = 5_000;
const RECONNECT_MIN_MS = 50;
const RECONNECT_CAP_MS = 2_000;
const QUIT_MS = 500;
/** A server that is this slow to answer PING will not take what is left either. */
const LAST_ANSWER_MS = 2_000;

/**
 * A connection that comes back by itself. Commands in flight when it drops are sent again by ioredis
 * (autoResendUnfulfilledCommands:false never settles them: redis/ioredis#2193), so every write must bear repetition.
 * A command unanswered for five seconds rejects with `Command timed out`; a socket silent that long is replaced. Once cut off
 * by `signal`, whatever waits and whatever comes rejects with `Connection is closed`.
 */
export function connectRedis(url: string, options: ConnectOptions): Redis {
  const { name, log, random = Math.random } = options;
  const settings: RedisOptions = {
    connectionName: name,
    disableClientInfo: true,
    connectTimeout: 5_000,
    keepAlive: 10_000,
    maxRetriesPerRequest: null,
    // Spread over the upper half, so that a restarted server does not meet all clients in one instant.
    retryStrategy: (times) => {
      const ceiling = Math.min(RECONNECT_CAP_MS, RECONNECT_MIN_MS * 2 ** Math.min(times, 10));
      return Math.round(ceiling / 2 + random() * (ceiling / 2));
    },
    // A replica after a failover: only a new connection finds the new master.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...(options.blocking === true ? {} : { commandTimeout: COMMAND_TIMEOUT_MS, socketTimeout: 2 * COMMAND_TIMEOUT_MS }),
  };
  const redis = new Redis(url, settings);
  let complained = false;
  redis.on('error', (error: unknown) => {
    const { message } = toError(error);
    if (!complained) log.warn({ redis: name, reason: message }, 'redis connection failed, trying again');
    complained = true;
  });
  redis.on('ready', () => {
    if (complained) log.info({ redis: name }, 'redis is back');
    complained = false;
  });
  const cut = (): void => void cutOffUnlessAnswering(redis);
  if (options.signal?.aborted === true) cut();
  else options.signal?.addEventListener('abort', cut, { once: true });
  return redis;
}

async function cutOffUnlessAnswering(redis: Redis): Promise<void> {
  const silent = sleep(LAST_ANSWER_MS, 'silent', { ref: false });
  const answered = whenReady(redis).then(() => redis.ping());
  if ((await Promise.race([answered.catch(() => 'silent'), silent])) === 'silent') cutOff(redis);
}

/** disconnect() alone waits two seconds for the server to close its side; commands reject only then. */
function cutOff(redis: Redis): void {
  // undefined before the first attempt to connect, whatever its type says.
  const stream = redis.stream as Redis['stream'] | undefined;
  redis.disconnect();
  stream?.destroy();
}

/**
 * Resolves when the connection can carry commands; at once when it can. Rejects when it was closed for good, or on
 * abort.
 */
export async function whenReady(redis: Redis, signal?: AbortSignal): Promise<void> {
  if (redis.status === 'ready') return;
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void) => (): void => {
      redis.off('ready', onReady);
      redis.off('end', onEnd);
      signal?.removeEventListener('abort', onAbort);
      done();
    };
    const onReady = settle(resolve);
    const onEnd = settle(() => reject(new Error('Connection is closed')));
    const onAbort = settle(() => reject(new Error('aborted while waiting for redis')));
    redis.on('ready', onReady);
    redis.on('end', onEnd);
    signal?.addEventListener('abort', onAbort);
    if (redis.status === 'end') onEnd();
    else if (signal?.aborted === true) onAbort();
  });
}

/** Ends a connection: politely while it works, at once otherwise. Never throws. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'ready') {
    await Promise.race([redis.quit().catch(() => undefined), sleep(QUIT_MS, undefined, { ref: false })]);
  }
  cutOff(redis);
}
