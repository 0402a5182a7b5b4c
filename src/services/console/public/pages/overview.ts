// The fleet at a glance.
import type { Overview } from '../../shown.ts';
import { badge, empty, h, morph, panel, spark, table, tile, trouble } from '../dom.ts';
import { ago, bytes, count, dash, duration, moment, rate, toneOfAge, toneOfState } from '../format.ts';
import { Watching, isTrouble } from '../live.ts';
import type { Page } from '../router.ts';

/** Two minutes at one figure a second. */
const HISTORY = 120;

export const overview: Page = (root) => {
  const history = new Map<string, number[]>();
  const body = h('div', {}, empty('Asking the fleet …'));
  root.append(h('h1', {}, 'Overview'), body);
  const watching = new Watching().watch('overview', {}, (answer) => {
    if (isTrouble(answer)) {
      morph(body, trouble(answer.error.message));
      return;
    }
    for (const { marketId, tradesPerS } of answer.markets) {
      const values = history.get(marketId) ?? [];
      values.push(tradesPerS ?? 0);
      if (values.length > HISTORY) values.shift();
      history.set(marketId, values);
    }
    morph(body, ...answer.problems.map((problem) => trouble(`${problem}. What is shown without it may be old or missing.`)), ...sections(answer, history));
  }).open();
  return () => watching.close();
};

function sections(told: Overview, history: ReadonlyMap<string, readonly number[]>): HTMLElement[] {
  return [
    h('div', { class: 'tiles' }, ...tiles(told)),
    h('div', { class: 'grid' }, panel('Exchanges', 'w6', exchanges(told)), panel('Markets', 'w6', markets(told, history))),
    h('div', { class: 'grid' }, panel('Stream', 'w4', stream(told)), panel('Rate budgets', 'w4', budgets(told)), panel('Redis memory', 'w4', memory(told))),
    panel('Processes', '', processes(told)),
  ];
}

function tiles({ aggregate, stream: told, dlq, gaps, killSwitch }: Overview): HTMLElement[] {
  const group = told?.groups.find(({ name }) => name === 'distributor');
  const lag = group?.lag ?? null;
  return [
    tile('System', dash(aggregate), toneOfState(aggregate), killSwitch === true ? 'kill switch ON: nothing is sent' : 'worst of all exchanges'),
    tile('Messages', rate(told?.perS ?? null), '', `${count(told?.length ?? null)} in the stream`),
    tile('Not stored yet', count(lag), lag !== null && lag > 10_000 ? 'warn' : '',
      group === undefined ? 'no distributor has ever read' : `${duration(group.lagMs)} behind the newest`),
    tile('Gaps open', count(gaps?.open ?? null), (gaps?.open ?? 0) > 0 ? 'warn' : 'good', `${count(gaps?.unfillable ?? null)} cannot be filled`),
    tile('Dead letters', count(dlq), (dlq ?? 0) > 0 ? 'bad' : 'good', 'messages that could not be stored'),
  ];
}

function exchanges({ exchanges: all }: Overview): HTMLElement {
  if (all.length === 0) return empty('No state is written yet. The janitor does that: npm start -- janitor');
  return table('State of each exchange', [
    { name: 'Exchange', cell: ({ exchange }) => exchange },
    { name: 'State', cell: ({ state }) => badge(state ?? 'LOCKED (none)', toneOfState(state)) },
    { name: 'Since', cell: ({ since }) => h('span', { class: 'nowrap' }, moment(since)) },
    { name: 'Why', cell: ({ reason, by }) => h('span', { class: 'break' }, reason === null ? '–' : `${reason} (${dash(by)})`) },
  ], all);
}

function markets({ markets: all, nowTs }: Overview, history: ReadonlyMap<string, readonly number[]>): HTMLElement {
  return table('Markets', [
    { name: 'Market', cell: ({ marketId }) => marketId },
    { name: 'Symbols', num: true, cell: ({ subscribed }) => count(subscribed) },
    { name: 'Trades', num: true, cell: ({ tradesPerS }) => rate(tradesPerS) },
    {
      name: 'Newest quote', num: true,
      cell: ({ quotes, newestTs }) => quotes === 0 ? h('span', { class: 'muted' }, 'none wanted')
        : h('span', { class: toneOfAge(newestTs === null ? null : (nowTs - newestTs) / 1000) }, ago(newestTs, nowTs)),
    },
    { name: 'Last two minutes', cell: ({ marketId }) => spark(history.get(marketId) ?? [], `Trades per second of ${marketId} over the last two minutes`) },
  ], all);
}

function stream({ stream: told }: Overview): HTMLElement {
  if (told === null || told.groups.length === 0) return empty('Nobody reads the stream yet.');
  return table('Groups that read the stream', [
    { name: 'Group', cell: ({ name }) => name },
    { name: 'Unread', num: true, cell: ({ lag }) => count(lag) },
    { name: 'In hand', num: true, cell: ({ pending }) => count(pending) },
    { name: 'Behind', num: true, cell: ({ lagMs }) => duration(lagMs) },
  ], told.groups);
}

function budgets({ budgets: all }: Overview): HTMLElement {
  return h('div', {}, ...all.map(({ pool, left, capacity, bannedMs, banReason }) => h('div', {},
    h('div', {}, `${pool} `, bannedMs > 0 ? badge(`banned for ${duration(bannedMs)}`, 'bad')
      : h('span', { class: 'muted' }, `${count(left)} of ${count(capacity)} left`)),
    h('meter', { min: 0, max: capacity, low: capacity * 0.25, value: Math.max(0, left),
      'aria-label': `Budget of ${pool}: ${count(left)} of ${count(capacity)} left` }),
    banReason === null ? null : h('div', { class: 'muted break' }, banReason))));
}

function memory({ memory: told }: Overview): HTMLElement {
  if (told === null) return empty('Redis has not told.');
  const { usedBytes, maxBytes, peakBytes, level, keys } = told;
  const limit = maxBytes === 0 ? 'no limit' : `of ${bytes(maxBytes)}`;
  return h('div', {},
    h('div', { class: 'tile' }, h('span', { class: 'value' }, bytes(usedBytes)), h('span', { class: 'more' }, `${limit}, at most ${bytes(peakBytes)} so far`)),
    h('meter', { min: 0, max: maxBytes || peakBytes, high: (maxBytes || peakBytes) * 0.8, value: usedBytes,
      'aria-label': `${bytes(usedBytes)} used, ${limit}` }),
    h('p', { class: 'muted' }, `${count(keys)} keys · ladder: ${level ?? 'nobody watches (maintenance is not running)'}`));
}

function processes({ processes: all, nowTs }: Overview): HTMLElement {
  if (all.length === 0) return empty('Nobody is alive. Start the fleet: docker compose up, or npm run demo');
  return table('Processes that are alive', [
    { name: 'Service', cell: ({ service, instance }) => `${service} ${instance}` },
    { name: 'Up', num: true, cell: ({ startedTs }) => (startedTs === null ? '–' : ago(startedTs, nowTs)) },
    { name: 'pid', num: true, cell: ({ pid }) => (pid === null ? '–' : String(pid)) },
    { name: 'Says', cell: ({ detail }) => h('span', { class: 'break muted' }, dash(detail)) },
  ], all);
}
