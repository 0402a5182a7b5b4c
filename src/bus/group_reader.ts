// One socket for one kind of traffic: XREADGROUP and XREAD, or XACK of thousands of ids. A blocking read on the client library
// can hang for ever after a reset (redis/ioredis#1888); here every request has an outer deadline that destroys the socket.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { toError } from '../core/errors.ts';
import { EntryParser, type Reply, type StreamEntry } from './entry_parser.ts';

export interface ReadRequest {
  stream: string;
  group: string;
  consumer: string;
  count: number;
  /** How long the server waits for a first entry, ms; null asks for what is there (history). */
  blockMs: number | null;
  /** `>` for new entries, an id for our own pending ones after it. */
  after: string;
}

/** Beyond the block time: a server that is silent this long is gone. */
const GRACE_MS = 5_000;

interface Waiting {
  resolve: (count: number) => void;
  reject: (error: Error) => void;
  onEntry: (entry: StreamEntry) => void;
  deadlineMs: number;
  timer: NodeJS.Timeout | undefined;
}

export class GroupReader {
  readonly #socket: Socket;
  /** In the order of their requests; the first one is being answered. */
  readonly #waiting: Waiting[] = [];
  #dead: Error | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const parser = new EntryParser((entry) => this.#waiting[0]?.onEntry(entry));
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const reply of parser.feed(chunk)) this.#settle(reply);
      } catch (error) {
        this.destroy(toError(error));
      }
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy(new Error('Connection is closed')));
  }

  /** Connects and logs in (redis:// or rediss://, user, password and database of the URL). Rejects at once when `signal` aborts. */
  static async connect(url: string, name: string, signal?: AbortSignal): Promise<GroupReader> {
    signal?.throwIfAborted();
    const { protocol, hostname, port, username, password, pathname } = new URL(url);
    const target = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 6379 : Number(port) };
    const socket = protocol === 'rediss:' ? connectTls({ ...target, servername: target.host }) : connectTcp(target);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 10_000);
    const reader = new GroupReader(socket);
    const onAbort = (): void => reader.destroy(new Error('aborted while connecting'));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      // Commands wait in the socket until it is connected; the deadline covers both.
      if (password !== '') await reader.number(['AUTH', ...(username === '' ? [] : [asBytes(username)]), asBytes(password)]);
      if (pathname.length > 1) await reader.number(['SELECT', pathname.slice(1)]);
      await reader.number(['CLIENT', 'SETNAME', name]);
      return reader;
    } catch (error) {
      reader.destroy();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Usable for another read. */
  get alive(): boolean {
    return this.#dead === null;
  }

  /**
   * Reads entries and calls back for each as it arrives; resolves with their number when the reply is complete. Rejects
   * with the server's error (NOGROUP …; the connection stays usable) or when the connection broke or fell silent; entries
   * that were called back count as delivered either way.
   */
  read(request: ReadRequest, onEntry: (entry: StreamEntry) => void): Promise<number> {
    const { stream, group, consumer, count, blockMs, after } = request;
    const block = blockMs === null ? [] : ['BLOCK', String(blockMs)];
    return this.#send(['XREADGROUP', 'GROUP', group, consumer, 'COUNT', String(count), ...block, 'STREAMS', stream, after], onEntry, blockMs ?? 0);
  }

  /** Reads at most `count` entries behind `after` for no group (XREAD, without waiting for any); otherwise as `read`. */
  readStream(stream: string, after: string, count: number, onEntry: (entry: StreamEntry) => void): Promise<number> {
    return this.#send(['XREAD', 'COUNT', String(count), 'STREAMS', stream, after], onEntry, 0);
  }

  /** Sends a command whose answer is a number (1 stands for OK). Words must be ASCII. */
  number(command: readonly string[]): Promise<number> {
    return this.#send(command, () => undefined, 0);
  }

  /** Ends the connection at once; a read in flight rejects. */
  destroy(reason: Error = new Error('Connection is closed')): void {
    this.#dead ??= reason;
    this.#socket.destroy();
    for (const waiting of this.#waiting.splice(0)) {
      clearTimeout(waiting.timer);
      waiting.reject(this.#dead);
    }
  }

  #send(command: readonly string[], onEntry: (entry: StreamEntry) => void, blockMs: number): Promise<number> {
    if (this.#dead !== null) return Promise.reject(this.#dead);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, onEntry, deadlineMs: blockMs + GRACE_MS, timer: undefined });
      if (this.#waiting.length === 1) this.#startTimer();
      // One flat latin1 text: the client library spends 0.7 µs per id of an XACK.
      const words = command.map((part) => `$${part.length}\r\n${part}\r\n`);
      this.#socket.write(`*${command.length}\r\n${words.join('')}`, 'latin1');
    });
  }

  /** A request's time runs from when the ones before it were answered. */
  #startTimer(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    first.timer = setTimeout(() => this.destroy(new Error('blocking read timed out')), first.deadlineMs);
  }

  #settle(reply: Reply): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) throw new Error('a reply that nobody asked for');
    clearTimeout(waiting.timer);
    this.#startTimer();
    if (reply.kind === 'error') waiting.reject(new Error(reply.message));
    else waiting.resolve(reply.value);
  }
}

/** One character per byte of the UTF-8 form: what the socket writes as latin1. */
const asBytes = (part: string): string => Buffer.from(decodeURIComponent(part)).toString('latin1');
