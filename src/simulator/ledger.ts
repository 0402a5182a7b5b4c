// The truth of a run: one JSON line for every trade, fault, session and subscription, on disk before a client can see
// its effect. Lines of a tick are written and fdatasync'ed together (group commit); the frames go out after that.
import { close, fdatasync, openSync, readFileSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { UsageError, toError } from '../core/errors.ts';
import { Bytes } from './bytes.ts';

const writeAt = promisify(write);
const sync = promisify(fdatasync);
const closeFile = promisify(close);

/** Bytes kept when the ledger is in memory only. */
const MEMORY_LIMIT = 192 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const READ_LIMIT = 16 * 1024 * 1024;

export type LedgerEntry = { k: string; sent?: boolean; seq?: number; seq_last?: number } & Readonly<Record<string, unknown>>;

export interface Ledger {
  /** Adds one line (without its line feed) to the current batch. */
  append(line: string): void;
  /** Adds an object as a line. */
  note(entry: LedgerEntry): void;
  /** Resolves when everything appended so far is on disk; null when there is nothing to wait for. */
  commit(): Promise<void> | null;
  /** Lines from byte offset `since` on, and the offset to go on from. Whole lines only. */
  read(since: number, limitBytes?: number): { text: string; next: number };
  /** All lines: of a file those that are on disk, so await commit() first. */
  entries(): Iterable<LedgerEntry>;
  close(): Promise<void>;
}

/** A ledger in `path` (appended to), or in memory when `path` is null. Throws UsageError when the file cannot be opened. */
export function openLedger(path: string | null): Ledger {
  try {
    return path === null ? new MemoryLedger() : new FileLedger(path);
  } catch (error) {
    throw new UsageError(`SIM_LEDGER: cannot write ${path}: ${toError(error).message}`, { cause: error });
  }
}

class FileLedger implements Ledger {
  readonly #path: string;
  readonly #fd: number;
  readonly #pending = new Bytes();
  #last: Promise<void> | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a');
  }

  append(line: string): void {
    this.#pending.append(`${line}\n`);
  }

  note(entry: LedgerEntry): void {
    this.append(asciiJson(entry));
  }

  commit(): Promise<void> | null {
    if (this.#pending.length === 0) return this.#last;
    const batch = this.#pending.take();
    const done = (this.#last ?? Promise.resolve()).then(() => this.#write(batch));
    this.#last = done;
    const forget = (): void => {
      if (this.#last === done) this.#last = null;
    };
    done.then(forget, forget);
    return done;
  }

  read(since: number, limitBytes = READ_LIMIT): { text: string; next: number } {
    return cut(readFileSync(this.#path), since, limitBytes);
  }

  entries(): Iterable<LedgerEntry> {
    return parseLines(readFileSync(this.#path, 'latin1'));
  }

  async close(): Promise<void> {
    await this.commit();
    await closeFile(this.#fd);
  }

  async #write(batch: Buffer): Promise<void> {
    for (let done = 0; done < batch.length; ) {
      const { bytesWritten } = await writeAt(this.#fd, batch, done, batch.length - done);
      done += bytesWritten;
    }
    await sync(this.#fd);
  }
}

class MemoryLedger implements Ledger {
  readonly #chunks: Buffer[] = [];
  readonly #open = new Bytes();
  #size = 0;
  #dropped = 0;

  append(line: string): void {
    this.#open.append(`${line}\n`);
    if (this.#open.length > CHUNK) this.#seal();
  }

  note(entry: LedgerEntry): void {
    this.append(asciiJson(entry));
  }

  commit(): null {
    return null;
  }

  read(since: number, limitBytes = READ_LIMIT): { text: string; next: number } {
    this.#seal();
    let at = this.#dropped;
    let text = '';
    for (const chunk of this.#chunks) {
      if (at + chunk.length > since && text.length < limitBytes) text += chunk.toString('latin1', Math.max(0, since - at));
      at += chunk.length;
    }
    return { text, next: Math.max(since, this.#dropped) + text.length };
  }

  *entries(): Iterable<LedgerEntry> {
    this.#seal();
    for (const chunk of [...this.#chunks]) yield* parseLines(chunk.toString('latin1'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Chunks hold whole lines. */
  #seal(): void {
    if (this.#open.length === 0) return;
    const chunk = Buffer.from(this.#open.take());
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size > MEMORY_LIMIT && this.#chunks.length > 1) {
      const length = this.#chunks.shift()?.length ?? 0;
      this.#size -= length;
      this.#dropped += length;
    }
  }
}

/** Lines are ASCII: offsets are bytes and characters alike. */
function asciiJson(entry: LedgerEntry): string {
  return JSON.stringify(entry).replace(/[^\x00-\x7f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function cut(bytes: Buffer, since: number, limitBytes: number): { text: string; next: number } {
  const end = bytes.lastIndexOf(10, Math.min(bytes.length, since + limitBytes) - 1) + 1;
  if (end <= since) return { text: '', next: since };
  return { text: bytes.toString('utf8', since, end), next: end };
}

function* parseLines(text: string): Generator<LedgerEntry> {
  for (const line of text.split('\n')) if (line !== '') yield JSON.parse(line) as LedgerEntry;
}
