// One consumer of a stream's group: its own pending entries first, then new ones, then what dead consumers left behind.
// While there is much to read it takes whole pages (runs.ts), else it waits for single entries with XREADGROUP.
// Delivery is at least once; whoever uses it must bear repetition. Errors of Redis are waited out here, for ever.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { Backoff } from '../core/backoff.ts';
import type { Clock } from '../core/clock.ts';
import { toError } from '../core/errors.ts';
import { whenReady } from './connect.ts';
import type { StreamEntry } from './entry_parser.ts';
import { GroupReader } from './group_reader.ts';
import { Runs, type Run } from './runs.ts';
import { before, fieldsOf, justBefore, millisecondsOf } from './stream_id.ts';
import { undelivered } from './stream_lag.ts';

export { StreamEntry } from './entry_parser.ts';

export interface ConsumerOptions {
  /** For commands; must not be a blocking connection. */
  redis: Redis;
  /** Where a socket of its own is opened for the blocking reads. */
  url: string;
  stream: string;
  group: string;
  consumer: string;
  /** Entries per read. */
  count: number;
  /** Entries pending longer than this are taken from whoever has them. */
  claimIdleMs: number;
  clock: Clock;
  random: () => number;
}

/** Where entries go, and when. */
export interface EntrySink {
  /** Resolves when more entries may come; while it waits nothing is read or claimed. */
  room(signal: AbortSignal): Promise<void>;
  /** Called for each entry as it arrives. */
  readonly entry: (entry: StreamEntry) => void;
  /** Ids pending by themselves that are here and not acknowledged: a second look at what is pending must not bring them again. */
  held(): ReadonlySet<string>;
  /** null: all is well. */
  trouble(reason: Error | null): void;
  /** So many entries, this one among them, were deleted from the stream while pending: their content is lost. */
  lost(count: number, first: string): void;
  claimed(count: number): void;
}

export interface GroupLag {
  /** Entries not yet delivered to the group; null when Redis cannot tell. */
  entries: number | null;
  /** Delivered and not acknowledged, over all consumers. */
  pending: number;
  /** Age of the newest entry minus that of the last delivered one, by their ids. */
  seconds: number;
}

const BLOCK_MS = 1_000;
/** A read that brought so many: more are coming than should be taken one by one. */
const RUN_FROM = 64;
/** A page that is not full means that nearly all is read: the next one may fill up first. */
const RUN_PAUSE_MS = 8;
const RETRY = { baseMs: 50, maxMs: 2_000 };
const CLAIM_PAGE = 1_000;
const MAX_CLAIM_INTERVAL_MS = 15_000;
const ACK_PAGE = 4_000;

export class StreamConsumer {
  readonly #options: ConsumerOptions;
  readonly #runs: Runs;
  readonly #closed = new AbortController();
  #acker: GroupReader | null = null;
  #acking: Promise<number> = Promise.resolve(0);

  constructor(options: ConsumerOptions) {
    this.#options = options;
    this.#runs = new Runs(options);
  }

  get source(): { stream: string; group: string; consumer: string } {
    const { stream, group, consumer } = this.#options;
    return { stream, group, consumer };
  }

  /** Delivers into `sink` until `signal` aborts; never rejects. */
  async run(sink: EntrySink, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ ...RETRY, random: this.#options.random });
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      try {
        await whenReady(this.#options.redis, signal);
        await this.#session(sink, signal, () => {
          backoff.reset();
          sink.trouble(null);
        });
      } catch (error) {
        if (ended()) return;
        const reason = toError(error);
        const noGroup = reason.message.startsWith('NOGROUP');
        // The very first start meets no group; one that is missing again and again is trouble.
        if (!noGroup || backoff.attempts > 0) sink.trouble(reason);
        if (noGroup) await this.#createGroup().catch((failure: unknown) => sink.trouble(toError(failure)));
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Acknowledges; returns how many were pending still. Rejects when Redis does not answer: repeat it. */
  ack(ids: readonly string[]): Promise<number> {
    // One after the other: the connection carries one command at a time.
    const done = this.#acking.then(() => this.#ackPages(ids));
    this.#acking = done.catch(() => 0);
    return done;
  }

  /** Acknowledges whole runs. Rejects when Redis does not answer: repeat it. */
  runsDone(runs: Iterable<Run>): Promise<void> {
    return this.#runs.done(runs);
  }

  /** Makes the entries of a run pending by themselves, so that each can be acknowledged alone. Repeatable. */
  split(run: Run): Promise<void> {
    return this.#runs.split(run);
  }

  async #ackPages(ids: readonly string[]): Promise<number> {
    const { url, stream, group, consumer } = this.#options;
    let acked = 0;
    for (let at = 0; at < ids.length; at += ACK_PAGE) {
      if (this.#acker?.alive !== true) this.#acker = await GroupReader.connect(url, `${consumer}-ack`, this.#closed.signal);
      acked += await this.#acker.number(['XACK', stream, group, ...ids.slice(at, at + ACK_PAGE)]);
    }
    return acked;
  }

  /** No acknowledgements any more: one under way rejects. */
  close(): void {
    this.#closed.abort();
    this.#acker?.destroy();
  }

  /** Sets the delivery counter of one pending entry (XCLAIM … RETRYCOUNT; allowed when Redis is full). */
  async markDeliveries(id: string, deliveries: number): Promise<void> {
    const { redis, stream, group, consumer } = this.#options;
    await redis.xclaim(stream, group, consumer, 0, id, 'RETRYCOUNT', deliveries, 'JUSTID');
  }

  async lag(): Promise<GroupLag> {
    const { redis, stream, group } = this.#options;
    const asked = [undelivered(redis, stream, group), redis.xinfo('STREAM', stream), redis.xinfo('GROUPS', stream), this.#runs.hidden()] as const;
    const [entries, info, groups, hidden] = (await Promise.all(asked)) as [number | null, unknown[], unknown[][], number];
    const mine = groups.map(fieldsOf).find((fields) => fields['name'] === group) ?? {};
    return {
      entries,
      pending: Number(mine['pending'] ?? 0) + hidden,
      seconds: Math.max(0, millisecondsOf(fieldsOf(info)['last-generated-id']) - millisecondsOf(mine['last-delivered-id'])) / 1000,
    };
  }

  /** One connection's life. Rejects when it ends. */
  async #session(sink: EntrySink, signal: AbortSignal, healthy: () => void): Promise<void> {
    const { url, consumer, clock, claimIdleMs, stream, group, count } = this.#options;
    const reader = await GroupReader.connect(url, `${consumer}-reader`, signal);
    const close = (): void => reader.destroy();
    signal.addEventListener('abort', close, { once: true });
    try {
      // After a broken read, too: what the server sent and nobody got is pending under our name.
      await this.#readPending(reader, sink, signal, '0-0', null);
      const interval = Math.min(claimIdleMs / 4, MAX_CLAIM_INTERVAL_MS);
      const blockMs = Math.ceil(Math.min(BLOCK_MS, interval));
      let nextClaim = clock.monotonicMs();
      while (!signal.aborted) {
        await sink.room(signal);
        if (clock.monotonicMs() >= nextClaim) {
          await this.#claim(reader, sink, signal);
          nextClaim = clock.monotonicMs() + interval;
        }
        const read: { last?: StreamEntry } = {};
        const brought = await reader.read({ stream, group, consumer, count, blockMs, after: '>' }, (entry) => {
          read.last = entry;
          sink.entry(entry);
        });
        healthy();
        if (brought >= RUN_FROM && read.last !== undefined) await this.#readRuns(reader, sink, signal, read.last.id, nextClaim);
      }
    } finally {
      signal.removeEventListener('abort', close);
      reader.destroy();
    }
  }

  /** Takes page after page from `position` on, until little is left, or until `untilMs`. */
  async #readRuns(reader: GroupReader, sink: EntrySink, signal: AbortSignal, position: string, untilMs: number): Promise<void> {
    const { clock, count } = this.#options;
    const size = 2 * count;
    const ended = (): boolean => signal.aborted;
    // Read-ahead: while one page is decoded, Redis makes the next.
    let asked = this.#runs.read(reader, position, size);
    asked.catch(() => undefined);
    while (!ended() && clock.monotonicMs() < untilMs) {
      const page = await asked;
      if (page.length < RUN_FROM) return;
      await sink.room(signal);
      if (ended()) return;
      const moved = await this.#runs.take(page, position);
      position = moved ?? page[page.length - 1]?.id ?? position;
      if (moved === null && page.length < size) {
        for (const entry of page) sink.entry(entry);
        await sleep(RUN_PAUSE_MS);
        asked = this.#runs.read(reader, position, size);
      } else {
        asked = this.#runs.read(reader, position, size);
        if (moved === null) for (const entry of page) sink.entry(entry);
      }
      // Its failure is told when its turn comes, or with the session's end.
      asked.catch(() => undefined);
    }
  }

  /** Own pending entries with ids after `after`, up to `until`, in pages, with their delivery counts. */
  async #readPending(reader: GroupReader, sink: EntrySink, signal: AbortSignal, after: string, until: string | null): Promise<void> {
    const { stream, group, consumer, count } = this.#options;
    let end = until;
    for (let last = after; ;) {
      await sink.room(signal);
      const runEnd = await this.#dissolveBehind(last, sink);
      if (end !== null && runEnd !== null && before(end, runEnd)) end = runEnd;
      const page: StreamEntry[] = [];
      await reader.read({ stream, group, consumer, count, blockMs: null, after: last }, (entry) => page.push(entry));
      const first = page[0];
      last = page[page.length - 1]?.id ?? last;
      if (first === undefined) return;
      await this.#deliverPending(page, first.id, last, sink);
      if (end !== null && !before(last, end)) return;
    }
  }

  /** Dissolves runs of ours that are marked among the next pending entries behind `after`; returns where the last one ends. */
  async #dissolveBehind(after: string, sink: EntrySink): Promise<string | null> {
    const { redis, stream, group, consumer, count } = this.#options;
    const next = (await redis.xpending(stream, group, `(${after}`, '+', count, consumer)) as [string][];
    let end: string | null = null;
    for (const mark of await this.#runs.marksAmong(next.map(([id]) => id))) end = await this.#dissolve(mark, sink);
    return end;
  }

  async #dissolve(mark: string, sink: EntrySink): Promise<string | null> {
    const { last, lost } = await this.#runs.dissolve(mark);
    if (lost > 0) sink.lost(lost, mark);
    return last;
  }

  async #deliverPending(page: readonly StreamEntry[], first: string, last: string, sink: EntrySink): Promise<void> {
    const { redis, stream, group, consumer } = this.#options;
    const counts = (await redis.xpending(stream, group, first, last, page.length, consumer)) as [string, string, number, number][];
    const deliveries = new Map(counts.map(([id, , , n]) => [id, n]));
    const held = sink.held();
    const gone: string[] = [];
    for (const entry of page) {
      if (entry.gone) gone.push(entry.id);
      else if (!held.has(entry.id) && !this.#runs.isOpen(entry.id)) {
        entry.deliveries = deliveries.get(entry.id) ?? 1;
        sink.entry(entry);
      }
    }
    if (gone.length === 0) return;
    await this.ack(gone);
    sink.lost(gone.length, gone[0] ?? '');
  }

  /** Takes over what was pending too long with anybody. The cursor is no state: each round walks the whole list. */
  async #claim(reader: GroupReader, sink: EntrySink, signal: AbortSignal): Promise<void> {
    const { redis, stream, group, consumer, claimIdleMs } = this.#options;
    // A run whose mark is gone: what is left of it becomes pending by itself, with us, and is read below or at the next round.
    for (const mark of await this.#runs.orphans()) await this.#dissolve(mark, sink);
    let cursor = '0-0';
    do {
      const reply = (await redis.xautoclaim(stream, group, consumer, claimIdleMs, cursor, 'COUNT', CLAIM_PAGE, 'JUSTID')) as [string, string[], string[]?];
      const [next, ids, deleted = []] = reply;
      cursor = next;
      if (deleted.length > 0) sink.lost(deleted.length, deleted[0] ?? '');
      const held = sink.held();
      const taken = ids.filter((id) => !held.has(id) && !this.#runs.isOpen(id));
      const [first] = taken;
      const last = taken[taken.length - 1];
      if (first !== undefined && last !== undefined) {
        sink.claimed(taken.length);
        await this.#readPending(reader, sink, signal, justBefore(first), last);
      }
    } while (cursor !== '0-0' && !signal.aborted);
  }

  /** From the beginning, never from the end: entries that came before us must not be skipped. */
  async #createGroup(): Promise<void> {
    const { redis, stream, group } = this.#options;
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: unknown) => {
      if (!toError(error).message.startsWith('BUSYGROUP')) throw error;
    });
  }
}
