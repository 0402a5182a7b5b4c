// How far a consumer group is behind: by the times in the ids, and by counting.
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';
import { fieldsOf, millisecondsOf } from './stream_id.ts';

const lagScript = loadScript('group_lag');

/** More are not counted: half a millisecond of Redis' one thread. */
const COUNTED = 500;

/**
 * Entries that the group was not given yet; null when nobody knows (many are left, and some were deleted). Sets the figure that
 * XINFO tells right on the way. Rejects with NOGROUP, or when Redis does not answer.
 */
export async function undelivered(redis: Redis, stream: string, group: string): Promise<number | null> {
  const left = (await runScript(redis, lagScript, [stream], [group, COUNTED])) as number;
  return left < 0 ? null : left;
}

/** ms between the newest entry and the last one delivered to the group, or what there is not. Rejects when Redis does not answer. */
export async function groupLagMs(stream: Redis, group: string): Promise<number | 'no stream' | 'no group'> {
  if ((await stream.exists(streamMarketDataKey)) === 0) return 'no stream';
  const answers = await Promise.all([stream.xinfo('STREAM', streamMarketDataKey), stream.xinfo('GROUPS', streamMarketDataKey)]);
  const [info, groups] = answers as [unknown[], unknown[][]];
  const fields = groups.map(fieldsOf).find((each) => each['name'] === group);
  if (fields === undefined) return 'no group';
  return Math.max(0, millisecondsOf(fieldsOf(info)['last-generated-id']) - millisecondsOf(fields['last-delivered-id']));
}
