// What happens, as it happens.
import type { Events } from '../../shown.ts';
import { badge, choice, empty, h, keyed, trouble } from '../dom.ts';
import { clock, moment, toneOfSeverity } from '../format.ts';
import { Watching, isTrouble } from '../live.ts';
import { remember, type Page } from '../router.ts';

type Event = Events['events'][number];

const SEVERITIES = [['info', 'all'], ['warning', 'warning and worse'], ['error', 'error and worse'], ['critical', 'critical only']] as const;
const FAMILIES = [
  'market', 'feed', 'gap', 'state', 'subscription', 'instrument', 'dlq', 'audit', 'capture', 'analyzer', 'job', 'rate', 'memory', 'executor', 'case', 'kill',
  'guard', 'service',
];

export const events: Page = (root, query) => {
  let severity = query.get('severity') ?? 'info';
  let family = query.get('family') ?? '';
  let watching = new Watching();
  const list = h('tbody');
  const note = h('div', {}, empty('Asking the fleet …'));
  const open = (): void => {
    watching.close();
    remember({ severity: severity === 'info' ? '' : severity, family });
    watching = new Watching().watch('events', { severity, family }, (answer) => {
      if (isTrouble(answer)) note.replaceChildren(trouble(answer.error.message));
      else {
        keyed(list, answer.events, ({ id }) => id, rowOf);
        note.replaceChildren(...(answer.events.length === 0 ? [empty('Nothing of that kind has happened lately. What happens next shows by itself.')] : []));
      }
    }).open();
  };
  root.append(
    h('h1', {}, 'Events'),
    h('div', { class: 'controls' },
      choice('Severity', SEVERITIES, severity, (value) => {
        severity = value;
        open();
      }),
      choice('Kind', [['', 'all'], ...FAMILIES.map((name) => [name, name] as const)], family, (value) => {
        family = value;
        open();
      })),
    note,
    h('section', { class: 'panel' }, h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Events, newest first' }, h('table', {},
      h('thead', {}, h('tr', {}, ...['Time', 'Severity', 'Type', 'Where', 'What'].map((name) => h('th', { scope: 'col' }, name)))), list))));
  open();
  return () => watching.close();
};

function rowOf({ ts, severity, type, market_id: marketId, symbol, data }: Event): HTMLElement {
  const what = Object.entries(data).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' · ');
  return h('tr', {},
    h('td', { class: 'nowrap', title: moment(ts) }, clock(ts)),
    h('td', {}, badge(severity, toneOfSeverity(severity))),
    h('td', { class: 'nowrap' }, type),
    h('td', {}, [marketId, symbol].filter((part) => part !== undefined).join(' ') || '–'),
    h('td', { class: 'break muted' }, what || '–'));
}
