// From stream:signals to answers: entries come one at a time to the gate, their orders are on the wire side by side, and each entry is
// acknowledged once its outcome is committed. What cannot be handled at all is answered MALFORMED, so that it does not come for ever.
import type { SignalEntry, SignalReader } from '../../bus/signals.ts';
import { classify, toError } from '../../core/errors.ts';
import { FencedError, type Refusal, type TradingStore } from '../../core/trading/records.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Delivery, SignalOutcome } from './intake.ts';
import type { ExecutorMetrics } from './metrics.ts';
import { refusalUpdate, type Update } from './updates.ts';

export interface IntakeLoopOptions {
  reader: SignalReader;
  handle: (payload: string, mac: string | null, delivery: Delivery) => Promise<SignalOutcome>;
  store: TradingStore;
  account: string;
  clock: Clock;
  log: Pick<Logger, 'warn' | 'error'>;
  metrics: ExecutorMetrics;
  tell: (update: Update) => void;
}

export class IntakeLoop {
  readonly #options: IntakeLoopOptions;
  readonly #underWay = new Set<Promise<void>>();

  constructor(options: IntakeLoopOptions) {
    this.#options = options;
  }

  /** Takes entries until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void> {
    return this.#options.reader.run((entry) => this.#take(entry), signal);
  }

  /** Resolves when the orders that are on their way have come to their ends. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Resolves when the next entry may come. */
  #take(entry: SignalEntry): Promise<void> {
    return new Promise((resolve) => {
      // A turn later: reading on is a write to Redis, and must not come before the one of this entry's intent.
      const work = this.#handle(entry, () => void setImmediate(resolve)).finally(() => {
        resolve();
        this.#underWay.delete(work);
      });
      this.#underWay.add(work);
    });
  }

  async #handle(entry: SignalEntry, passed: () => void): Promise<void> {
    const { handle, reader, log, metrics } = this.#options;
    try {
      const outcome = await handle(entry.payload ?? '', entry.mac, { passed, again: entry.again });
      metrics.signals.inc({ outcome: outcome.kind });
    } catch (error) {
      if (error instanceof FencedError || classify(error) === 'infrastructure') {
        log.warn({ err: toError(error), id: entry.id }, 'a signal could not be handled now, it comes again');
        metrics.signals.inc({ outcome: 'again' });
        reader.left(entry.id);
        return;
      }
      log.error({ err: toError(error), id: entry.id }, 'a signal cannot be handled');
      metrics.signals.inc({ outcome: 'poison' });
      await this.#poison(entry, toError(error).message);
    }
    await reader.done(entry.id).catch((error: unknown) => log.warn({ err: toError(error), id: entry.id }, 'not acknowledged, it comes again'));
  }

  /** The answer holds nothing of the payload: it may be what the store cannot take. */
  async #poison(entry: SignalEntry, why: string): Promise<void> {
    const { store, account, clock, metrics, tell, log } = this.#options;
    const refusal: Refusal = {
      at: clock.nowMicros(), account, signalId: null, strategy: null, marketId: null, symbol: null, code: 'MALFORMED',
      reason: `cannot be handled: ${why.replaceAll(/[^\x20-\x7e]/g, '?')}`.slice(0, 512), signal: { stream_id: entry.id, bytes: entry.payload?.length ?? 0 },
    };
    metrics.refusals.inc({ code: refusal.code });
    tell(refusalUpdate(refusal));
    await store.insertRefusal(refusal).catch((error: unknown) => log.warn({ err: toError(error) }, 'a refusal is not on record'));
  }
}
