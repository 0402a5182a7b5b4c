// Dark or light: the system's choice until the user makes one.
const KEY = 'theme';

const listeners = new Set<() => void>();

/** Told when colours have changed: charts are painted, not styled. Returns how to leave. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const isDark = (): boolean => {
  const chosen = document.documentElement.dataset['theme'];
  return chosen === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';
};

/** The colours of the style sheet as charts need them. */
export function colours(): Record<'text' | 'line' | 'panel' | 'good' | 'bad' | 'accent', string> {
  // Charts read no light-dark(): the browser works it out on an element.
  const probe = document.createElement('i');
  document.body.append(probe);
  const of = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = { text: of('muted'), line: of('line'), panel: of('panel'), good: of('good'), bad: of('bad'), accent: of('accent') };
  probe.remove();
  return found;
}

export function startTheme(): void {
  const kept = localStorage.getItem(KEY);
  if (kept === 'dark' || kept === 'light') document.documentElement.dataset['theme'] = kept;
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  document.querySelector('#theme')!.addEventListener('click', () => {
    const next = isDark() ? 'light' : 'dark';
    document.documentElement.dataset['theme'] = next;
    localStorage.setItem(KEY, next);
    tell();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', tell);
}
