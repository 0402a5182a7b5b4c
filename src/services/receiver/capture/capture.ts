// Raw capture (CAPTURE_DIR): every frame of every connection with its receive time, teed to files that the simulator replays. The
// receive path pays a copy of the frames; a worker thread does the rest. Nothing here ever holds up or ends the receiver: a full disk,
// a folder that cannot be written or a disk too slow pauses the capture, with an event, and it is tried again.
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/clock.ts';
import { toError } from '../../../core/errors.ts';
import type { SessionTap } from '../../../net/websocket.ts';
import { FrameRun } from './frame_run.ts';
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
  readonly run: FrameRun;
}

/** The records of one market that wait to be handed over. */
interface Lane {
  readonly marketId: string;
  readonly records: RecordBuffer;
  readonly open: Set<Tapped>;
  /** Chunks that the worker has not taken yet. */
  untaken: number;
}

/** Also how long the memory of a run is kept. */
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
  /** Memory that the worker has not taken yet, bytes. */
  #waiting = 0;
  /** Frames that are neither on disk nor lost. */
  #underWay = 0;
  #numbers = 0;
  #state: 'on' | 'paused' | 'trying' | 'over' = 'on';
  #attempt = 0;
  #retryMs = Infinity;
  #lost = 0;
  #isClosing = false;

  constructor(options: CaptureOptions) {
    this.#o = options;
    const { folder, run, maxBytes } = options;
    this.#worker = new Worker(new URL('./main.ts', import.meta.url), { workerData: { folder, run, maxBytes } satisfies FilesOptions });
    this.#worker.on('message', (report: Report) => this.#onReport(report));
    this.#worker.on('error', (error) => this.#giveUp(toError(error).message));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        if (!this.#isClosing) this.#giveUp(`its thread ended with ${code}`);
        resolve();
      });
    });
    this.#timer = setInterval(() => this.#tick(), HAND_OVER_MS);
  }

  /** Records a connection from now on: what it receives and sends, until it is closed. */
  connection(marketId: string, url: string): SessionTap {
    const lane = this.#laneOf(marketId);
    const tapped: Tapped = { lane, conn: ++this.#numbers, run: new FrameRun() };
    const opened: Opened = { market_id: marketId, run: this.#o.run, url };
    // Told while it is paused, too: the worker knows at any time what is open.
    this.#put(tapped, 'connect', Buffer.from(JSON.stringify(opened)));
    lane.open.add(tapped);
    return {
      received: (bytes, isBinary, receivedTs) => {
        if (!tapped.run.follows(bytes)) this.#begin(tapped, bytes, isBinary, receivedTs);
      },
      sent: (text) => {
        this.#putRun(tapped);
        if (this.#isOn) this.#put(tapped, 'send', Buffer.from(text));
      },
      closed: (detail) => {
        this.#putRun(tapped);
        if (lane.open.delete(tapped)) this.#put(tapped, 'close', Buffer.from(detail));
      },
    };
  }

  /** Puts what is held on disk, within three seconds, and ends the worker. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosing = true;
    this.#handOverWhere(() => true);
    this.#worker.postMessage(null);
    const late = setTimeout(() => void this.#worker.terminate(), CLOSE_MS);
    await this.#ended;
    clearTimeout(late);
    this.#loseUnderWay();
  }

  get #isOn(): boolean {
    return this.#state === 'on' || this.#state === 'trying';
  }

  #laneOf(marketId: string): Lane {
    const known = this.#lanes.get(marketId);
    if (known !== undefined) return known;
    const lane: Lane = { marketId, records: new RecordBuffer(), open: new Set(), untaken: 0 };
    this.#lanes.set(marketId, lane);
    return lane;
  }

  /** A message that does not stand behind the run: another run, or it goes by itself. */
  #begin(tapped: Tapped, bytes: Buffer, isBinary: boolean, receivedTs: number): void {
    this.#putRun(tapped);
    if (!this.#isOn || !tapped.lane.open.has(tapped)) {
      this.#lose(1);
      return;
    }
    if (tapped.run.begin(bytes, receivedTs)) return;
    this.#underWay++;
    this.#put(tapped, isBinary ? 'binary' : 'recv', bytes, receivedTs);
  }

  #putRun(tapped: Tapped): void {
    const { run } = tapped;
    if (run.frames === 0) return;
    this.#underWay += run.frames;
    this.#put(tapped, 'frames', run.bytes, run.micros);
    run.clear();
  }

  #put({ lane, conn }: Tapped, kind: RecordKind, bytes: Buffer, micros = this.#o.clock.nowMicros()): void {
    if (this.#state === 'over') {
      this.#loseUnderWay();
      return;
    }
    if (!lane.records.fits(bytes.length)) this.#handOver(lane);
    lane.records.put(kind, conn, micros, bytes);
  }

  #handOver(lane: Lane): void {
    if (lane.records.size === 0) return;
    const chunk: Chunk = { marketId: lane.marketId, records: lane.records.take(), attempt: this.#attempt };
    lane.untaken++;
    this.#waiting += chunk.records.buffer.byteLength;
    this.#worker.postMessage(chunk, [chunk.records.buffer]);
    if (this.#waiting > WAITING_BYTES) this.#pause('the disk does not keep up');
  }

  #handOverWhere(may: (lane: Lane) => boolean): void {
    for (const lane of this.#lanes.values()) {
      for (const tapped of lane.open) this.#putRun(tapped);
      if (may(lane)) this.#handOver(lane);
    }
  }

  #tick(): void {
    if (this.#state === 'paused' && this.#o.clock.monotonicMs() >= this.#retryMs && this.#waiting < WAITING_BYTES / 2) this.#tryAgain();
    // A worker that is behind gets full buffers only: hardly filled ones would take as much memory.
    this.#handOverWhere(({ untaken }) => untaken === 0);
  }

  #tryAgain(): void {
    this.#state = 'trying';
    this.#handOverWhere(() => true);
    // What is stored of this attempt shows that it goes on; what was under way before says nothing.
    this.#attempt++;
    for (const lane of this.#lanes.values()) for (const tapped of lane.open) this.#put(tapped, 'lost', Buffer.from(String(this.#lost)));
  }

  #pause(reason: string): void {
    // What was under way fails as well.
    if (!this.#isOn) return;
    if (this.#state === 'on') this.#o.onPaused(reason);
    this.#state = 'paused';
    this.#retryMs = this.#o.clock.monotonicMs() + RETRY_MS;
  }

  /** Nothing is captured any more until the process starts again. */
  #giveUp(reason: string): void {
    this.#pause(reason);
    this.#state = 'over';
    this.#loseUnderWay();
  }

  #loseUnderWay(): void {
    this.#lose(this.#underWay);
    this.#underWay = 0;
  }

  #lose(frames: number): void {
    if (frames === 0) return;
    this.#lost += frames;
    this.#o.onLost(frames);
  }

  #onReport(report: Report): void {
    if (report.type === 'taken') {
      this.#waiting -= report.records.buffer.byteLength;
      const lane = this.#laneOf(report.marketId);
      lane.untaken--;
      lane.records.giveBack(report.records);
      return;
    }
    this.#underWay -= report.frames;
    if (report.type === 'failed') {
      this.#lose(report.frames);
      this.#pause(report.reason);
      return;
    }
    this.#o.onStored(report.bytes, report.frames, report.diskBytes);
    if (this.#state !== 'trying' || report.attempt !== this.#attempt) return;
    this.#state = 'on';
    this.#o.onResumed(this.#lost);
    this.#lost = 0;
  }
}
