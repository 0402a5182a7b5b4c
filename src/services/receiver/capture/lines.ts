// The lines of one market's capture (core/captured.ts), made from what its connections received and sent: each frame's text as it came.
import { QUOTED, type Kind } from '../../../core/captured.ts';
import { eachFrame } from './frame_run.ts';
import type { RecordKind } from './records.ts';

const LINE_FEED = 10;
/** A read of a socket is at most so long. */
const STAGE_BYTES = 64 * 1024;
const FIRST_BYTES = 1024 * 1024;

/**
 * Lines one behind the other; twice the room when that is full. A run of frames is put on a stage at the beginning of the same memory, and
 * its texts are copied from there: within one buffer that takes half of the time (41 ns for 200 bytes, not 81), and nothing to collect.
 */
class LineBuffer {
  #bytes = Buffer.allocUnsafeSlow(STAGE_BYTES + FIRST_BYTES);
  #at = STAGE_BYTES;

  get size(): number {
    return this.#at - STAGE_BYTES;
  }

  /** A view of the bytes on the stage, until the next; null when they do not fit there. */
  stage(bytes: Buffer): Buffer | null {
    if (bytes.length > STAGE_BYTES) return null;
    this.#bytes.set(bytes);
    return this.#bytes.subarray(0, bytes.length);
  }

  /** Adds one line; the text, on the stage, holds no line feed. */
  putStaged(head: Buffer, from: number, to: number): void {
    const at = this.#begin(head, to - from);
    this.#bytes.copyWithin(at, from, to);
  }

  /** The same of any text. */
  put(head: Buffer, bytes: Buffer): void {
    const at = this.#begin(head, bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** A view of all lines, until the next one is added; empty from now on. */
  take(): Buffer {
    const taken = this.#bytes.subarray(STAGE_BYTES, this.#at);
    this.#at = STAGE_BYTES;
    return taken;
  }

  /** Puts head and line feed; tells where the text belongs. */
  #begin(head: Buffer, length: number): number {
    const size = head.length + length + 1;
    if (this.#at + size > this.#bytes.length) this.#grow(size);
    const bytes = this.#bytes;
    let at = this.#at;
    // So short that calling copy takes longer.
    for (let i = 0; i < head.length; i++) bytes[at++] = head[i]!;
    this.#at += size;
    bytes[this.#at - 1] = LINE_FEED;
    return at;
  }

  #grow(size: number): void {
    const grown = Buffer.allocUnsafeSlow(2 * Math.max(this.#bytes.length, size));
    this.#bytes.copy(grown, 0, 0, this.#at);
    this.#bytes = grown;
  }
}

export class MarketLines {
  readonly #lines = new LineBuffer();
  /** Text of the `connect` lines of what is open. */
  readonly #open = new Map<number, Buffer>();
  /** `connect` lines of what was open before the first line: with them, the lines can begin a file. */
  #opened = '';
  #frames = 0;
  #lastMicros = 0;

  /** Bytes of the lines that wait. */
  get size(): number {
    return this.#lines.size;
  }

  /** Time of the last line, µs since the epoch. */
  get lastMicros(): number {
    return this.#lastMicros;
  }

  add(kind: RecordKind, conn: number, micros: number, bytes: Buffer): void {
    if (this.#lines.size === 0) this.#opened = this.#connectLines(micros);
    this.#lastMicros = micros;
    if (kind === 'frames') {
      this.#putFrames(conn, micros, bytes);
      return;
    }
    if (kind === 'connect') this.#open.set(conn, Buffer.from(bytes));
    else if (kind === 'close') this.#open.delete(conn);
    else if (kind === 'recv' || kind === 'binary') this.#frames++;
    if (kind === 'binary') this.#putBinary(conn, micros, bytes);
    else this.#put(conn, micros, kind, bytes);
  }

  /** All lines, and how many of them are received frames. `lines` is a view until the next is added. */
  take(): { opened: string; lines: Buffer; frames: number } {
    const taken = { opened: this.#opened, lines: this.#lines.take(), frames: this.#frames };
    this.#frames = 0;
    return taken;
  }

  #putFrames(conn: number, micros: number, bytes: Buffer): void {
    const head = headOf(micros, conn, 'recv');
    const staged = this.#lines.stage(bytes);
    const run = staged ?? bytes;
    // One search for all frames of the run: hardly any holds a line feed.
    let lineFeed = run.indexOf(LINE_FEED);
    eachFrame(run, (isBinary, from, to) => {
      this.#frames++;
      if (lineFeed >= 0 && lineFeed < from) lineFeed = run.indexOf(LINE_FEED, from);
      const isOneLine = lineFeed < 0 || lineFeed >= to;
      if (isBinary) this.#putBinary(conn, micros, run.subarray(from, to));
      else if (isOneLine && staged !== null) this.#lines.putStaged(head, from, to);
      else this.#put(conn, micros, 'recv', run.subarray(from, to));
    });
  }

  #putBinary(conn: number, micros: number, bytes: Buffer): void {
    this.#lines.put(headOf(micros, conn, 'binary'), Buffer.from(bytes.toString('base64')));
  }

  #put(conn: number, micros: number, kind: Kind, text: Buffer): void {
    if (text.includes(LINE_FEED)) this.#lines.put(headOf(micros, conn, kind, QUOTED), Buffer.from(JSON.stringify(text.toString())));
    else this.#lines.put(headOf(micros, conn, kind), text);
  }

  #connectLines(micros: number): string {
    return [...this.#open].map(([conn, opened]) => `${headOf(micros, conn, 'connect').toString()}${opened.toString()}\n`).join('');
  }
}

/** What stands before the text: time in seconds with six decimals, connection, kind. */
const headOf = (micros: number, conn: number, kind: Kind, ending = ''): Buffer =>
  Buffer.from(`${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')} ${conn} ${kind}${ending} `);
