// The durable copy of the events, for people and programs that look.
import type { Redis } from 'ioredis';
import { parseSystemEvent, streamSystemEventsKey, type SystemEvent } from '../contracts/index.ts';
import { parsePlain } from '../core/json.ts';

/** An event and the id of its entry in the stream. */
export type LoggedEvent = SystemEvent & { readonly id: string };

export interface LogPage {
  /** The last entry that was looked at, whatever it held; null: there was none. */
  readonly last: string | null;
  readonly events: readonly LoggedEvent[];
}

/** The newest entries, at most `count`, newest first. Rejects when Redis does not answer. */
export const newestEvents = async (redis: Redis, count: number): Promise<LoggedEvent[]> => [...(await eventsBefore(redis, '+', count)).events];

/** Entries before entry `id` (`+`: the end), newest first, at most `count`. */
export async function eventsBefore(redis: Redis, id: string, count: number): Promise<LogPage> {
  return pageOf(await redis.xrevrange(streamSystemEventsKey, id === '+' ? '+' : `(${id}`, '-', 'COUNT', count));
}

/** What comes after entry `id`, oldest first, waiting up to `blockMs` for it. Needs a connection for blocking commands. */
export async function eventsAfter(redis: Redis, id: string, blockMs: number): Promise<LogPage> {
  const streams = await redis.xread('COUNT', 500, 'BLOCK', blockMs, 'STREAMS', streamSystemEventsKey, id);
  return pageOf(streams?.[0]?.[1] ?? []);
}

/** What is no event of this version is left out. */
function pageOf(entries: readonly [string, string[]][]): LogPage {
  const events = entries.flatMap(([id, fields]) => {
    const parsed = parseSystemEvent(parsePlain(fields[fields.indexOf('payload') + 1] ?? ''));
    return parsed.ok ? [{ ...parsed.value, id }] : [];
  });
  return { last: entries.at(-1)?.[0] ?? null, events };
}
