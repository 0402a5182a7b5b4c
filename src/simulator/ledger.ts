// The truth of a run: one JSON line for every trade, fault, session and subscription, on disk before a client can see
// its effect. Lines of a tick are written and fdatasync'ed together (group commit); the frames go out after that.
import { close, fdatasync, openSync, readFileSync, write } from 'node:fs';
import { promisify } from 'node:util';

const writeAt = promisify(write);
const sync = promisify(fdatasync);
const closeFile = promisify(close);

/** Bytes kept when the ledger is in memory only. */
const MEMORY_LIMIT = 192 * 1024 * 1024;

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
  entries(): Iterable<LedgerEntry>;
  close(): Promise<void>;
}

/** A ledger in `path` (appended to), or in memory when `path` is null. Throws when the file cannot be opened. */
export function openLedger(path: string | null): Ledger {
  return path === null ? new MemoryLedger() : new FileLedger(path);
}

class FileLedger implements Ledger {
  readonly #path: string;
  readonly #fd: number;
  #pending = '';
  #last: Promise<void> | null = null;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, 'a');
  }

  append(line: string): void {
    this.#pending += `${line}\n`;
  }

  note(entry: LedgerEntry): void {
    this.append(JSON.stringify(entry));
  }

  commit(): Promise<void> | null {
    if (this.#pending === '') return this.#last;
    const batch = Buffer.from(this.#pending);
    this.#pending = '';
    const done = (this.#last ?? Promise.resolve()).then(() => this.#write(batch));
    this.#last = done;
    const forget = (): void => {
      if (this.#last === done) this.#last = null;
    };
    done.then(forget, forget);
    return done;
  }

  read(since: number, limitBytes = 16 * 1024 * 1024): { text: string; next: number } {
    return cut(readFileSync(this.#path), since, limitBytes);
  }

  entries(): Iterable<LedgerEntry> {
    return parseLines(readFileSync(this.#path, 'utf8') + this.#pending);
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
  readonly #chunks: string[] = [];
  #open = '';
  #size = 0;
  #dropped = 0;

  append(line: string): void {
    this.#open += `${line}\n`;
    if (this.#open.length > 65_536) this.#seal();
  }

  note(entry: LedgerEntry): void {
    this.append(JSON.stringify(entry));
  }

  commit(): null {
    return null;
  }

  read(since: number, limitBytes = 16 * 1024 * 1024): { text: string; next: number } {
    this.#seal();
    let at = this.#dropped;
    let text = '';
    for (const chunk of this.#chunks) {
      if (at + chunk.length > since && text.length < limitBytes) text += chunk.slice(Math.max(0, since - at));
      at += chunk.length;
    }
    return { text, next: Math.max(since, this.#dropped) + text.length };
  }

  entries(): Iterable<LedgerEntry> {
    this.#seal();
    return parseLines(this.#chunks.join(''));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #seal(): void {
    if (this.#open === '') return;
    this.#chunks.push(this.#open);
    this.#size += this.#open.length;
    this.#open = '';
    while (this.#size > MEMORY_LIMIT && this.#chunks.length > 1) {
      const length = this.#chunks.shift()?.length ?? 0;
      this.#size -= length;
      this.#dropped += length;
    }
  }
}

function cut(bytes: Buffer, since: number, limitBytes: number): { text: string; next: number } {
  const end = bytes.lastIndexOf(10, Math.min(bytes.length, since + limitBytes) - 1) + 1;
  if (end <= since) return { text: '', next: since };
  return { text: bytes.toString('utf8', since, end), next: end };
}

function* parseLines(text: string): Generator<LedgerEntry> {
  for (const line of text.split('\n')) if (line !== '') yield JSON.parse(line) as LedgerEntry;
}
