// What is stored and what is missing, as a map; a field opens the gaps behind it.
import type { Cell, Completeness, Gaps } from '../../shown.ts';
import { badge, button, choice, empty, h, morph, panel, table, trouble } from '../dom.ts';
import { count, dash, moment, plural } from '../format.ts';
import { Watching, ask, isTrouble } from '../live.ts';
import { remember, type Page } from '../router.ts';

interface Field {
  readonly marketId: string;
  readonly symbol: string;
  readonly column: string;
}

export const completeness: Page = (root, query) => {
  let by: 'day' | 'hour' = query.get('by') === 'hour' ? 'hour' : 'day';
  let day = query.get('day') ?? '';
  let told: Completeness | null = null;
  let watching = new Watching();
  const map = h('div', {}, empty('Asking the database …'));
  const why = h('div', { class: 'why', 'aria-live': 'polite' });
  const open = (): void => {
    watching.close();
    remember({ by: by === 'hour' ? by : '', day });
    watching = new Watching().watch('completeness', { by, day: day === '' ? undefined : day }, (answer) => {
      told = isTrouble(answer) ? null : answer;
      morph(map, isTrouble(answer) ? trouble(answer.error.message) : mapOf(answer));
      oneTabStop(map, document.activeElement);
    }).open();
  };
  const date = h('input', { type: 'date', value: day });
  date.addEventListener('change', () => {
    day = date.value;
    open();
  });
  map.addEventListener('click', (event) => {
    const field = event.target instanceof Element ? event.target.closest<HTMLElement>('button[data-column]') : null;
    if (field !== null && told !== null) void showGaps(why, told, field);
  });
  map.addEventListener('keydown', (event) => moveByArrows(map, event));
  root.append(
    h('h1', {}, 'Completeness'),
    h('div', { class: 'controls' },
      choice('Instrument by', [['day', 'day, two weeks'], ['hour', 'hour, one day']], by, (value) => {
        by = value === 'hour' ? 'hour' : 'day';
        open();
      }),
      h('label', {}, 'Day (UTC; empty: today)', date),
      h('span', { class: 'note' }, 'The exchange numbers its trades, so a hole is arithmetic. A field tells how many numbers are missing.')),
    map, why);
  open();
  return () => watching.close();
};

const LEGEND = ['✓ whole', '✓ n healed: in gaps that were filled', 'n missing', '· nothing stored', 'Arrow keys move, Enter tells why'];

function mapOf({ by, rows, more, columns, expected, missing }: Completeness): HTMLElement {
  if (rows.length === 0) return empty('No trade is stored for these days. Is a distributor running? npm start -- distributor');
  const grid = h('table', { class: 'heat', role: 'grid', 'aria-label': `Completeness by ${by}` },
    h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Instrument'),
      ...columns.map((column) => h('th', { scope: 'col' }, by === 'day' ? column.slice(5) : column)))),
    h('tbody', {}, ...rows.map(({ marketId, symbol, cells }) => h('tr', {},
      h('th', { scope: 'row' }, symbol, ' ', h('span', { class: 'muted' }, marketId)),
      ...cells.map((cell, n) => h('td', { role: 'gridcell' }, fieldOf({ marketId, symbol, column: columns[n]! }, cell)))))));
  return h('section', { class: 'panel' },
    h('p', {}, `${count(expected)} numbers expected, `, h('strong', { class: missing > 0 ? 'bad' : 'good' }, `${count(missing)} missing`)),
    h('div', { class: 'scroll' }, grid),
    more > 0 ? h('p', { class: 'muted' }, `${plural(more, 'more instrument')} not shown; those with holes come first. npm run completeness tells all.`) : null,
    h('div', { class: 'legend' }, ...LEGEND.map((text) => h('span', {}, text))));
}

function fieldOf({ marketId, symbol, column }: Field, cell: Cell | null): HTMLElement {
  if (cell === null) return h('span', { class: 'none' }, '·');
  const { missing, healed, expected, why } = cell;
  const figures = `${count(expected)} expected, ${count(missing)} missing, ${count(healed)} healed${why === null ? '' : `, ${why}`}`;
  const label = `${symbol} of ${marketId}, ${column}: ${figures}`;
  const [text, tone] = missing > 0 ? [count(missing), 'holes'] : healed > 0 ? [`✓ ${count(healed)}`, 'healed'] : ['✓', 'full'];
  return h('button', {
    type: 'button', class: tone, 'aria-label': label, title: label, tabindex: -1, 'data-market': marketId, 'data-symbol': symbol, 'data-column': column,
  }, text);
}

/** One stop in the tab order for the whole map: the field that has the focus, else the first one. */
function oneTabStop(map: HTMLElement, focused: Element | null): void {
  const fields = [...map.querySelectorAll('button[data-column]')];
  for (const field of fields) field.setAttribute('tabindex', '-1');
  (fields.find((field) => field === focused) ?? fields[0])?.setAttribute('tabindex', '0');
}

const STEPS: Readonly<Record<string, readonly [number, number]>> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function moveByArrows(map: HTMLElement, event: KeyboardEvent): void {
  const step = STEPS[event.key];
  const rows = [...map.querySelectorAll('tbody tr')].map((row) => [...row.querySelectorAll('td')].map((td) => td.querySelector('button')));
  const at = rows.findIndex((row) => row.some((each) => each !== null && each === document.activeElement));
  if (step === undefined || at < 0) return;
  event.preventDefault();
  const [down, right] = step;
  for (let r = at + down, c = rows[at]!.findIndex((each) => each === document.activeElement) + right; rows[r]?.[c] !== undefined; r += down, c += right) {
    const next = rows[r]![c];
    if (next === null || next === undefined) continue;
    next.focus();
    oneTabStop(map, next);
    return;
  }
}

async function showGaps(why: HTMLElement, { by, day }: Completeness, { dataset }: HTMLElement): Promise<void> {
  const { market: marketId = '', symbol = '', column = '' } = dataset;
  const when = by === 'hour' ? { day, hour: Number(column) } : { day: column };
  const answer = await ask('gaps', { market: marketId, symbol, ...when });
  const title = `${symbol} of ${marketId}, ${by === 'hour' ? `${day} ${column}:00` : column}`;
  const found = isTrouble(answer) ? trouble(answer.error.message) : gapTable(answer);
  const shown = panel(title, '', found, button('Close', {}, () => why.replaceChildren()));
  why.replaceChildren(h('div', { class: 'grid' }, shown));
  shown.scrollIntoView({ block: 'nearest' });
}

function gapTable({ gaps }: Gaps): HTMLElement {
  if (gaps.length === 0) return empty('No gap is known here. A hole without one is noticed when the governor looks next, within a minute.');
  const tones: Readonly<Record<string, string>> = { closed: 'good', healing: 'warn', open: 'bad', unfillable: 'bad' };
  return table('Gaps', [
    { name: 'Status', cell: ({ status }) => badge(status, tones[status] ?? 'muted') },
    { name: 'Numbers', cell: ({ fromSeq, toSeq }) => (fromSeq === null ? '–' : `${fromSeq}..${toSeq ?? ''}`) },
    { name: 'Missing', num: true, cell: ({ expected }) => count(expected) },
    { name: 'Recovered', num: true, cell: ({ recovered }) => count(recovered) },
    { name: 'Why', cell: ({ reason }) => h('span', { class: 'break' }, dash(reason)) },
    { name: 'Noticed', cell: ({ detectedTs }) => h('span', { class: 'nowrap' }, moment(detectedTs)) },
    { name: 'Closed', cell: ({ closedTs }) => h('span', { class: 'nowrap' }, moment(closedTs)) },
  ], gaps);
}
