// Cutting JSON text without parsing it, so that numbers keep the digits they were written with.

/** The texts of the objects in a JSON array of objects. */
export function objectsOf(array: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  let quoted = false;
  for (let i = 0; i < array.length; i++) {
    const c = array[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '{' && depth++ === 0) start = i;
    else if (c === '}' && --depth === 0) found.push(array.slice(start, i + 1));
  }
  return found;
}
