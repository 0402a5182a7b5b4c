// Consumer groups that begin with what comes from now on.
import type { Redis } from 'ioredis';
import { toError } from '../core/errors.ts';

/** Makes the group at the stream's end unless it is there: what was before is not for it. Rejects when Redis does not answer. */
export async function groupFromNow(redis: Redis, stream: string, group: string): Promise<void> {
  await redis.xgroup('CREATE', stream, group, '$', 'MKSTREAM').catch((error: unknown) => {
    if (!toError(error).message.startsWith('BUSYGROUP')) throw error;
  });
}
