// The distributor's heart: entries in, transactions out, acknowledgements after the commit.
//
//   consumer ─entry()→ building ─makeReady→ ready ─store→ commit ─settle→ dead letters, XACK
//
// Three batches move at once: one is filled, one waits planned and encoded, one is with the database; so the database never
// waits for decoding and memory stays bounded. A lone message is flushed at once, a steady trickle every LINGER_MS.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { EntrySink, StreamConsumer, StreamEntry } from '../../bus/consumer.ts';
import { writeDeadLetters, type DeadLetter, type DlqSource } from '../../bus/dlq.ts';
import type { EventSink } from '../../bus/events.ts';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import type { Health } from '../../runtime/health.ts';
import type { Logger } from '../../runtime/log.ts';
import { Batch, batchOf, type BatchContext, type Prepared } from './batch.ts';
import type { DistributorMetrics } from './metrics.ts';
import { Wake } from './wake.ts';
import type { BatchWriter } from './writer.ts';

export interface PumpOptions {
  redis: Redis;
  consumer: StreamConsumer;
  source: DlqSource;
  writer: BatchWriter;
  context: BatchContext;
  events: Pick<EventSink, 'emit'>;
  metrics: DistributorMetrics;
  health: Health;
  log: Pick<Logger, 'info' | 'warn'>;
  clock: Clock;
  random: () => number;
  maxRows: number;
}

interface Job {
  batch: Batch;
  prepared: Prepared;
  startedMs: number;
  /** The entry that has already killed its consumer several times, and is alone in this batch. */
  suspect: StreamEntry | null;
}

/** Under a steady trickle: one commit per this many ms. */
const LINGER_MS = 20;
/** Delivered so often without an acknowledgement, an entry is tried alone … */
const SUSPECT_AFTER = 5;
/** … with its delivery counter set to this first, so that a death is blamed on it and on nothing else … */
const ALONE = 1_000;
/** … and given up after two such deaths. */
const GIVEN_UP = ALONE + 2;
const RETRY = { baseMs: 50, maxMs: 2_000 };

export class Pump implements EntrySink {
  readonly #options: PumpOptions;
  readonly #wake = new Wake();
  readonly #abandon = new AbortController();
  readonly #inHand = new Set<Batch>();
  readonly #suspects: StreamEntry[] = [];
  #building = new Batch();
  #ready: Job | null = null;
  /** What the one writer does; `settling` overlaps with its next batch. */
  #writer: 'idle' | 'storing' = 'idle';
  #settling: Promise<void> = Promise.resolve();
  #outage: Error | null = null;
  #redis: 'well' | 'troubled' = 'well';
  #closing = false;
  #lastFlushMs = -Infinity;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#inHand.add(this.#building);
  }

  /** Works until finish(). Rejects on a fault of our own. */
  async run(): Promise<void> {
    await Promise.all([this.#prepareLoop(), this.#writeLoop()]).catch((error: unknown) => {
      if (!this.#abandon.signal.aborted) throw error;
    });
  }

  /** Call after the intake has ended: finishes what is in hand, at most `deadlineMs` long; the rest stays pending. */
  async finish(deadlineMs: number, running: Promise<void>): Promise<void> {
    this.#closing = true;
    this.#wake.notify();
    const deadline = sleep(this.#outage === null ? deadlineMs : 0, undefined, { ref: false });
    await Promise.race([running.then(() => this.#settling), deadline]);
    this.#abandon.abort();
    // A server that does not answer: nobody waits for it any more.
    this.#options.consumer.close();
    await running;
    await this.#settling;
  }

  /** The database is away, or back (null): reading and claiming pause. */
  outage(reason: Error | null): void {
    this.#outage = reason;
    this.#options.health.set('database', reason === null, reason?.message ?? '');
    this.#wake.notify();
  }

  async room(signal: AbortSignal): Promise<void> {
    const full = (): boolean => this.#outage !== null || this.#suspects.length > 0 || this.#building.size >= this.#options.maxRows;
    const onAbort = (): void => this.#wake.notify();
    signal.addEventListener('abort', onAbort, { once: true });
    await this.#wake.until(() => signal.aborted || !full());
    signal.removeEventListener('abort', onAbort);
  }

  readonly entry = (entry: StreamEntry): void => {
    // A suspect is not even decoded: that may be what kills.
    if (entry.deliveries >= SUSPECT_AFTER) this.#suspects.push(entry);
    else this.#building.add(entry, this.#options.context);
    const { size } = this.#building;
    if (size <= 1 || size >= this.#options.maxRows || this.#suspects.length > 0) this.#wake.notify();
  };

  held(): ReadonlySet<string> {
    return new Set([...[...this.#inHand].flatMap((batch) => batch.pending().ids), ...this.#suspects.map((entry) => entry.id)]);
  }

  trouble(reason: Error | null): void {
    const { health, log } = this.#options;
    health.set('redis', reason === null, reason?.message ?? '');
    if (reason !== null && this.#redis === 'well') log.warn({ reason: reason.message }, 'redis does not do what we need, trying again');
    this.#redis = reason === null ? 'well' : 'troubled';
  }

  lost(count: number, first: string): void {
    const { metrics, log } = this.#options;
    metrics.lost.inc(count);
    log.warn({ entries: count, first }, 'pending entries were deleted from the stream: their content is lost');
  }

  claimed(count: number): void {
    this.#options.metrics.claimed.inc(count);
    this.#options.log.info({ entries: count }, 'took over entries of a dead consumer');
  }

  async #prepareLoop(): Promise<void> {
    for (;;) {
      await this.#wake.until(() => this.#ready === null && (this.#closing || this.#building.size > 0 || this.#suspects.length > 0));
      if (this.#building.size > 0) {
        await this.#untilWorthwhile();
        await this.#makeReady(this.#takeBuilding(), null);
      } else if (this.#suspects.length > 0 && !this.#closing) {
        await this.#tryAlone();
      } else {
        this.#wake.notify();
        return;
      }
    }
  }

  /** Full, or the writer has nothing to do and the last flush is a moment ago. */
  async #untilWorthwhile(): Promise<void> {
    const { clock, maxRows } = this.#options;
    const full = (): boolean => this.#building.size >= maxRows || this.#closing || this.#suspects.length > 0;
    await this.#wake.until(() => full() || this.#writer === 'idle');
    for (let left = 1; !full() && left > 0; ) {
      left = this.#lastFlushMs + LINGER_MS - clock.monotonicMs();
      if (left > 0) await this.#wake.next(left);
    }
  }

  #takeBuilding(): Batch {
    const batch = this.#building;
    this.#building = new Batch();
    this.#inHand.add(this.#building);
    this.#wake.notify();
    return batch;
  }

  async #makeReady(batch: Batch, suspect: StreamEntry | null): Promise<void> {
    const { writer, clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    this.#lastFlushMs = startedMs;
    metrics.entries.inc(batch.size);
    metrics.batchRows.observe(batch.size);
    const prepared = await writer.makeReady(batch, this.#abandon.signal);
    this.#ready = { batch, prepared, startedMs, suspect };
    this.#wake.notify();
  }

  /** One entry with nothing else on its way, its delivery counter marked first. */
  async #tryAlone(): Promise<void> {
    const { consumer, context } = this.#options;
    const entry = this.#suspects[0];
    if (entry === undefined) return;
    await this.#wake.until(() => this.#writer === 'idle' && this.#ready === null);
    await this.#settling;
    const givenUp = entry.deliveries >= GIVEN_UP;
    if (!givenUp) await this.#persist(() => consumer.markDeliveries(entry.id, Math.max(ALONE, entry.deliveries)));
    const batch = givenUp ? new Batch() : batchOf([entry], context);
    const error = 'every process that tried this entry alone died';
    if (givenUp) batch.refuse(entry, { error, errorClass: 'poison' }, context);
    this.#inHand.add(batch);
    await this.#makeReady(batch, entry);
    await this.#wake.until(() => !this.#inHand.has(batch));
    this.#suspects.shift();
    this.#wake.notify();
  }

  async #writeLoop(): Promise<void> {
    const { writer, clock, metrics } = this.#options;
    for (;;) {
      this.#writer = 'idle';
      this.#wake.notify();
      await this.#wake.until(() => this.#ready !== null || (this.#closing && this.#building.size === 0 && this.#idle()));
      const job = this.#ready;
      if (job === null) return this.#settling;
      this.#writer = 'storing';
      this.#ready = null;
      // Once the batch has left: planning the next one takes milliseconds, for which the server would be idle.
      setImmediate(() => this.#wake.notify());
      let letters: DeadLetter[];
      try {
        letters = await writer.store(job.prepared, this.#abandon.signal);
      } catch (error) {
        await this.#unmark(job.suspect);
        throw error;
      }
      const now = clock.monotonicMs();
      metrics.batchSeconds.observe((now - job.startedMs) / 1000);
      if (job.batch.oldest !== Infinity) metrics.oldestSeconds.observe(Math.max(0, clock.nowMicros() - job.batch.oldest) / 1e6);
      await this.#settling;
      this.#settling = this.#settle(job.batch, [...job.batch.letters, ...letters]);
    }
  }

  /** Nothing is between building and ready. */
  #idle(): boolean {
    return [...this.#inHand].every((batch) => batch === this.#building);
  }

  /** After the commit: dead letters first (their script acknowledges), then the rest. */
  async #settle(batch: Batch, letters: readonly DeadLetter[]): Promise<void> {
    const { redis, source, consumer } = this.#options;
    const dead = new Set(letters.map((letter) => letter.sourceId));
    if (letters.length > 0) {
      // From here on each entry counts for itself: what is dead must not be acknowledged with its neighbours.
      await this.#persist(() => Promise.all([...batch.pending().runs].map((run) => consumer.split(run))));
      const written = await this.#persist(() => writeDeadLetters(redis, source, letters));
      for (const letter of written ?? []) this.#report(letter);
    }
    const { ids, runs } = batch.pending();
    const alive = dead.size === 0 ? ids : ids.filter((id) => !dead.has(id));
    if (alive.length > 0) await this.#persist(() => consumer.ack(alive));
    await this.#persist(() => consumer.runsDone(runs));
    this.#inHand.delete(batch);
    batch.release();
    this.#wake.notify();
  }

  #report({ sourceId, error, errorClass }: DeadLetter): void {
    const { metrics, events, log } = this.#options;
    metrics.letters.inc({ error_class: errorClass });
    log.warn({ source_id: sourceId, error_class: errorClass, error }, 'dead letter');
    events.emit({ type: 'dlq.entry', severity: 'error', data: { source_id: sourceId, error_class: errorClass, error } });
  }

  /** Leaving in an orderly way is not the entry's fault. */
  async #unmark(suspect: StreamEntry | null): Promise<void> {
    if (suspect !== null) await this.#options.consumer.markDeliveries(suspect.id, SUSPECT_AFTER).catch(() => undefined);
  }

  /** Repeats a Redis command until it works; null when we left before it did. */
  async #persist<T>(work: () => Promise<T>): Promise<T | null> {
    const backoff = new Backoff({ ...RETRY, random: this.#options.random });
    const { signal } = this.#abandon;
    while (!signal.aborted) {
      try {
        return await work();
      } catch (error) {
        if (backoff.attempts === 0) this.trouble(toError(error));
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}
