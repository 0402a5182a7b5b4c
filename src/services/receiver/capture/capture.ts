// Raw capture (CAPTURE_DIR): every frame of every connection with its receive time, teed to files that the simulator replays. The
// receive path pays a copy of what the socket reads; a worker thread finds the frames in it and does the rest. Nothing here ever holds up
// or ends the receiver: a full disk, a folder that cannot be written or a disk too slow pauses the capture, with an event, and it is tried
// again.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import { RecordBuffer, type Chunk, type FilesOptions, type Opened, type RecordKind, type Report } from './records.ts';

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

interface Tapped {
  readonly conn: number;
  readonly lane: Lane;
  /** Reads are lost: the capture goes on where the next frame begins. */
  hasLost: boolean;
  /** The last read, while it is the current one and `hasLost`. */
  read: Buffer | null;
}

/** The records of one market that wait to be handed over. */
interface Lane {
  readonly marketId: string;
  readonly records: RecordBuffer;
  readonly open: Set<Tapped>;
}

const HAND_OVER_MS = 250;
/** What may wait for the worker: more is lost to the capture, since memory belongs to the receiver. */
const WAITING_BYTES = 64 * 1024 * 1024;
const RETRY_MS = 10_000;
const CLOSE_MS = 3_000;

export class Capture {
  readonly #o: CaptureOptions;
  readonly #worker: Worker;
  readonly #lanes = new Map<string, Lane>();
  readonly #timer: NodeJS.Timeout;
  readonly #ended: Promise<void>;
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

  /** Records a connection from now on: what it reads and sends, until it is closed. */
  connection(marketId: string, url: string): SessionTap {
    const lane = this.#laneOf(marketId);
    const tapped: Tapped = { lane, conn: ++this.#numbers, hasLost: false, read: null };
    const opened: Opened = { market_id: marketId, run: this.#o.run, url };
    // Told while it is paused, too: the worker knows at any time what is open.
    this.#put(tapped, 'connect', Buffer.from(JSON.stringify(opened)));
    lane.open.add(tapped);
    return {
      read: (bytes) => this.#read(tapped, bytes),
      message: (bytes) => {
        if (tapped.hasLost) this.#missed(tapped, bytes);
      },
      sent: (text) => {
        if (this.#isOn) this.#put(tapped, 'send', Buffer.from(text));
      },
      closed: (detail) => {
        if (lane.open.delete(tapped)) this.#put(tapped, 'close', Buffer.from(detail));
      },
    };
  }

  /** Puts what is held on disk, within three seconds, and ends the worker. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#handOverAll();
    this.#worker.postMessage(null);
    const late = setTimeout(() => void this.#worker.terminate(), CLOSE_MS);
    await this.#ended;
    clearTimeout(late);
  }

  get #isOn(): boolean {
    return this.#state === 'on' || this.#state === 'trying';
  }

  #laneOf(marketId: string): Lane {
    const known = this.#lanes.get(marketId);
    if (known !== undefined) return known;
    const lane: Lane = { marketId, records: new RecordBuffer(), open: new Set() };
    this.#lanes.set(marketId, lane);
    return lane;
  }

  #read(tapped: Tapped, bytes: Buffer): void {
    if (!this.#isOn) tapped.hasLost = true;
    if (tapped.hasLost) tapped.read = bytes;
    else this.#put(tapped, 'read', bytes);
  }

  /** A message that is not captured. Where it is a view of the current read, the next frame begins behind it. */
  #missed(tapped: Tapped, bytes: Buffer): void {
    this.#lose(1);
    const { read } = tapped;
    if (!this.#isOn || read?.buffer !== bytes.buffer) return;
    const [from, to] = [bytes.byteOffset - read.byteOffset, bytes.byteOffset + bytes.length - read.byteOffset];
    if (from < 0 || to > read.length) return;
    Object.assign(tapped, { hasLost: false, read: null });
    this.#putLost(tapped);
    this.#put(tapped, 'resumed', read, to);
  }

  #putLost(tapped: Tapped): void {
    this.#put(tapped, 'lost', Buffer.from(String(this.#lost)));
  }

  #put({ lane, conn }: Tapped, kind: RecordKind, bytes: Buffer, from = 0): void {
    if (this.#state === 'over') return;
    if (!lane.records.fits(bytes.length - from)) this.#handOver(lane);
    lane.records.put(kind, conn, this.#o.clock.nowMicros(), bytes, from);
  }

  #handOver(lane: Lane): void {
    if (lane.records.size === 0) return;
    const chunk: Chunk = { marketId: lane.marketId, records: lane.records.take() };
    this.#waiting += chunk.records.length;
    this.#worker.postMessage(chunk, [chunk.records.buffer]);
    if (this.#waiting > WAITING_BYTES) this.#pause('the disk does not keep up');
  }

  #handOverAll(): void {
    for (const lane of this.#lanes.values()) this.#handOver(lane);
  }

  #tick(): void {
    if (this.#state === 'paused' && this.#o.clock.monotonicMs() >= this.#retryMs && this.#waiting < WAITING_BYTES / 2) this.#tryAgain();
    this.#handOverAll();
  }

  #tryAgain(): void {
    this.#state = 'trying';
    // Those that lost reads say so when they go on; of the others the worker could not store some.
    for (const lane of this.#lanes.values()) for (const tapped of lane.open) if (!tapped.hasLost) this.#putLost(tapped);
  }

  #pause(reason: string): void {
    // What was under way fails as well.
    if (this.#state === 'paused') return;
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
      this.#waiting -= report.records.length;
      this.#lanes.get(report.marketId)?.records.giveBack(report.records);
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
