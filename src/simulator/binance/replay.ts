// A recorded Binance frame on its way to today's subscribers: under its own stream name, in each session's dialect.
//
// Old spot recordings hold only @aggTrade. Subscribers of @trade get the raw trades an aggregate stands for (its size on the
// last of them, one lot on the others), and the ledger holds what they were sent. Captures of our own hold spot's @trade.
import { tradeLine, withheld } from '../emission.ts';
import type { Market } from '../market.ts';
import { parseScaled } from '../spec.ts';
import { tradeText } from './frames.ts';
import type { BinanceVenue } from './venue.ts';

interface RawTrade {
  s: string;
  t: number;
  p: string;
  q: string;
  T: number;
  m: boolean;
}

interface AggTrade {
  e: string;
  s: string;
  a: number;
  p: string;
  q: string;
  f: number;
  l: number;
  T: number;
  m: boolean;
}

/** Sends one recorded frame; aggregates become history, candles and ledger lines of their market as well. */
export function replayFrame(venue: BinanceVenue, name: string, data: string): void {
  if (name.endsWith('@aggTrade')) {
    const trade = JSON.parse(data) as AggTrade;
    const market = venue.markets.get(trade.s);
    if (market !== undefined) replayTrade(venue, market, trade, data);
    return;
  }
  if (name.endsWith('@trade') && !venue.flavour.futures) {
    const trade = JSON.parse(data) as RawTrade;
    const market = venue.markets.get(trade.s);
    if (market !== undefined) replayRaw(venue, market, trade, name, data);
    return;
  }
  const symbol = (name.split('@')[0] ?? '').toUpperCase();
  if (venue.world.faults.find('silence', venue.marketId, symbol) !== null) return;
  venue.live(name)?.send((micro) => (micro ? inMicros(data) : data));
}

function replayTrade(venue: BinanceVenue, market: Market, trade: AggTrade, data: string): void {
  const { history, spec } = market;
  const count = trade.l - trade.f + 1;
  const lots = Math.round(parseScaled(trade.q, spec.amountDecimals) / spec.lot);
  if (count < 1 || count > 10_000 || lots < count) return;
  const price = parseScaled(trade.p, spec.priceDecimals);
  const place = history.place(trade.f);
  if (place === 'kept') {
    venue.live(`${spec.symbol.toLowerCase()}@aggTrade`)?.send((micro) => (micro ? inMicros(data) : data));
    return;
  }
  if (place === 'late') return;
  for (let seq = trade.f; seq <= trade.l; seq++) {
    market.record(trade.T * 1000, price, seq === trade.l ? lots - count + 1 : 1, trade.m, trade.a);
  }
  const { futures } = venue.flavour;
  const lower = spec.symbol.toLowerCase();
  const runs = venue.live(`${lower}@aggTrade`);
  const trades = venue.live(`${lower}@trade`);
  const primary = futures ? runs : trades;
  const why = primary === null ? null : withheld(venue.world, market);
  const sent = primary !== null && why === null;
  const priceText = market.priceText(price);
  const line = (id: number, from: number, to: number, amount: string): void =>
    venue.world.ledger.append(tradeLine(market, String(id), from, to, priceText, amount, trade.m, trade.T * 1000, sent, why));
  const nowUs = trade.T * 1000;
  if (futures) line(trade.a, trade.f, trade.l, market.amountText(lots));
  else for (let seq = trade.f; seq <= trade.l; seq++) line(seq, seq, seq, market.amountText(history.lots(seq)));
  if (why !== null) return;
  runs?.send((micro) => (micro ? inMicros(data) : data));
  for (let seq = trade.f; seq <= trade.l; seq++) trades?.send((micro) => tradeText(market, seq, priceText, nowUs, micro, futures));
}

/** A raw trade keeps its own text; history, candles and ledger get it once. */
function replayRaw(venue: BinanceVenue, market: Market, trade: RawTrade, name: string, data: string): void {
  const { history, spec } = market;
  const stream = venue.live(name);
  const send = (): void => stream?.send((micro) => (micro ? inMicros(data) : data));
  const place = history.place(trade.t);
  if (place === 'kept') return send();
  const lots = Math.round(parseScaled(trade.q, spec.amountDecimals) / spec.lot);
  if (place === 'next') market.record(trade.T * 1000, parseScaled(trade.p, spec.priceDecimals), lots, trade.m, trade.t);
  const why = stream === null ? null : withheld(venue.world, market);
  const sent = stream !== null && why === null;
  venue.world.ledger.append(tradeLine(market, String(trade.t), trade.t, trade.t, trade.p, trade.q, trade.m, trade.T * 1000, sent, why));
  if (sent) send();
}

/** Recorded times are milliseconds; a microsecond session gets three more digits. */
function inMicros(data: string): string {
  return data.replace(/"(E|T|t|O|C)":(\d{13})(?=[,}])/g, '"$1":$2000');
}

