// What a stream says at a tick, apart from trades.
import { nextOpen, openOf } from '../candles.ts';
import type { Market } from '../market.ts';
import { depthText, partialDepthText } from './depth.ts';
import { avgPriceText, bookTickerText, klineText, markPriceText, miniTickerText, tickerText } from './frames.ts';
import type { Stream } from './streams.ts';
import type { BinanceVenue } from './venue.ts';

/** Sends what is due on a stream. */
export function pushStream(venue: BinanceVenue, stream: Stream, nowMs: number, nowUs: number): void {
  const { market, parsed } = stream;
  if (parsed.kind === 'trade' || parsed.kind === 'aggTrade') return;
  if (market === null) {
    pushAll(venue, stream, nowMs, nowUs);
    return;
  }
  if (market.spec.replayed === true || market.history.size === 0) return;
  const channel = parsed.kind === 'kline' ? 'ohlc' : parsed.kind.toLowerCase().includes('depth') ? 'book' : 'ticker';
  if (venue.world.faults.find('silence', venue.marketId, market.spec.symbol, channel) !== null) return;
  if (parsed.kind === 'kline') {
    pushKline(venue, stream, market, nowMs, nowUs);
    return;
  }
  const changed = market.version !== stream.lastVersion;
  if (!isDue(stream, parsed.everyMs, nowMs) || (!changed && parsed.kind !== 'markPrice')) return;
  stream.lastSentMs = nowMs;
  stream.lastVersion = market.version;
  const { futures } = venue.flavour;
  if (parsed.kind === 'depth') depthText(stream, venue.book(market), nowUs, futures);
  else if (parsed.kind === 'partialDepth') partialDepthText(stream, venue.book(market), nowUs, futures);
  else if (parsed.kind === 'bookTicker') stream.send(() => bookTickerText(market, market.version + market.history.first, nowUs, futures));
  else if (parsed.kind === 'ticker') stream.send((micro) => tickerText(market, nowUs, micro));
  else if (parsed.kind === 'miniTicker') stream.send((micro) => miniTickerText(market, nowUs, micro));
  else if (parsed.kind === 'avgPrice' && !futures) stream.send((micro) => avgPriceText(market, nowUs, micro));
  else if (parsed.kind === 'markPrice' && futures) stream.send(() => markPriceText(market, nowUs));
}

/** A clock that was set back must not silence a stream. */
const isDue = (stream: Stream, everyMs: number, nowMs: number): boolean =>
  nowMs - stream.lastSentMs >= everyMs || nowMs < stream.lastSentMs;

/** Provisional every interval; once with x = true after the close, also for a candle nobody traded in. */
function pushKline(venue: BinanceVenue, stream: Stream, market: Market, nowMs: number, nowUs: number): void {
  const { detail: interval } = stream.parsed;
  const openMs = openOf(interval, nowMs);
  if (stream.openMs === 0 || stream.openMs > openMs) stream.openMs = openMs;
  const { candles } = market;
  while (stream.openMs < openMs) {
    const bar = candles.bar(interval, stream.openMs, nowMs);
    stream.send((micro) => klineText(market, interval, bar, true, nowUs, micro));
    stream.openMs = nextOpen(interval, stream.openMs);
    stream.lastVersion = -1;
  }
  const { klineMs } = venue.world.timing;
  const every = interval === '1s' ? Math.min(1000, klineMs) : venue.flavour.futures ? Math.min(250, klineMs) : klineMs;
  if (market.version === stream.lastVersion || !isDue(stream, every, nowMs)) return;
  stream.lastSentMs = nowMs;
  stream.lastVersion = market.version;
  const bar = candles.bar(interval, openMs, nowMs);
  stream.send((micro) => klineText(market, interval, bar, false, nowUs, micro));
}

function pushAll(venue: BinanceVenue, stream: Stream, nowMs: number, nowUs: number): void {
  if (!isDue(stream, stream.parsed.everyMs, nowMs)) return;
  stream.lastSentMs = nowMs;
  const live = [...venue.markets.values()].filter((market) => market.history.size > 0 && market.spec.replayed !== true);
  const { detail } = stream.parsed;
  const { futures } = venue.flavour;
  if (detail === '!bookTicker@') {
    for (const market of live) stream.send(() => bookTickerText(market, market.version + market.history.first, nowUs, futures));
  } else if (detail === '!markPrice@arr' && futures) {
    stream.send(() => `[${live.map((market) => markPriceText(market, nowUs)).join(',')}]`);
  } else if (detail === '!miniTicker@arr') {
    stream.send((micro) => `[${live.map((market) => miniTickerText(market, nowUs, micro)).join(',')}]`);
  } else if (detail === '!ticker@arr' && futures) {
    stream.send((micro) => `[${live.map((market) => tickerText(market, nowUs, micro)).join(',')}]`);
  }
}
