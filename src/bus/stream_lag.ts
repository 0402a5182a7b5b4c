// How far a consumer group of stream:market_data is behind, by the times in the ids.
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../contracts/index.ts';
import { fieldsOf, millisecondsOf } from './stream_id.ts';

/** ms between the newest entry and the last one delivered to the group, or what there is not. Rejects when Redis does not answer. */
export async function groupLagMs(stream: Redis, group: string): Promise<number | 'no stream' | 'no group'> {
  if ((await stream.exists(streamMarketDataKey)) === 0) return 'no stream';
  const answers = await Promise.all([stream.xinfo('STREAM', streamMarketDataKey), stream.xinfo('GROUPS', streamMarketDataKey)]);
  const [info, groups] = answers as [unknown[], unknown[][]];
  const fields = groups.map(fieldsOf).find((each) => each['name'] === group);
  if (fields === undefined) return 'no group';
  return Math.max(0, millisecondsOf(fieldsOf(info)['last-generated-id']) - millisecondsOf(fields['last-delivered-id']));
}
