import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttp, ExchangeHttpError } from '../net/http.ts';
import { systemClock } from '../runtime/clock.ts';
import { startSimulator, type Simulator } from '../simulator/server.ts';
import { MARKETS } from './registry.ts';

const clock = systemClock();
const http = createHttp({ timeoutMs: 5000, maxBytes: 50_000_000, clock });

describe('against the simulated exchanges', () => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator({ port: 0, seed: 3, rate: 2000, clock });
    await new Promise((resolve) => setTimeout(resolve, 1500));
  });
  afterAll(() => simulator.close());

  const restOf = (id: string) => {
    const market = MARKETS[id]!;
    const path = new URL(market.restUrl).pathname.replace(/\/$/, '');
    return market.rest(`${simulator.url}/${id}${path}`, http);
  };

  it.each(Object.keys(MARKETS))('%s: time, instruments, trades by seq and candles', async (id) => {
    const rest = restOf(id);
    expect(Math.abs((await rest.time()) - clock.nowMicros())).toBeLessThan(60_000_000);
    const instruments = await rest.instruments();
    const symbol = MARKETS[id]!.defaultSymbols[0]!;
    expect(instruments.map((i) => i.symbol)).toEqual(expect.arrayContaining([...MARKETS[id]!.defaultSymbols]));
    expect(new Set(instruments.map((i) => i.symbol)).size).toBe(instruments.length);

    const last = await rest.lastTrade(symbol);
    expect(last).not.toBeNull();
    const to = last!.seq!;
    const page = await rest.trades(symbol, to - 20, to);
    expect(page.complete).toBe(true);
    let next = to - 20;
    for (const [i, trade] of page.items.entries()) {
      if (i > 0 || trade.seq! > next) expect(trade.seq).toBe(next);
      next = (trade.seq_last ?? trade.seq!) + 1;
    }
    expect(next).toBe((last!.seq_last ?? to) + 1);

    const now = await rest.time();
    const candles = await rest.candles(symbol, '1m', now - 600_000_000, now);
    expect(candles.items.length).toBeGreaterThan(0);
    expect(candles.items.at(-1)!.closed).toBe(false);
    expect(candles.items.slice(0, -1).every((c) => c.closed)).toBe(true);
  });

  it('finds the aggregates of an old range by their trade ids', async () => {
    const rest = restOf('binance_usdm');
    const last = (await rest.lastTrade('BTCUSDT'))!;
    for (const back of [1, 7, 100]) {
      const from = last.seq! - back;
      const { items } = await rest.trades('BTCUSDT', from, from);
      expect(items).toHaveLength(1);
      expect(items[0]!.seq! <= from && from <= items[0]!.seq_last!).toBe(true);
    }
  });

  it('passes on what the exchange refuses', async () => {
    await expect(restOf('deribit').lastTrade('NO-SUCH')).rejects.toThrow(ExchangeHttpError);
    await expect(restOf('binance_spot').lastTrade('NOSUCH')).rejects.toMatchObject({ code: -1121 });
  });
});

describe('an error of the exchange', () => {
  const asked = async (id: string, status: number, body: string): Promise<string> => {
    const server = createServer((_request, response) => response.writeHead(status).end(body)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const get = createHttp({ timeoutMs: 5_000, maxBytes: 1_000_000, clock: systemClock() });
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      await MARKETS[id]!.rest(base, get).lastTrade('X');
      return 'answered';
    } catch (error) {
      return error instanceof ExchangeHttpError ? `${error.kind} ${error.status} ${error.code}` : String(error);
    } finally {
      server.close();
    }
  };

  it.each([200, 400])('is about the moment or about what was asked, with status %i, as its code says', async (status) => {
    const deribit = (code: number): Promise<string> => asked('deribit', status, JSON.stringify({ jsonrpc: '2.0', error: { code, message: 'x' } }));
    const binance = (code: number): Promise<string> => asked('binance_spot', status, JSON.stringify({ code, msg: 'x' }));
    expect(await Promise.all([11051, 10041, 10028, 10066, 13020, 99999].map(deribit))).toEqual([
      `server ${status} 11051`, `server ${status} 10041`, `rate_limited ${status} 10028`, `rate_limited ${status} 10066`,
      `refused ${status} 13020`, `refused ${status} 99999`]);
    expect(await Promise.all([-1008, -1003, -1121].map(binance))).toEqual([
      `server ${status} -1008`, `rate_limited ${status} -1003`, `refused ${status} -1121`]);
  });

  it('that is a timeout is none of what was asked', async () => {
    expect(await asked('binance_spot', 408, '')).toBe('server 408 null');
  });
});

describe('bodies that are no answer', () => {
  const trade = (seq: number, more = {}) => ({
    trade_id: String(seq),
    trade_seq: seq,
    instrument_name: 'X',
    timestamp: 1_790_000_000_000,
    direction: 'buy',
    price: 1,
    amount: 1,
    ...more,
  });
  const deribit = (trades: unknown[]): string =>
    JSON.stringify({ jsonrpc: '2.0', usOut: 1, result: { trades, has_more: false } });
  const spot = (id: number) => ({ id, price: '1', qty: '1', time: 1_790_000_000_000, isBuyerMaker: false });

  it.each<[string, string, string, RegExp]>([
    ['deribit', 'HTML', '<html>gateway</html>', /not JSON/],
    ['deribit', 'empty', '', /not JSON/],
    ['deribit', 'truncated', deribit([trade(1)]).slice(0, -9), /not JSON/],
    [
      'deribit',
      'an error with status 200',
      '{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}',
      /10028 too_many_requests/,
    ],
    ['deribit', 'no result', '{"jsonrpc":"2.0"}', /result: .*got nothing/],
    ['deribit', 'out of order', deribit([trade(2), trade(1)]), /out of order at item 1 \(1 after 2\)/],
    ['deribit', 'another instrument', deribit([trade(1, { instrument_name: 'Y' })]), /asked for X, got Y/],
    ['deribit', 'a price that is none', deribit([trade(1, { price: 'NaN' })]), /result\.trades\.0\.price/],
    [
      'binance_spot',
      'an error with status 200',
      '{"code":-1003,"msg":"Too many requests."}',
      /-1003 Too many requests/,
    ],
    ['binance_spot', 'an object', '{}', /historicalTrades/],
    ['binance_spot', 'overlapping', JSON.stringify([spot(5), spot(5)]), /out of order at item 1/],
    ['binance_spot', 'before what was asked', JSON.stringify([spot(1)]), /asked from 5, got 1/],
  ])('%s: %s', async (market, _name, body, message) => {
    const rest = MARKETS[market]!.rest('https://x.test', () => Promise.resolve(body));
    const failure = await rest.trades('X', 5, 9).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(ExchangeHttpError);
    expect((failure as Error).message).toMatch(message);
  });

  it('keeps the wire text of numbers', async () => {
    const body =
      '{"jsonrpc":"2.0","usOut":1,"result":{"has_more":false,"trades":[{"trade_id":"1","trade_seq":7,"instrument_name":"X","timestamp":1790000000000,' +
      '"direction":"sell","price":8.55e4,"amount":1000000000.12345679,"starbase_match_id":230999806598721536}]}}';
    const { items } = await MARKETS['deribit']!.rest('https://x.test', () => Promise.resolve(body)).trades('X', 7, 7);
    expect(items).toEqual([
      {
        market_id: 'deribit',
        symbol: 'X',
        exchange_ts: 1_790_000_000_000_000,
        trade_id: '1',
        seq: 7,
        price: '85500',
        amount: '1000000000.12345679',
        side: 'sell',
      },
    ]);
  });
});

describe('candles of binance', () => {
  const MINUTE = 60_000;
  const START = 1_790_000_040_000;
  const kline = (n: number, close: unknown = '1.5'): unknown[] =>
    [START + n * MINUTE, '1', '2', '0.5', close, '10.00', START + (n + 1) * MINUTE - 1, '15', 7, '1', '1', '0'];
  /** A venue whose answers are `pages` in turn; its clock stands at minute `at`. */
  const venue = (at: number, ...pages: unknown[]) => {
    const asked: string[] = [];
    const rest = MARKETS['binance_spot']!.rest('https://x.test', (url) => {
      asked.push(new URL(url).pathname.split('/').at(-1)!);
      return Promise.resolve(asked.at(-1) === 'time' ? `{"serverTime":${START + at * MINUTE}}` : JSON.stringify(pages.shift()));
    });
    return { asked, candles: (from: number, to: number) => rest.candles('X', '1m', (START + from * MINUTE) * 1000, (START + to * MINUTE) * 1000) };
  };

  it('are final when they had closed before they were told; of history the time is not asked again', async () => {
    const { asked, candles } = venue(3, [kline(1), kline(2), kline(3)], [kline(0)], [kline(3)]);
    expect((await candles(1, 4)).items.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect((await candles(0, 1)).items).toEqual([{
      market_id: 'binance_spot', symbol: 'X', resolution: '1m', open_ts: START * 1000, open: '1', high: '2', low: '0.5', close: '1.5', volume: '10.00',
      quote_volume: '15', trade_count: 7, closed: true, source: 'rest',
    }]);
    await candles(3, 4);
    expect(asked).toEqual(['time', 'klines', 'klines', 'time', 'klines']);
  });

  it.each([
    ['a number as a string', [kline(0, '1.5'), kline(1).map((value, n) => (n === 8 ? '7' : value))], null],
    ['an exponent', [kline(0, '1.5e0')], null],
    ['a price that is none', [kline(0), kline(1, 'much')], /klines: 1\.4: not a decimal/],
    ['a row that is cut', [kline(0).slice(0, 5)], /klines: 0/],
    ['a trade count beyond what is exact', [kline(0).map((value, n) => (n === 8 ? 2 ** 60 : value))], /klines: 0\.8: not a whole number/],
  ])('with %s are read by the schema, or refused by name', async (_name, page, message) => {
    const result = venue(9, page).candles(0, 5).then(({ items }) => items.every(({ close, trade_count: n }) => close === '1.5' && n === 7));
    if (message === null) expect(await result).toBe(true);
    else await expect(result).rejects.toThrow(message);
  });
});
