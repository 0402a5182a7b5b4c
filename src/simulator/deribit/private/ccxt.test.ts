// ccxt's Deribit class, unchanged but for its URL: what it does against the exchange must work against the simulator.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import ccxt from 'ccxt';
import type { Exchange } from 'ccxt';
import { systemClock } from '../../../runtime/clock.ts';
import { startSimulator, type Simulator } from '../../server.ts';

type ProExchange = Exchange & { urls: { api: unknown }; loadHttpProxyAgent(): Promise<unknown> };

let simulator: Simulator;
let exchange: ProExchange;

beforeAll(async () => {
  simulator = await startSimulator({ port: 0, seed: 5, clock: systemClock(), rate: 400, limits: false });
  exchange = new ccxt.pro.deribit({ enableRateLimit: false, apiKey: 'sim', secret: 'sim-secret' });
  exchange.urls.api = { rest: `${simulator.url}/deribit`, ws: `${simulator.url.replace('http', 'ws')}/deribit/ws/api/v2` };
  await exchange.loadHttpProxyAgent();
  await exchange.loadMarkets();
});
afterAll(async () => {
  await exchange.close();
  await simulator.close();
});

describe.each([
  { symbol: 'BTC/USD:BTC', amount: 100, currency: 'BTC' },
  { symbol: 'BTC/USDC:USDC', amount: 0.01, currency: 'USDC' },
])('ccxt trades $symbol', ({ symbol, amount, currency }) => {
  it('rests, edits and cancels an order', async () => {
    const { bid } = await exchange.fetchTicker(symbol);
    const price = Number(exchange.priceToPrecision(symbol, Number(bid) * 0.99));
    const order = await exchange.createOrder(symbol, 'limit', 'buy', amount, price, { label: 'by-ccxt', postOnly: true });
    expect(order).toMatchObject({ status: 'open', side: 'buy', type: 'limit', price, amount, filled: 0, postOnly: true });
    const id = String(order.id);
    expect((await exchange.fetchOpenOrders(symbol)).map((row) => row.id)).toEqual([id]);
    const edited = await exchange.editOrder(id, symbol, 'limit', 'buy', amount * 2, price);
    expect(edited).toMatchObject({ id, amount: amount * 2, status: 'open' });
    expect(await exchange.fetchOrder(id, symbol)).toMatchObject({ id, amount: amount * 2, status: 'open' });
    expect(await exchange.cancelOrder(id, symbol)).toMatchObject({ id, status: 'canceled' });
    expect(await exchange.fetchOpenOrders(symbol)).toEqual([]);
  });

  it('trades, and finds its trades, position, closed orders and balance', async () => {
    const order = await exchange.createOrder(symbol, 'market', 'sell', amount);
    expect(order).toMatchObject({ status: 'closed', side: 'sell', filled: amount, remaining: 0 });
    const trades = await exchange.fetchMyTrades(symbol);
    expect(trades.at(-1)).toMatchObject({ order: order.id, side: 'sell', takerOrMaker: 'taker', fee: { currency } });
    const positions = await exchange.fetchPositions([symbol]);
    expect(positions).toMatchObject([{ symbol, side: 'short', contracts: -amount }]);
    expect((await exchange.fetchClosedOrders(symbol)).map(({ id }) => id)).toContain(order.id);
    const balance = await exchange.fetchBalance({ code: currency });
    expect(Number(balance[currency]?.total)).toBeGreaterThan(0);
    expect(Object.keys(await exchange.fetchBalance())).toContain(currency);
    await exchange.createOrder(symbol, 'market', 'buy', amount, undefined, { reduceOnly: true });
    expect(await exchange.fetchPosition(symbol)).toMatchObject({ contracts: 0 });
  });

  it('refuses what it has no money for, as ccxt names it', async () => {
    await expect(exchange.createOrder(symbol, 'market', 'buy', amount * 1e7)).rejects.toThrow(ccxt.InsufficientFunds);
    await expect(exchange.fetchOrder('1', symbol)).rejects.toThrow(ccxt.OrderNotFound);
  });
});

it('ccxt watches its trades, orders and balance over WebSocket', async () => {
  const symbol = 'ETH/USD:ETH';
  const [trades, orders, balance] = [exchange.watchMyTrades(symbol), exchange.watchOrders(symbol), exchange.watchBalance()];
  const told = Promise.all([trades, orders, balance]);
  let over = false;
  const stop = (): void => void (over = true);
  told.then(stop, stop);
  // Its subscriptions are in when what it subscribed is told.
  while (!over) await exchange.createOrder(symbol, 'market', 'buy', 10);
  expect((await trades).at(-1)).toMatchObject({ symbol, side: 'buy' });
  expect((await orders).at(-1)).toMatchObject({ symbol, status: 'closed' });
  expect((await balance).info).toMatchObject({ currency: 'ETH', margin_model: 'segregated_sm' });
});
