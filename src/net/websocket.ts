// One WebSocket to an exchange as an async iterable of batches of frames. It owns the socket, our own ping, and the
// back-pressure: when the reader is slow the socket is paused, and the exchange's TCP window fills instead of our
// memory. It knows nothing of reconnecting or of what the frames say.
import { WebSocket, type ClientOptions, type RawData } from 'ws';
import type { Clock } from '../core/clock.ts';
import { toError } from '../core/errors.ts';

export interface Frame {
  readonly text: string;
  /** Wall time at which the frame was read, µs. */
  readonly receivedTs: number;
}

/** A frame that is no text frame we accept; `size` in bytes when known. */
export type BadFrame = 'binary' | 'oversize' | 'encoding' | 'protocol';

/** Sees what goes over a connection, as it does; must neither change the bytes nor throw. */
export interface SessionTap {
  /** A whole message: where neither frames nor reads cut it, a view of what the socket read, its frame's header in front of it. */
  received(bytes: Buffer, isBinary: boolean, receivedTs: number): void;
  sent(text: string): void;
  closed(detail: string): void;
}

export interface SessionOptions {
  clock: Clock;
  /** Our ping goes out after this much silence, ms; no sign of life in as much time again ends the session. */
  pingAfterMs: number;
  handshakeTimeoutMs?: number;
  maxPayloadBytes?: number;
  onBadFrame?: (kind: BadFrame, detail: string) => void;
  tap?: SessionTap | null;
  signal?: AbortSignal;
}

export interface SessionEnd {
  code: number;
  reason: string;
}

/** The exchange refused the handshake with an HTTP answer. */
export class HandshakeError extends Error {
  override name = 'HandshakeError';
  readonly status: number;
  /** From Retry-After; null when it was not told. */
  readonly retryAfterMs: number | null;

  constructor(status: number, retryAfterMs: number | null) {
    super(`the exchange refused the connection with HTTP ${status}`);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

const MAX_PAYLOAD = 4 * 1024 * 1024;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CLOSE_GRACE_MS = 1_000;
/** Text held for a slow reader before the socket is paused, in UTF-16 units; resumed when the reader took all of it. */
const PAUSE_ABOVE = 8 * 1024 * 1024;

/**
 * Connects; rejects with HandshakeError, or the network's error, or when `signal` aborts. Frames are not compressed
 * (perMessageDeflate off), redirects are not followed.
 */
export async function openSession(url: string, options: SessionOptions): Promise<Session> {
  const settings: ClientOptions = {
    perMessageDeflate: false,
    followRedirects: false,
    handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    maxPayload: options.maxPayloadBytes ?? MAX_PAYLOAD,
  };
  const socket = socketOf(url, settings, options);
  const abort = (): void => socket.terminate();
  options.signal?.addEventListener('abort', abort, { once: true });
  // The session listens before the handshake ends: the first frames may come in the same packet.
  const session = new Session(socket, options);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
      socket.once('unexpected-response', (_request, response) => {
        const after = Number(response.headers['retry-after']);
        reject(new HandshakeError(response.statusCode ?? 0, Number.isFinite(after) ? after * 1000 : null));
        response.destroy();
        socket.terminate();
      });
    });
  } catch (error) {
    socket.terminate();
    throw toError(error);
  } finally {
    options.signal?.removeEventListener('abort', abort);
  }
  session.watch();
  return session;
}

/** Throws what keeps the handshake from beginning; a tap learns of it, too. */
function socketOf(url: string, settings: ClientOptions, { signal, tap }: SessionOptions): WebSocket {
  try {
    signal?.throwIfAborted();
    return new WebSocket(url, settings);
  } catch (error) {
    tap?.closed(toError(error).message);
    throw error;
  }
}

export class Session implements AsyncIterable<Frame[]> {
  /** Resolves when the connection is over, however that came about. Frames read before are still iterated. */
  readonly ended: Promise<SessionEnd>;
  readonly #socket: WebSocket;
  readonly #options: SessionOptions;
  #frames: Frame[] = [];
  #held = 0;
  #wake: (() => void) | null = null;
  #over: SessionEnd | null = null;
  #lastSign = 0;
  #pinged = false;
  #watchdog: NodeJS.Timeout | null = null;
  #failure: string | null = null;

  constructor(socket: WebSocket, options: SessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.ended = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#over = { code, reason: this.#failure ?? reason.toString() };
        if (this.#watchdog !== null) clearInterval(this.#watchdog);
        this.#wake?.();
        options.tap?.closed(`${code} ${this.#over.reason}`.trimEnd());
        resolve(this.#over);
      });
    });
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on('ping', () => this.#alive());
    socket.on('pong', () => this.#alive());
    // 'close' follows; without a listener the process would end.
    socket.on('error', (error) => this.#onError(error));
  }

  /** Begins to watch for silence; called once the socket is open. */
  watch(): void {
    this.#alive();
    this.#watchdog = setInterval(() => this.#checkAlive(), Math.max(10, this.#options.pingAfterMs / 4));
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Sends a text frame; silently nothing when the connection is over (`ended` tells). */
  send(text: string): void {
    if (!this.open) return;
    this.#socket.send(text);
    this.#options.tap?.sent(text);
  }

  /** A polite end: close frame, a second for the answer. */
  async close(): Promise<void> {
    if (this.#socket.isPaused) this.#socket.resume();
    this.#socket.close(1000);
    const timer = setTimeout(() => this.terminate('no answer to our close frame'), CLOSE_GRACE_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** The end at once: for a peer that does not answer. */
  terminate(reason: string): void {
    this.#failure ??= reason;
    this.#socket.terminate();
  }

  /**
   * Everything read since the last turn, as one batch; ends when the connection has and all is read. One reader only.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Frame[], void, undefined> {
    while (true) {
      if (this.#frames.length > 0) {
        const batch = this.#frames;
        this.#frames = [];
        this.#held = 0;
        if (this.#socket.isPaused) this.#socket.resume();
        yield batch;
      } else if (this.#over !== null) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = null;
      }
    }
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    this.#alive();
    const receivedTs = this.#options.clock.nowMicros();
    this.#options.tap?.received(data as Buffer, isBinary, receivedTs);
    if (isBinary) {
      this.#options.onBadFrame?.('binary', `${(data as Buffer).length} bytes`);
      return;
    }
    // ws hands text frames over as Buffers whose UTF-8 it has checked.
    const text = (data as Buffer).toString();
    this.#frames.push({ text, receivedTs });
    this.#held += text.length;
    if (this.#held > PAUSE_ABOVE && !this.#socket.isPaused) this.#socket.pause();
    this.#wake?.();
  }

  #onError(error: Error): void {
    this.#failure ??= error.message;
    const code = (error as { code?: unknown }).code;
    if (typeof code === 'string' && code.startsWith('WS_ERR_')) {
      const kind =
        code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
          ? 'oversize'
          : code === 'WS_ERR_INVALID_UTF8'
            ? 'encoding'
            : 'protocol';
      this.#options.onBadFrame?.(kind, error.message);
    }
  }

  #alive(): void {
    this.#lastSign = this.#options.clock.monotonicMs();
    this.#pinged = false;
  }

  #checkAlive(): void {
    const { clock, pingAfterMs } = this.#options;
    // While we do not read, silence says nothing about the peer.
    if (this.#socket.isPaused) return this.#alive();
    const silentMs = clock.monotonicMs() - this.#lastSign;
    if (this.#pinged && silentMs > 2 * pingAfterMs)
      return this.terminate(`no sign of life for ${Math.round(silentMs / 1000)} s`);
    if (!this.#pinged && silentMs > pingAfterMs && this.open) {
      this.#pinged = true;
      this.#socket.ping();
    }
  }
}
