// What the executor does with money, and what stops it.
import type { Trading } from '../../shown.ts';
import { LineChart } from '../charts.ts';
import { badge, empty, h, keyed, morph, panel, table, tile, trouble, type Column } from '../dom.ts';
import { dash, moment, plural } from '../format.ts';
import { Watching, isTrouble } from '../live.ts';
import type { Page } from '../router.ts';

type Profit = Trading['profit'][number];

const LIVE = new Set(['PENDING', 'SENDING', 'OPEN', 'PARTIALLY_FILLED']);

export const trading: Page = (root) => {
  const note = h('div', {}, empty('Asking the fleet …'));
  const [head, profits, body] = [h('div', { class: 'tiles' }), h('div'), h('div')];
  const charts = new Map<string, LineChart>();
  root.append(h('h1', {}, 'Trading'), note, head, profits, body);
  const watching = new Watching().watch('trading', {}, (answer) => {
    morph(note, ...(isTrouble(answer) ? [trouble(answer.error.message)] : []));
    if (isTrouble(answer)) return;
    morph(head, ...tiles(answer));
    drawProfits(profits, answer.profit, charts);
    morph(body, ...tables(answer));
  }).open();
  return () => {
    watching.close();
    for (const chart of charts.values()) chart.close();
  };
};

function tiles({ flags, executors, guardArmed, positions, atWork: { live, unknown } }: Trading): HTMLElement[] {
  const kill = flags.find(({ name }) => name === 'kill_switch');
  const killed = executors.find(({ killSwitch }) => killSwitch !== null);
  const isOn = kill?.value === 'on' || killed !== undefined;
  const flagged = kill === undefined ? 'never pressed' : `${moment(kill.at)} by ${kill.by}: ${dash(kill.reason)}`;
  const leader = executors.find(({ role }) => role === 'leader') ?? executors[0];
  return [
    tile('Kill switch', isOn ? 'ON' : 'off', isOn ? 'bad' : 'good',
      isOn && kill?.value !== 'on' ? `executor ${killed?.instance ?? ''} holds it by ${killed?.killSwitch ?? ''}` : flagged),
    tile('Executor', leader === undefined ? 'not running' : leader.locked !== null ? 'LOCKED' : dash(leader.mode),
      leader === undefined ? 'muted' : leader.locked !== null ? 'bad' : '',
      leader === undefined ? 'npm start -- executor' : leader.locked ?? `${leader.role} ${leader.instance}, account ${dash(leader.account)}`),
    tile('Guard', guardArmed === null ? 'not running' : guardArmed ? 'armed' : 'not armed',
      guardArmed === true ? 'good' : guardArmed === null ? 'muted' : 'bad', 'cancels when the executor falls silent'),
    tile('Orders at work', String(live), '', unknown > 0 ? `${unknown} with unknown outcome`
      : plural(positions.filter(({ amount }) => amount !== '0').length, 'open position')),
  ];
}

/** A chart for each account and currency; they stay while their data comes and goes. */
function drawProfits(box: HTMLElement, points: readonly Profit[], charts: Map<string, LineChart>): void {
  const series = [...Map.groupBy(points, ({ account, currency }) => `${account} ${currency}`)];
  keyed(box, series, ([name]) => name, ([name, all]) => {
    const chart = h('div', { class: 'chart small', role: 'img', 'aria-label': `Profit and loss of ${name}, in all ${all.at(-1)?.total ?? '0'}` });
    const section = panel(`Profit and loss of ${name}`, '', h('p', { class: 'muted' },
      'After each fill: what the fills brought, the open amount at the fill\'s price, fees taken off; funding is not counted.'), chart);
    requestAnimationFrame(() => {
      const line = new LineChart(chart, 8);
      line.set(all);
      charts.set(name, line);
    });
    return h('div', { class: 'grid' }, section);
  });
  for (const [name, all] of series) charts.get(name)?.set(all);
}

const when = (ts: number): HTMLElement => h('span', { class: 'nowrap' }, moment(ts));

function tables({ orders, fills, positions, cases, refusals }: Trading): HTMLElement[] {
  return [
    section('Positions', positions, 'No position has ever been held.', [
      { name: 'Account', cell: ({ account }) => account }, { name: 'Symbol', cell: ({ symbol }) => symbol },
      { name: 'Amount', num: true, cell: ({ amount }) => amount }, { name: 'Average price', num: true, cell: ({ averagePrice }) => short(averagePrice) },
      { name: 'Realised', num: true, cell: ({ realised, settle }) => `${short(realised)} ${settle ?? ''}` },
      { name: 'Fees', num: true, cell: ({ fees }) => short(fees) },
      { name: 'Funding', num: true, cell: ({ funding }) => short(funding) },
    ]),
    section('Orders', orders, 'No order yet. A strategy or a signal makes one: docs/strategies.md', [
      { name: 'Created', cell: ({ createdTs }) => when(createdTs) }, { name: 'Strategy', cell: ({ strategy }) => strategy },
      { name: 'Symbol', cell: ({ symbol }) => symbol },
      { name: 'Side', cell: ({ side }) => h('span', { class: side === 'buy' ? 'good' : 'bad' }, side) },
      { name: 'Amount', num: true, cell: ({ amount }) => amount }, { name: 'Price', num: true, cell: ({ price, orderType }) => price ?? orderType },
      { name: 'Filled', num: true, cell: ({ filledAmount }) => filledAmount }, { name: 'State', cell: ({ state }) => badge(state, toneOfOrder(state)) },
      { name: 'Why', cell: ({ reason }) => h('span', { class: 'break muted' }, dash(reason)) },
    ]),
    section('Fills', fills, 'No fill yet.', [
      { name: 'Time', cell: ({ ts }) => when(ts) }, { name: 'Symbol', cell: ({ symbol }) => symbol },
      { name: 'Side', cell: ({ side }) => h('span', { class: side === 'buy' ? 'good' : 'bad' }, side) },
      { name: 'Amount', num: true, cell: ({ amount }) => amount }, { name: 'Price', num: true, cell: ({ price }) => price },
      { name: 'Fee', num: true, cell: ({ fee, feeCurrency }) => `${fee} ${feeCurrency}` },
      { name: 'As', cell: ({ liquidity, kind }) => `${liquidity}, ${kind}` },
    ]),
    section('Risk refusals', refusals, 'Nothing was refused.', [
      { name: 'Time', cell: ({ at }) => when(at) }, { name: 'Code', cell: ({ code }) => badge(code, 'warn') },
      { name: 'Strategy', cell: ({ strategy }) => dash(strategy) },
      { name: 'Symbol', cell: ({ symbol }) => dash(symbol) }, { name: 'Why', cell: ({ reason }) => h('span', { class: 'break' }, reason) },
    ]),
    section('Cases', cases, 'No disagreement with the exchange.', [
      { name: 'Opened', cell: ({ openedTs }) => when(openedTs) }, { name: 'Kind', cell: ({ kind }) => kind },
      { name: 'Symbol', cell: ({ symbol }) => dash(symbol) },
      { name: 'Status', cell: ({ status }) => badge(status, status === 'open' || status === 'locked' ? 'bad' : 'good') },
      { name: 'Ours', cell: ({ ours }) => h('code', { class: 'break' }, JSON.stringify(ours)) },
      { name: 'Theirs', cell: ({ theirs }) => h('code', { class: 'break' }, JSON.stringify(theirs)) },
      { name: 'Decision', cell: ({ decision }) => h('span', { class: 'break' }, dash(decision)) },
    ]),
  ];
}

const section = <T>(title: string, rows: readonly T[], none: string, columns: readonly Column<T>[]): HTMLElement =>
  h('div', { class: 'grid' }, panel(title, '', rows.length === 0 ? empty(none) : table(title, columns, rows)));

/** Sums are kept to sixty digits; twelve behind the point are enough to look at. */
const short = (decimal: string | null): string => (decimal === null ? '–' : decimal.replace(/(\.\d{12})\d+$/, '$1…'));

const toneOfOrder = (state: string): string =>
  state === 'FILLED' ? 'good' : state === 'REJECTED' || state === 'UNKNOWN' || state === 'ABANDONED' ? 'bad' : LIVE.has(state) ? 'warn' : 'muted';
