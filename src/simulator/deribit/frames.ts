// Texts of Deribit's market data: trades, tickers, candles, quotes. All are functions of the market's state, so that the
// WebSocket and REST tell the same of one trade.
import { turnoverOf, type Bar } from '../candles.ts';
import { LIQUIDATION_MASK, LIQUIDATION_SHIFT, TICK_MASK, TICK_SHIFT } from '../history.ts';
import type { Market } from '../market.ts';
import { mix32 } from '../prng.ts';
import { scaledBigText } from '../spec.ts';
import { IMPLIED_VOLATILITY, INDEX } from './catalogue.ts';
import { funding8h } from './funding.ts';
import { floatOf, floatText } from './numbers.ts';
import { optionFigures } from './options.ts';

/** Instruments of one settlement currency share a series of trade ids; so many instruments fit into it. */
const ID_STRIDE = 128;
const LIQUIDATIONS = ['', 'M', 'T', 'MT'];

/** What is constant in the texts of one market. */
export interface MarketNames {
  readonly index: number;
  readonly idPrefix: string;
}

export function namesOf(market: Market, index: number): MarketNames {
  const { kind, base, quote, settle } = market.spec;
  const prefix = kind === 'spot' ? `${base}_${quote}-` : settle === 'BTC' ? '' : `${settle ?? ''}-`;
  return { index, idPrefix: prefix };
}

export const tradeNumber = (names: MarketNames, seq: number): number => seq * ID_STRIDE + names.index;
export const tradeId = (names: MarketNames, seq: number): string => `${names.idPrefix}${tradeNumber(names, seq)}`;

/** The index price at a trade: near the constant index, a function of the trade's number. */
function indexCents(base: string, seq: number): number {
  const price = INDEX[base] ?? 1;
  return Math.round(price * 100 * (1 + ((mix32(seq) & 1023) - 512) / 8_000_000));
}

const cents = (value: number): string => floatText(`${Math.floor(value / 100)}.${String(value % 100).padStart(2, '0')}`);

/** Index price at a trade, as wire text. */
export const indexText = (market: Market, seq: number): string => cents(indexCents(market.spec.base, seq));

/** Mark price at a trade, as wire text. */
export function markText(market: Market, seq: number, price: number): string {
  const off = (mix32(seq ^ 0x5bd1) % 81) - 40;
  const { priceDecimals } = market.spec;
  if (market.spec.kind === 'option' || price <= 0) return floatOf((price * 100 + off) / 10 ** (priceDecimals + 2), priceDecimals + 2);
  return priceDecimals <= 2
    ? cents(Math.round(price * 10 ** (2 - priceDecimals)) + off)
    : floatOf((price + off / 100) / 10 ** priceDecimals, priceDecimals + 2);
}

/** A price of this market as the wire writes it. */
export const priceFloat = (market: Market, price: number): string => floatText(market.priceText(price));
export const amountFloat = (market: Market, lots: number): string => floatText(market.amountText(lots));

/** One trade as an object of `trades.*` and of the REST trade lists. `price` overrides the recorded one. */
export function tradeObject(market: Market, names: MarketNames, seq: number, price = market.history.price(seq)): string {
  const { history: h, spec } = market;
  const flags = h.flags(seq);
  const ms = Math.floor(h.ts(seq) / 1000);
  const lots = h.lots(seq);
  const amount = amountFloat(market, lots);
  const liquidation = LIQUIDATIONS[(flags & LIQUIDATION_MASK) >> LIQUIDATION_SHIFT] ?? '';
  // Both Starbase numbers exceed 2^53: a parser that goes through a double cannot give them back.
  return (
    `{"timestamp":${ms},"price":${priceFloat(market, price)},"direction":"${h.isSell(seq) ? 'sell' : 'buy'}"` +
    `,"index_price":${cents(indexCents(spec.base, seq))},"trade_id":"${tradeId(names, seq)}","instrument_name":"${spec.symbol}"` +
    `,"trade_seq":${seq},"amount":${amount},"mark_price":${markText(market, seq, price)},"tick_direction":${(flags & TICK_MASK) >> TICK_SHIFT}` +
    `,"starbase_match_id":23${(ms % 10_000_000_000).toString().padStart(10, '0')}${100_000 + (seq % 900_000)}` +
    (spec.kind === 'option' ? `,"iv":${floatOf(ivOf(market, seq) * 100, 2)}` : '') +
    (liquidation === '' ? '' : `,"liquidation":"${liquidation}"`) +
    `,"contracts":${spec.kind === 'option' || spec.kind === 'spot' ? amount : floatText(`${lots}.0`)}` +
    `,"starbase_timestamp":${ms}${100_000 + (mix32(seq) % 900_000)}${market.extras.get(seq) ?? ''}}`
  );
}

/** Implied volatility as a fraction: a smile over the strike, moving a little with each trade. */
export function ivOf(market: Market, seq: number): number {
  const { base, strike = 1 } = market.spec;
  const moneyness = Math.log(strike / (INDEX[base] ?? 1));
  return (IMPLIED_VOLATILITY[base] ?? 0.5) * (1 + 1.5 * moneyness * moneyness) + ((mix32(seq) & 63) - 32) / 10_000;
}

/** Volume (base coin) and cost (quote, or USD of inverse contracts) of a candle, as wire text. */
export function volumeAndCost(market: Market, bar: Bar): { volume: string; cost: string } {
  const { spec } = market;
  if (spec.settle !== null && spec.settle === spec.base && spec.kind !== 'option' && spec.quote === 'USD') {
    const volume = bar.perPrice * spec.lot * 10 ** spec.priceDecimals;
    return { volume: floatOf(volume, 8), cost: floatText(`${bar.lots * spec.lot}.0`) };
  }
  const decimals = spec.priceDecimals + spec.amountDecimals;
  const cost = scaledBigText(turnoverOf(bar.turnover, bar.turnoverHigh) * BigInt(spec.lot), decimals);
  return { volume: amountFloat(market, bar.lots), cost: floatText(cost) };
}

/** `chart.trades.*` data. */
export function candleObject(market: Market, bar: Bar): string {
  const p = (price: number): string => priceFloat(market, price);
  const { volume, cost } = volumeAndCost(market, bar);
  return (
    `{"volume":${volume},"tick":${bar.openMs},"open":${p(bar.open)},"low":${p(bar.low)},"high":${p(bar.high)}` +
    `,"cost":${cost},"close":${p(bar.close)}}`
  );
}

/** Some options have nobody on the bid: an absent quote is null with amount 0. */
export const bidless = (market: Market): boolean => market.spec.kind === 'option' && market.seed % 7 === 3;

/** Best bid and ask as members. */
export function quoteMembers(market: Market): [string, string][] {
  const none = bidless(market);
  return [
    ['best_ask_price', priceFloat(market, market.ask)],
    ['best_bid_price', none ? 'null' : priceFloat(market, market.bid)],
    ['best_ask_amount', amountFloat(market, market.askLots)],
    ['best_bid_amount', none ? '0.0' : amountFloat(market, market.bidLots)],
  ];
}

/** The prices that orders may have now: 1.5 % around the last trade; options, whose ticks are coarse, half of it or twenty ticks. */
export function bandOf({ spec, lastPrice }: Market): { min: number; max: number } {
  const width = spec.kind === 'option' ? Math.max(lastPrice / 2, spec.tick * 20) : lastPrice * 0.015;
  const onTick = (price: number): number => Math.round(price / spec.tick) * spec.tick;
  return { min: spec.kind === 'combo' ? onTick(lastPrice - width) : Math.max(spec.tick, onTick(lastPrice - width)), max: onTick(lastPrice + width) };
}

/** The members of a ticker object, in the wire's order; those that an incremental ticker can omit are compared by text. */
export function tickerMembers(market: Market, nowMs: number): [string, string][] {
  const { spec, history } = market;
  const last = market.lastPrice;
  const band = bandOf(market);
  const seq = history.last;
  const day = market.candles.day(nowMs);
  const { volume, cost } = volumeAndCost(market, day);
  const index = cents(indexCents(spec.base, seq));
  const p = (price: number): string => priceFloat(market, price);
  const usd = spec.kind === 'option' || spec.kind === 'spot' ? '' : `,"volume_usd":${cost},"volume_notional":${cost}`;
  const change = day.open === 0 ? 'null' : floatOf(((last - day.open) / Math.abs(day.open)) * 100, 4);
  const members: [string, string][] = [
    ['timestamp', String(nowMs)],
    ['state', '"open"'],
    ['stats', `{"high":${p(day.high)},"low":${p(day.low)},"price_change":${change},"volume":${volume}${usd}}`],
  ];
  if (spec.kind === 'option') members.push(...optionMembers(market, nowMs));
  members.push(
    ['index_price', index],
    ['instrument_name', `"${spec.symbol}"`],
    ['last_price', p(last)],
    ['min_price', p(band.min)],
    ['max_price', p(band.max)],
    ['open_interest', openInterest(market)],
    ['mark_price', markText(market, seq, last)],
    ['estimated_delivery_price', index],
  );
  if (spec.kind !== 'spot') members.push(['settlement_price', p(spec.startPrice)]);
  if (spec.kind === 'combo') members.push(['combo_state', '"active"']);
  if (spec.kind === 'perpetual') {
    members.push(
      ['interest_value', floatOf((seq % 97) / 1e6, 8)],
      ['current_funding', floatOf(((seq % 41) - 20) / 1e5, 8)],
      // By the minute: an incremental ticker tells what has changed.
      ['funding_8h', funding8h(market, Math.floor(nowMs / 60_000) * 60_000)],
    );
  }
  return [...members, ...quoteMembers(market)];
}

const openInterest = (market: Market): string =>
  market.spec.kind === 'spot'
    ? '0.0'
    : market.spec.kind === 'option'
      ? floatOf((market.seed % 9_000) / 10, 1)
      : String((1_000_000 + (market.seed % 900_000)) * market.spec.lot);

function optionMembers(market: Market, nowMs: number): [string, string][] {
  const { spec, history } = market;
  const iv = ivOf(market, history.last);
  const forward = (INDEX[spec.base] ?? 1) * (1 + ((history.last % 201) - 100) / 100_000);
  const f = optionFigures(spec.optionType ?? 'call', forward, spec.strike ?? forward, iv, (spec.expiry ?? nowMs) - nowMs);
  const greek = (value: number): string => floatOf(value, 5);
  return [
    ['greeks', `{"delta":${greek(f.delta)},"gamma":${greek(f.gamma)},"vega":${greek(f.vega)},"theta":${greek(f.theta)},"rho":${greek(f.rho)}}`],
    ['interest_rate', '0.0'],
    ['mark_iv', floatOf(iv * 100, 2)],
    ['bid_iv', bidless(market) ? '0.0' : floatOf(iv * 98, 2)],
    ['ask_iv', floatOf(iv * 102, 2)],
    ['underlying_price', floatOf(forward, 2)],
    ['underlying_index', `"SYN.${spec.symbol.split('-').slice(0, 2).join('-')}"`],
  ];
}

export const objectOf = (members: readonly [string, string][]): string => `{${members.map(([key, value]) => `"${key}":${value}`).join(',')}}`;

/** A notification of a channel. */
export const notification = (channel: string, data: string): string =>
  `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"${channel}","data":${data}}}`;

/** A row of the book summaries. */
export function summaryObject(market: Market, nowMs: number): string {
  const members = new Map(tickerMembers(market, nowMs));
  const day = volumeAndCost(market, market.candles.day(nowMs));
  const of = (key: string): string => members.get(key) ?? 'null';
  return objectOf([
    ['volume', day.volume],
    ['volume_usd', day.cost],
    ['quote_currency', `"${market.spec.quote}"`],
    ['base_currency', `"${market.spec.base}"`],
    ['open_interest', of('open_interest')],
    ['mark_price', of('mark_price')],
    ['last', of('last_price')],
    ['bid_price', of('best_bid_price')],
    ['ask_price', of('best_ask_price')],
    ['instrument_name', `"${market.spec.symbol}"`],
    ['creation_timestamp', String(nowMs)],
  ]);
}
