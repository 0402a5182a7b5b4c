// How captured lines get from the receive path to the worker: as the very bytes of the file. A frame's text stands in its line as it
// came (core/captured.ts), so that the worker has nothing left to do but to pack it: 0.7 µs of CPU per frame, where lines of JSON took 3.
import { KINDS, QUOTED, type Kind } from '../../../core/captured.ts';

/** What a `connect` line says. */
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

/** Lines of one market, from the receive path to the worker. */
export interface Chunk {
  readonly marketId: string;
  readonly lines: Uint8Array<ArrayBuffer>;
  /** Received frames among the lines. */
  readonly frames: number;
  /** Time of the last line, µs since the epoch. */
  readonly lastMicros: number;
  /** `connect` lines of what was open before the chunk's first line: with them, it can begin a file. */
  readonly opened: string;
}

/** From the worker: a chunk was taken over, its buffer comes back; something is on disk; or could not be put there. */
export type Report =
  | { readonly type: 'taken'; readonly marketId: string; readonly lines: Uint8Array<ArrayBuffer> }
  | { readonly type: 'stored'; readonly bytes: number; readonly frames: number; readonly diskBytes: number }
  | { readonly type: 'failed'; readonly reason: string; readonly frames: number };

const [ZERO, POINT, LINE_FEED] = [48, 46, 10];
const TIME_BYTES = 17;
const CHUNK_BYTES = 256 * 1024;
/** Buffers that may lie about. */
const SPARES = 8;
/** Lines that are handed over at once: the next one of a usual length still fits. */
export const HAND_OVER_BYTES = CHUNK_BYTES - 16 * 1024;

/** What stands between time and text in a connection's lines, by kind. */
export type Tags = Readonly<Record<Kind, Buffer>>;

export const tagsOf = (conn: number): Tags =>
  Object.fromEntries(KINDS.map((kind) => [kind, Buffer.from(` ${conn} ${kind} `)])) as Record<Kind, Buffer>;

const quotedTag = (tag: Buffer): Buffer => Buffer.from(`${tag.toString().trimEnd()}${QUOTED} `);

/** Lines one behind the other, in buffers that are given away and come back: fresh memory costs more than what is written into it. */
export class LineBuffer {
  readonly #spare: ArrayBuffer[] = [];
  #bytes = Buffer.alloc(0);
  #at = 0;
  #second = -1;
  readonly #time = Buffer.alloc(TIME_BYTES);

  get size(): number {
    return this.#at;
  }

  /** Adds one line at a time in µs. A text that would not be one line is quoted. */
  put(tag: Buffer, micros: number, text: Buffer): void {
    if (text.includes(LINE_FEED)) {
      this.put(quotedTag(tag), micros, Buffer.from(JSON.stringify(text.toString())));
      return;
    }
    const size = TIME_BYTES + tag.length + text.length + 1;
    if (this.#at + size > this.#bytes.length) this.#grow(size);
    const bytes = this.#bytes;
    let at = this.#at;
    this.#tell(micros);
    // So short that calling copy takes longer.
    for (let i = 0; i < TIME_BYTES; i++) bytes[at++] = this.#time[i] ?? 0;
    for (let i = 0; i < tag.length; i++) bytes[at++] = tag[i] ?? 0;
    text.copy(bytes, at);
    this.#at += size;
    bytes[this.#at - 1] = LINE_FEED;
  }

  /** Gives the lines away with their buffer, and is empty then. */
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

  /** Seconds with six decimals; the seconds' digits change once a second only. */
  #tell(micros: number): void {
    const second = Math.floor(micros / 1e6);
    const digits = this.#time;
    if (second !== this.#second) {
      this.#second = second;
      digits.write(String(second).padStart(10, '0'), 'latin1');
      digits[10] = POINT;
    }
    let rest = micros - second * 1e6;
    for (let at = TIME_BYTES - 1; at > 10; at--) {
      const next = Math.floor(rest / 10);
      digits[at] = ZERO + rest - next * 10;
      rest = next;
    }
  }

  #grow(size: number): void {
    const needed = this.#at + size;
    const roomy = needed > CHUNK_BYTES ? undefined : (this.#spare.pop() ?? new ArrayBuffer(CHUNK_BYTES));
    const grown = Buffer.from(roomy ?? new ArrayBuffer(2 * needed));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
