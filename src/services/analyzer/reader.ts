// Stream entry → analysis: the fast path, the reference path, and what is set aside. Never throws.
import type { StreamEntry } from '../../bus/consumer.ts';
import { millisecondsOf } from '../../bus/stream_id.ts';
import type { Analysis } from '../../core/analysis/analysis.ts';
import { toError } from '../../core/errors.ts';
import { decode, fill } from './decode.ts';
import { MessageScanner } from './scanner.ts';

export class EntryReader {
  readonly #analysis: Analysis;
  readonly #scanner: MessageScanner;
  /** Entries that were no message. */
  malformed = 0;

  constructor(analysis: Analysis) {
    this.#analysis = analysis;
    this.#scanner = new MessageScanner(analysis);
  }

  /** When the message in hand was received, µs. */
  get receivedTs(): number {
    return this.#scanner.fields.receivedTs;
  }

  /** As if nothing had ever been read. */
  reset(): void {
    this.#analysis.reset();
    this.malformed = 0;
  }

  read(entry: Pick<StreamEntry, 'id' | 'source' | 'payloadStart' | 'payloadEnd' | 'payload'>): void {
    const scanned = this.#scanner.scan(entry.source, entry.payloadStart, entry.payloadEnd);
    if (scanned === 'data') this.#take();
    else if (scanned === 'unusual') this.#readByReference(entry.payload, entry.id);
  }

  #readByReference(payload: string | null, id: string): void {
    const decoded = decode(payload);
    const { fields } = this.#scanner;
    if (decoded.ok) {
      const { message } = decoded;
      if (message.symbol === null || !fill(fields, message)) return;
      this.#scanner.tracked = this.#analysis.track(message.market_id, message.symbol);
      this.#take();
      return;
    }
    this.malformed++;
    const { marketId, symbol, reason } = decoded;
    // Whose it is cannot be told: nobody's state is in doubt.
    if (marketId === null || symbol === null) return;
    // By the messages' time, so that a replay says the same; before the first one there is the stream's.
    const at = this.#analysis.now === 0 ? millisecondsOf(id) * 1000 : this.#analysis.now;
    this.#analysis.quarantine(this.#analysis.track(marketId, symbol), at, reason);
  }

  #take(): void {
    const { tracked, fields } = this.#scanner;
    try {
      this.#analysis.take(tracked, fields);
    } catch (error) {
      this.#analysis.quarantine(tracked, fields.receivedTs, `the analysis failed: ${toError(error).message}`);
    }
  }
}
