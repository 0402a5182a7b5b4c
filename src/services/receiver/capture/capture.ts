// Raw capture (CAPTURE_DIR): every frame of every connection with its receive time, teed to files that the simulator replays. The
// receive path pays a copy of the bytes; a worker thread does the rest. Nothing here ever holds up or ends the receiver: a full disk,
// a folder that cannot be written or a disk too slow pauses the capture, with an event, and it is tried again.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/clock.ts';
import type { Kind } from '../../../core/captured.ts';
import { toError } from '../../../core/errors.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import { HAND_OVER_BYTES, LineBuffer, tagsOf, type Chunk, type FilesOptions, type Opened, type Report, type Tags } from './format.ts';

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
  readonly opened: Opened;
  readonly tags: Tags;
  readonly lane: Lane;
}

/** The lines of one market that wait to be handed over. */
interface Lane {
  readonly marketId: string;
  readonly lines: LineBuffer;
  readonly open: Set<Tapped>;
  frames: number;
  lastMicros: number;
  /** `connect` lines of what was open before the first of the lines. */
  opened: string;
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

  /** Records a connection from now on: what it receives and sends, until it is closed. */
  connection(marketId: string, url: string): SessionTap {
    const lane = this.#laneOf(marketId);
    const tapped: Tapped = { lane, tags: tagsOf(++this.#numbers), opened: { market_id: marketId, run: this.#o.run, url } };
    this.#put(tapped, 'connect', this.#now(), openedText(tapped));
    lane.open.add(tapped);
    return {
      received: (bytes, isBinary, receivedTs) => {
        if (isBinary) this.#put(tapped, 'binary', receivedTs, Buffer.from(bytes.toString('base64')));
        else this.#put(tapped, 'recv', receivedTs, bytes);
      },
      sent: (text) => this.#put(tapped, 'send', this.#now(), Buffer.from(text)),
      closed: (detail) => {
        if (!lane.open.has(tapped)) return;
        this.#put(tapped, 'close', this.#now(), Buffer.from(detail));
        lane.open.delete(tapped);
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

  #now(): number {
    return this.#o.clock.nowMicros();
  }

  #laneOf(marketId: string): Lane {
    const known = this.#lanes.get(marketId);
    if (known !== undefined) return known;
    const lane: Lane = { marketId, lines: new LineBuffer(), open: new Set(), frames: 0, lastMicros: 0, opened: '' };
    this.#lanes.set(marketId, lane);
    return lane;
  }

  #put({ lane, tags }: Tapped, kind: Kind, micros: number, text: Buffer): void {
    const isFrame = kind === 'recv' || kind === 'binary';
    if (this.#state === 'paused' || this.#state === 'over') {
      if (isFrame) this.#lose(1);
      return;
    }
    if (lane.lines.size === 0) lane.opened = openedLines(lane, micros);
    lane.lines.put(tags[kind], micros, text);
    lane.lastMicros = micros;
    if (isFrame) lane.frames++;
    if (lane.lines.size >= HAND_OVER_BYTES) this.#handOver(lane);
  }

  #handOver(lane: Lane): void {
    if (lane.lines.size === 0) return;
    const chunk: Chunk = { marketId: lane.marketId, lines: lane.lines.take(), frames: lane.frames, lastMicros: lane.lastMicros, opened: lane.opened };
    lane.frames = 0;
    this.#waiting += chunk.lines.length;
    this.#worker.postMessage(chunk, [chunk.lines.buffer]);
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
    const open = [...this.#lanes.values()].flatMap((lane) => [...lane.open]);
    for (const tapped of open) {
      // Some may have been opened in the meantime, and the file may still be the one of before.
      this.#put(tapped, 'connect', this.#now(), openedText(tapped));
      this.#put(tapped, 'lost', this.#now(), Buffer.from(String(this.#lost)));
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
      this.#waiting -= report.lines.length;
      this.#lanes.get(report.marketId)?.lines.giveBack(report.lines);
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

const openedText = ({ opened }: Tapped): Buffer => Buffer.from(JSON.stringify(opened));

function openedLines(lane: Lane, micros: number): string {
  const lines = new LineBuffer();
  for (const tapped of lane.open) lines.put(tapped.tags.connect, micros, openedText(tapped));
  return Buffer.from(lines.take()).toString();
}
