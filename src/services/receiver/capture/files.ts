// The files of a capture: `<market>.<run>.<n>.frames.zst`, lines as the simulator replays them (docs/capture.md). Each piece is a zstd
// frame of its own, so that a file that was cut anywhere is readable up to there. Level 1: measured on exchange frames it packs 8 : 1 at
// 330 MB per second of CPU, where -3 packs 5 : 1 at 415 and gzip's fastest 5 : 1 at 113.
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { toError } from '../../../core/errors.ts';
import { MarketLines } from './lines.ts';
import { eachRecord, type Chunk, type FilesOptions, type Report } from './records.ts';

const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Lines that are compressed at once; less goes out by the clock. */
const PIECE_BYTES = 1024 * 1024;
const FILE_BYTES = 64 * 1024 * 1024;
/** Of the whole bound, so that removing the oldest file never removes most. */
const FILE_SHARE = 8;
const FILE_MICROS = 3_600_000_000;
const NAME = /^\w+\.[\w.-]+\.\d{4,}\.(frames|jsonl)\.zst$/;

interface Market {
  readonly lines: MarketLines;
  /** Of the newest chunk in the lines. */
  attempt: number;
  fd: number | null;
  name: string;
  bytes: number;
  /** When the file's first record was. */
  sinceMicros: number;
}

export class CaptureFiles {
  readonly #o: FilesOptions;
  readonly #report: (report: Report) => void;
  readonly #markets = new Map<string, Market>();
  #files = 0;
  #diskBytes = 0;

  constructor(options: FilesOptions, report: (report: Report) => void) {
    this.#o = options;
    this.#report = report;
  }

  /** Takes a chunk in; full pieces go to disk. Never throws: what fails is reported. */
  take({ marketId, records, attempt }: Chunk): void {
    const market = this.#marketOf(marketId);
    if (attempt !== market.attempt) this.#store(marketId, market);
    market.attempt = attempt;
    eachRecord(records, (kind, conn, micros, bytes) => {
      if (market.lines.size + bytes.length > PIECE_BYTES) this.#store(marketId, market);
      market.lines.add(kind, conn, micros, bytes);
    });
    this.#report({ type: 'taken', marketId, records });
  }

  /** Puts everything that is held on disk. */
  flush(): void {
    for (const [id, market] of this.#markets) this.#store(id, market);
  }

  close(): void {
    this.flush();
    for (const market of this.#markets.values()) shut(market);
  }

  #marketOf(id: string): Market {
    const known = this.#markets.get(id);
    if (known !== undefined) return known;
    const market: Market = { lines: new MarketLines(), attempt: 0, fd: null, name: '', bytes: 0, sinceMicros: 0 };
    this.#markets.set(id, market);
    return market;
  }

  #store(id: string, market: Market): void {
    if (market.lines.size === 0) return;
    const { lastMicros } = market.lines;
    const { opened, lines, frames } = market.lines.take();
    try {
      const limit = Math.min(FILE_BYTES, this.#o.maxBytes / FILE_SHARE);
      if (market.bytes >= limit || lastMicros - market.sinceMicros >= FILE_MICROS) shut(market);
      // A file is complete in itself: the connections that are open come first.
      const isNew = market.fd === null;
      if (isNew) this.#begin(id, market, lastMicros);
      const beginning = isNew && opened !== '' ? [zstdCompressSync(opened, ZSTD)] : [];
      const bytes = Buffer.concat([...beginning, zstdCompressSync(lines, ZSTD)]);
      for (let at = 0; at < bytes.length; ) at += writeSync(market.fd ?? -1, bytes, at);
      market.bytes += bytes.length;
      this.#diskBytes += bytes.length;
      if (this.#diskBytes > this.#o.maxBytes) this.#pruneIfPossible();
      this.#report({ type: 'stored', bytes: bytes.length, frames, diskBytes: this.#diskBytes, attempt: market.attempt });
    } catch (error) {
      // What is in the file stays readable; what comes later begins another one. A file that came to nothing goes.
      // A part of what failed may stand there: it counts as lost, so that it must not.
      const isEmpty = market.fd !== null && market.bytes === 0;
      if (market.fd !== null) cutIfPossible(market.fd, market.bytes);
      shut(market);
      if (isEmpty) removeIfPossible(join(this.#o.folder, market.name));
      this.#report({ type: 'failed', reason: toError(error).message, frames });
    }
  }

  #begin(id: string, market: Market, micros: number): void {
    mkdirSync(this.#o.folder, { recursive: true });
    this.#prune();
    market.name = `${id}.${this.#o.run}.${String(++this.#files).padStart(4, '0')}.frames.zst`;
    market.fd = openSync(join(this.#o.folder, market.name), 'wx', 0o640);
    market.bytes = 0;
    market.sinceMicros = micros;
  }

  /** What is stored is stored: what cannot be removed now is met when the next file begins. */
  #pruneIfPossible(): void {
    try {
      this.#prune();
    } catch {
      // See above.
    }
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

/** On a disk in trouble, these may fail as well. */
function cutIfPossible(fd: number, bytes: number): void {
  try {
    ftruncateSync(fd, bytes);
  } catch {
    // A reader stops at the torn piece.
  }
}

function removeIfPossible(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It is pruned with the oldest.
  }
}
