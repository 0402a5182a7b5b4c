// The files of a capture: `<market>.<run>.<n>.jsonl.zst`, one JSON a line as the simulator replays it (docs/capture.md). Each piece
// is a zstd frame of its own, so that a file that was cut anywhere is readable up to there. Level 1: measured on exchange frames it
// packs 7 : 1 at 317 MB per second of CPU, where gzip's fastest packs 5 : 1 at 113.
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { toError } from '../../../core/errors.ts';
import { recordsOf, type CaptureRecord, type FilesOptions, type Opened, type Report } from './format.ts';

const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Text that is compressed at once; less goes out by the clock. */
const PIECE_CHARS = 1024 * 1024;
const FILE_BYTES = 64 * 1024 * 1024;
/** Of the whole bound, so that removing the oldest file never removes most. */
const FILE_SHARE = 8;
const FILE_MICROS = 3_600_000_000;
const NAME = /^\w+\.[\w.-]+\.\d{4,}\.jsonl\.zst$/;

interface Market {
  lines: string[];
  chars: number;
  frames: number;
  fd: number | null;
  name: string;
  bytes: number;
  /** When the file's first record was. */
  sinceMicros: number;
  lastMicros: number;
}

export class CaptureFiles {
  readonly #o: FilesOptions;
  readonly #report: (report: Report) => void;
  readonly #markets = new Map<string, Market>();
  readonly #open = new Map<number, Opened>();
  #files = 0;
  #diskBytes = 0;

  constructor(options: FilesOptions, report: (report: Report) => void) {
    this.#o = options;
    this.#report = report;
  }

  /** Takes a chunk's records in; full pieces go to disk. Never throws: what fails is reported. */
  take(chunk: Buffer): void {
    for (const record of recordsOf(chunk)) this.#add(chunk, record);
    this.#report({ type: 'taken', bytes: chunk.length });
    for (const [id, market] of this.#markets) if (market.chars >= PIECE_CHARS) this.#store(id, market);
  }

  /** Puts everything that is held on disk. */
  flush(): void {
    for (const [id, market] of this.#markets) if (market.chars > 0) this.#store(id, market);
  }

  close(): void {
    this.flush();
    for (const market of this.#markets.values()) shut(market);
  }

  #add(chunk: Buffer, { kind, micros, conn, from, to }: CaptureRecord): void {
    const text = kind === 'binary' ? chunk.toString('base64', from, to) : chunk.toString('utf8', from, to);
    if (kind === 'connect') this.#open.set(conn, JSON.parse(text) as Opened);
    const opened = this.#open.get(conn);
    // Its opening was in a piece that got lost; the receiver tells it again.
    if (opened === undefined) return;
    const market = this.#marketOf(opened.market_id);
    const line = kind === 'connect' ? connectLine(micros, conn, opened, this.#o.run) : `${head(micros, conn, kind)},"data":${JSON.stringify(text)}}\n`;
    market.lines.push(line);
    market.chars += line.length;
    if (kind === 'recv' || kind === 'binary') market.frames++;
    market.lastMicros = micros;
    if (kind === 'close') this.#open.delete(conn);
  }

  #marketOf(id: string): Market {
    const known = this.#markets.get(id);
    if (known !== undefined) return known;
    const market: Market = { lines: [], chars: 0, frames: 0, fd: null, name: '', bytes: 0, sinceMicros: 0, lastMicros: 0 };
    this.#markets.set(id, market);
    return market;
  }

  #store(id: string, market: Market): void {
    const { lines, frames } = market;
    Object.assign(market, { lines: [], chars: 0, frames: 0 });
    try {
      const limit = Math.min(FILE_BYTES, this.#o.maxBytes / FILE_SHARE);
      if (market.bytes >= limit || market.lastMicros - market.sinceMicros >= FILE_MICROS) shut(market);
      if (market.fd === null) lines.unshift(...this.#begin(id, market));
      const bytes = zstdCompressSync(lines.join(''), ZSTD);
      for (let at = 0; at < bytes.length; ) at += writeSync(market.fd ?? -1, bytes, at);
      market.bytes += bytes.length;
      this.#diskBytes += bytes.length;
      if (this.#diskBytes > this.#o.maxBytes) this.#prune();
      this.#report({ type: 'stored', bytes: bytes.length, frames, diskBytes: this.#diskBytes });
    } catch (error) {
      // What is in the file stays readable; what comes later begins another one.
      shut(market);
      this.#report({ type: 'failed', reason: toError(error).message, frames });
    }
  }

  /** Opens a file; returns the lines that make it complete in itself: the connections that are open. */
  #begin(id: string, market: Market): string[] {
    mkdirSync(this.#o.folder, { recursive: true });
    this.#prune();
    market.name = `${id}.${this.#o.run}.${String(++this.#files).padStart(4, '0')}.jsonl.zst`;
    market.fd = openSync(join(this.#o.folder, market.name), 'wx', 0o640);
    market.bytes = 0;
    market.sinceMicros = market.lastMicros;
    const mine = [...this.#open].filter(([, opened]) => opened.market_id === id);
    return mine.map(([conn, opened]) => connectLine(market.lastMicros, conn, opened, this.#o.run));
  }

  /** Removes the oldest files until the rest is within the bound, whoever captured them; never one that is being written here. */
  #prune(): void {
    const { folder, maxBytes } = this.#o;
    const files = readdirSync(folder).filter((name) => NAME.test(name)).flatMap((name) => {
      const stat = statSync(join(folder, name), { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ name, size: stat.size, at: stat.mtimeMs }];
    });
    this.#diskBytes = files.reduce((sum, { size }) => sum + size, 0);
    const writing = new Set([...this.#markets.values()].filter(({ fd }) => fd !== null).map(({ name }) => name));
    for (const { name, size } of files.sort((a, b) => a.at - b.at || (a.name < b.name ? -1 : 1))) {
      if (this.#diskBytes <= maxBytes) return;
      if (writing.has(name)) continue;
      rmSync(join(folder, name), { force: true });
      this.#diskBytes -= size;
    }
  }
}

function shut(market: Market): void {
  if (market.fd !== null) closeSync(market.fd);
  market.fd = null;
}

const head = (micros: number, conn: number, kind: string): string =>
  `{"t":${Math.floor(micros / 1e6)}.${String(micros % 1e6).padStart(6, '0')},"conn":${conn},"kind":"${kind}"`;

const connectLine = (micros: number, conn: number, { market_id, url }: Opened, run: string): string =>
  `${head(micros, conn, 'connect')},"market_id":${JSON.stringify(market_id)},"run":${JSON.stringify(run)},"url":${JSON.stringify(url)}}\n`;
