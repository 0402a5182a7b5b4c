// Texts of the Binance streams, without the combined wrapper. `micro`: times in microseconds (spot's timeUnit).
import type { Bar } from '../candles.ts';
import { turnoverOf, nextOpen } from '../candles.ts';
import type { Market } from '../market.ts';
import { scaledBigText, scaledText } from '../spec.ts';

/** A time as the session wants it. */
export const time = (us: number, micro: boolean): string => (micro ? String(us) : String(Math.floor(us / 1000)));

/** `@trade` of both venues: one raw trade. */
export function tradeText(market: Market, seq: number, price: string, nowUs: number, micro: boolean, futures: boolean): string {
  const { history: h, spec } = market;
  const at = time(h.ts(seq), micro);
  const tail = futures ? ',"X":"MARKET"' : '';
  return (
    `{"e":"trade","E":${time(nowUs, micro)}${futures ? `,"T":${at}` : ''},"s":"${spec.symbol}","t":${seq},"p":"${price}"` +
    `,"q":"${market.amountText(h.lots(seq))}"${futures ? tail : `,"T":${at}`},"m":${h.isSell(seq)}${futures ? '' : ',"M":true'}}`
  );
}

/** `@aggTrade`: the run `from`..`to`. `st` and `nq` are USD-M's additions of 2025-26. */
export function aggTradeText(
  market: Market, from: number, to: number, price: string, nowUs: number, micro: boolean, futures: boolean,
): string {
  const { history: h, spec } = market;
  let lots = 0;
  for (let seq = from; seq <= to; seq++) lots += h.lots(seq);
  const q = market.amountText(lots);
  return (
    `{"e":"aggTrade","E":${time(nowUs, micro)},"s":"${spec.symbol}","a":${h.group(from)},"p":"${price}","q":"${q}"` +
    `${futures ? `,"nq":"${q}"` : ''},"f":${from},"l":${to},"T":${time(h.ts(from), micro)},"m":${h.isSell(from)}${futures ? ',"st":1' : ',"M":true'}}`
  );
}

export function quoteVolumeText(market: Market, low: number, high: number, minDecimals: number): string {
  const { priceDecimals, amountDecimals, lot } = market.spec;
  const decimals = priceDecimals + amountDecimals;
  const exact = turnoverOf(low, high) * BigInt(lot);
  const pad = Math.max(0, minDecimals - decimals);
  return scaledBigText(exact * 10n ** BigInt(pad), decimals + pad);
}

export const volumeText = (market: Market, lots: number): string =>
  scaledText(lots * market.spec.lot, market.spec.amountDecimals) + market.spec.amountPad;

/** `@kline_<interval>`; f and L are -1 when nothing traded. */
export function klineText(market: Market, interval: string, bar: Bar, closed: boolean, nowUs: number, micro: boolean): string {
  const p = (price: number): string => market.priceText(price);
  const open = bar.openMs * 1000;
  const end = nextOpen(interval, bar.openMs) * 1000 - (micro ? 1 : 1000);
  const decimals = market.spec.kind === 'spot' ? 8 : market.spec.priceDecimals + market.spec.amountDecimals;
  const first = bar.count === 0 ? -1 : bar.firstSeq;
  const last = bar.count === 0 ? -1 : bar.lastSeq;
  return (
    `{"e":"kline","E":${time(nowUs, micro)},"s":"${market.spec.symbol}","k":{"t":${time(open, micro)},"T":${time(end, micro)}` +
    `,"s":"${market.spec.symbol}","i":"${interval}","f":${first},"L":${last},"o":"${p(bar.open)}","c":"${p(bar.close)}"` +
    `,"h":"${p(bar.high)}","l":"${p(bar.low)}","v":"${volumeText(market, bar.lots)}","n":${bar.count},"x":${closed}` +
    `,"q":"${quoteVolumeText(market, bar.turnover, bar.turnoverHigh, decimals)}","V":"${volumeText(market, bar.buyLots)}"` +
    `,"Q":"${quoteVolumeText(market, bar.buyTurnover, bar.buyTurnoverHigh, decimals)}","B":"0"}}`
  );
}

/** `@bookTicker`: on spot without event type and time. */
export function bookTickerText(market: Market, updateId: number, nowUs: number, futures: boolean): string {
  const quote =
    `"s":"${market.spec.symbol}","b":"${market.priceText(market.bid)}","B":"${market.amountText(market.bidLots)}"` +
    `,"a":"${market.priceText(market.ask)}","A":"${market.amountText(market.askLots)}"`;
  const ms = Math.floor(nowUs / 1000);
  if (!futures) return `{"u":${updateId},${quote}}`;
  return `{"e":"bookTicker","u":${updateId},${quote},"T":${ms - 1},"E":${ms},"ps":"${market.spec.symbol.split('_')[0]}","st":1}`;
}

/** What the 24 hour tickers and their REST twins say. */
export function dayFigures(market: Market, nowMs: number): Record<string, string | number> {
  const bar = market.candles.day(nowMs);
  const { priceDecimals, amountDecimals, lot, pricePad } = market.spec;
  const change = market.lastPrice - bar.open;
  const turnover = Number(turnoverOf(bar.turnover, bar.turnoverHigh)) * lot;
  const average = bar.lots === 0 ? bar.close : Math.round(turnover / (bar.lots * lot));
  const last = market.history.last;
  return {
    change: scaledText(change, priceDecimals) + pricePad, percent: ((change / bar.open) * 100).toFixed(3), average: market.priceText(average),
    last: market.priceText(market.lastPrice), lastQty: market.amountText(market.history.size > 0 ? market.history.lots(last) : 0),
    open: market.priceText(bar.open), high: market.priceText(bar.high), low: market.priceText(bar.low), volume: volumeText(market, bar.lots),
    quoteVolume: quoteVolumeText(market, bar.turnover, bar.turnoverHigh, Math.min(8, priceDecimals + amountDecimals)),
    first: bar.firstSeq, lastId: last, count: bar.count,
  };
}

export function tickerText(market: Market, nowUs: number, micro: boolean): string {
  const f = dayFigures(market, Math.floor(nowUs / 1000));
  const futures = market.spec.kind !== 'spot';
  const quote = futures
    ? ''
    : `,"x":"${f['open']}","b":"${market.priceText(market.bid)}","B":"${market.amountText(market.bidLots)}"` +
      `,"a":"${market.priceText(market.ask)}","A":"${market.amountText(market.askLots)}"`;
  return (
    `{"e":"24hrTicker","E":${time(nowUs, micro)},"s":"${market.spec.symbol}","p":"${f['change']}","P":"${f['percent']}","w":"${f['average']}"` +
    `${quote},"c":"${f['last']}","Q":"${f['lastQty']}","o":"${f['open']}","h":"${f['high']}","l":"${f['low']}","v":"${f['volume']}"` +
    `,"q":"${f['quoteVolume']}","O":${time(nowUs - 86_400_000_000, micro)},"C":${time(nowUs, micro)},"F":${f['first']},"L":${f['lastId']}` +
    `,"n":${f['count']}${futures ? ',"st":1' : ''}}`
  );
}

export function miniTickerText(market: Market, nowUs: number, micro: boolean): string {
  const f = dayFigures(market, Math.floor(nowUs / 1000));
  const futures = market.spec.kind !== 'spot';
  return (
    `{"e":"24hrMiniTicker","E":${time(nowUs, micro)},"s":"${market.spec.symbol}"${futures ? `,"ps":"${market.spec.symbol.split('_')[0]}"` : ''}` +
    `,"c":"${f['last']}","o":"${f['open']}","h":"${f['high']}","l":"${f['low']}","v":"${f['volume']}","q":"${f['quoteVolume']}"${futures ? ',"st":1' : ''}}`
  );
}

/** Mark price with eight decimals, index price and funding rate of a USD-M market; functions of the last trade. */
export function markFigures(market: Market): { mark: string; index: string; settle: string; rate: string } {
  const price = market.lastPrice / 10 ** market.spec.priceDecimals;
  const wiggle = ((market.history.last % 21) - 10) / 100_000;
  return {
    mark: (price * (1 + wiggle / 4)).toFixed(8), index: (price * (1 - wiggle / 3)).toFixed(8), settle: (price * 0.9998).toFixed(8),
    rate: market.spec.kind === 'perpetual' ? (0.0001 + wiggle / 10).toFixed(8) : '',
  };
}

/** Next of the three daily funding times. */
export const nextFunding = (nowMs: number): number => (Math.floor(nowMs / 28_800_000) + 1) * 28_800_000;

export function markPriceText(market: Market, nowUs: number): string {
  const f = markFigures(market);
  const ms = Math.floor(nowUs / 1000);
  const funding = market.spec.kind === 'perpetual' ? nextFunding(ms) : 0;
  return (
    `{"e":"markPriceUpdate","E":${ms},"s":"${market.spec.symbol}","p":"${f.mark}","ap":"${f.mark}","P":"${f.settle}","i":"${f.index}"` +
    `,"r":"${f.rate}","T":${funding},"st":1}`
  );
}

export function avgPriceText(market: Market, nowUs: number, micro: boolean): string {
  const f = dayFigures(market, Math.floor(nowUs / 1000));
  const last = market.history.size > 0 ? market.history.ts(market.history.last) : nowUs;
  return `{"e":"avgPrice","E":${time(nowUs, micro)},"s":"${market.spec.symbol}","i":"5m","w":"${f['average']}","T":${time(last, micro)}}`;
}
