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

/** From the worker: a chunk was taken over; something is on disk; or could not be put there. */
export type Report =
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'stored'; readonly bytes: number; readonly frames: number; readonly diskBytes: number }
  | { readonly type: 'failed'; readonly reason: string; readonly frames: number };

const [ZERO, POINT, LINE_FEED] = [48, 46, 10];
const TIME_BYTES = 17;
const START_BYTES = 256 * 1024;

/** What stands between time and text in a connection's lines, by kind. */
export type Tags = Readonly<Record<Kind, Buffer>>;

export const tagsOf = (conn: number): Tags =>
  Object.fromEntries(KINDS.map((kind) => [kind, Buffer.from(` ${conn} ${kind} `)])) as Record<Kind, Buffer>;

const quotedTag = (tag: Buffer): Buffer => Buffer.from(`${tag.toString().trimEnd()}${QUOTED} `);

/** Lines one behind the other, in a buffer that grows to what one hand-over needs and is used again. */
export class LineBuffer {
  #bytes = Buffer.allocUnsafeSlow(START_BYTES);
  #at = 0;
  #second = -1;
  readonly #digits = Buffer.alloc(TIME_BYTES);

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
    this.#time(micros).copy(bytes, this.#at);
    tag.copy(bytes, this.#at + TIME_BYTES);
    text.copy(bytes, this.#at + TIME_BYTES + tag.length);
    this.#at += size;
    bytes[this.#at - 1] = LINE_FEED;
  }

  /** A copy of the lines, which is not of any pool and may be given away; the buffer is empty then. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.#bytes.subarray(0, this.#at));
    this.#at = 0;
    return taken;
  }

  /** Seconds with six decimals; the seconds' digits change once a second only. */
  #time(micros: number): Buffer {
    const second = Math.floor(micros / 1e6);
    const digits = this.#digits;
    if (second !== this.#second) {
      this.#second = second;
      digits.write(String(second).padStart(10, '0'), 'latin1');
      digits[10] = POINT;
    }
    let rest = micros - second * 1e6;
    for (let at = 16; at > 10; at--) {
      const next = Math.floor(rest / 10);
      digits[at] = ZERO + rest - next * 10;
      rest = next;
    }
    return digits;
  }

  #grow(size: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#at + size));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}
