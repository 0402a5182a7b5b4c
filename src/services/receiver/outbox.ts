// The ordered buffer between the feed and Redis. A lone message goes out at once; while calls are in flight the next batch
// builds up. What it once took is never dropped: when it is full it refuses, and the caller remembers what.
import type { PublishBatch } from '../../bus/publish.ts';
import type { Clock } from '../../core/clock.ts';

export interface OutboxOptions {
  publish: (batch: PublishBatch) => Promise<void>;
  clock: Clock;
  /** Messages held at most. */
  limit: number;
  /** A batch is stored: how long the call took, the age of its oldest message that came straight from the socket (null: none did). */
  onStored?: (callMs: number, oldestMs: number | null, lastSeqs: ReadonlyMap<string, number>) => void;
  /** The buffer was full and is half empty again. */
  onRoom: () => void;
}

interface Item {
  payload: string;
  /** null: the message says nothing about a position. */
  symbol: string | null;
  position: number;
  /** When it came over the socket, µs; 0 for what was made or held back here. */
  receivedTs: number;
}

/** A transaction blocks Redis for about 1.3 µs per payload. */
const MAX_BATCH = 1_000;
const MAX_BATCH_CHARS = 1_000_000;
const MAX_IN_FLIGHT = 2;
/** A second call overtakes nobody but costs a round trip: worth it for this many. */
const SECOND_CALL_FROM = 64;
const COMPACT_FROM = 8_192;

export class Outbox {
  readonly #options: OutboxOptions;
  #items: Item[] = [];
  #head = 0;
  #inFlight = 0;
  #inFlightMessages = 0;
  #full = false;
  #idle: (() => void)[] = [];

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Messages not stored yet, those in flight included. */
  get length(): number {
    return this.#items.length - this.#head + this.#inFlightMessages;
  }

  /** Full since the limit was reached, until it is half empty: nothing but status goes in meanwhile. */
  get full(): boolean {
    return this.#full;
  }

  /** A quarter full: what can be had again later need not queue now. */
  get crowded(): boolean {
    return this.length * 4 > this.#options.limit;
  }

  /** Takes a message, or returns false when full. `position`: up to where `symbol` is complete once this is stored. */
  push(payload: string, symbol: string | null, position: number, receivedTs: number): boolean {
    if (this.#full || this.length >= this.#options.limit) {
      this.#full = true;
      return false;
    }
    this.#items.push({ payload, symbol, position, receivedTs });
    return true;
  }

  /** Takes a message even when full: for the few that tell what happened to the feed. */
  pushStatus(payload: string, symbol: string | null, position: number): void {
    this.#items.push({ payload, symbol, position, receivedTs: 0 });
  }

  /** Sends what may go now. Call it after every turn that pushed. */
  kick(): void {
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const waiting = this.#items.length - this.#head;
      if (waiting === 0 || (this.#inFlight > 0 && waiting < SECOND_CALL_FROM)) return;
      void this.#send(this.#take());
    }
  }

  /** Resolves when everything is stored, or after `deadlineMs`; tells how much is left. */
  async drain(deadlineMs: number): Promise<number> {
    this.kick();
    if (this.length > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#idle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.length;
  }

  #take(): Item[] {
    let end = this.#head;
    let chars = 0;
    while (end < this.#items.length && end - this.#head < MAX_BATCH) {
      chars += this.#items[end]!.payload.length;
      if (chars > MAX_BATCH_CHARS && end > this.#head) break;
      end++;
    }
    const batch = this.#items.slice(this.#head, end);
    this.#head = end;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= COMPACT_FROM && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return batch;
  }

  async #send(items: readonly Item[]): Promise<void> {
    const { clock, publish, onStored } = this.#options;
    const lastSeqs = new Map<string, number>();
    for (const { symbol, position } of items) if (symbol !== null) lastSeqs.set(symbol, position);
    const oldest = items.find((item) => item.receivedTs > 0)?.receivedTs;
    const from = clock.monotonicMs();
    this.#inFlight++;
    this.#inFlightMessages += items.length;
    // Only a closed publisher rejects: the process is ending, and the next one finds the gap by feed:seq.
    const stored = await publish({ payloads: items.map((item) => item.payload), lastSeqs }).then(() => true, () => false);
    if (!stored) return;
    onStored?.(clock.monotonicMs() - from, oldest === undefined ? null : (clock.nowMicros() - oldest) / 1000, lastSeqs);
    this.#inFlight--;
    this.#inFlightMessages -= items.length;
    if (this.#full && this.length * 2 <= this.#options.limit) {
      this.#full = false;
      this.#options.onRoom();
    }
    this.kick();
    if (this.length === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}
