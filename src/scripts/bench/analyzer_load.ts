// What the analyzer's benchmarks feed it with: trades and tickers of many symbols, spelled as the receiver spells them.
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../../contracts/index.ts';

export const SYMBOLS = 500;
export const MARKET = 'deribit';

/** Three trades, then two tickers, and so on; prices to and fro by half a basis point. */
export function payloads(count: number, perSecond: number, endMicros: number): string[] {
  const start = endMicros - Math.floor((count / perSecond) * 1e6);
  return Array.from({ length: count }, (_message, n) => {
    const ts = start + Math.floor((n / perSecond) * 1e6);
    return n % 5 < 3 ? trade(symbolOf(n), n, ts, calm(n)) : ticker(symbolOf(n), ts, calm(n));
  });
}

/** Shifted by one from round to round, so that each symbol has its turn of both kinds. */
export const symbolOf = (n: number): number => (n + Math.floor(n / SYMBOLS)) % SYMBOLS;
export const calm = (n: number): number => 60_000 + (Math.floor(n / SYMBOLS) % 2) * 3;

export const trade = (symbol: number, n: number, ts: number, price: number, market = MARKET): string =>
  `{"v":1,"type":"trade","market_id":"${market}","symbol":"BENCH-${symbol}","exchange_ts":${ts},"received_ts":${ts},"trade_id":"${n}","seq":${n},` +
  `"price":"${price}.0","amount":"${1 + (n % 50)}0","side":"${n % 2 === 0 ? 'buy' : 'sell'}","mark_price":"${price}.5","index_price":"${price}.25"}`;

export const ticker = (symbol: number, ts: number, price: number, market = MARKET): string =>
  `{"v":1,"type":"ticker","market_id":"${market}","symbol":"BENCH-${symbol}","exchange_ts":${ts},"received_ts":${ts},"best_bid_price":"${price}.0",` +
  `"best_bid_amount":"1200","best_ask_price":"${price}.5","best_ask_amount":"900","last_price":"${price}.0","mark_price":"${price}.21",` +
  `"index_price":"${price}.2","open_interest":"912345.0","funding_rate":"0.00001","volume_24h":"12345.6"}`;

export const nowMicros = (): number => Math.floor(Date.now() * 1000);

export async function fill(redis: Redis, messages: readonly string[]): Promise<void> {
  for (let i = 0; i < messages.length; i += 1_000) {
    const batch = redis.pipeline();
    for (const payload of messages.slice(i, i + 1_000)) batch.xadd(streamMarketDataKey, '*', 'payload', payload);
    await batch.exec();
  }
}
