// Rows of the REST history: klines, raw trades, aggregates.
import { nextOpen, openOf } from '../candles.ts';
import type { Market } from '../market.ts';
import { scaledBigText } from '../spec.ts';
import { quoteVolumeText, time, volumeText } from './frames.ts';

/**
 * `/klines`: oldest first. Only startTime: oldest from there; only endTime: newest before it; both: as startTime, bounded.
 */
export function klineRows(
  market: Market, interval: string, startMs: number | null, endMs: number | null, limit: number, nowMs: number, us: boolean,
): string {
  const end = Math.min(endMs ?? nowMs, nowMs);
  let from = startMs;
  if (from === null) {
    from = openOf(interval, end);
    for (let i = 1; i < limit; i++) from = openOf(interval, from - 1);
  }
  const decimals = market.spec.kind === 'spot' ? 8 : market.spec.priceDecimals + market.spec.amountDecimals;
  const rows = market.candles.range(interval, from, end, limit, nowMs).map((bar) => {
    const close = nextOpen(interval, bar.openMs) * 1000 - (us ? 1 : 1000);
    const p = (price: number): string => market.priceText(price);
    return (
      `[${time(bar.openMs * 1000, us)},"${p(bar.open)}","${p(bar.high)}","${p(bar.low)}","${p(bar.close)}","${volumeText(market, bar.lots)}"` +
      `,${time(close, us)},"${quoteVolumeText(market, bar.turnover, bar.turnoverHigh, decimals)}",${bar.count},"${volumeText(market, bar.buyLots)}"` +
      `,"${quoteVolumeText(market, bar.buyTurnover, bar.buyTurnoverHigh, decimals)}","0"]`
    );
  });
  return `[${rows.join(',')}]`;
}

/** `/trades` and `/historicalTrades`: raw trades `from`..`to`. */
export function tradeRows(market: Market, from: number, to: number, us: boolean): string {
  const { history: h, spec } = market;
  const rows: string[] = [];
  const decimals = spec.priceDecimals + spec.amountDecimals;
  const pad = spec.kind === 'spot' ? Math.max(0, 8 - decimals) : 0;
  for (let seq = from; seq <= to; seq++) {
    const quote = scaledBigText(BigInt(h.price(seq)) * BigInt(h.lots(seq) * spec.lot) * 10n ** BigInt(pad), decimals + pad);
    rows.push(
      `{"id":${seq},"price":"${market.priceText(h.price(seq))}","qty":"${market.amountText(h.lots(seq))}","quoteQty":"${quote}"` +
      `,"time":${time(h.ts(seq), us)},"isBuyerMaker":${h.isSell(seq)}${spec.kind === 'spot' ? ',"isBestMatch":true' : ''}}`,
    );
  }
  return `[${rows.join(',')}]`;
}

/** `/aggTrades`: by aggregate id, by time (inclusive), or the newest. */
export function aggTradeRows(
  market: Market, fromId: number | null, startMs: number | null, endMs: number | null, limit: number, us: boolean,
): string {
  const { history: h, spec } = market;
  const rows: string[] = [];
  let seq = h.first;
  if (fromId !== null) seq = h.lowerBound(fromId, 'group');
  else if (startMs !== null) seq = h.lowerBound(startMs * 1000, 'ts');
  else seq = h.lowerBound(h.group(endMs === null ? h.last : Math.max(h.first, h.lowerBound((endMs + 1) * 1000, 'ts') - 1)) - limit + 1, 'group');
  // A run whose beginning has left the ring is not told: half of it would be a lie.
  while (seq === h.first && seq < h.last && h.group(seq) === h.group(seq + 1)) seq++;
  for (; seq <= h.last && rows.length < limit; ) {
    const end = h.runEnd(seq);
    if (endMs !== null && h.ts(seq) > endMs * 1000 + 999) break;
    let lots = 0;
    for (let at = seq; at <= end; at++) lots += h.lots(at);
    const q = market.amountText(lots);
    rows.push(
      `{"a":${h.group(seq)},"p":"${market.priceText(h.price(seq))}","q":"${q}"${spec.kind === 'spot' ? '' : `,"nq":"${q}"`}` +
      `,"f":${seq},"l":${end},"T":${time(h.ts(seq), us)},"m":${h.isSell(seq)}${spec.kind === 'spot' ? ',"M":true' : ''}}`,
    );
    seq = end + 1;
  }
  return `[${rows.join(',')}]`;
}
