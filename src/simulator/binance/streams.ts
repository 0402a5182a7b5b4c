// Stream names and who hears them. A frame is built once per dialect (raw or combined, ms or µs) and shared.
import { asciiFrame, type Connection } from '../connection.ts';
import type { Market } from '../market.ts';

export type StreamKind =
  | 'trade' | 'aggTrade' | 'kline' | 'miniTicker' | 'ticker' | 'bookTicker' | 'depth' | 'partialDepth' | 'markPrice' | 'avgPrice' | 'all' | 'unknown';

export interface StreamName {
  kind: StreamKind;
  /** Upper-case symbol; empty for streams of all symbols. */
  symbol: string;
  /** Kline interval, depth level, or the rest of an all-market stream. */
  detail: string;
  /** Push interval in ms, where the name has one. */
  everyMs: number;
}

const INTERVALS = new Set(['1s', '1m', '3m', '5m', '15m', '30m', '1h', '2h', '4h', '6h', '8h', '12h', '1d', '3d', '1w', '1M']);
export const isInterval = (text: string): boolean => INTERVALS.has(text);

/** Reads a stream name. Everything the venue does not know is `unknown`: acknowledged and silent. */
export function parseStream(name: string): StreamName {
  const [symbol = '', channel = '', speed = ''] = name.split('@');
  const unknown: StreamName = { kind: 'unknown', symbol: '', detail: '', everyMs: 0 };
  if (symbol.startsWith('!')) {
    const detail = `${symbol}@${channel}`;
    const known = ['!miniTicker@arr', '!ticker@arr', '!markPrice@arr', '!bookTicker@'].includes(detail);
    return known ? { kind: 'all', symbol: '', detail, everyMs: 1000 } : unknown;
  }
  // Stream names are lower-case; an upper-case symbol is acknowledged and never heard of again.
  if (symbol === '' || symbol !== symbol.toLowerCase()) return unknown;
  const at = (kind: StreamKind, detail: string, everyMs: number): StreamName => ({ kind, symbol: symbol.toUpperCase(), detail, everyMs });
  const kline = /^kline_(\w+)$/.exec(channel);
  if (kline !== null) return isInterval(kline[1] ?? '') ? at('kline', kline[1] ?? '', 0) : unknown;
  const depth = /^depth(5|10|20)?$/.exec(channel);
  if (depth !== null) return at(depth[1] === undefined ? 'depth' : 'partialDepth', depth[1] ?? '', depthSpeed(speed));
  if (channel === 'markPrice') return at('markPrice', '', speed === '1s' ? 1000 : 3000);
  if (['trade', 'aggTrade', 'bookTicker'].includes(channel)) return at(channel as StreamKind, '', 0);
  if (['miniTicker', 'ticker', 'avgPrice'].includes(channel)) return at(channel as StreamKind, '', 1000);
  return unknown;
}

const depthSpeed = (speed: string): number => (speed === '' ? 1000 : Math.max(100, parseInt(speed, 10) || 0));

/** Serves the kind of data that `/public` of the split USD-M host serves; the rest is on `/market`. */
export const isPublicKind = (kind: StreamKind): boolean =>
  kind === 'trade' || kind === 'bookTicker' || kind === 'depth' || kind === 'partialDepth';

/** A dialect is what two sessions must share to get the same bytes. */
export const dialect = (combined: boolean, micro: boolean): number => (combined ? 1 : 0) + (micro ? 2 : 0);

export class Stream {
  readonly name: string;
  readonly parsed: StreamName;
  readonly market: Market | null;
  readonly #groups: [Connection[], Connection[], Connection[], Connection[]] = [[], [], [], []];
  readonly #wrap: string;
  size = 0;
  /** Last thing sent, for streams that only speak of changes. */
  lastVersion = -1;
  lastSentMs = 0;
  /** Depth streams: the levels that subscribers hold. */
  bids: ReadonlyMap<number, number> = new Map();
  asks: ReadonlyMap<number, number> = new Map();
  lastUpdateId = 0;
  /** Kline streams: open time of the candle that has not been closed yet. */
  openMs = 0;

  constructor(name: string, parsed: StreamName, market: Market | null) {
    this.name = name;
    this.parsed = parsed;
    this.market = market;
    this.#wrap = `{"stream":"${name}","data":`;
  }

  add(connection: Connection, group: number): void {
    this.#groups[group as 0].push(connection);
    this.size++;
  }

  remove(connection: Connection): void {
    for (const group of this.#groups) {
      const at = group.indexOf(connection);
      if (at < 0) continue;
      group.splice(at, 1);
      this.size--;
    }
  }

  readers(): Connection[] {
    return this.#groups.flat();
  }

  /** Sends `text(micro)` to everyone, each in their dialect. */
  send(text: (micro: boolean) => string): void {
    for (let group = 0; group < 4; group++) {
      const readers = this.#groups[group as 0];
      if (readers.length === 0) continue;
      const bare = text((group & 2) !== 0);
      const bytes = asciiFrame((group & 1) !== 0 ? `${this.#wrap}${bare}}` : bare);
      for (const reader of readers) reader.push(bytes);
    }
  }
}
