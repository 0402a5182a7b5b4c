// A recorded Deribit notification on its way to today's subscribers. Recordings were made on .raw channels; whoever hears the
// same thing at another interval gets it under that channel's name.
import { plainDecimal } from '../../core/decimal.ts';
import { tradeLine, withheld } from '../emission.ts';
import { parseScaled } from '../spec.ts';
import { parseChannel, type Channel } from './channels.ts';
import { objectsOf } from './text.ts';
import type { DeribitVenue } from './venue.ts';

/** Channels with readers that say what the recorded channel `name` says. */
export function hearersOf(venue: DeribitVenue, name: string): Channel[] {
  const at = parseChannel(name, () => true);
  if (at === null || at.instrument === null) return [];
  return [...venue.channels.values()].filter(
    ({ parsed }) => parsed.type === at.type && parsed.instrument === at.instrument && parsed.detail === at.detail,
  );
}

/** Sends one recorded notification; trades go to the ledger and the market's history too. */
export function replayFrame(venue: DeribitVenue, name: string, data: string): void {
  const at = parseChannel(name, () => true);
  if (at === null || at.instrument === null) return;
  const hearers = hearersOf(venue, name);
  if (at.type === 'trades') replayTrades(venue, at.instrument, data, hearers);
  else if (venue.world.faults.find('silence', venue.marketId, at.instrument) === null) for (const channel of hearers) channel.sendAny(data);
}

interface RecordedTrade {
  trade_seq: number;
  trade_id: string;
  timestamp: number;
  direction: string;
}

/** Each trade keeps the text it was recorded with, unknown fields and big integers included. */
function replayTrades(venue: DeribitVenue, instrument: string, data: string, hearers: readonly Channel[]): void {
  const market = venue.markets.get(instrument);
  if (market === undefined) return;
  for (const text of objectsOf(data)) {
    const trade = JSON.parse(text) as RecordedTrade;
    const price = plainDecimal(numberText(text, 'price'));
    const amount = plainDecimal(numberText(text, 'amount'));
    if (price === null || amount === null) continue;
    const { history, spec } = market;
    const place = history.place(trade.trade_seq);
    if (place === 'kept') {
      for (const channel of hearers) channel.add(text);
      continue;
    }
    const isSell = trade.direction === 'sell';
    const lots = Math.round(parseScaled(amount, spec.amountDecimals) / spec.lot);
    if (place === 'next') market.record(trade.timestamp * 1000, parseScaled(price, spec.priceDecimals), lots, isSell, 0);
    const why = hearers.length === 0 ? null : withheld(venue.world, market);
    const sent = hearers.length > 0 && why === null;
    const { trade_seq: seq, trade_id: id } = trade;
    venue.world.ledger.append(tradeLine(market, id, seq, seq, price, amount, isSell, trade.timestamp * 1000, sent, why));
    if (sent) for (const channel of hearers) channel.add(text);
  }
}

/** The text of a top-level number member. */
function numberText(object: string, key: string): string {
  return new RegExp(`"${key}"\\s*:\\s*(-?[0-9.eE+-]+)`).exec(object)?.[1] ?? '';
}
