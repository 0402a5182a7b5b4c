import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { tickerKey } from '../../contracts/index.ts';
import { account, openStage, until, type Published, type Stage } from '../../testing/receiver.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const stage = async (...args: Parameters<typeof openStage>): Promise<Stage> => {
  const opened = await openStage(...args);
  closers.push(() => opened.close());
  return opened;
};

const trades = (published: Published, market: string, more: number) => async (): Promise<boolean> =>
  (await published.count(market)) >= more;

it('publishes trades, tickers and candles of three markets, all valid and none missing', async () => {
  const { simulator, published, receive } = await stage({}, { timing: { klineMs: 200 } });
  const receiver = await receive();
  expect(receiver.health.report()).toMatchObject({
    'feed deribit': { ok: true },
    'feed binance_spot': { ok: true },
    'feed binance_usdm': { ok: true },
  });
  for (const market of ['deribit', 'binance_spot', 'binance_usdm']) await until(trades(published, market, 100));
  await receiver.stop();
  const messages = await published.messages();
  for (const market of ['deribit', 'binance_spot', 'binance_usdm']) {
    const types = new Set(messages.filter((m) => m.market_id === market).map((m) => m.type));
    expect([...types].sort()).toEqual(['feed_status', 'ohlc', 'ticker', 'trade']);
    expect(await account(published, simulator, market)).toMatchObject({ unaccounted: [], missing: 0 });
    const statuses = (await published.statuses()).filter((s) => s.market_id === market).map((s) => s.status);
    expect(statuses).toEqual(['connected', 'disconnected']);
  }
  expect(await receiver.metric('receiver_messages_total', { market: 'deribit', type: 'trade' })).toBeGreaterThanOrEqual(
    100,
  );
  expect(await published.events('service.stopped')).toHaveLength(1);
});

it('tells each market connected before its first data, again after a cut', async () => {
  const markets = ['deribit', 'binance_spot', 'binance_usdm'];
  const { simulator, published, receive } = await stage({ CHANNELS: 'trade,ticker' }, { rate: 2000 });
  const receiver = await receive();
  for (const market of markets) await until(trades(published, market, 200));
  simulator.inject({ kind: 'refuse_connect', duration_ms: 300 });
  simulator.inject({ kind: 'cut' });
  await until(async () => (await published.statuses()).filter((s) => s.status === 'connected').length === 2 * markets.length);
  for (const market of markets) await until(trades(published, market, (await published.count(market)) + 200));
  await receiver.stop();
  const messages = await published.messages();
  for (const market of markets) {
    const kinds = messages
      .filter((m) => m.market_id === market && !(m.type === 'feed_status' && m.status === 'gap'))
      .map((m) => (m.type === 'feed_status' ? m.status : 'data'));
    const news = kinds.filter((kind, i) => kind !== kinds[i - 1]);
    // Of several connections one is cut after the other: what the rest still brings follows the news.
    const isLate = (i: number): boolean => news[i] === 'data' && news[i - 1] === 'disconnected';
    expect([market, ...news.filter((_kind, i) => !isLate(i))]).toEqual(
      [market, 'connected', 'data', 'disconnected', 'connected', 'data', 'disconnected'],
    );
  }
});

it('keeps the latest ticker as a hash, and says when it is no longer live', async () => {
  const { published, receive } = await stage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL' });
  const receiver = await receive();
  const hash = (): Promise<Record<string, string>> => published.redis.hgetall(tickerKey('deribit', 'BTC-PERPETUAL'));
  await until(async () => (await hash())['best_bid_price'] !== undefined);
  const live = await hash();
  expect(live).toMatchObject({ feed_status: 'fresh' });
  expect(Object.keys(live)).toEqual(
    expect.arrayContaining(['exchange_ts', 'received_ts', 'mark_price', 'funding_rate', 'open_interest']),
  );
  await receiver.stop();
  expect(await hash()).toMatchObject({ feed_status: 'disconnected' });
});

it('reports what it missed while it was stopped, but starts new symbols without a gap', async () => {
  const { simulator, published, receive } = await stage({ MARKETS: 'deribit', CHANNELS: 'trade' });
  const first = await receive({ DERIBIT_SYMBOLS: 'BTC-PERPETUAL' });
  await until(trades(published, 'deribit', 20));
  await first.stop();
  const last = (await published.feedSeqs('deribit'))['BTC-PERPETUAL']!;
  expect(last).toBe(Math.max(...(await published.trades()).map((t) => t.seq ?? 0)));
  const missedFrom = Date.now();
  await until(() => Date.now() - missedFrom > 500);
  const second = await receive({ DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL' });
  await until(async () => (await published.statuses()).some((s) => s.status === 'gap'));
  await until(async () => (await published.trades('ETH-PERPETUAL')).length > 5);
  await second.stop();
  const gaps = (await published.statuses()).filter((s) => s.status === 'gap');
  expect(gaps).toMatchObject([{ symbol: 'BTC-PERPETUAL', from_seq: last + 1, reason: 'the receiver was not running' }]);
  const { unaccounted, missing } = await account(published, simulator, 'deribit');
  expect(unaccounted).toEqual([]);
  expect(missing).toBeGreaterThan(0);
});

function spawnReceiver(env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts/start.ts'), 'receiver'], {
    env: { ...process.env, ...env, LOG_LEVEL: 'error' },
    stdio: 'inherit',
  });
  closers.push(() => child.kill('SIGKILL'));
  return child;
}

it('accounts for every trade when it is killed under load, again and again', async () => {
  const { simulator, published, env } = await stage(
    { MARKETS: 'deribit,binance_spot', CHANNELS: 'trade' },
    { rate: 3000 },
  );
  const markets = ['deribit', 'binance_spot'];
  const more = async (trades: number): Promise<void> => {
    const before = await Promise.all(markets.map((market) => published.count(market)));
    for (const [i, market] of markets.entries())
      await until(async () => (await published.count(market)) > before[i]! + trades);
  };
  for (let round = 1; round <= 4; round++) {
    const child = spawnReceiver(env);
    await more(200 * round);
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const last = spawnReceiver(env);
  await more(1000);
  // A hole becomes a gap when the reordering window is over: then nothing is left unexplained.
  for (const market of markets)
    await until(async () => (await account(published, simulator, market)).unaccounted.length === 0);
  last.kill('SIGTERM');
  const [code] = (await once(last, 'exit')) as [number];
  expect(code).toBe(0);
  for (const market of markets) {
    const { unaccounted, published: count, missing } = await account(published, simulator, market);
    expect(unaccounted).toEqual([]);
    expect(count).toBeGreaterThan(500);
    expect(missing).toBeGreaterThan(0);
  }
});

it('lets two receivers of one market run side by side', async () => {
  const { simulator, published, receive } = await stage({ MARKETS: 'deribit', CHANNELS: 'trade' });
  const [one, two] = await Promise.all([receive(), receive()]);
  await until(trades(published, 'deribit', 100));
  await one.stop();
  await until(trades(published, 'deribit', 200));
  await two.stop();
  const all = await published.trades();
  expect(all.length).toBeGreaterThan(await published.count('deribit'));
  const values = new Map<string, string>();
  for (const { received_ts, ...trade } of all) {
    expect(received_ts).toBeGreaterThan(0);
    const text = JSON.stringify(trade);
    expect(values.get(`${trade.symbol} ${trade.seq}`) ?? text).toBe(text);
    values.set(`${trade.symbol} ${trade.seq}`, text);
  }
  expect(await account(published, simulator, 'deribit')).toMatchObject({ unaccounted: [], missing: 0 });
  expect((await published.statuses()).filter((s) => s.status === 'gap')).toEqual([]);
});
