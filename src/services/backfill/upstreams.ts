// Exchanges that do not answer: their jobs wait, longer each time, and those of the others go on. One for each queue of a process: an
// exchange may serve candles and no trades.
import type { EventSink } from '../../bus/events.ts';
import { Backoff } from '../../core/backoff.ts';
import type { Clock } from '../../core/clock.ts';
import type { BackfillMetrics } from './metrics.ts';

export interface UpstreamsOptions {
  queue: string;
  clock: Pick<Clock, 'monotonicMs'>;
  random: () => number;
  events: Pick<EventSink, 'emit'>;
  metrics: Pick<BackfillMetrics, 'unanswered'>;
}

interface Silence {
  sinceMs: number;
  againMs: number;
  backoff: Backoff;
  told: boolean;
}

/** The longest wait is what a job waits too long, once the exchange is back. */
const RETRY = { baseMs: 1_000, maxMs: 10_000 };
/** A single bad moment is no news. */
const NEWS_MS = 10_000;

export class Upstreams {
  readonly #o: UpstreamsOptions;
  readonly #silent = new Map<string, Silence>();

  constructor(options: UpstreamsOptions) {
    this.#o = options;
  }

  /** How long a market is left alone from now, ms; 0: it may be asked. */
  waitMs(marketId: string): number {
    return Math.max(0, (this.#silent.get(marketId)?.againMs ?? 0) - this.#now());
  }

  /** It was asked and gave no answer of its own, for this reason. */
  failed(marketId: string, reason: string): void {
    const { random, queue, events, metrics } = this.#o;
    const now = this.#now();
    const silence = this.#silent.get(marketId) ?? { sinceMs: now, againMs: 0, told: false, backoff: new Backoff({ ...RETRY, random }) };
    this.#silent.set(marketId, silence);
    silence.againMs = now + silence.backoff.next();
    const lastedMs = now - silence.sinceMs;
    metrics.unanswered.set({ queue, market_id: marketId }, lastedMs / 1_000);
    if (silence.told || lastedMs < NEWS_MS) return;
    silence.told = true;
    events.emit({ type: 'backfill.waiting', severity: 'warning', market_id: marketId, data: { queue, reason } });
  }

  /** It answered. */
  answered(marketId: string): void {
    const silence = this.#silent.get(marketId);
    if (silence === undefined) return;
    const { queue, events, metrics } = this.#o;
    this.#silent.delete(marketId);
    metrics.unanswered.set({ queue, market_id: marketId }, 0);
    if (!silence.told) return;
    const seconds = Math.round((this.#now() - silence.sinceMs) / 1_000);
    events.emit({ type: 'backfill.resumed', severity: 'info', market_id: marketId, data: { queue, seconds } });
  }

  #now(): number {
    return this.#o.clock.monotonicMs();
  }
}
