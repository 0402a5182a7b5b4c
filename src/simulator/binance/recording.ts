// Reading recorded Binance sessions: which venue, which stream, and what the instruments are.
import { dataOf, type Recording, type StreamFrame } from '../recording.ts';
import { decimalsOf, parseScaled, type Spec } from '../spec.ts';
import { plainSpec } from './catalogue.ts';

const QUOTES = ['USDT', 'BUSD', 'USDC', 'TUSD', 'FDUSD', 'BTC', 'ETH', 'BNB', 'EUR', 'TRY', 'AUD', 'BRL', 'RUB', 'GBP', 'DAI', 'PAX'];

/** The market a session was recorded from, or null. */
export function marketOfUrl(url: string): 'binance_spot' | 'binance_usdm' | null {
  if (/^wss?:\/\/fstream\./.test(url)) return 'binance_usdm';
  return /^wss?:\/\/(data-)?stream\.binance\./.test(url) ? 'binance_spot' : null;
}

/** The frames of combined streams. */
export function framesOf(recording: Recording): StreamFrame[] {
  const frames: StreamFrame[] = [];
  for (const { atMs, text } of recording.frames) {
    const stream = /^\{"stream":"([^"]+)"/.exec(text)?.[1];
    const data = stream === undefined ? null : dataOf(text, 1);
    if (stream !== undefined && data !== null) frames.push({ atMs, stream, data });
  }
  return frames;
}

interface Listed {
  symbol: string;
  baseAsset: string;
  quoteAsset: string;
  filters: { filterType: string; tickSize?: string; stepSize?: string }[];
}

/** Instruments of the recorded streams: as the recorded exchangeInfo lists them, else as their frames show them. */
export function specsOf(marketId: 'binance_spot' | 'binance_usdm', recordings: readonly Recording[], frames: readonly StreamFrame[]): Spec[] {
  const futures = marketId === 'binance_usdm';
  const listed = new Map<string, Listed>();
  const path = futures ? '/fapi/v1/exchangeInfo' : '/api/v3/exchangeInfo';
  for (const { url, data } of recordings.flatMap((recording) => recording.answers)) {
    if (!url.includes(path)) continue;
    for (const entry of (JSON.parse(data) as { symbols: Listed[] }).symbols) listed.set(entry.symbol, entry);
  }
  const shown = numbersIn(frames);
  return [...shown].map(([symbol, numbers]) => {
    const entry = listed.get(symbol);
    const tick = entry?.filters.find((filter) => filter.filterType === 'PRICE_FILTER')?.tickSize;
    const step = entry?.filters.find((filter) => filter.filterType === 'LOT_SIZE')?.stepSize;
    const quote = entry?.quoteAsset ?? QUOTES.find((name) => symbol.endsWith(name)) ?? 'USDT';
    const decimals = (texts: readonly string[]): number =>
      Math.max(0, ...texts.map((text) => (futures ? (text.split('.')[1] ?? '').length : decimalsOf(text))));
    const priceDecimals = decimals(tick === undefined ? numbers.prices : [tick]);
    const amountDecimals = decimals(step === undefined ? numbers.amounts : [step]);
    const price = numbers.prices[0] ?? '1';
    return plainSpec({
      marketId, symbol, base: entry?.baseAsset ?? symbol.slice(0, -quote.length), quote, priceDecimals, amountDecimals,
      tick: tick === undefined ? 1 : parseScaled(tick, priceDecimals), startPrice: parseScaled(price, priceDecimals), wire: entry ?? null,
    });
  });
}

/** Prices and amounts that the frames of each symbol show. */
function numbersIn(frames: readonly StreamFrame[]): Map<string, { prices: string[]; amounts: string[] }> {
  const found = new Map<string, { prices: string[]; amounts: string[] }>();
  for (const { stream, data } of frames) {
    const symbol = (stream.split('@')[0] ?? '').toUpperCase();
    const numbers = found.get(symbol) ?? { prices: [], amounts: [] };
    found.set(symbol, numbers);
    for (const [, key, text] of data.matchAll(/"([pqbaBA])":"([0-9.]+)"/g)) {
      if (text !== undefined) (key === 'p' || key === 'b' || key === 'a' ? numbers.prices : numbers.amounts).push(text);
    }
  }
  return found;
}
