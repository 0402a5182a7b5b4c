// Which series and labels a PromQL expression speaks of: enough to tell a typo from a metric.

export interface Selector {
  readonly series: string;
  readonly labels: readonly string[];
}

const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/** Every series of an expression, with the labels that it is selected by. */
export function selectorsOf(expr: string): Selector[] {
  const bare = expr.replace(/"[^"]*"/g, '""').replace(/\[[^\]]*\]/g, '').replace(GROUPING, '');
  return [...bare.matchAll(/([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\(|\{([^}]*)\})?/g)].flatMap(([, name = '', tail, inside]) => {
    if (tail === '(' || WORDS.has(name.toLowerCase())) return [];
    return [{ series: name, labels: [...(inside ?? '').matchAll(/([a-zA-Z_]\w*)\s*(?:=|!)/g)].map(([, label = '']) => label) }];
  });
}

/** The labels that an expression groups by. */
export const groupedBy = (expr: string): string[] =>
  [...expr.matchAll(GROUPING)].flatMap(([, list = '']) => list.split(',').map((label) => label.trim()).filter((label) => label !== ''));
