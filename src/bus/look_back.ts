// What a group has already been given, read once more: for a consumer whose state is made of it.
import type { Redis } from 'ioredis';
import { toError } from '../core/errors.ts';
import type { StreamEntry } from './entry_parser.ts';
import { GroupReader } from './group_reader.ts';
import { before, fieldsOf, millisecondsOf } from './stream_id.ts';

export interface LookBackOptions {
  redis: Redis;
  /** Where a socket of its own is opened. */
  url: string;
  stream: string;
  group: string;
  /** How far back from the group's position, ms by the ids. */
  backMs: number;
  /** At most about so many entries: a fast stream is looked back into less far. */
  maxEntries: number;
  signal: AbortSignal;
}

export interface LookBack {
  /** The group's position: everything up to it was called back. null: the group is new, and nothing was. */
  readonly position: string | null;
  readonly entries: number;
}

const PAGE = 2_000;

/**
 * Calls back, in order, for the entries of the last `backMs` up to the group's position. `settled` is false from the first entry on
 * that the group still has to acknowledge. Rejects when Redis does not answer.
 */
export async function lookBack(options: LookBackOptions, onEntry: (entry: StreamEntry, settled: boolean) => void): Promise<LookBack> {
  const { redis, url, stream, group, backMs, maxEntries, signal } = options;
  const none = { position: null, entries: 0 };
  const groups = (await redis.xinfo('GROUPS', stream).catch(noSuchKey)) as unknown[][];
  const position = groups.map(fieldsOf).find((fields) => fields['name'] === group)?.['last-delivered-id'];
  if (typeof position !== 'string' || position === '0-0') return none;
  const [, smallest] = (await redis.xpending(stream, group)) as [number, string | null];
  const open = smallest ?? null;
  // Behind the first open entry must lie a whole look-back: what comes after it is told, and has to be told as it was the first time.
  const from = millisecondsOf(open ?? position) - Math.min(backMs, await msOf(redis, stream, maxEntries));
  const reader = await GroupReader.connect(url, `${group}-look-back`, signal);
  let entries = 0;
  try {
    for (let last = `${Math.max(0, Math.floor(from))}-0`; before(last, position);) {
      signal.throwIfAborted();
      const page: StreamEntry[] = [];
      await reader.readStream(stream, last, PAGE, (entry) => page.push(entry));
      if (page.length === 0) break;
      for (const entry of page) {
        last = entry.id;
        if (before(position, last)) break;
        entries++;
        onEntry(entry, open === null || before(last, open));
      }
    }
  } finally {
    reader.destroy();
  }
  return { position, entries };
}

/** A stream that is not there has no groups. */
function noSuchKey(error: unknown): [] {
  if (toError(error).message.includes('no such key')) return [];
  throw error;
}

/** How long it took the stream to get its last `entries` entries, ms, by its average pace. */
async function msOf(redis: Redis, stream: string, entries: number): Promise<number> {
  const info = fieldsOf((await redis.xinfo('STREAM', stream)) as unknown[]);
  const length = Number(info['length'] ?? 0);
  const first = millisecondsOf((info['first-entry'] as unknown[] | null)?.[0]);
  const last = millisecondsOf(info['last-generated-id']);
  return length === 0 ? 0 : (Math.max(1, last - first) * entries) / length;
}
