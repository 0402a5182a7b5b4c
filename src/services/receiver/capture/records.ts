// How what a connection reads and sends gets from the receive path to the worker: a short header and the very bytes, many in one buffer.
// Whole reads of the socket are copied, some 300 frames in one where they come fast: 0.03 µs a frame, where a line for each frame took 0.3.

/** `read`: what the socket read, frames and pieces of frames; `resumed`: such after others were lost, beginning with a frame. */
export const RECORD_KINDS = ['connect', 'read', 'resumed', 'send', 'close', 'lost'] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** What a `connect` record says. */
export interface Opened {
  readonly market_id: string;
  readonly run: string;
  readonly url: string;
}

export interface FilesOptions {
  readonly folder: string;
  /** Begins every file's name after the market: who captured, and since when. */
  readonly run: string;
  readonly maxBytes: number;
}

/** Records of one market, from the receive path to the worker. */
export interface Chunk {
  readonly marketId: string;
  readonly records: Uint8Array<ArrayBuffer>;
}

/** From the worker: a chunk was taken over, its buffer comes back; something is on disk; or could not be put there. */
export type Report =
  | { readonly type: 'taken'; readonly marketId: string; readonly records: Uint8Array<ArrayBuffer> }
  | { readonly type: 'stored'; readonly bytes: number; readonly frames: number; readonly diskBytes: number }
  | { readonly type: 'failed'; readonly reason: string; readonly frames: number };

/** Kind, connection, length, time. */
const HEADER_BYTES = 1 + 4 + 4 + 8;
const CHUNK_BYTES = 1024 * 1024;
/** Buffers that may lie about. */
const SPARES = 4;

/** Records one behind the other, in buffers that are given away and come back: fresh memory costs more than what is written into it. */
export class RecordBuffer {
  readonly #spare: ArrayBuffer[] = [];
  #bytes = Buffer.alloc(0);
  #at = 0;

  get size(): number {
    return this.#at;
  }

  /** Whether so many bytes still go in; an empty buffer takes any. */
  fits(length: number): boolean {
    return this.#at === 0 || this.#at + HEADER_BYTES + length <= this.#bytes.length;
  }

  /** Adds what happened at a time in µs: `bytes` from `from` on. It must fit. */
  put(kind: RecordKind, conn: number, micros: number, bytes: Buffer, from = 0): void {
    const length = bytes.length - from;
    if (this.#at === 0) this.#begin(HEADER_BYTES + length);
    const at = this.#at;
    this.#bytes[at] = RECORD_KINDS.indexOf(kind);
    this.#bytes.writeUInt32LE(conn, at + 1);
    this.#bytes.writeUInt32LE(length, at + 5);
    this.#bytes.writeDoubleLE(micros, at + 9);
    bytes.copy(this.#bytes, at + HEADER_BYTES, from);
    this.#at += HEADER_BYTES + length;
  }

  /** Gives the records away with their buffer, and is empty then. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#bytes.buffer, 0, this.#at);
    this.#bytes = Buffer.alloc(0);
    this.#at = 0;
    return taken;
  }

  /** Takes a buffer back. */
  giveBack({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength === CHUNK_BYTES && this.#spare.length < SPARES) this.#spare.push(buffer);
  }

  #begin(size: number): void {
    const usual = size > CHUNK_BYTES ? undefined : (this.#spare.pop() ?? new ArrayBuffer(CHUNK_BYTES));
    this.#bytes = Buffer.from(usual ?? new ArrayBuffer(size));
  }
}

/** Calls back for each record, in order; `bytes` are a view. */
export function eachRecord(records: Uint8Array<ArrayBuffer>, each: (kind: RecordKind, conn: number, micros: number, bytes: Buffer) => void): void {
  const all = Buffer.from(records.buffer, records.byteOffset, records.length);
  for (let at = 0; at < all.length; ) {
    const end = at + HEADER_BYTES + all.readUInt32LE(at + 5);
    const kind = RECORD_KINDS[all[at] ?? 0] ?? 'lost';
    each(kind, all.readUInt32LE(at + 1), all.readDoubleLE(at + 9), all.subarray(at + HEADER_BYTES, end));
    at = end;
  }
}
