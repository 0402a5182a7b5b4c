// The lines of one market's capture (core/captured.ts), made from what its connections read and sent: each frame's text as it came.
import { QUOTED, type Kind } from '../../../core/captured.ts';
import { BINARY, CONTROL, FrameScanner, TEXT } from '../../../net/framing.ts';
import { MAX_PAYLOAD_BYTES } from '../../../net/websocket.ts';
import type { RecordKind } from './records.ts';

const LINE_FEED = 10;
/** What one read of a socket may be. */
const STAGE_BYTES = 64 * 1024;
const FIRST_BYTES = 1024 * 1024;

/**
 * Lines one behind the other; twice the room when that is full. A read is put on a stage at the beginning of the same memory, and its frames
 * are copied from there: within one buffer that takes half of the time (41 ns for 200 bytes, not 81), and nothing to collect.
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
  put(head: Buffer, bytes: Buffer, from = 0, to = bytes.length): void {
    const at = this.#begin(head, to - from);
    bytes.copy(this.#bytes, at, from, to);
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

type OnMessage = (kind: 'recv' | 'binary', bytes: Buffer, from: number, to: number) => void;

/** The messages in one connection's reads, put together where frames or reads cut them. */
class Messages {
  #scanner = new FrameScanner(MAX_PAYLOAD_BYTES);
  /** What came of a message that is not whole. */
  #parts: Buffer[] = [];
  #kind: 'recv' | 'binary' | null = null;

  /** The next read begins with a frame. */
  restart(): void {
    this.#scanner = new FrameScanner(MAX_PAYLOAD_BYTES);
    this.#parts = [];
    this.#kind = null;
  }

  read(bytes: Buffer, onMessage: OnMessage): void {
    const scanner = this.#scanner;
    scanner.scan(bytes);
    while (scanner.next()) {
      const { opcode, from, to } = scanner;
      if (opcode >= CONTROL) continue;
      if (opcode === TEXT) this.#kind = 'recv';
      else if (opcode === BINARY) this.#kind = 'binary';
      const isWhole = scanner.ends && scanner.isFinal;
      // The rest of a message whose beginning is lost.
      if (this.#kind === null) continue;
      if (isWhole && this.#parts.length === 0) {
        onMessage(this.#kind, bytes, from, to);
      } else {
        this.#parts.push(Buffer.from(bytes.subarray(from, to)));
        if (!isWhole) continue;
        const message = Buffer.concat(this.#parts);
        onMessage(this.#kind, message, 0, message.length);
        this.#parts = [];
      }
      this.#kind = null;
    }
  }
}

interface Connection {
  /** Text of its `connect` line. */
  readonly opened: Buffer;
  readonly messages: Messages;
}

export class MarketLines {
  readonly #lines = new LineBuffer();
  readonly #open = new Map<number, Connection>();
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
    if (kind === 'read' || kind === 'resumed') {
      if (kind === 'resumed') this.#open.get(conn)?.messages.restart();
      this.#read(conn, micros, bytes);
      return;
    }
    if (kind === 'connect') this.#open.set(conn, { opened: Buffer.from(bytes), messages: new Messages() });
    else if (kind === 'close') this.#open.delete(conn);
    this.#put(micros, conn, kind, bytes);
  }

  /** All lines, and how many of them are received frames. `lines` is a view until the next is added. */
  take(): { opened: string; lines: Buffer; frames: number } {
    const taken = { opened: this.#opened, lines: this.#lines.take(), frames: this.#frames };
    this.#frames = 0;
    return taken;
  }

  #read(conn: number, micros: number, bytes: Buffer): void {
    const connection = this.#open.get(conn);
    if (connection === undefined) return;
    const head = headOf(micros, conn, 'recv');
    const staged = this.#lines.stage(bytes);
    const read = staged ?? bytes;
    // One search for all frames of the read: hardly any holds a line feed.
    let lineFeed = read.indexOf(LINE_FEED);
    connection.messages.read(read, (kind, message, from, to) => {
      this.#frames++;
      if (kind === 'binary') {
        this.#lines.put(headOf(micros, conn, 'binary'), Buffer.from(message.toString('base64', from, to)));
        return;
      }
      if (message !== staged) {
        this.#put(micros, conn, 'recv', message.subarray(from, to));
        return;
      }
      if (lineFeed >= 0 && lineFeed < from) lineFeed = read.indexOf(LINE_FEED, from);
      if (lineFeed < 0 || lineFeed >= to) this.#lines.putStaged(head, from, to);
      else this.#put(micros, conn, 'recv', message.subarray(from, to));
    });
  }

  #put(micros: number, conn: number, kind: Kind, text: Buffer): void {
    if (text.includes(LINE_FEED)) this.#lines.put(headOf(micros, conn, kind, QUOTED), Buffer.from(JSON.stringify(text.toString())));
    else this.#lines.put(headOf(micros, conn, kind), text);
  }

  #connectLines(micros: number): string {
    return [...this.#open].map(([conn, { opened }]) => `${headOf(micros, conn, 'connect').toString()}${opened.toString()}\n`).join('');
  }
}

/** What stands before the text: time in seconds with six decimals, connection, kind. */
const headOf = (micros: number, conn: number, kind: Kind, ending = ''): Buffer =>
  Buffer.from(`${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')} ${conn} ${kind}${ending} `);
