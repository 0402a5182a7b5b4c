// The file of an export: under its own name it is whole or not there. It grows as FILE.part and is renamed when it is on disk.
import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { toError } from '../../core/errors.ts';

export class OutFile {
  readonly path: string;
  readonly part: string;
  #bytes = 0;
  readonly #handle: FileHandle;

  /** Opens FILE.part anew. Rejects with a line that names it. */
  static async create(path: string): Promise<OutFile> {
    const part = `${path}.part`;
    try {
      // What a killed export left is of no use; a new file also parts us from one that still runs.
      await rm(part, { force: true });
      return new OutFile(path, part, await open(part, 'wx'));
    } catch (error) {
      throw named(part, error);
    }
  }

  private constructor(path: string, part: string, handle: FileHandle) {
    this.path = path;
    this.part = part;
    this.#handle = handle;
  }

  /** Bytes written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.#handle.write(bytes, at)).bytesWritten;
      this.#bytes += bytes.length;
    } catch (error) {
      throw named(this.part, error);
    }
  }

  /** Puts the file on disk and gives it its name. Rejects when another export has taken FILE.part meanwhile. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync();
      const [ours, there] = [await this.#handle.stat(), await stat(this.part).catch(() => null)];
      if (ours.ino !== there?.ino) throw new Error('another export writes the same file');
      await this.#handle.close();
      await rename(this.part, this.path);
    } catch (error) {
      throw named(this.part, error);
    }
  }

  /** Closes and removes FILE.part, unless it is another's. */
  async discard(): Promise<void> {
    const ours = await this.#handle.stat().catch(() => null);
    await this.#handle.close().catch(() => undefined);
    const there = await stat(this.part).catch(() => null);
    if (ours !== null && ours.ino === there?.ino) await rm(this.part, { force: true });
  }
}

const named = (path: string, error: unknown): Error => new Error(`cannot write ${path}: ${toError(error).message}`, { cause: error });
