// INSERT … SELECT FROM unnest of one array per column: the statement text does not depend on the number of rows, so it is
// planned once per connection.

/** SQL type of each column as it is sent; `micros` is an int8 of µs since the epoch that is stored as timestamptz. */
export type ColumnTypes = Readonly<Record<string, 'int4' | 'int8' | 'numeric' | 'text' | 'bool' | 'jsonb' | 'micros'>>;

export type Cell = string | number | boolean | null;

/** `timestamptz` from an int8 of µs, exact where to_timestamp(double precision) is not. */
export const timestampOf = (micros: string): string => `timestamptz 'epoch' + ${micros} * interval '1 microsecond'`;

/** `INSERT INTO table (…) SELECT … FROM unnest($1::…[], …) AS u WHERE … ORDER BY key tail`. */
export function unnestInsert(table: string, types: ColumnTypes, key: string, tail: string, where = 'true'): string {
  const names = Object.keys(types);
  const arrays = names.map((name, n) => `$${n + 1}::${types[name] === 'micros' ? 'int8' : types[name]}[]`);
  const values = names.map((name) => (types[name] === 'micros' ? `${timestampOf(`u.${name}`)} AS ${name}` : `u.${name}`));
  return `INSERT INTO ${table} (${names.join(', ')}) SELECT ${values.join(', ')}
    FROM unnest(${arrays.join(', ')}) AS u(${names.join(', ')}) WHERE ${where} ORDER BY ${key} ${tail}`;
}

/**
 * One array per column of `types`. Those that can hold no text are written here: the driver's way quotes and escapes each element,
 * which was most of what storing a page of candles cost this process.
 */
export function columnArrays<T>(types: ColumnTypes, rows: readonly T[], cell: (row: T, column: string) => Cell): (Cell[] | string)[] {
  return Object.entries(types).map(([column, type]) => {
    const cells = rows.map((row) => cell(row, column));
    return type === 'text' || type === 'jsonb' ? cells : `{${cells.map((value) => value ?? 'NULL').join(',')}}`;
  });
}
