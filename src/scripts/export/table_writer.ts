// What each format of an export does: rows in, bytes into the file.
import type { Row } from '../../store/export.ts';

export interface TableWriter {
  /** Takes the next rows. Rejects when the file cannot be written. */
  write(rows: readonly Row[]): Promise<void>;
  /** Writes what is still held, and what closes the format. */
  finish(): Promise<void>;
}
