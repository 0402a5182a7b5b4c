// How what a connection receives and sends gets from the receive path to the worker: a short header and the very bytes, many in one buffer.
// Runs of frames are copied at once (frame_run.ts): 0.03 µs a frame, where a line for each took 0.3.

/** `frames`: a run of them; `recv`, `binary`: a message that is in none. */
export const RECORD_KINDS = ['connect', 'frames', 'recv', 'binary', 'send', 'close', 'lost'] as const;
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
  /** Counts how often the capture began again after a failure. */
  readonly attempt: number;
}

/** From the worker: a chunk was taken over, its buffer comes back; something is on disk; or could not be put there. */
export type Report =
  | { readonly type: 'taken'; readonly marketId: string; readonly records: Uint8Array<ArrayBuffer> }
  | { readonly type: 'stored'; readonly bytes: number; readonly frames: number; readonly diskBytes: number; readonly attempt: number }
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

  /** Adds what happened at a time in µs. It must fit. */
  put(kind: RecordKind, conn: number, micros: number, bytes: Buffer): void {
    const length = bytes.length;
    if (this.#at === 0) this.#begin(HEADER_BYTES + length);
    const at = this.#at;
    this.#bytes[at] = RECORD_KINDS.indexOf(kind);
    this.#bytes.writeUInt32LE(conn, at + 1);
    this.#bytes.writeUInt32LE(length, at + 5);
    this.#bytes.writeDoubleLE(micros, at + 9);
    this.#bytes.set(bytes, at + HEADER_BYTES);
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
