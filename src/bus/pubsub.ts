// Pub/sub as a hint: at most once, and nothing depends on it. Whoever listens also re-reads the durable state.
import type { Redis } from 'ioredis';
import { toError } from '../core/errors.ts';
import type { Logger } from '../runtime/log.ts';

/**
 * Listens on channels over `redis`, a connection that does nothing else (made with blocking: true); ioredis subscribes
 * again after every reconnect. A handler that throws is logged and the next message still comes.
 */
export function listen(
  redis: Redis,
  handlers: ReadonlyMap<string, (text: string) => void>,
  log: Pick<Logger, 'warn'>,
): void {
  redis.on('message', (channel: string, text: string) => {
    try {
      handlers.get(channel)?.(text);
    } catch (error) {
      log.warn({ err: toError(error), channel }, 'message handler failed');
    }
  });
  if (handlers.size === 0) return;
  redis.subscribe(...handlers.keys()).catch((error: unknown) => log.warn({ err: toError(error) }, 'cannot subscribe'));
}
