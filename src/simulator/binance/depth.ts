// Depth streams of the Binance venues: deltas whose numbers chain, and snapshots of the top levels.
import type { Book } from '../book.ts';
import type { Stream } from './streams.ts';
import { time } from './frames.ts';
import type { Market } from '../market.ts';

const rows = (market: Market, levels: Iterable<{ price: number; lots: number }>): string =>
  [...levels].map(({ price, lots }) => `["${market.priceText(price)}","${market.amountText(lots)}"]`).join(',');

/** The `limit` best levels of each side as JSON rows. */
export function topLevels(market: Market, book: Book, limit: number): { bids: string; asks: string } {
  const side = (levels: ReadonlyMap<number, number>): string =>
    rows(market, [...levels].slice(0, limit).map(([price, lots]) => ({ price, lots })));
  return { bids: side(book.bids), asks: side(book.asks) };
}

/** Sends what changed since this stream last spoke: U is the number after its last u; USD-M says so in `pu`. */
export function depthText(stream: Stream, book: Book, nowUs: number, futures: boolean): void {
  const { market } = stream;
  if (market === null) return;
  book.refresh();
  const fresh = stream.lastUpdateId === 0;
  const delta = book.since(stream.bids, stream.asks);
  const previous = stream.lastUpdateId;
  stream.bids = book.bids;
  stream.asks = book.asks;
  stream.lastUpdateId = book.updateId;
  // Deltas only: what stood in the book at the time of subscribing is the REST snapshot's to tell.
  if (fresh || book.updateId === previous) return;
  const bids = rows(market, delta.bids);
  const asks = rows(market, delta.asks);
  stream.send((micro) => {
    const ms = Math.floor(nowUs / 1000);
    const head = futures ? `"E":${ms},"T":${ms - 3}` : `"E":${time(nowUs, micro)}`;
    const chain = `"U":${previous + 1},"u":${book.updateId}${futures ? `,"pu":${previous}` : ''}`;
    const extra = futures ? `,"ps":"${market.spec.symbol}","st":1` : '';
    return `{"e":"depthUpdate",${head},"s":"${market.spec.symbol}",${chain},"b":[${bids}],"a":[${asks}]${extra}}`;
  });
}

/** Sends the top of the book: on spot without a symbol. */
export function partialDepthText(stream: Stream, book: Book, nowUs: number, futures: boolean): void {
  const { market } = stream;
  if (market === null) return;
  book.refresh();
  const { bids, asks } = topLevels(market, book, Number(stream.parsed.detail));
  const ms = Math.floor(nowUs / 1000);
  const u = book.updateId;
  stream.send(() =>
    futures
      ? `{"e":"depthUpdate","E":${ms},"T":${ms - 3},"s":"${market.spec.symbol}","U":${u - 1},"u":${u},"pu":${u - 2},"b":[${bids}],"a":[${asks}]}`
      : `{"lastUpdateId":${book.updateId},"bids":[${bids}],"asks":[${asks}]}`,
  );
}
