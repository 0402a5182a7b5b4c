// Reads the replies of XREADGROUP off the socket's bytes, entry by entry, as they arrive.
//
// Why not the client library: at the distributor's rates its reply tree costs 1.5–2 µs of CPU per entry (0.3 here), and it
// hands entries over only when a reply of some megabytes is complete, so that decoding cannot overlap with the transfer.
// Bytes are gathered in slabs of a megabyte, and an entry is a place in one: nothing is turned into a string unasked, and
// the garbage collector sees one buffer where it saw thousands.
// RESP2, https://redis.io/docs/latest/develop/reference/protocol-spec/
import { isUtf8 } from 'node:buffer';
import type { Run } from './runs.ts';

/** One entry of a stream as delivered. */
export class StreamEntry {
  /** How often it was delivered, this time included. */
  deliveries = 1;
  /** The run it is pending with; null: it is pending by itself. */
  run: Run | null = null;
  /** Where the payload's bytes lie; -1 when the entry has no field of that name. */
  readonly source: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Deleted from the stream while it was pending: its content is lost. */
  readonly gone: boolean;
  readonly #idStart: number;
  readonly #idEnd: number;

  constructor(source: Buffer, idStart: number, idEnd: number, payloadStart: number, payloadEnd: number, gone: boolean) {
    this.source = source;
    this.#idStart = idStart;
    this.#idEnd = idEnd;
    this.payloadStart = payloadStart;
    this.payloadEnd = payloadEnd;
    this.gone = gone;
  }

  /** An entry with this content, for tests and tools. */
  static of(id: string, payload: string | Buffer | null): StreamEntry {
    const source = Buffer.concat([Buffer.from(id), Buffer.from(payload ?? '')]);
    return new StreamEntry(source, 0, id.length, payload === null ? -1 : id.length, source.length, false);
  }

  get id(): string {
    return this.source.toString('latin1', this.#idStart, this.#idEnd);
  }

  /** The field `payload` as text; null when there is none. */
  get payload(): string | null {
    return this.payloadStart < 0 ? null : this.source.toString('utf8', this.payloadStart, this.payloadEnd);
  }

  /** False when `payload` is not what was sent: bytes that are no UTF-8 are U+FFFD there. */
  get isText(): boolean {
    return this.payloadStart < 0 || isUtf8(this.source.subarray(this.payloadStart, this.payloadEnd));
  }

  /** A copy of the payload as received. */
  payloadBytes(): Buffer {
    return this.payloadStart < 0 ? Buffer.alloc(0) : Buffer.from(this.source.subarray(this.payloadStart, this.payloadEnd));
  }
}

/** What ends one request: a number of entries, a number that was the answer, or an error. */
export type Reply = { kind: 'entries' | 'number'; value: number } | { kind: 'error'; message: string };

const LF = 10;
const CR = 13;
const MINUS = 45;
const ZERO = 48;
const STAR = 42;
const DOLLAR = 36;
const PLUS = 43;
const COLON = 58;
const CRLF = 2;
const PAYLOAD = Buffer.from('payload');
const SLAB = 1 << 20;
/** Thrown by the cursor's readers when the bytes end too early; caught in feed(). */
const INCOMPLETE = new Error('incomplete');

/** Feed it chunks; it calls back for each entry and returns the replies that ended in the chunk. */
export class EntryParser {
  readonly #onEntry: (entry: StreamEntry) => void;
  /** Entries of the current reply still to come; -1 between replies. */
  #remaining = -1;
  #count = 0;
  #slab = Buffer.allocUnsafeSlow(SLAB);
  /** Parsed up to here, filled up to there. */
  #at = 0;
  #filled = 0;
  /** Bytes that must be there before another look at a large value is worth it. */
  #needed = 0;
  /** Where the last bulk string began. */
  #start = 0;

  constructor(onEntry: (entry: StreamEntry) => void) {
    this.#onEntry = onEntry;
  }

  /** Copies the chunk. Throws on bytes that are no RESP2 answer to XREADGROUP. */
  feed(chunk: Uint8Array): Reply[] {
    if (this.#filled + chunk.length > this.#slab.length) this.#nextSlab(chunk.length);
    this.#slab.set(chunk, this.#filled);
    this.#filled += chunk.length;
    const replies: Reply[] = [];
    if (this.#filled < this.#needed) return replies;
    this.#needed = 0;
    let done = this.#at;
    try {
      while (this.#at < this.#filled) {
        const reply = this.#remaining < 0 ? this.#head() : this.#entry();
        done = this.#at;
        if (reply !== null) replies.push(reply);
      }
    } catch (signal) {
      if (signal !== INCOMPLETE) throw signal;
      this.#at = done;
    }
    return replies;
  }

  /** Entries keep the old slab alive as long as they live; what is not parsed yet moves to the new one. */
  #nextSlab(more: number): void {
    const rest = this.#slab.subarray(this.#at, this.#filled);
    const needed = Math.max(this.#needed - this.#at, rest.length + more);
    const slab = Buffer.allocUnsafeSlow(Math.max(SLAB, needed * 2));
    slab.set(rest);
    this.#slab = slab;
    this.#needed = Math.max(0, this.#needed - this.#at);
    this.#filled = rest.length;
    this.#at = 0;
  }

  /** The beginning of a reply; null when entries follow. */
  #head(): Reply | null {
    const type = this.#slab[this.#at++];
    if (type === COLON) return { kind: 'number', value: this.#integer() };
    if (type === PLUS) {
      this.#line();
      return { kind: 'number', value: 1 };
    }
    if (type === MINUS) return { kind: 'error', message: this.#line() };
    if (type !== STAR) throw new Error(`unexpected reply type ${JSON.stringify(String.fromCharCode(type ?? 0))}`);
    // One stream was asked for: [[key, [entry, …]]], or a null array when the block ended.
    if (this.#integer() <= 0) return { kind: 'entries', value: 0 };
    this.#expect(STAR);
    this.#integer();
    this.#bulk();
    this.#expect(STAR);
    const entries = this.#integer();
    if (entries <= 0) return { kind: 'entries', value: 0 };
    this.#remaining = entries;
    this.#count = entries;
    return null;
  }

  #entry(): Reply | null {
    this.#expect(STAR);
    this.#integer();
    const idEnd = this.#bulk();
    const idStart = this.#start;
    this.#expect(STAR);
    const parts = this.#integer();
    let start = -1;
    let end = -1;
    for (let i = 0; i < parts; i += 2) {
      const isPayload = this.#isPayload(this.#bulk());
      const valueEnd = this.#bulk();
      if (!isPayload || start >= 0) continue;
      start = this.#start;
      end = valueEnd;
    }
    this.#onEntry(new StreamEntry(this.#slab, idStart, idEnd, start, end, parts < 0));
    if (--this.#remaining > 0) return null;
    this.#remaining = -1;
    return { kind: 'entries', value: this.#count };
  }

  /** Moves past a bulk string and returns its end. */
  #bulk(): number {
    this.#expect(DOLLAR);
    const length = this.#integer();
    this.#start = this.#at;
    const end = this.#at + length;
    if (end + CRLF > this.#filled) {
      this.#needed = end + CRLF;
      throw INCOMPLETE;
    }
    this.#at = end + CRLF;
    return end;
  }

  #isPayload(end: number): boolean {
    const start = this.#start;
    if (end - start !== PAYLOAD.length) return false;
    for (let i = 0; i < PAYLOAD.length; i++) if (this.#slab[start + i] !== PAYLOAD[i]) return false;
    return true;
  }

  #expect(type: number): void {
    if (this.#at >= this.#filled) throw INCOMPLETE;
    const found = this.#slab[this.#at++];
    if (found !== type) throw new Error(`unexpected byte ${found} in a reply, wanted ${String.fromCharCode(type)}`);
  }

  /** A decimal number and its line end. */
  #integer(): number {
    const slab = this.#slab;
    const filled = this.#filled;
    let at = this.#at;
    let value = 0;
    const negative = slab[at] === MINUS;
    if (negative) at++;
    for (;;) {
      if (at >= filled) throw INCOMPLETE;
      const byte = slab[at++] ?? 0;
      if (byte === CR) break;
      if (byte < ZERO || byte > ZERO + 9) throw new Error(`unexpected byte ${byte} in a number`);
      value = value * 10 + (byte - ZERO);
    }
    if (at >= filled) throw INCOMPLETE;
    this.#at = at + 1;
    return negative ? -value : value;
  }

  #line(): string {
    const end = this.#slab.indexOf(LF, this.#at);
    if (end < 0 || end >= this.#filled) throw INCOMPLETE;
    const text = this.#slab.toString('utf8', this.#at, end - 1);
    this.#at = end + 1;
    return text;
  }
}
