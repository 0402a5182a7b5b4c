// Raw capture (CAPTURE_DIR): every frame of every connection with its receive time, teed to files that the simulator replays. The
// receive path pays a copy of the bytes; a worker thread does the rest. Nothing here ever holds up or ends the receiver: a full disk,
// a folder that cannot be written or a disk too slow pauses the capture, with an event, and it is tried again.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import { putRecord, recordSize, type FilesOptions, type Kind, type Opened, type Report } from './format.ts';

export interface CaptureHooks {
  /** Frames are lost from here on, for this reason. */
  onPaused: (reason: string) => void;
  /** Frames are on disk again; `lost` are not. */
  onResumed: (lost: number) => void;
  onStored: (bytes: number, frames: number, diskBytes: number) => void;
  onLost: (frames: number) => void;
}

export interface CaptureOptions extends FilesOptions, CaptureHooks {
  clock: Clock;
}

const CHUNK_BYTES = 256 * 1024;
const HAND_OVER_MS = 250;
/** What may wait for the worker: more is lost to the capture, since memory belongs to the receiver. */
const WAITING_BYTES = 64 * 1024 * 1024;
const RETRY_MS = 10_000;
const CLOSE_MS = 3_000;

export class Capture {
  readonly #o: CaptureOptions;
  readonly #worker: Worker;
  readonly #open = new Map<number, Opened>();
  readonly #timer: NodeJS.Timeout;
  readonly #ended: Promise<void>;
  #chunk = Buffer.alloc(0);
  #at = 0;
  #waiting = 0;
  #numbers = 0;
  #state: 'on' | 'paused' | 'trying' | 'over' = 'on';
  #retryMs = Infinity;
  #lost = 0;

  constructor(options: CaptureOptions) {
    this.#o = options;
    const { folder, run, maxBytes } = options;
    this.#worker = new Worker(new URL('./main.ts', import.meta.url), { workerData: { folder, run, maxBytes } satisfies FilesOptions });
    this.#worker.on('message', (report: Report) => this.#onReport(report));
    this.#worker.on('error', (error) => {
      this.#pause(toError(error).message);
      this.#state = 'over';
    });
    this.#ended = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#timer = setInterval(() => this.#tick(), HAND_OVER_MS);
  }

  /** Records a connection from now on: what it receives and sends, until it is closed. */
  connection(marketId: string, url: string): SessionTap {
    const conn = ++this.#numbers;
    const opened = { market_id: marketId, url };
    this.#open.set(conn, opened);
    this.#put('connect', conn, this.#now(), Buffer.from(JSON.stringify(opened)));
    return {
      received: (bytes, isBinary, receivedTs) => this.#put(isBinary ? 'binary' : 'recv', conn, receivedTs, bytes),
      sent: (text) => this.#put('send', conn, this.#now(), Buffer.from(text)),
      closed: (detail) => {
        if (this.#open.delete(conn)) this.#put('close', conn, this.#now(), Buffer.from(detail));
      },
    };
  }

  /** Puts what is held on disk, within three seconds, and ends the worker. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#handOver();
    this.#worker.postMessage(null);
    const late = setTimeout(() => void this.#worker.terminate(), CLOSE_MS);
    await this.#ended;
    clearTimeout(late);
  }

  #now(): number {
    return this.#o.clock.nowMicros();
  }

  #put(kind: Kind, conn: number, micros: number, bytes: Buffer): void {
    if (this.#state === 'paused' || this.#state === 'over') {
      if (kind === 'recv' || kind === 'binary') this.#lose(1);
      return;
    }
    const size = recordSize(bytes.length);
    if (this.#at + size > this.#chunk.length) {
      this.#handOver();
      // Not of the pool: it is given away.
      this.#chunk = Buffer.from(new ArrayBuffer(Math.max(CHUNK_BYTES, size)));
    }
    this.#at = putRecord(this.#chunk, this.#at, kind, micros, conn, bytes);
  }

  #handOver(): void {
    if (this.#at === 0) return;
    const full = this.#chunk.subarray(0, this.#at);
    this.#waiting += full.length;
    this.#worker.postMessage(full, [full.buffer]);
    this.#chunk = Buffer.alloc(0);
    this.#at = 0;
    if (this.#waiting > WAITING_BYTES) this.#pause('the disk does not keep up');
  }

  #tick(): void {
    if (this.#state === 'paused' && this.#o.clock.monotonicMs() >= this.#retryMs && this.#waiting < WAITING_BYTES / 2) this.#tryAgain();
    this.#handOver();
  }

  #tryAgain(): void {
    this.#state = 'trying';
    for (const [conn, opened] of this.#open) {
      this.#put('connect', conn, this.#now(), Buffer.from(JSON.stringify(opened)));
      this.#put('lost', conn, this.#now(), Buffer.from(String(this.#lost)));
    }
  }

  #pause(reason: string): void {
    if (this.#state === 'on') this.#o.onPaused(reason);
    this.#state = 'paused';
    this.#retryMs = this.#o.clock.monotonicMs() + RETRY_MS;
  }

  #lose(frames: number): void {
    this.#lost += frames;
    this.#o.onLost(frames);
  }

  #onReport(report: Report): void {
    if (report.type === 'taken') {
      this.#waiting -= report.bytes;
    } else if (report.type === 'failed') {
      this.#lose(report.frames);
      if (this.#state !== 'over') this.#pause(report.reason);
    } else {
      this.#o.onStored(report.bytes, report.frames, report.diskBytes);
      if (this.#state !== 'trying') return;
      this.#state = 'on';
      this.#o.onResumed(this.#lost);
      this.#lost = 0;
    }
  }
}
