// Elements out of data. Text goes in as text and nothing else does: what an exchange calls an instrument is never markup.

export type Child = Node | string | null;
type Attributes = Readonly<Record<string, string | number | boolean>>;

/** An element with attributes (true: present, false: absent) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The same, with what a click does. */
export function button(label: string, attributes: Attributes, onClick: () => void): HTMLButtonElement {
  const element = h('button', { type: 'button', ...attributes }, label);
  element.addEventListener('click', onClick);
  return element;
}

export const panel = (title: string, width: string, ...children: readonly Child[]): HTMLElement =>
  h('section', { class: `panel ${width}` }, h('h2', {}, title), ...children);

export const tile = (name: string, value: string, tone = '', more = ''): HTMLElement =>
  h('div', { class: 'panel tile' }, h('span', { class: 'name' }, name), h('span', { class: `value ${tone}` }, value), h('span', { class: 'more' }, more));

export const badge = (text: string, tone: string): HTMLElement => h('span', { class: `badge ${tone}` }, text);

export const empty = (text: string): HTMLElement => h('p', { class: 'empty' }, text);

export const trouble = (text: string): HTMLElement => h('p', { class: 'trouble', role: 'alert' }, text);

export interface Column<T> {
  readonly name: string;
  /** Aligned to the right. */
  readonly num?: boolean;
  readonly cell: (row: T) => Child;
}

/** A table that scrolls by itself where the page is narrow. */
export function table<T>(caption: string, columns: readonly Column<T>[], rows: readonly T[]): HTMLElement {
  const align = ({ num }: Column<T>): Attributes => (num === true ? { class: 'num' } : {});
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, h('table', {},
    h('thead', {}, h('tr', {}, ...columns.map((column) => h('th', { scope: 'col', ...align(column) }, column.name)))),
    h('tbody', {}, ...rows.map((row) => h('tr', {}, ...columns.map((column) => h('td', align(column), column.cell(row))))))));
}

/** A select with its label, and what a choice does. */
export function choice(
  label: string, options: readonly (readonly [value: string, text: string])[], chosen: string, onChange: (value: string) => void,
): HTMLElement {
  const select = h('select', {}, ...options.map(([value, text]) => h('option', { value, selected: value === chosen }, text)));
  select.addEventListener('change', () => onChange(select.value));
  return h('label', {}, label, select);
}

/**
 * Makes the children of `parent` those of `items`, in their order. An element of the same key stays the one it is, so that what is
 * open or focused in it stays so.
 */
export function keyed<T>(parent: Element, items: readonly T[], keyOf: (item: T) => string, make: (item: T) => Element): void {
  const known = new Map([...parent.children].map((child) => [child.getAttribute('data-key'), child]));
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const element = known.get(key) ?? make(item);
    element.setAttribute('data-key', key);
    return element;
  });
  const stays = new Set(wanted);
  for (const child of [...parent.children]) if (!stays.has(child)) child.remove();
  wanted.forEach((element, n) => {
    if (parent.children[n] !== element) parent.insertBefore(element, parent.children[n] ?? null);
  });
}

/**
 * Makes the children of `parent` look like `next`, changing only what differs: what is focused, selected or scrolled stays. What is
 * shown this way must have no listeners of its own.
 */
export function morph(parent: Node, ...next: readonly Node[]): void {
  next.forEach((wanted, n) => {
    const old = parent.childNodes[n];
    if (old === undefined) parent.appendChild(wanted);
    else if (old.nodeName !== wanted.nodeName) parent.replaceChild(wanted, old);
    else if (old instanceof Element && wanted instanceof Element) {
      for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
      for (const { name, value } of wanted.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      morph(old, ...wanted.childNodes);
    } else if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
  });
  while (parent.childNodes.length > next.length) parent.lastChild!.remove();
}

const SVG = 'http://www.w3.org/2000/svg';

/** A line through values, the last one at the right. */
export function spark(values: readonly number[], label: string): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', '0 0 100 36');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', label);
  const most = Math.max(1, ...values);
  const line = document.createElementNS(SVG, 'polyline');
  line.setAttribute('points', values.map((value, n) => `${((n + 1) * 100) / values.length},${34 - (value * 32) / most}`).join(' '));
  svg.append(line);
  return svg;
}
