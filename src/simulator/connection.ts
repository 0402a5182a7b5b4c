// One client socket, and the outbox that holds every frame back until the ledger has what it tells.
//
// Data frames are plain server frames (unmasked, one fragment) built as latin1 text and written to the socket in one piece
// per flush: through ws.send() each frame would cost two writes. ws still does the handshake, parsing and control frames.
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { Bytes } from './bytes.ts';
import type { Ledger } from './ledger.ts';

/** More unread bytes than this and the client is cut off as too slow. */
const SLOW_BYTES = 96 * 1024 * 1024;
const NOT_ASCII = /[^\x00-\x7f]/;

/** The bytes of one text frame as latin1 text. Built once, pushed to any number of connections. */
export function frame(text: string): string {
  const body = NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
  return header(body.length) + body;
}

/** As `frame`, for text that is known to be ASCII. */
export function asciiFrame(text: string): string {
  return header(text.length) + text;
}

function header(length: number): string {
  if (length < 126) return String.fromCharCode(0x81, length);
  if (length < 65_536) return String.fromCharCode(0x81, 126, length >>> 8, length & 255);
  return String.fromCharCode(0x81, 127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
}

export class Connection {
  readonly id: number;
  readonly marketId: string;
  readonly ip: string;
  readonly socket: WebSocket;
  readonly #raw: Socket;
  readonly #outbox: Outbox;
  /** Half-open: the socket stays, nothing is sent, read or answered. */
  frozen = false;
  readonly #out = new Bytes();

  constructor(id: number, marketId: string, socket: WebSocket, raw: Socket, outbox: Outbox) {
    this.id = id;
    this.marketId = marketId;
    this.ip = raw.remoteAddress ?? '';
    this.socket = socket;
    this.#raw = raw;
    this.#outbox = outbox;
  }

  get open(): boolean {
    return this.socket.readyState === 1;
  }

  /** Queues a text frame. */
  send(text: string): void {
    this.push(frame(text));
  }

  /** Queues a frame made by `frame()`. */
  push(bytes: string): void {
    if (this.frozen) return;
    if (this.#out.length === 0) this.#outbox.add(this);
    this.#out.append(bytes);
  }

  /** Queues a frame with any first byte: 0x81 text, 0x82 binary, 0x01 the start of a fragmented text … */
  pushRaw(firstByte: number, payload: Buffer): void {
    const body = payload.toString('latin1');
    this.push(String.fromCharCode(firstByte) + header(body.length).slice(1) + body);
  }

  /** What is queued, to be written after the ledger's commit. */
  take(): Buffer {
    return this.#out.take();
  }

  /** Writes committed bytes; a client that does not read is cut off. */
  write(bytes: Buffer): void {
    if (!this.open || this.frozen || bytes.length === 0) return;
    this.#raw.write(bytes);
    if (this.#raw.writableLength > SLOW_BYTES) this.socket.terminate();
  }

  /** Sends a close frame behind everything queued. */
  close(code: number, reason: string): void {
    this.#outbox.whenSent(() => {
      if (this.open && !this.frozen) this.socket.close(code, reason);
    });
  }

  terminate(): void {
    this.socket.terminate();
  }

  /** Half-open from now on. */
  freeze(): void {
    this.frozen = true;
    this.#out.clear();
    this.#raw.pause();
  }
}

/** Group commit: collects connections with output, waits for the ledger, writes. */
export class Outbox {
  readonly #ledger: Ledger;
  readonly #fail: (error: unknown) => void;
  #dirty = new Set<Connection>();
  #after: (() => void)[] = [];
  #busy = false;
  #scheduled = false;

  constructor(ledger: Ledger, fail: (error: unknown) => void) {
    this.#ledger = ledger;
    this.#fail = fail;
  }

  add(connection: Connection): void {
    this.#dirty.add(connection);
    this.#schedule();
  }

  /** Runs `action` once everything queued until now is written. */
  whenSent(action: () => void): void {
    this.#after.push(action);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#busy || (this.#dirty.size === 0 && this.#after.length === 0)) return;
    const batch = [...this.#dirty].map((connection) => ({ connection, bytes: connection.take() }));
    const after = this.#after;
    this.#dirty = new Set();
    this.#after = [];
    const write = (): void => {
      for (const { connection, bytes } of batch) connection.write(bytes);
      for (const action of after) action();
    };
    const commit = this.#ledger.commit();
    if (commit === null) {
      write();
      return;
    }
    this.#busy = true;
    commit.then(
      () => {
        write();
        this.#busy = false;
        if (this.#dirty.size > 0 || this.#after.length > 0) this.#flush();
      },
      (error: unknown) => this.#fail(error),
    );
  }
}
