// The ordered buffer between the feed and Redis. A lone message goes out at once; while calls are in flight the next
// batch builds up. What it once took is never dropped: when it is full it refuses, and the caller remembers what.
import type { PayloadBatch } from '../../bus/payload_batch.ts';
import type { Publisher } from '../../bus/publish.ts';
import type { Clock } from '../../core/clock.ts';

export interface OutboxOptions {
  publisher: Pick<Publisher, 'batch' | 'publish'>;
  clock: Clock;
  /** Messages held at most. */
  limit: number;
  /**
   * A batch is stored: how long the call took, the age of its oldest message that came straight from the socket (null:
   * none did).
   */
  onStored?: (callMs: number, oldestMs: number | null, lastSeqs: ReadonlyMap<string, number>) => void;
  /** The buffer was full and is half empty again. */
  onRoom: () => void;
}

/** A batch that is being filled, or waits until it is sent. */
interface Waiting {
  readonly batch: PayloadBatch;
  /** When its first message that came straight from the socket was read, µs; 0: it has none. */
  oldestTs: number;
}

/** A transaction blocks Redis for about 1.3 µs per payload. */
export const MAX_BATCH = 1_000;
const MAX_BATCH_BYTES = 1_000_000;
const MAX_IN_FLIGHT = 2;
/** A second call overtakes nobody but costs a round trip: worth it for this many. */
const SECOND_CALL_FROM = 64;

export class Outbox {
  readonly #options: OutboxOptions;
  /** Oldest first; the last one may be open. */
  readonly #waiting: Waiting[] = [];
  #length = 0;
  #inFlight = 0;
  #full = false;
  #idle: (() => void)[] = [];

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Messages not stored yet, those in flight included. */
  get length(): number {
    return this.#length;
  }

  /** Full since the limit was reached, until it is half empty: nothing but status goes in meanwhile. */
  get full(): boolean {
    return this.#full;
  }

  /** A quarter full: what can be had again later need not queue now. */
  get crowded(): boolean {
    return this.#length * 4 > this.#options.limit;
  }

  /**
   * Takes a message, or returns false when full. `position`: up to where `symbol` is complete once this is stored.
   * `receivedTs`: when it came over the socket, µs; 0 for what was made or held back here.
   */
  push(payload: string, symbol: string | null, position: number, receivedTs: number): boolean {
    if (this.#full || this.#length >= this.#options.limit) {
      this.#full = true;
      return false;
    }
    this.#add(payload, symbol, position, receivedTs);
    return true;
  }

  /** Takes a message even when full: for the few that tell what happened to the feed. */
  pushStatus(payload: string, symbol: string | null, position: number): void {
    this.#add(payload, symbol, position, 0);
  }

  /** Sends what may go now. Call it after every turn that pushed. */
  kick(): void {
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const [next] = this.#waiting;
      if (
        next === undefined ||
        (this.#inFlight > 0 && this.#waiting.length === 1 && next.batch.count < SECOND_CALL_FROM)
      )
        return;
      this.#waiting.shift();
      void this.#send(next);
    }
  }

  /** Resolves when everything is stored, or after `deadlineMs`; tells how much is left. */
  async drain(deadlineMs: number): Promise<number> {
    this.kick();
    if (this.#length > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#idle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.#length;
  }

  #add(payload: string, symbol: string | null, position: number, receivedTs: number): void {
    let last = this.#waiting.at(-1);
    if (last === undefined || last.batch.count >= MAX_BATCH || last.batch.size + payload.length > MAX_BATCH_BYTES) {
      last = { batch: this.#options.publisher.batch(), oldestTs: 0 };
      this.#waiting.push(last);
    }
    last.batch.add(payload);
    if (symbol !== null) last.batch.reached(symbol, position);
    if (last.oldestTs === 0) last.oldestTs = receivedTs;
    this.#length++;
  }

  async #send({ batch, oldestTs }: Waiting): Promise<void> {
    const { clock, publisher, onStored } = this.#options;
    const { count } = batch;
    const lastSeqs = new Map(batch.lastSeqs);
    const from = clock.monotonicMs();
    this.#inFlight++;
    // Only a closed publisher rejects: the process is ending, and the next one finds the gap by feed:seq.
    const stored = await publisher.publish(batch).then(
      () => true,
      () => false,
    );
    if (!stored) return;
    onStored?.(clock.monotonicMs() - from, oldestTs === 0 ? null : (clock.nowMicros() - oldestTs) / 1000, lastSeqs);
    this.#length -= count;
    this.#inFlight--;
    if (this.#full && this.#length * 2 <= this.#options.limit) {
      this.#full = false;
      this.#options.onRoom();
    }
    this.kick();
    if (this.#length === 0) for (const wake of this.#idle.splice(0)) wake();
  }
}
