// The lines of one market's capture (core/captured.ts), made from what its connections read and sent: each frame's text as it came.
import { QUOTED, type Kind } from '../../../core/captured.ts';
import { BINARY, CONTROL, FrameScanner, TEXT } from '../../../net/framing.ts';
import { MAX_PAYLOAD_BYTES } from '../../../net/websocket.ts';
import type { RecordKind } from './records.ts';

const LINE_FEED = 10;
const FIRST_BYTES = 1024 * 1024;

/** Lines one behind the other. Twice the room when that is full. */
class LineBuffer {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = 0;

  get size(): number {
    return this.#at;
  }

  /** Adds one line; the text, `from` to before `to` of `bytes`, holds no line feed. */
  put(head: Buffer, bytes: Buffer, from: number, to: number): void {
    const size = head.length + to - from + 1;
    if (this.#at + size > this.#bytes.length) this.#grow(size);
    const target = this.#bytes;
    let at = this.#at;
    // So short that calling copy takes longer.
    for (let i = 0; i < head.length; i++) target[at++] = head[i] ?? 0;
    bytes.copy(target, at, from, to);
    this.#at += size;
    target[this.#at - 1] = LINE_FEED;
  }

  /** A view of all lines, until the next one is added; empty from now on. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    return taken;
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
    this.#put(headOf(micros, conn, kind), headOf(micros, conn, kind, QUOTED), bytes, 0, bytes.length, bytes.includes(LINE_FEED));
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
    const [head, quoted, binary] = [headOf(micros, conn, 'recv'), headOf(micros, conn, 'recv', QUOTED), headOf(micros, conn, 'binary')];
    // One search for all frames of the read: hardly any holds a line feed.
    let [lineFeed, searched] = [bytes.indexOf(LINE_FEED), bytes];
    connection.messages.read(bytes, (kind, message, from, to) => {
      this.#frames++;
      if (kind === 'binary') {
        const text = Buffer.from(message.toString('base64', from, to));
        this.#lines.put(binary, text, 0, text.length);
        return;
      }
      if (message !== searched || (lineFeed >= 0 && lineFeed < from)) [lineFeed, searched] = [message.indexOf(LINE_FEED, from), message];
      this.#put(head, quoted, message, from, to, lineFeed >= 0 && lineFeed < to);
    });
  }

  #put(head: Buffer, quotedHead: Buffer, bytes: Buffer, from: number, to: number, isQuoted: boolean): void {
    if (!isQuoted) {
      this.#lines.put(head, bytes, from, to);
      return;
    }
    const text = Buffer.from(JSON.stringify(bytes.toString('utf8', from, to)));
    this.#lines.put(quotedHead, text, 0, text.length);
  }

  #connectLines(micros: number): string {
    return [...this.#open].map(([conn, { opened }]) => `${headOf(micros, conn, 'connect').toString()}${opened.toString()}\n`).join('');
  }
}

/** What stands before the text: time in seconds with six decimals, connection, kind. */
const headOf = (micros: number, conn: number, kind: Kind, ending = ''): Buffer =>
  Buffer.from(`${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')} ${conn} ${kind}${ending} `);
