// How fresh each symbol is, market by market.
import type { FeedSymbol, Feeds } from '../../shown.ts';
import { badge, empty, h, morph, panel, table, trouble } from '../dom.ts';
import { ago, count, dash, duration, plural, rate, toneOfAge, trimmed } from '../format.ts';
import { Watching, isTrouble } from '../live.ts';
import { remember, type Page } from '../router.ts';

export const feeds: Page = (root, query) => {
  let wanted = query.get('symbol') ?? '';
  let told: Feeds | null = null;
  const body = h('div', {}, empty('Asking the fleet …'));
  const field = h('input', { type: 'search', value: wanted, placeholder: 'BTC', autocomplete: 'off' });
  const draw = (): void => {
    if (told === null) return;
    const { nowTs, markets } = told;
    morph(body, ...markets.map((market) => marketPanel(market, nowTs, wanted.toUpperCase())));
  };
  field.addEventListener('input', () => {
    wanted = field.value.trim();
    remember({ symbol: wanted });
    draw();
  });
  root.append(h('h1', {}, 'Feeds'), h('div', { class: 'controls' }, h('label', {}, 'Only symbols with', field)), body);
  const watching = new Watching().watch('feeds', {}, (answer) => {
    if (isTrouble(answer)) morph(body, trouble(answer.error.message));
    else {
      told = answer;
      draw();
    }
  }).open();
  return () => watching.close();
};

function marketPanel({ marketId, symbols, reconnects, lastReconnect, more }: Feeds['markets'][number], nowTs: number, wanted: string): HTMLElement {
  const shown = symbols.filter(({ symbol }) => symbol.toUpperCase().includes(wanted));
  const lost = lastReconnect === null ? 'no connection lost within the hour'
    : `${plural(reconnects, 'connection')} lost within the hour, the last ${ago(lastReconnect.ts, nowTs)} ago: ${dash(lastReconnect.reason)}`;
  const section = panel(marketId, '', h('p', { class: reconnects > 0 ? 'warn' : 'muted' }, lost), symbolTable(marketId, shown, symbols.length, nowTs),
    more > 0 ? h('p', { class: 'muted' }, `${count(more)} more symbols are subscribed and not shown.`) : null);
  return h('div', { class: 'grid' }, section);
}

function symbolTable(marketId: string, shown: readonly FeedSymbol[], all: number, nowTs: number): HTMLElement {
  if (shown.length === 0) return empty(all === 0 ? 'Nothing is subscribed on this market.' : 'No symbol of this market has that in its name.');
  const ageOf = ({ receivedTs }: FeedSymbol): number | null => (receivedTs === null ? null : (nowTs - receivedTs) / 1000);
  return table(`Symbols of ${marketId}`, [
    { name: 'Symbol', cell: ({ symbol }) => h('a', { href: `/market?${new URLSearchParams({ show: `${marketId}:${symbol}` }).toString()}` }, symbol) },
    { name: 'Quote', cell: quoteBadge },
    { name: 'Age', num: true, cell: (row) => ageCell(row, ageOf(row)) },
    { name: 'Last price', num: true, cell: ({ last }) => (last === null ? '–' : trimmed(last)) },
    { name: 'Trades', num: true, cell: ({ tradesPerS }) => rate(tradesPerS) },
    { name: 'Channels', cell: ({ channels }) => h('span', { class: 'muted' }, channels.join(', ')) },
  ], shown);
}

const wantsQuotes = ({ channels }: FeedSymbol): boolean => channels.includes('ticker');

function quoteBadge(row: FeedSymbol): HTMLElement {
  // Of trades alone (CHANNELS) no quote is missed.
  if (!wantsQuotes(row)) return badge('not wanted', 'muted');
  return row.status === null ? badge('no news', 'muted') : badge(row.status, row.status === 'fresh' ? 'good' : 'bad');
}

function ageCell(row: FeedSymbol, ageMs: number | null): HTMLElement | string {
  if (!wantsQuotes(row)) return '–';
  return h('span', { class: toneOfAge(ageMs) }, ageMs === null ? 'never' : duration(ageMs));
}
