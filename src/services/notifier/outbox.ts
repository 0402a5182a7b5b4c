// Events of stream:system_events to one target: filtered, each kind once in a while, together when they come faster than the target
// shall be written to. An event is acknowledged when it was told (or is not to be); while the target is away events wait in the stream.
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntrySink, StreamConsumer, StreamEntry } from '../../bus/consumer.ts';
import { parseSystemEvent, type SystemEvent } from '../../contracts/index.ts';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import { parsePlain } from '../../core/json.ts';
import { postJson } from '../../net/webhook.ts';
import { isWantedType, severityValues, type NotifyConfig } from '../../runtime/analyzer_env.ts';
import type { Health } from '../../runtime/health.ts';
import type { Logger } from '../../runtime/log.ts';
import { kindOf } from './message.ts';
import type { NotifierMetrics } from './metrics.ts';
import type { Target } from './targets.ts';

export interface OutboxOptions {
  target: Target;
  config: Pick<NotifyConfig, 'minSeverity' | 'types' | 'perMinute' | 'repeatMs'>;
  consumer: Pick<StreamConsumer, 'ack'>;
  metrics: NotifierMetrics;
  health: Health;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  clock: Clock;
  random: () => number;
}

interface Waiting {
  readonly id: string;
  readonly event: SystemEvent;
}

const TIMEOUT_MS = 10_000;
const RETRY = { baseMs: 1_000, maxMs: 60_000 };
const ACK_RETRY = { baseMs: 50, maxMs: 2_000 };
/** Events in hand; the others wait in the stream. */
const MAX_WAITING = 500;
const PER_MESSAGE = 50;
/** Messages that may follow each other at once. */
const BURST = 5;
/** Ids and kinds that are remembered. */
const REMEMBERED = 10_000;

export class Outbox implements EntrySink {
  readonly #options: OutboxOptions;
  readonly #queue: Waiting[] = [];
  readonly #held = new Set<string>();
  /** Event ids that were told. */
  readonly #told = new Set<string>();
  /** By kind: when the last one that was taken in happened (ms, the event's time). */
  readonly #lastOfKind = new Map<string, number>();
  readonly #leftOut = new Map<string, number>();
  #tokens = BURST;
  #refilledMs: number;
  #changed = Promise.withResolvers<undefined>();

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#refilledMs = options.clock.monotonicMs();
  }

  async room(signal: AbortSignal): Promise<void> {
    while (this.#held.size >= MAX_WAITING && !signal.aborted) await this.#change(signal);
  }

  readonly entry = (entry: StreamEntry): void => {
    this.#held.add(entry.id);
    const event = eventOf(entry);
    if (event === null || !this.#isNews(event)) void this.#settle([entry.id]);
    else this.#queue.push({ id: entry.id, event });
    this.#tellWaiting();
  };

  held(): ReadonlySet<string> {
    return this.#held;
  }

  trouble(reason: Error | null): void {
    this.#options.health.set('redis', reason === null, reason?.message ?? '');
  }

  lost(count: number): void {
    const { metrics, log, target } = this.#options;
    metrics.lost.inc({ target: target.name }, count);
    log.warn({ target: target.name, events: count }, 'events were trimmed from the stream before they could be told');
  }

  claimed(): void {
    // From a notifier that was here before: nothing to say.
  }

  /** Tells what comes until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      if (this.#queue.length === 0) await this.#change(signal);
      else if (await this.#token(signal)) await this.#send(this.#queue.splice(0, PER_MESSAGE), signal);
    }
  }

  async #send(batch: readonly Waiting[], signal: AbortSignal): Promise<void> {
    const { target, health, metrics, log, clock, random } = this.#options;
    const labels = { target: target.name };
    const backoff = new Backoff({ ...RETRY, random });
    const body = target.body({ events: batch.map(({ event }) => event), leftOut: this.#takeLeftOut(batch) });
    const ended = (): boolean => signal.aborted;
    while (!ended()) {
      const posted = await postJson(target.url, body, { timeoutMs: TIMEOUT_MS, clock, signal });
      if (posted.kind !== 'later') {
        health.set(target.name, true);
        if (posted.kind === 'told') metrics.told.inc(labels, batch.length);
        else metrics.refused.inc(labels);
        const events = batch.map(({ event }) => event.event_id);
        if (posted.kind === 'refused') log.error({ target: target.name, reason: posted.reason, events }, 'message refused');
        for (const { event } of batch) remember(this.#told, event.event_id);
        await this.#settle(batch.map(({ id }) => id));
        return;
      }
      if (ended()) return;
      metrics.failures.inc(labels);
      health.set(target.name, false, posted.reason);
      if (backoff.attempts === 0) log.warn({ target: target.name, reason: posted.reason, events: batch.length }, 'not told, trying again');
      await sleep(Math.max(posted.retryAfterMs ?? 0, backoff.next()), undefined, { signal }).catch(() => undefined);
    }
  }

  /** How many of the batch's kinds were left out; what was of other kinds is told with the next event of those. */
  #takeLeftOut(batch: readonly Waiting[]): ReadonlyMap<string, number> {
    const taken = new Map<string, number>();
    for (const { event } of batch) {
      const kind = kindOf(event);
      const count = this.#leftOut.get(kind);
      if (count !== undefined) taken.set(kind, count);
      this.#leftOut.delete(kind);
    }
    return taken;
  }

  /** Whether the event is to be told: wanted, and neither told already nor one of a kind that was told shortly before. */
  #isNews(event: SystemEvent): boolean {
    const { config, metrics, target } = this.#options;
    if (severityValues.indexOf(event.severity) < severityValues.indexOf(config.minSeverity) || !isWantedType(event.type, config.types)) return false;
    if (this.#told.has(event.event_id) || this.#queue.some((waiting) => waiting.event.event_id === event.event_id)) return false;
    const kind = kindOf(event);
    const last = this.#lastOfKind.get(kind);
    if (last !== undefined && Math.abs(event.ts / 1000 - last) < config.repeatMs) {
      this.#leftOut.set(kind, (this.#leftOut.get(kind) ?? 0) + 1);
      metrics.leftOut.inc({ target: target.name });
      return false;
    }
    this.#lastOfKind.delete(kind);
    this.#lastOfKind.set(kind, event.ts / 1000);
    const [oldest] = this.#lastOfKind.keys();
    if (this.#lastOfKind.size > REMEMBERED && oldest !== undefined) {
      this.#lastOfKind.delete(oldest);
      this.#leftOut.delete(oldest);
    }
    return true;
  }

  /** Acknowledges until it works; what is not when we leave is told again, or left out by its id. */
  async #settle(ids: readonly string[]): Promise<void> {
    const backoff = new Backoff({ ...ACK_RETRY, random: this.#options.random });
    for (;;) {
      try {
        await this.#options.consumer.ack(ids);
        break;
      } catch {
        // Closed, or Redis is away: the consumer says so (trouble).
        if (backoff.attempts > 10) break;
        await sleep(backoff.next(), undefined, { ref: false });
      }
    }
    for (const id of ids) this.#held.delete(id);
    this.#tellWaiting();
  }

  /** Waits until another message may be sent; false when we leave before. */
  async #token(signal: AbortSignal): Promise<boolean> {
    const { clock, config } = this.#options;
    const perMs = config.perMinute / 60_000;
    const now = clock.monotonicMs();
    this.#tokens = Math.min(BURST, this.#tokens + (now - this.#refilledMs) * perMs);
    this.#refilledMs = now;
    if (this.#tokens < 1) {
      await sleep((1 - this.#tokens) / perMs, undefined, { signal }).catch(() => undefined);
      return false;
    }
    this.#tokens--;
    return !signal.aborted;
  }

  #tellWaiting(): void {
    this.#options.metrics.waiting.set({ target: this.#options.target.name }, this.#queue.length);
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }

  async #change(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<undefined>();
    const onAbort = (): void => aborted.resolve(undefined);
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#changed.promise, aborted.promise]);
    signal.removeEventListener('abort', onAbort);
  }
}

function eventOf(entry: StreamEntry): SystemEvent | null {
  const parsed = parseSystemEvent(parsePlain(entry.payload ?? ''));
  return parsed.ok ? parsed.value : null;
}

function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  const [oldest] = ids;
  if (ids.size > REMEMBERED && oldest !== undefined) ids.delete(oldest);
}
