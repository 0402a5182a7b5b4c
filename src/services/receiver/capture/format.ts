// How captured records travel from the receive path to the worker: packed one behind the other into a chunk that is handed over as it
// is. Packing is a copy of the frame's bytes and seventeen more: text, JSON and compression are the worker's work.

export const KINDS = ['connect', 'recv', 'send', 'close', 'binary', 'lost'] as const;
export type Kind = (typeof KINDS)[number];

export interface CaptureRecord {
  readonly kind: Kind;
  /** µs since the epoch. */
  readonly micros: number;
  readonly conn: number;
  /** Where its bytes are in the chunk. */
  readonly from: number;
  readonly to: number;
}

/** kind, time, connection, length. */
const HEADER = 1 + 8 + 4 + 4;

/** Bytes that a record takes in a chunk. */
export const recordSize = (length: number): number => HEADER + length;

/** Packs one record at `at`, where `recordSize` bytes are free; returns where the next one goes. */
export function putRecord(chunk: Buffer, at: number, kind: Kind, micros: number, conn: number, bytes: Buffer): number {
  chunk[at] = KINDS.indexOf(kind);
  chunk.writeDoubleLE(micros, at + 1);
  chunk.writeUInt32LE(conn, at + 9);
  chunk.writeUInt32LE(bytes.length, at + 13);
  bytes.copy(chunk, at + HEADER);
  return at + HEADER + bytes.length;
}

/** The records of a chunk, in order. */
export function* recordsOf(chunk: Buffer): Generator<CaptureRecord, void, undefined> {
  for (let at = 0; at < chunk.length; ) {
    const kind = KINDS[chunk[at] ?? -1];
    if (kind === undefined) throw new RangeError(`no record at ${at}`);
    const from = at + HEADER;
    const to = from + chunk.readUInt32LE(at + 13);
    yield { kind, micros: chunk.readDoubleLE(at + 1), conn: chunk.readUInt32LE(at + 9), from, to };
    at = to;
  }
}

/** What a `connect` record says. */
export interface Opened {
  readonly market_id: string;
  readonly url: string;
}

export interface FilesOptions {
  readonly folder: string;
  /** Begins every file's name after the market: who captured, and since when. */
  readonly run: string;
  readonly maxBytes: number;
}

/** From the worker: a chunk was taken over; something is on disk; or could not be put there. */
export type Report =
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'stored'; readonly bytes: number; readonly frames: number; readonly diskBytes: number }
  | { readonly type: 'failed'; readonly reason: string; readonly frames: number };
