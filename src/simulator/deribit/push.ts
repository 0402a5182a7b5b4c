// What a channel says at a tick: batches of trades, and everything that is told at intervals.
import { nextOpen, openOf } from '../candles.ts';
import { floatOf } from './numbers.ts';
import { INDEX } from './catalogue.ts';
import type { Channel } from './channels.ts';
import { amountFloat, candleObject, objectOf, priceFloat, quoteMembers, tickerMembers } from './frames.ts';
import type { Market } from '../market.ts';
import type { DeribitVenue } from './venue.ts';

/** A quote nobody traded on changes its sizes about this often, ms. */
const JITTER_MS = 1_000;

/** Sends what is due on a channel. `mono` paces, `nowMs` is the exchange's time. */
export function pushChannel(venue: DeribitVenue, channel: Channel, nowMs: number, mono: number): void {
  const { parsed, market } = channel;
  if (parsed.type === 'silent' || mono - channel.lastSentMs < parsed.everyMs) return;
  if (parsed.type === 'trades' || parsed.type === 'user') {
    if (!channel.waits) return;
    channel.lastSentMs = mono;
    channel.flush();
    return;
  }
  if (parsed.type === 'index') {
    channel.lastSentMs = mono;
    const price = INDEX[(parsed.detail.split('_')[0] ?? '').toUpperCase()] ?? 1;
    channel.send(`{"timestamp":${nowMs},"price":${floatOf(price * (1 + ((nowMs % 1009) - 504) / 1e7), 4)},"index_name":"${parsed.detail}"}`);
    return;
  }
  if (market === null || market.spec.replayed === true || market.history.size === 0) return;
  const silenced = parsed.type === 'chart' ? 'ohlc' : parsed.type.includes('book') ? 'book' : 'ticker';
  if (venue.world.faults.find('silence', venue.marketId, market.spec.symbol, silenced) !== null) return;
  if (parsed.type === 'chart') {
    pushChart(channel, market, nowMs, mono);
    return;
  }
  if (market.version === channel.lastVersion) {
    if (mono - channel.lastSentMs >= JITTER_MS && parsed.type !== 'perpetual') market.jitter();
    else return;
  }
  channel.lastSentMs = mono;
  channel.lastVersion = market.version;
  if (parsed.type === 'book') pushBook(venue, channel, market, nowMs);
  else channel.send(dataOf(venue, channel, market, nowMs));
}

function dataOf(venue: DeribitVenue, channel: Channel, market: Market, nowMs: number): string {
  const { symbol } = market.spec;
  switch (channel.parsed.type) {
    case 'quote':
      return objectOf([['timestamp', String(nowMs)], ['instrument_name', `"${symbol}"`], ...quoteMembers(market)]);
    case 'perpetual': {
      const interest = floatOf(((market.history.last % 41) - 20) / 1e6, 8);
      return `{"timestamp":${nowMs},"interest":${interest},"index_price":${floatOf(INDEX[market.spec.base] ?? 1, 2)}}`;
    }
    case 'incremental_ticker':
      return incremental(channel, tickerMembers(market, nowMs));
    case 'grouped_book': {
      const book = venue.book(market);
      book.refresh();
      const rows = (levels: ReadonlyMap<number, number>): string =>
        `[${[...levels].slice(0, channel.parsed.depth).map(([price, lots]) => `[${priceFloat(market, price)},${amountFloat(market, lots)}]`).join(',')}]`;
      return `{"timestamp":${nowMs},"instrument_name":"${symbol}","change_id":${book.updateId},"bids":${rows(book.bids)},"asks":${rows(book.asks)}}`;
    }
    default:
      return objectOf(tickerMembers(market, nowMs));
  }
}

/** First everything, then what changed. */
function incremental(channel: Channel, members: [string, string][]): string {
  const first = channel.told.size === 0;
  const always = new Set(['timestamp', 'instrument_name']);
  const changed = members.filter(([key, value]) => first || always.has(key) || channel.told.get(key) !== value);
  channel.told = new Map(members);
  return objectOf([['type', first ? '"snapshot"' : '"change"'], ...changed]);
}

/** No closed flag: a candle nobody traded in is told once, flat, when the next one opens. */
function pushChart(channel: Channel, market: Market, nowMs: number, mono: number): void {
  const { detail: interval } = channel.parsed;
  const openMs = openOf(interval, nowMs);
  if (channel.openMs === 0) channel.openMs = openMs;
  const rolled = channel.openMs < openMs;
  if (!rolled && market.version === channel.lastVersion) return;
  while (channel.openMs < openMs) {
    channel.send(candleObject(market, market.candles.bar(interval, channel.openMs, nowMs)));
    channel.openMs = nextOpen(interval, channel.openMs);
  }
  channel.lastSentMs = mono;
  channel.lastVersion = market.version;
  channel.send(candleObject(market, market.candles.bar(interval, openMs, nowMs)));
}

/** The levels that the readers of a book channel hold, as a snapshot that its next change continues. */
export function bookSnapshot(venue: DeribitVenue, channel: Channel): string {
  const { market } = channel;
  if (market === null) return '{}';
  if (channel.changeId === 0) {
    const book = venue.book(market);
    book.refresh();
    channel.bids = book.bids;
    channel.asks = book.asks;
    channel.changeId = book.updateId;
    channel.lastVersion = market.version;
  }
  const rows = (levels: ReadonlyMap<number, number>): string =>
    [...levels].map(([price, lots]) => `["new",${priceFloat(market, price)},${amountFloat(market, lots)}]`).join(',');
  return (
    `{"timestamp":${venue.world.nowMs()},"type":"snapshot","change_id":${channel.changeId},"instrument_name":"${market.spec.symbol}"` +
    `,"bids":[${rows(channel.bids)}],"asks":[${rows(channel.asks)}]}`
  );
}

function pushBook(venue: DeribitVenue, channel: Channel, market: Market, nowMs: number): void {
  if (channel.changeId === 0) return;
  const book = venue.book(market);
  book.refresh();
  const delta = book.since(channel.bids, channel.asks);
  if (book.updateId === channel.changeId) return;
  const rows = (changes: typeof delta.bids): string =>
    changes.map(({ price, lots, before }) => {
      const action = lots === 0 ? 'delete' : before === 0 ? 'new' : 'change';
      return `["${action}",${priceFloat(market, price)},${lots === 0 ? '0.0' : amountFloat(market, lots)}]`;
    }).join(',');
  channel.send(
    `{"timestamp":${nowMs},"type":"change","change_id":${book.updateId},"instrument_name":"${market.spec.symbol}"` +
      `,"bids":[${rows(delta.bids)}],"asks":[${rows(delta.asks)}],"prev_change_id":${channel.changeId}}`,
  );
  channel.bids = book.bids;
  channel.asks = book.asks;
  channel.changeId = book.updateId;
}
