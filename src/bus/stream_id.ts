// Ids of stream entries, `<ms>-<n>`, and the flat field lists of XINFO.

function parts(id: string): [number, number] {
  const [ms = '0', n = '0'] = id.split('-');
  return [Number(ms), Number(n)];
}

/** Order of stream ids. */
export function before(a: string, b: string): boolean {
  const [am, an] = parts(a);
  const [bm, bn] = parts(b);
  return am < bm || (am === bm && an < bn);
}

/** The greatest id below `id`, for reads that start behind one. */
export function justBefore(id: string): string {
  const [ms, n] = parts(id);
  return n > 0 ? `${ms}-${n - 1}` : `${ms - 1}-${Number.MAX_SAFE_INTEGER}`;
}

/** When an id was given, ms since the epoch; 0 for what is none. */
export const millisecondsOf = (id: unknown): number => (typeof id === 'string' ? parts(id)[0] : 0);

/** `[name, value, name, value, …]` as an object. */
export function fieldsOf(flat: readonly unknown[]): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[String(flat[i])] = flat[i + 1];
  return fields;
}
