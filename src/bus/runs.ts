// Runs: how a consumer that is behind takes many entries at once. XREADGROUP makes Redis note every single entry as pending,
// and write each note to its append-only file: 4.8 µs per entry of its one thread, and 0.7 µs more for XACK (Redis 7.0,
// 400,000 entries). Here a page is read with plain XREAD and then taken by one script that notes the page's first entry
// alone, as pending, and where the page ends: 0.5 µs per entry together.
//
// The mark is an ordinary pending entry, so idle times, claims and trimming work by it. Whoever takes over a mark, or finds
// its own after a restart, first dissolves the run into ordinary pending entries: all that follows knows only those.
import type { Redis } from 'ioredis';
import { runsKey } from '../contracts/index.ts';
import type { StreamEntry } from './entry_parser.ts';
import type { GroupReader } from './group_reader.ts';
import { loadScript, runScript } from './script.ts';
import { before } from './stream_id.ts';

const takeScript = loadScript('run_take');
const doneScript = loadScript('run_done');
const dissolveScript = loadScript('run_dissolve');

export interface RunsOptions {
  redis: Redis;
  stream: string;
  group: string;
  consumer: string;
}

/** Entries that are pending under the mark of the first one. */
export interface Run {
  readonly first: string;
  /** What the hash of runs holds: `<last id> <entries> <consumer>`. */
  readonly value: string;
  readonly entries: readonly StreamEntry[];
}

/** What came of dissolving a run. */
export interface Dissolved {
  /** Where it ends; null when there was none. */
  last: string | null;
  /** Entries that it stood for and that are no longer in the stream, its mark not counted. */
  lost: number;
}

/** Entries that one dissolving call makes pending: bounded time on the server. */
const DISSOLVE_PAGE = 500;

export class Runs {
  readonly #options: RunsOptions;
  readonly #key: string;
  /** Runs in our hands by their marks. */
  readonly #open = new Map<string, Run>();

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#key = runsKey(options.stream, options.group);
  }

  /** Whether the pending entry `id` is the mark of a run that we work on. */
  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  /** Reads the entries behind `position`, at most `count`, without taking them. */
  async read(reader: GroupReader, position: string, count: number): Promise<StreamEntry[]> {
    const page: StreamEntry[] = [];
    await reader.readStream(this.#options.stream, position, count, (entry) => page.push(entry));
    return page;
  }

  /**
   * Takes a page that was read behind `position`. Null when it is ours; else the group's position now: another consumer was
   * faster, or the first entry was deleted. Rejects with NOGROUP, or when Redis does not answer.
   */
  async take(page: readonly StreamEntry[], position: string): Promise<string | null> {
    const { redis, stream, group, consumer } = this.#options;
    const first = page[0]?.id ?? position;
    const last = page[page.length - 1]?.id ?? position;
    const moved = (await runScript(redis, takeScript, [stream, this.#key], [group, consumer, position, first, last, page.length])) as string;
    if (moved !== '') return moved;
    const run: Run = { first, value: `${last} ${page.length} ${consumer}`, entries: page };
    this.#open.set(first, run);
    for (const entry of page) entry.run = run;
    return null;
  }

  /** Acknowledges whole runs. Rejects when Redis does not answer: repeat it. */
  async done(runs: Iterable<Run>): Promise<void> {
    const { redis, stream, group } = this.#options;
    const all = [...runs];
    if (all.length === 0) return;
    await runScript(redis, doneScript, [stream, this.#key], [group, ...all.flatMap(({ first, value }) => [first, value])]);
    for (const { first } of all) this.#open.delete(first);
  }

  /**
   * Makes every entry of a run of ours an ordinary pending one, to be acknowledged by itself. Repeatable: whatever marks a call
   * whose answer was lost has left behind lie inside the run.
   */
  async split(run: Run): Promise<void> {
    const last = run.value.split(' ', 1)[0] ?? run.first;
    const inside = (id: string): boolean => !before(id, run.first) && !before(last, id);
    for (let marks = [run.first]; marks.length > 0; ) {
      for (const mark of marks) await this.dissolve(mark);
      marks = (await this.#options.redis.hkeys(this.#key)).filter(inside);
    }
    this.#open.delete(run.first);
    for (const entry of run.entries) entry.run = null;
  }

  /** Turns the run marked by `first`, whoever had it, into ordinary pending entries of ours. */
  async dissolve(first: string): Promise<Dissolved> {
    const { redis, stream, group, consumer } = this.#options;
    const result: Dissolved = { last: null, lost: 0 };
    for (let next = first; next !== ''; ) {
      const args = [group, consumer, next, DISSOLVE_PAGE];
      const [lost, rest, last] = (await runScript(redis, dissolveScript, [stream, this.#key], args)) as [number, string, string];
      if (last !== '') result.last = last;
      result.lost += lost;
      next = rest;
    }
    return result;
  }

  /**
   * Runs whose mark is pending with nobody: it was deleted from the stream, and whoever learned of it died, or its consumer was
   * deleted. Nothing else leads to their entries any more.
   */
  async orphans(): Promise<string[]> {
    const { redis, stream, group } = this.#options;
    const found: string[] = [];
    for (const first of await redis.hkeys(this.#key)) {
      if (this.#open.has(first)) continue;
      const mark = await redis.xpending(stream, group, first, first, 1);
      if (mark.length === 0) found.push(first);
    }
    return found;
  }

  /** Those of `ids` that mark runs which nobody works on, as far as we know. */
  async marksAmong(ids: readonly string[]): Promise<string[]> {
    if (ids.length === 0) return [];
    const values = await this.#options.redis.hmget(this.#key, ...ids);
    return ids.filter((id, n) => (values[n] ?? null) !== null && !this.#open.has(id));
  }

  /** Entries of all consumers that are pending under a mark, beside the marks themselves. */
  async hidden(): Promise<number> {
    const values = await this.#options.redis.hvals(this.#key);
    return values.reduce((sum, value) => sum + Math.max(0, Number(value.split(' ')[1] ?? 1) - 1), 0);
  }
}
