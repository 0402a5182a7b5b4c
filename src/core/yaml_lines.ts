// Where a key stands in a YAML text, for messages about it.
import { EVENT_ID, getScalarValue, parseEvents, type Event } from 'js-yaml';

interface Open {
  readonly kind: 'mapping' | 'sequence' | 'document';
  /** Mapping: the key whose value comes next, or null when a key does. Sequence: the next index. */
  key: string | null;
  index: number;
}

/** The line (from 1) of the key at `path`, or of the nearest one above it that is there; null when none is, or the text is no YAML. */
export function lineOf(yaml: string, path: readonly string[]): number | null {
  let events: Event[];
  try {
    events = parseEvents(yaml, {});
  } catch {
    return null;
  }
  const open: Open[] = [];
  let best = { depth: 0, at: -1 };
  for (const event of events) {
    const parent = open.at(-1);
    if (event.type === EVENT_ID.POP) {
      open.pop();
      next(open.at(-1));
    } else if (event.type === EVENT_ID.SCALAR && parent?.kind === 'mapping' && parent.key === null) {
      parent.key = getScalarValue(yaml, event);
      const here = open.flatMap(({ kind, key, index }) => (kind === 'document' ? [] : [kind === 'mapping' ? key : String(index)]));
      const leads = here.length > best.depth && here.length <= path.length && here.every((key, n) => key === path[n]);
      if (leads) best = { depth: here.length, at: event.valueStart };
    } else if (event.type === EVENT_ID.SCALAR || event.type === EVENT_ID.ALIAS) {
      next(parent);
    } else {
      open.push({ kind: KINDS[event.type], key: null, index: 0 });
    }
  }
  return best.at < 0 ? null : yaml.slice(0, best.at).split('\n').length;
}

const KINDS = { [EVENT_ID.DOCUMENT]: 'document', [EVENT_ID.MAPPING]: 'mapping', [EVENT_ID.SEQUENCE]: 'sequence' } as const;

/** The value of the current key or index is over. */
function next(parent: Open | undefined): void {
  if (parent === undefined) return;
  parent.key = null;
  parent.index++;
}
