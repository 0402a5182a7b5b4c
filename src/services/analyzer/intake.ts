// Entries in, events out, acknowledgements after what they caused is published: at least once in, once out (the events' ids see to it).
//
//   consumer ─entry()→ analysis ─found()→ events ─flush→ published, then acknowledged
//
// An event leaves at once; entries that cause none are acknowledged together, every LINGER_MS or every FLUSH_ENTRIES.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { EntrySink, StreamConsumer, StreamEntry } from '../../bus/consumer.ts';
import { emitOnce } from '../../bus/events_once.ts';
import type { Run } from '../../bus/runs.ts';
import { before } from '../../bus/stream_id.ts';
import { isWanted } from '../../bus/wanted.ts';
import type { SystemEvent } from '../../contracts/index.ts';
import type { Finding } from '../../core/analysis/finding.ts';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { Health } from '../../runtime/health.ts';
import type { Logger } from '../../runtime/log.ts';
import type { AnalyzerMetrics } from './metrics.ts';
import type { EntryReader } from './reader.ts';
import { eventOf } from './system_event.ts';

export interface IntakeOptions {
  /** Where events go. */
  redis: Redis;
  consumer: Pick<StreamConsumer, 'ack' | 'runsDone' | 'close'>;
  reader: EntryReader;
  metrics: AnalyzerMetrics;
  health: Health;
  log: Pick<Logger, 'info' | 'warn'>;
  clock: Clock;
  random: () => number;
}

interface Found {
  readonly event: SystemEvent;
  readonly receivedTs: number;
}

const LINGER_MS = 100;
const FLUSH_ENTRIES = 5_000;
/** Entries that may wait for their acknowledgement: beyond it nothing is read. */
const MAX_WAITING = 50_000;
const RETRY = { baseMs: 50, maxMs: 2_000 };

export class Intake implements EntrySink {
  readonly #options: IntakeOptions;
  readonly #abandon = new AbortController();
  #ids: string[] = [];
  #runs = new Set<Run>();
  #found: Found[] = [];
  #waiting = 0;
  /** Ids of the flush under way. */
  #leaving: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> | null = null;
  /** What the state was rebuilt from, up to this id: pending entries among it are acknowledged and not counted again. */
  #appliedUpTo: string | null = null;
  /** A state that is being rebuilt from what was settled says nothing. */
  muted = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** What was found is not told: it will be found once more. */
  forget(): void {
    this.#found = [];
  }

  /** Entries up to `id` were given to the reader already. */
  applied(id: string | null): void {
    this.#appliedUpTo = id;
  }

  readonly entry = (entry: StreamEntry): void => {
    if (entry.run === null) this.#ids.push(entry.id);
    else this.#runs.add(entry.run);
    this.#waiting++;
    if (!this.#wasApplied(entry)) this.#options.reader.read(entry);
    if (this.#found.length > 0 || this.#waiting >= FLUSH_ENTRIES) void this.#flushSoon();
    else this.#timer ??= setTimeout(() => void this.#flushSoon(), LINGER_MS);
  };

  /** Of the analysis: an event to publish. */
  found(finding: Finding): void {
    if (this.muted) return;
    if (finding.rule === 'quarantined') this.#options.metrics.quarantines.inc();
    this.#found.push({ event: eventOf(finding), receivedTs: this.#options.reader.receivedTs });
  }

  async room(signal: AbortSignal): Promise<void> {
    while (this.#waiting >= MAX_WAITING && !signal.aborted) await this.#flushSoon();
  }

  held(): ReadonlySet<string> {
    return new Set([...this.#ids, ...this.#leaving]);
  }

  trouble(reason: Error | null): void {
    this.#options.health.set('stream', reason === null, reason?.message ?? '');
  }

  lost(count: number, first: string): void {
    this.#options.metrics.lost.inc(count);
    this.#options.log.warn({ entries: count, first }, 'pending entries were deleted from the stream: their content is lost');
  }

  claimed(count: number): void {
    this.#options.log.info({ entries: count }, 'took over entries of a consumer of another name');
  }

  /** Publishes what was found without an entry of its own (a silence). */
  flush(): void {
    if (this.#found.length > 0) void this.#flushSoon();
  }

  /** After the intake has ended: what is in hand goes out, at most `deadlineMs` long; the rest is delivered again. */
  async finish(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => this.#abandon.abort(), deadlineMs);
    while (this.#waiting > 0 && !this.#abandon.signal.aborted) await this.#flushSoon();
    clearTimeout(timer);
    this.#abandon.abort();
    clearTimeout(this.#timer);
    this.#options.consumer.close();
  }

  #wasApplied(entry: StreamEntry): boolean {
    if (this.#appliedUpTo === null) return false;
    if (!before(this.#appliedUpTo, entry.id)) return true;
    // Pending entries come first: from the first new one on all are new.
    this.#appliedUpTo = null;
    return false;
  }

  #flushSoon(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing ??= this.#flushAll().finally(() => {
      this.#flushing = null;
    });
    return this.#flushing;
  }

  async #flushAll(): Promise<void> {
    while ((this.#found.length > 0 || this.#waiting > 0) && !this.#abandon.signal.aborted) {
      const { consumer, metrics, reader } = this.#options;
      const [ids, runs, found, taken] = [this.#ids, this.#runs, this.#found, this.#waiting];
      [this.#ids, this.#runs, this.#found] = [[], new Set(), []];
      this.#leaving = ids;
      metrics.messages.inc(taken);
      metrics.malformed.inc(reader.malformed);
      reader.malformed = 0;
      for (const each of found) await this.#publish(each);
      if (ids.length > 0) await this.#persist(() => consumer.ack(ids));
      if (runs.size > 0) await this.#persist(() => consumer.runsDone(runs));
      this.#leaving = [];
      this.#waiting -= taken;
      if (this.#found.length === 0 && this.#waiting < FLUSH_ENTRIES) {
        this.#lingerAgain();
        return;
      }
    }
  }

  /** What came while the last flush was under way waits its turn. */
  #lingerAgain(): void {
    if (this.#waiting > 0 && !this.#abandon.signal.aborted) this.#timer ??= setTimeout(() => void this.#flushSoon(), LINGER_MS);
  }

  async #publish({ event, receivedTs }: Found): Promise<void> {
    const { redis, metrics, clock, log } = this.#options;
    const { type, market_id: marketId, symbol } = event;
    // What was unsubscribed is silent because somebody wanted it so.
    const wanted = type !== 'market.stale_feed' || marketId === undefined
      || (await this.#persist(() => isWanted(redis, marketId, symbol)));
    if (wanted !== true) return;
    const published = await this.#persist(() => emitOnce(redis, event));
    if (published === null) return;
    if (!published) {
      metrics.repeated.inc();
      return;
    }
    metrics.events.inc({ type: event.type });
    if (receivedTs > 0) metrics.latency.observe(Math.max(0, clock.nowMicros() - receivedTs) / 1e6);
    log.info({ event_id: event.event_id, type, market_id: marketId, symbol }, 'event');
  }

  /** Repeats a Redis command until it works; null when we left before it did. */
  async #persist<T>(work: () => Promise<T>): Promise<T | null> {
    const { metrics, health, random } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    const { signal } = this.#abandon;
    while (!signal.aborted) {
      try {
        const result = await work();
        if (backoff.attempts > 0) health.set('redis', true);
        return result;
      } catch (error) {
        metrics.failures.inc();
        health.set('redis', false, toError(error).message);
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}
