// CSV (RFC 4180, UTF-8, \n, a header line). Decimals are the stored text, times ISO 8601 in UTC with microseconds, null is nothing.
import type { Cell, ExportColumn, Row } from '../../store/export.ts';
import type { OutFile } from './out_file.ts';
import type { TableWriter } from './table_writer.ts';

export class CsvWriter implements TableWriter {
  readonly #file: OutFile;
  readonly #isTime: readonly boolean[];
  #header: string;

  constructor(file: OutFile, columns: readonly ExportColumn[]) {
    this.#file = file;
    this.#isTime = columns.map(({ type }) => type === 'time');
    this.#header = `${columns.map(({ name }) => name).join(',')}\n`;
  }

  async write(rows: readonly Row[]): Promise<void> {
    let text = this.#header;
    this.#header = '';
    for (const row of rows) text += `${row.map((cell, i) => this.#field(cell, i)).join(',')}\n`;
    await this.#file.write(Buffer.from(text));
  }

  async finish(): Promise<void> {
    if (this.#header !== '') await this.write([]);
  }

  #field(cell: Cell, column: number): string {
    if (cell === null) return '';
    if (typeof cell === 'boolean') return String(cell);
    if (this.#isTime[column] === true) return isoMicros(cell);
    return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  }
}

/** `2026-11-24T06:16:52.334000Z` of µs since the epoch as text. */
export function isoMicros(micros: string): string {
  const at = Number(micros);
  const ms = Math.floor(at / 1000);
  return `${new Date(ms).toISOString().slice(0, -1)}${String(at - ms * 1000).padStart(3, '0')}Z`;
}
