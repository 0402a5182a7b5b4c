// The Redis wire protocol for one purpose: large pipelines whose replies only matter when they are errors. A general
// client makes a promise and several objects per command; here a batch is one string out and one scan over the replies,
// at about a tenth of the cost. https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2)
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Redis } from 'ioredis';

/** The wire form of one command. */
export function command(...args: readonly (string | number)[]): string {
  let text = `*${args.length}\r\n`;
  for (const arg of args) text += bulk(String(arg));
  return text;
}

/** The wire form of one argument. */
export function bulk(arg: string): string {
  return `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
}

/** What a reply was. Of an array only its length and its first error are kept. */
export type Reply =
  | { kind: 'ok'; value: string | number }
  | { kind: 'error'; message: string }
  | { kind: 'array'; length: number; error: string | null }
  | { kind: 'null' };

const CR = 13;
const LF = 10;
const PLUS = 43;
const MINUS = 45;
const COLON = 58;
const DOLLAR = 36;
const STAR = 42;
/** Most replies of a transaction: not worth an object each. */
const QUEUED: Reply = { kind: 'ok', value: 'QUEUED' };

/** Cuts a stream of bytes into replies. */
export class ReplyScanner {
  #rest: Buffer = Buffer.alloc(0);
  #at = 0;
  #data: Buffer = this.#rest;

  /** The replies that are complete with this chunk. Throws when the bytes are no RESP2. */
  push(chunk: Buffer): Reply[] {
    this.#data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#at = 0;
    const replies: Reply[] = [];
    let taken = 0;
    for (let reply = this.#read(); reply !== null; reply = this.#read()) {
      replies.push(reply);
      taken = this.#at;
    }
    this.#rest = this.#data.subarray(taken);
    return replies;
  }

  /** One reply at #at, or null when it is not complete yet. */
  #read(): Reply | null {
    const data = this.#data;
    const type = data[this.#at];
    const end = type === undefined ? -1 : data.indexOf(LF, this.#at);
    if (end < 0) return null;
    const line = this.#at + 1;
    this.#at = end + 1;
    if (type === PLUS)
      return data[line] === 81 ? QUEUED : { kind: 'ok', value: data.toString('latin1', line, end - 1) };
    if (type === MINUS) return { kind: 'error', message: data.toString('utf8', line, end - 1) };
    const number = this.#integer(line, end);
    if (type === COLON) return { kind: 'ok', value: number };
    if (type === DOLLAR) return this.#bulk(number);
    if (type === STAR) return this.#array(number);
    throw new Error(`no RESP2 reply: byte ${type}`);
  }

  #integer(from: number, end: number): number {
    let value = 0;
    const negative = this.#data[from] === MINUS;
    for (let i = negative ? from + 1 : from; i < end && this.#data[i] !== CR; i++)
      value = value * 10 + this.#data[i]! - 48;
    return negative ? -value : value;
  }

  #bulk(length: number): Reply | null {
    if (length < 0) return { kind: 'null' };
    const from = this.#at;
    if (from + length + 2 > this.#data.length) return null;
    this.#at = from + length + 2;
    return { kind: 'ok', value: this.#data.toString('utf8', from, from + length) };
  }

  #array(length: number): Reply | null {
    if (length < 0) return { kind: 'null' };
    let error: string | null = null;
    for (let i = 0; i < length; i++) {
      if (this.#skipBulk()) continue;
      const item = this.#read();
      if (item === null) return null;
      if (item.kind === 'error') error ??= item.message;
      else if (item.kind === 'array') error ??= item.error;
    }
    return { kind: 'array', length, error };
  }

  /** The ids that a transaction of XADDs answers with: passed over without making strings of them. */
  #skipBulk(): boolean {
    if (this.#data[this.#at] !== DOLLAR) return false;
    const end = this.#data.indexOf(LF, this.#at);
    if (end < 0) return false;
    const next = end + 1 + this.#integer(this.#at + 1, end) + 2;
    if (next <= end + 2 || next > this.#data.length) return false;
    this.#at = next;
    return true;
  }
}

interface Waiting {
  replies: Reply[];
  expected: number;
  resolve: (replies: Reply[]) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REPLY_TIMEOUT_MS = 5_000;

/** One connection. It does not come back by itself: when it fails, everything waiting rejects and `closed` is true. */
export class RespLine {
  readonly #socket: Socket;
  readonly #scanner = new ReplyScanner();
  readonly #waiting: Waiting[] = [];
  #failure: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('Connection is closed')));
  }

  /** Connects to where `redis` is configured to, with its credentials, database and name. */
  static async open(redis: Redis): Promise<RespLine> {
    const { options } = redis;
    const address =
      options.path === undefined
        ? { host: options.host ?? '127.0.0.1', port: options.port ?? 6379 }
        : { path: options.path };
    const socket = options.tls === undefined ? connect(address) : connectTls({ ...address, ...options.tls });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    const line = new RespLine(socket);
    const greetings: string[] = [];
    if (options.password)
      greetings.push(
        options.username ? command('AUTH', options.username, options.password) : command('AUTH', options.password),
      );
    if (options.db !== undefined && options.db !== 0) greetings.push(command('SELECT', options.db));
    greetings.push(command('CLIENT', 'SETNAME', `${options.connectionName ?? 'resp'}-writer`));
    const timer = setTimeout(() => line.destroy(new Error('connect timed out')), CONNECT_TIMEOUT_MS);
    try {
      const replies = await line.send(greetings, greetings.length);
      const refused = replies.find((reply) => reply.kind === 'error');
      if (refused !== undefined) throw new Error(refused.message);
      return line;
    } catch (error) {
      line.destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  get closed(): boolean {
    return this.#failure !== null;
  }

  /**
   * Writes parts of a pipeline (a Buffer must stay as it is until the reply); resolves with its `expected` replies.
   * Rejects, and ends the connection, when they do not come in time.
   */
  send(parts: readonly (string | Buffer)[], expected: number): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      const timer = setTimeout(() => this.destroy(new Error('Command timed out')), REPLY_TIMEOUT_MS);
      this.#waiting.push({ replies: [], expected, resolve, reject, timer });
      this.#socket.cork();
      for (const part of parts) this.#socket.write(part);
      this.#socket.uncork();
    });
  }

  destroy(reason = new Error('Connection is closed')): void {
    this.#fail(reason);
  }

  #onData(chunk: Buffer): void {
    try {
      for (const reply of this.#scanner.push(chunk)) {
        const first = this.#waiting[0];
        if (first === undefined) return this.#fail(new Error('a reply that nobody asked for'));
        first.replies.push(reply);
        if (first.replies.length < first.expected) continue;
        this.#waiting.shift();
        clearTimeout(first.timer);
        first.resolve(first.replies);
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    this.#socket.destroy();
    for (const { reject, timer } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(error);
    }
  }
}
