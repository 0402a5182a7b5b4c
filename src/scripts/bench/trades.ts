// Made-up trades for the publish and persist benchmarks: many instruments interleaved, as a busy market comes in.

export interface BenchTrade {
  symbol: string;
  seq: number;
  ts: number;
  receivedTs: number;
  tradeId: string;
  price: string;
  amount: string;
  side: 'buy' | 'sell';
  payload: string;
}

export const BENCH_MARKET = 'deribit';

/** `count` trades over `instruments` symbols, each with contiguous seqs, all of today (UTC), ~230 bytes of payload each. */
export function makeTrades(count: number, instruments: number): BenchTrade[] {
  const midnight = Math.floor(Date.now() / 86_400_000) * 86_400_000_000;
  const next = new Array<number>(instruments).fill(100_000_000);
  let random = 42;
  return Array.from({ length: count }, (_trade, i) => {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    const at = random % instruments;
    const symbol = `BENCH-${at}`;
    const seq = next[at]!++;
    const ts = midnight + i * 10;
    const side = (random & 1024) === 0 ? 'buy' : 'sell';
    const price = `${60_000 + (random % 9_000)}.${random % 2 === 0 ? '0' : '5'}`;
    const amount = `${(1 + (random % 500)) * 10}`;
    const tradeId = String(300_000_000 + i);
    const receivedTs = ts + 1500;
    const payload = `{"v":1,"type":"trade","market_id":"${BENCH_MARKET}","symbol":"${symbol}","exchange_ts":${ts},"received_ts":${receivedTs},` +
      `"trade_id":"${tradeId}","seq":${seq},"price":"${price}","amount":"${amount}","side":"${side}","mark_price":"${price}","index_price":"${price}"}`;
    return { symbol, seq, ts, receivedTs, tradeId, price, amount, side, payload };
  });
}
