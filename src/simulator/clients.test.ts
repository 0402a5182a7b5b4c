// Clients that others wrote, unchanged: only their public URL settings are changed. What works for them against the real
// exchanges must work against the simulator.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import ccxt from 'ccxt';
import type { Exchange, OHLCV, Ticker, Trade } from 'ccxt';
import { systemClock } from '../runtime/clock.ts';
import { startSimulator, type Simulator } from './server.ts';

let simulator: Simulator;
const wsUrl = (path: string): string => simulator.url.replace('http', 'ws') + path;
const httpUrl = (path: string): string => simulator.url + path;

beforeAll(async () => {
  simulator = await startSimulator({ port: 0, seed: 5, clock: systemClock(), rate: 400, timing: { klineMs: 200 } });
});
afterAll(() => simulator.close());

type ProExchange = Exchange & { urls: { api: Record<string, unknown> }; loadHttpProxyAgent(): Promise<unknown> };

/** A ccxt client whose URLs point at the simulator. */
function client(id: 'deribit' | 'binance' | 'binanceusdm'): ProExchange {
  const exchange = new ccxt.pro[id]({ enableRateLimit: false }) as unknown as ProExchange;
  if (id === 'deribit') {
    exchange.urls.api = { rest: httpUrl('/deribit'), ws: wsUrl('/deribit/ws/api/v2') };
    return exchange;
  }
  const spot = httpUrl('/binance_spot/api/v3');
  const futures = httpUrl('/binance_usdm/fapi/v1');
  Object.assign(exchange.urls.api, {
    public: spot, private: spot, fapiPublic: futures, fapiPrivate: futures, dapiPublic: httpUrl('/binance_usdm/dapi/v1'),
    // ccxt tells spot from futures by "/stream" in the URL (the real host's name has it).
    ws: { ...(exchange.urls.api['ws'] as object), spot: wsUrl('/binance_spot/ws/stream'), future: wsUrl('/binance_usdm/ws') },
  });
  return exchange;
}

/** The ledger's trades of one symbol by id. */
function truth(symbol: string, marketId: string): Map<string, Record<string, unknown>> {
  const found = new Map<string, Record<string, unknown>>();
  for (const entry of simulator.ledger.entries()) {
    if (entry.k === 'trade' && entry['symbol'] === symbol && entry['market_id'] === marketId) found.set(String(entry['trade_id']), entry);
  }
  return found;
}

function expectTruth(trades: readonly Trade[], symbol: string, marketId: string): void {
  const ledger = truth(symbol, marketId);
  expect(trades.length).toBeGreaterThan(0);
  for (const trade of trades) {
    const entry = ledger.get(String(trade.id));
    expect(entry, `trade ${trade.id}`).toBeDefined();
    expect([trade.price, trade.amount, trade.side, trade.timestamp]).toEqual([
      Number(entry?.['price']), Number(entry?.['amount']), entry?.['side'], Math.floor(Number(entry?.['ts']) / 1000),
    ]);
  }
}

interface RawTrade {
  id: string | undefined;
  price: number;
  amount: number;
  side: string;
}

/** The ledger of USD-M holds runs of raw trades, as its aggregates tell them: each raw trade is of one, and a whole run adds up. */
function expectRuns(trades: readonly RawTrade[], runs: readonly Record<string, unknown>[]): void {
  let whole = 0;
  const byId = new Map(trades.map((trade) => [Number(trade.id), trade]));
  expect(byId.size).toBe(trades.length);
  for (const trade of trades) {
    const run = runs.find(({ seq, seq_last: last }) => Number(trade.id) >= Number(seq) && Number(trade.id) <= Number(last));
    expect(run, `trade ${trade.id}`).toBeDefined();
    const [seq, last] = [Number(run?.['seq']), Number(run?.['seq_last'])];
    expect([trade.price, trade.side]).toEqual([Number(run?.['price']), run?.['side']]);
    const members = Array.from({ length: last - seq + 1 }, (_trade, n) => byId.get(seq + n));
    if (members.some((member) => member === undefined)) continue;
    whole++;
    expect(members.reduce((sum, member) => sum + (member?.amount ?? 0), 0)).toBeCloseTo(Number(run?.['amount']), 9);
  }
  expect(whole).toBeGreaterThan(trades.length / 2);
}

function expectTicker(ticker: Ticker, symbol: string): void {
  expect(ticker.symbol).toBe(symbol);
  expect(Number(ticker.bid)).toBeGreaterThan(0);
  expect(Number(ticker.ask)).toBeGreaterThan(Number(ticker.bid));
  expect(Number(ticker.last)).toBeGreaterThan(0);
}

function expectCandles(candles: readonly OHLCV[]): void {
  expect(candles.length).toBeGreaterThan(0);
  for (const [time, open, high, low, close, volume] of candles.map((candle) => candle.map(Number))) {
    expect((time ?? 1) % 60_000).toBe(0);
    expect(high).toBeGreaterThanOrEqual(Math.max(open ?? 0, close ?? 0));
    expect(low).toBeLessThanOrEqual(Math.min(open ?? 0, close ?? 0));
    expect(volume).toBeGreaterThanOrEqual(0);
  }
}

describe.each([
  // ccxt names the aggregate by its id over REST; over WebSocket it hears raw trades, whose ids the ledger does not number.
  { id: 'deribit', symbol: 'BTC/USD:BTC', wire: 'BTC-PERPETUAL', marketId: 'deribit', watchesLedger: true, wsBid: true },
  { id: 'binance', symbol: 'BTC/USDT', wire: 'BTCUSDT', marketId: 'binance_spot', watchesLedger: true, wsBid: true },
  { id: 'binanceusdm', symbol: 'BTC/USDT:USDT', wire: 'BTCUSDT', marketId: 'binance_usdm', watchesLedger: false, wsBid: false },
] as const)('ccxt $id', ({ id, symbol, wire, marketId, watchesLedger, wsBid }) => {
  let exchange: ProExchange;
  beforeAll(async () => {
    exchange = client(id);
    // Needed by ccxt for any ws:// URL.
    await exchange.loadHttpProxyAgent();
    await exchange.loadMarkets();
  });
  afterAll(() => exchange.close());

  it('loads markets', () => {
    expect(exchange.market(symbol)).toMatchObject({ id: wire, active: true });
    expect(exchange.symbols.length).toBeGreaterThan(8);
  });

  it('fetches trades that are in the ledger', async () => {
    const params = id === 'deribit' ? {} : { fetchTradesMethod: id === 'binance' ? 'publicGetTrades' : 'fapiPublicGetAggTrades' };
    expectTruth(await exchange.fetchTrades(symbol, undefined, 50, params), wire, marketId);
  });

  it('fetches candles and a ticker', async () => {
    expectCandles(await exchange.fetchOHLCV(symbol, '1m', exchange.milliseconds() - 3_600_000, 60));
    const ticker = await exchange.fetchTicker(symbol);
    expect(ticker.last).toBeGreaterThan(0);
    if (wsBid) expectTicker(ticker, symbol);
  });

  it('watches trades', async () => {
    const trades = await exchange.watchTrades(symbol);
    if (watchesLedger) expectTruth(trades, wire, marketId);
    else expect([trades[0]?.symbol, ['buy', 'sell'].includes(String(trades[0]?.side))]).toEqual([symbol, true]);
  });

  it('watches a ticker', async () => {
    // Its standing choice for Binance is the mini ticker, which has no quote.
    const ticker = await exchange.watchTicker(symbol, id === 'deribit' ? {} : { name: 'ticker' });
    if (wsBid) expectTicker(ticker, symbol);
    else expect(ticker.last).toBeGreaterThan(0);
  });

  it('watches candles', async () => {
    expectCandles(await exchange.watchOHLCV(symbol, '1m'));
  });

  it('watches an order book', async () => {
    const book = await exchange.watchOrderBook(symbol);
    expect(Number(book.asks[0]?.[0])).toBeGreaterThan(Number(book.bids[0]?.[0]));
  });
});

describe('ccxt deribit of perpetuals', () => {
  let exchange: ProExchange;
  const HOUR = 3_600_000;
  beforeAll(async () => {
    exchange = client('deribit');
    await exchange.loadMarkets();
  });
  afterAll(() => exchange.close());

  it.each(['BTC/USD:BTC', 'ETH/USDC:USDC'])('fetches the funding rate of %s that its ticker tells', async (symbol) => {
    const rate = await exchange.fetchFundingRate(symbol);
    const { info } = await exchange.fetchTicker(symbol) as { info: { funding_8h: string } };
    expect(rate.symbol).toBe(symbol);
    // The ticker's is of the last full minute.
    expect(Math.abs(Number(rate.fundingRate) - Number(info.funding_8h))).toBeLessThan(2e-7);
    expect(rate.fundingRate).not.toBe(0);
  });

  it('fetches the funding history by the hour', async () => {
    const until = Math.floor(exchange.milliseconds() / HOUR) * HOUR;
    const rates = await exchange.fetchFundingRateHistory('BTC/USD:BTC', until - 99 * HOUR);
    expect(rates.map((rate) => rate.timestamp)).toEqual(Array.from({ length: 100 }, (_rate, n) => until - (99 - n) * HOUR));
    const hourly = rates.map(({ info }) => Number((info as { interest_1h: string }).interest_1h));
    for (const [n, { fundingRate, info }] of rates.entries()) {
      const { index_price: index, prev_index_price: before } = info as Record<string, string>;
      if (n >= 7) expect(fundingRate).toBeCloseTo(hourly.slice(n - 7, n + 1).reduce((sum, one) => sum + one, 0), 10);
      if (n > 0) expect(before).toBe((rates[n - 1]?.info as Record<string, string>)['index_price']);
      expect(Number(index)).toBeGreaterThan(80_000);
    }
    // The sum over a span is what its hours add up to.
    const value = await exchange.fetchFundingRate('BTC/USD:BTC', { start_timestamp: until - 24 * HOUR, end_timestamp: until });
    expect(value.fundingRate).toBeCloseTo(hourly.slice(-24).reduce((sum, one) => sum + one, 0), 10);
  });
});

describe('tardis-dev', () => {
  it.each([
    ['deribit', 'WSS_URL_DERIBIT', '/deribit/ws/api/v2', 'BTC-PERPETUAL', 'deribit'],
    ['binance', 'WSS_URL_BINANCE', '/binance_spot/stream?timeUnit=microsecond', 'btcusdt', 'binance_spot'],
    // Its real-time feed of raw futures trades lives on /public since the URL split.
    ['binance-futures', 'WSS_URL_BINANCE_FUTURES', '/binance_usdm/public/stream', 'btcusdt', 'binance_usdm'],
  ] as const)('streams normalised %s trades', async (exchange, variable, path, symbol, marketId) => {
    process.env[variable] = wsUrl(path);
    const { streamNormalized, normalizeTrades } = await import('tardis-dev');
    const seen: RawTrade[] = [];
    const errors: Error[] = [];
    const stream = streamNormalized(
      { exchange, symbols: [symbol], timeoutIntervalMS: 10_000, onError: (error) => void errors.push(error) }, normalizeTrades,
    );
    for await (const message of stream) {
      if ((message as { type: string }).type === 'trade') seen.push(message);
      if (seen.length >= 20) break;
    }
    expect(errors).toEqual([]);
    const ledger = truth(symbol.toUpperCase(), marketId);
    if (marketId === 'binance_usdm') {
      expectRuns(seen, [...ledger.values()]);
      return;
    }
    for (const trade of seen) {
      const entry = ledger.get(String(trade.id));
      expect([trade.price, trade.amount, trade.side]).toEqual([Number(entry?.['price']), Number(entry?.['amount']), entry?.['side']]);
    }
  });

  it('streams book changes, option summaries and derivative tickers', async () => {
    process.env['WSS_URL_DERIBIT'] = wsUrl('/deribit/ws/api/v2');
    const { streamNormalized, normalizeBookChanges, normalizeDerivativeTickers, normalizeOptionsSummary } = await import('tardis-dev');
    const state = simulator.state() as { markets: { deribit: { instruments: { symbol: string }[] } } };
    const option = state.markets.deribit.instruments.map((row) => row.symbol).find((name) => /^BTC-.*-C$/.test(name)) ?? '';
    const kinds = new Set<string>();
    const stream = streamNormalized(
      { exchange: 'deribit', symbols: ['BTC-PERPETUAL', option], timeoutIntervalMS: 10_000 },
      normalizeBookChanges, normalizeDerivativeTickers, normalizeOptionsSummary,
    );
    for await (const message of stream) {
      kinds.add((message as { type: string }).type);
      if (kinds.size === 3) break;
    }
    expect([...kinds].sort()).toEqual(['book_change', 'derivative_ticker', 'option_summary']);
  });
});
