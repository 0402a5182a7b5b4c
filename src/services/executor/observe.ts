// The intake of an executor that only observes: every signal is read and answered, and nothing is ever sent.
import type { Clock } from '../../core/clock.ts';
import type { Signal } from '../../contracts/index.ts';
import type { TradingStore } from '../../core/trading/records.ts';
import { readSignal, type SignalOutcome } from './intake.ts';
import { REFUSALS, refuse, type Refused } from './risk/codes.ts';
import { refusalUpdate, type Update } from './updates.ts';

/** No account is known, or none is to be used. */
export const OBSERVER = 'observe';

export interface ObserverOptions {
  store: TradingStore;
  clock: Clock;
  signalKey: Buffer | null;
  /** Why it only observes. */
  reason: string;
  tell: (update: Update) => void;
  refused: (code: string) => void;
}

export class Observer {
  readonly #options: ObserverOptions;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** Answers one entry; rejects only when the store does not answer. */
  entry(payload: string, mac: string | null): Promise<SignalOutcome> {
    const read = readSignal(payload, mac, this.#options.signalKey);
    return 'code' in read ? this.#no(read, null, payload.slice(0, 2_000)) : this.signal(read);
  }

  signal(signal: Signal): Promise<SignalOutcome> {
    return this.#no(refuse('OBSERVE', this.#options.reason), signal, signal);
  }

  async #no(refused: Refused, signal: Signal | null, raw: unknown): Promise<SignalOutcome> {
    const { store, clock, tell, refused: count } = this.#options;
    const refusal = {
      at: clock.nowMicros(), account: OBSERVER, signalId: signal?.signal_id ?? null, strategy: signal?.strategy ?? null,
      marketId: signal?.market_id ?? null, symbol: signal?.symbol ?? null, code: refused.code,
      reason: `${REFUSALS[refused.code]}: ${refused.detail}`.slice(0, 512), signal: raw,
    };
    await store.insertRefusal(refusal);
    count(refused.code);
    tell(refusalUpdate(refusal));
    return { kind: 'refused', refused };
  }
}
