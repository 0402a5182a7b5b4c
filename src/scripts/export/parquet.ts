// Parquet through hyparquet-writer, one row group at a time. Decimals are DECIMAL of the instrument's (or, where the data has more
// digits, the data's) scale, never floats; times are TIMESTAMP in UTC with microseconds.
import { zstdCompressSync } from 'node:zlib';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import type { Cell, DecimalSize, ExportColumn, ExportInstrument, ExportSize, Row } from '../../store/export.ts';
import type { OutFile } from './out_file.ts';
import type { TableWriter } from './table_writer.ts';

/** Rows held until they are written: about 15 MB of them. */
const GROUP_ROWS = 32_768;
/** DECIMAL digits that an INT64 holds, and that any reader takes. */
const INT64_DIGITS = 18;
const MAX_DIGITS = 38;

type SchemaElement = ConstructorParameters<typeof ParquetWriter>[0]['schema'][number];
type ColumnData = Parameters<ParquetWriter['write']>[0]['columnData'][number]['data'];

interface Field {
  readonly element: SchemaElement;
  readonly convert: (cell: Cell) => Cell | bigint;
}

export interface ParquetTable {
  readonly columns: readonly ExportColumn[];
  readonly instrument: ExportInstrument;
  readonly size: ExportSize;
  /** Told in the file's key-value metadata. */
  readonly about: Readonly<Record<string, string>>;
}

export class ParquetTableWriter implements TableWriter {
  readonly #fields: readonly Field[];
  readonly #writer: ParquetWriter;
  #held: (Cell | bigint)[][];
  #rows = 0;
  readonly #emit: () => Promise<void>;

  constructor(file: OutFile, { columns, instrument, size, about }: ParquetTable) {
    this.#fields = columns.map((column) => fieldOf(column, instrument, size.decimals.get(column.name)));
    this.#held = columns.map(() => []);
    const bytes = new ByteWriter();
    this.#emit = async () => {
      const done = new Uint8Array(bytes.buffer, 0, bytes.index);
      await file.write(done);
      // As the library's own file writer does: the buffer starts anew, offsets go on.
      bytes.index = 0;
    };
    this.#writer = new ParquetWriter({
      writer: bytes,
      schema: [{ name: 'root', num_children: columns.length }, ...this.#fields.map(({ element }) => element)],
      codec: 'ZSTD',
      compressors: { ZSTD: (input) => zstdCompressSync(input) },
      kvMetadata: Object.entries(about).map(([key, value]) => ({ key, value })),
      createdBy: 'tapekeeper',
    });
  }

  async write(rows: readonly Row[]): Promise<void> {
    for (const row of rows) {
      for (const [i, { convert }] of this.#fields.entries()) this.#held[i]?.push(convert(row[i] ?? null));
      if (++this.#rows === GROUP_ROWS) await this.#writeGroup();
    }
  }

  async finish(): Promise<void> {
    if (this.#rows > 0) await this.#writeGroup();
    await this.#writer.finish();
    await this.#emit();
  }

  async #writeGroup(): Promise<void> {
    await this.#writer.write({
      columnData: this.#fields.map(({ element }, i) => ({ name: element.name, data: (this.#held[i] ?? []) as ColumnData })),
      rowGroupSize: GROUP_ROWS,
    });
    this.#held = this.#fields.map(() => []);
    this.#rows = 0;
    await this.#emit();
  }
}

const ALWAYS = new Set(['market_id', 'symbol', 'ts', 'received_at', 'trade_id', 'price', 'amount', 'side', 'resolution', 'open_ts', 'open', 'high', 'low',
  'close', 'volume', 'is_final', 'source', 'updated_at']);

function fieldOf({ name, type, step }: ExportColumn, instrument: ExportInstrument, size: DecimalSize | undefined): Field {
  const base = { name, repetition_type: ALWAYS.has(name) ? 'REQUIRED' : 'OPTIONAL' } as const;
  const whole = (cell: Cell): bigint | null => (typeof cell === 'string' ? BigInt(cell) : null);
  if (type === 'boolean') return { element: { ...base, type: 'BOOLEAN' }, convert: (cell) => cell };
  if (type === 'integer') return { element: { ...base, type: 'INT64' }, convert: whole };
  if (type === 'time') {
    const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' } as const;
    return { element: { ...base, type: 'INT64', converted_type: 'TIMESTAMP_MICROS', logical_type }, convert: whole };
  }
  const text: Field = { element: { ...base, type: 'BYTE_ARRAY', converted_type: 'UTF8' }, convert: (cell) => cell };
  if (type === 'text') return text;
  const known = step === 'tick' ? instrument.tickScale : step === 'amount' ? instrument.amountScale : null;
  // The tick may have been finer once than it is today: then the data says what is needed.
  const scale = Math.max(known ?? 0, size?.scale ?? 0);
  const digits = (size?.whole ?? 1) + scale;
  // Text is exact too, where no DECIMAL can be.
  if (digits > MAX_DIGITS) return text;
  const precision = digits <= INT64_DIGITS ? INT64_DIGITS : MAX_DIGITS;
  const physical = precision === INT64_DIGITS ? ({ type: 'INT64' } as const) : ({ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16 } as const);
  const element: SchemaElement = { ...base, ...physical, converted_type: 'DECIMAL', precision, scale, logical_type: { type: 'DECIMAL', precision, scale } };
  return { element, convert: (cell) => (typeof cell === 'string' ? unscaled(cell, scale) : null) };
}

/** The decimal's digits as a whole number of 10^-scale: `unscaled('85.500', 2)` is 8550n. Zeros beyond the scale are cut. */
export function unscaled(text: string, scale: number): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'));
}
