// Events with ids that say what they are: the same one is published once, however often its cause is seen.
import type { Redis } from 'ioredis';
import { channelSystemEventsKey, eventSeenKey, streamSystemEventsKey, type SystemEvent } from '../contracts/index.ts';
import { EVENTS_KEPT } from './events.ts';
import { loadScript, runScript } from './script.ts';

const script = loadScript('event_once');
/** Longer than any entry of stream:market_data waits to be delivered again. */
const REMEMBER_MS = 86_400_000;

/**
 * Publishes an event and keeps it in the stream unless its id was published within a day; works when Redis is full. Resolves with
 * whether this call published it. Rejects when Redis does not answer: repeating it is safe.
 */
export async function emitOnce(redis: Redis, event: SystemEvent): Promise<boolean> {
  const args = [channelSystemEventsKey, JSON.stringify(event), EVENTS_KEPT, REMEMBER_MS];
  return (await runScript(redis, script, [streamSystemEventsKey, eventSeenKey(event.event_id)], args)) === 1;
}
