// The latest ticker of each symbol, merged from patches, and when it is told: the first at once, then at most one per
// interval, so that a flood of quotes costs no more than a trickle.
import { TICKER_FIELDS, type TickerPatch } from '../../exchanges/exchange.ts';
import { tickerPayload } from '../../exchanges/payload.ts';

export interface TickerBookOptions {
  marketId: string;
  intervalMs: number;
  /** Gets each ticker message with the state it was made of. */
  out: (payload: string, state: Readonly<TickerPatch>) => void;
}

interface Entry {
  readonly state: TickerPatch;
  sentMs: number;
}

export class TickerBook {
  readonly #options: TickerBookOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #dirty = new Set<Entry>();

  constructor(options: TickerBookOptions) {
    this.#options = options;
  }

  /** Merges a patch: what it does not tell stays as it was. `hold`: nothing goes out now. */
  update(patch: TickerPatch, nowMs: number, hold: boolean): void {
    let entry = this.#entries.get(patch.symbol);
    if (entry === undefined) {
      const values = new Array<string | null | undefined>(TICKER_FIELDS.length).fill(undefined);
      entry = { state: { symbol: patch.symbol, exchangeTs: 0, receivedTs: 0, values }, sentMs: -Infinity };
      this.#entries.set(patch.symbol, entry);
    }
    const { state } = entry;
    state.exchangeTs = patch.exchangeTs;
    state.receivedTs = patch.receivedTs;
    for (let i = 0; i < patch.values.length; i++) {
      const value = patch.values[i];
      if (value !== undefined) state.values[i] = value;
    }
    if (hold || nowMs - entry.sentMs < this.#options.intervalMs) this.#dirty.add(entry);
    else this.#send(entry, nowMs);
  }

  /** Sends the changed ones whose interval is over. */
  flush(nowMs: number): void {
    for (const entry of this.#dirty) {
      if (nowMs - entry.sentMs >= this.#options.intervalMs) this.#send(entry, nowMs);
    }
  }

  forget(symbol: string): void {
    const entry = this.#entries.get(symbol);
    if (entry === undefined) return;
    this.#entries.delete(symbol);
    this.#dirty.delete(entry);
  }

  #send(entry: Entry, nowMs: number): void {
    entry.sentMs = nowMs;
    this.#dirty.delete(entry);
    this.#options.out(tickerPayload(this.#options.marketId, entry.state), entry.state);
  }
}
