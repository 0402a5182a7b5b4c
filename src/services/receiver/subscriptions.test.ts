import { afterEach, expect, it } from 'vitest';
import { controlSubscriptionsKey, subscriptionsKey, symbolsKey, type SystemEvent } from '../../contracts/index.ts';
import { openStage, until, type Stage } from '../../testing/receiver.ts';

let stage: Stage;
afterEach(() => stage.close());

const command = async (body: unknown, market = 'deribit'): Promise<void> => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  expect(await stage.published.redis.publish(controlSubscriptionsKey(market), text)).toBe(1);
};
const answers = async (request: string): Promise<SystemEvent[]> =>
  (await stage.published.events()).filter((event) => event.data['request_id'] === request);
const wanted = async (market = 'deribit'): Promise<string[]> =>
  (await stage.published.redis.smembers(subscriptionsKey(market))).sort();
const tradesOf = (symbol: string, more: number) => async (): Promise<boolean> =>
  (await stage.published.trades(symbol)).length > more;
/** What the exchange really has on, over all connections. */
const atExchange = (): string[] => {
  const venue = stage.simulator.state()['markets'] as Record<string, { connections: { channels?: string[] }[] }>;
  return venue['deribit']!.connections.flatMap((c) => c.channels ?? [])
    .filter((name) => name !== 'platform_state')
    .sort();
};

it('subscribes and unsubscribes on command, durably, and answers per symbol and channel', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL', CHANNELS: 'trade' });
  const first = await stage.receive();
  await command({ action: 'subscribe', symbols: ['ETH-PERPETUAL'], channels: ['trade', 'ticker'], request_id: 'r1' });
  await until(async () => (await answers('r1')).length === 2);
  expect((await answers('r1')).map((e) => [e.type, e.symbol, e.data['channel']]).sort()).toEqual([
    ['subscription.accepted', 'ETH-PERPETUAL', 'ticker'],
    ['subscription.accepted', 'ETH-PERPETUAL', 'trade'],
  ]);
  await until(tradesOf('ETH-PERPETUAL', 5));
  await command({ action: 'unsubscribe', symbols: ['BTC-PERPETUAL'], channels: ['trade'], request_id: 'r2' });
  await until(async () => (await answers('r2')).length === 1);
  expect((await answers('r2'))[0]).toMatchObject({ type: 'subscription.removed', symbol: 'BTC-PERPETUAL' });
  expect(atExchange()).toEqual(['ticker.ETH-PERPETUAL.100ms', 'trades.ETH-PERPETUAL.100ms']);
  await first.stop();
  // The configuration still names BTC-PERPETUAL: the command outlives the restart all the same.
  const second = await stage.receive();
  expect(await wanted()).toEqual(['ticker:ETH-PERPETUAL', 'trade:ETH-PERPETUAL']);
  expect(atExchange()).toEqual(['ticker.ETH-PERPETUAL.100ms', 'trades.ETH-PERPETUAL.100ms']);
  await second.stop();
  // What is new in the configuration is applied, what left it is removed.
  await stage.receive({ DERIBIT_SYMBOLS: 'SOL_USDC-PERPETUAL' });
  expect(await wanted()).toEqual(['ticker:ETH-PERPETUAL', 'trade:ETH-PERPETUAL', 'trade:SOL_USDC-PERPETUAL']);
});

it('reports the pause between unsubscribe and subscribe as a gap, and says why', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL', CHANNELS: 'trade' });
  await stage.receive();
  await until(tradesOf('BTC-PERPETUAL', 5));
  await command({ action: 'unsubscribe', symbols: ['BTC-PERPETUAL'], channels: ['trade'], request_id: 'off' });
  await until(async () => (await answers('off')).length === 1);
  const eth = (await stage.published.trades('ETH-PERPETUAL')).length;
  await until(tradesOf('ETH-PERPETUAL', eth + 30));
  await command({ action: 'subscribe', symbols: ['BTC-PERPETUAL'], channels: ['trade'] });
  await until(async () => (await stage.published.statuses()).some((s) => s.status === 'gap'));
  expect((await stage.published.statuses()).filter((s) => s.status === 'gap')).toMatchObject([
    { symbol: 'BTC-PERPETUAL', reason: 'was unsubscribed' },
  ]);
});

it('answers nonsense with an event that names it, and changes nothing', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL', CHANNELS: 'trade' });
  await stage.receive();
  await stage.published.redis.sadd(symbolsKey('deribit'), 'BTC-PERPETUAL', 'ETH-PERPETUAL');
  const before = await wanted();
  const bad: [unknown, string][] = [
    ['{"action":"subscribe"', 'not JSON'],
    ['nonsense', 'not JSON'],
    ['null', 'object'],
    [{ action: 'explode', symbols: ['X'], channels: ['trade'], request_id: 'odd' }, 'action'],
    [{ action: 'explode', symbols: ['X'], channels: ['trade'], request_id: 'y'.repeat(10_000) }, 'action'],
    [{ action: 'subscribe', symbols: ['BTC-PERPETUAL'], channels: ['book'] }, 'channels.0'],
    [{ action: 'subscribe', symbols: [], channels: ['trade'] }, 'symbols'],
    [{ action: 'subscribe', symbols: ['a b'], channels: ['trade'] }, 'symbols.0'],
    [{ action: 'subscribe', symbols: ['x'.repeat(10_000)], channels: ['trade'] }, 'symbols.0'],
    [{ action: 'subscribe', symbols: ['BTC-PERPETUAL'], channels: ['trade'], extra: 1 }, 'extra'],
    ['{"__proto__":{"action":"subscribe"},"symbols":["X"],"channels":["trade"]}', 'action'],
  ];
  for (const [body] of bad) await command(body);
  await until(async () => (await stage.published.events('subscription.invalid')).length === bad.length);
  const events = await stage.published.events('subscription.invalid');
  bad.forEach(([, named], i) => expect(String(events[i]?.data['error'])).toContain(named));
  expect(events.filter(({ data }) => 'request_id' in data).map(({ data }) => data['request_id'])).toEqual(['odd']);
  expect(JSON.stringify(events).length).toBeLessThan(10_000);

  await command({
    action: 'subscribe',
    symbols: ['NO-SUCH', 'ETH-PERPETUAL'],
    channels: ['trade'],
    request_id: 'half',
  });
  await until(async () => (await answers('half')).length === 2);
  expect((await answers('half')).map((e) => [e.type, e.symbol]).sort()).toEqual([
    ['subscription.accepted', 'ETH-PERPETUAL'],
    ['subscription.rejected', 'NO-SUCH'],
  ]);
  expect(await wanted()).toEqual([...before, 'trade:ETH-PERPETUAL'].sort());
  await command({ action: 'unsubscribe', symbols: ['NEVER-WAS'], channels: ['ohlc'], request_id: 'none' });
  await until(async () => (await answers('none')).length === 1);
  expect((await answers('none'))[0]?.data['note']).toBe('was not subscribed');
});

it('tries again what an acknowledgement leaves out, then reports it, and takes it when it can', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL', CHANNELS: 'trade' });
  stage.simulator.inject({ kind: 'reject_subscription', market_id: 'deribit', symbol: 'ETH-PERPETUAL', count: 3 });
  await stage.receive();
  await until(async () => (await stage.published.events('subscription.rejected')).length === 1);
  expect((await stage.published.events('subscription.rejected'))[0]).toMatchObject({
    symbol: 'ETH-PERPETUAL',
    data: { channel: 'trade', reason: expect.stringContaining('left out of the acknowledgement') as string },
  });
  // The fourth attempt succeeds.
  await until(tradesOf('ETH-PERPETUAL', 5));
  const accepted = (await stage.published.events('subscription.accepted')).map((e) => e.symbol).sort();
  expect(accepted).toEqual(['BTC-PERPETUAL', 'ETH-PERPETUAL']);
});

it('keeps one refused stream from keeping the others out', async () => {
  stage = await openStage({
    MARKETS: 'binance_spot',
    BINANCE_SPOT_SYMBOLS: 'BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT',
    CHANNELS: 'trade',
  });
  stage.simulator.inject({ kind: 'reject_subscription', market_id: 'binance_spot', symbol: 'SOLUSDT' });
  await stage.receive();
  for (const symbol of ['BTCUSDT', 'ETHUSDT', 'BNBUSDT']) await until(tradesOf(symbol, 3));
  await until(async () => (await stage.published.events('subscription.rejected')).length === 1);
  expect((await stage.published.events('subscription.rejected'))[0]).toMatchObject({
    symbol: 'SOLUSDT',
    data: { reason: expect.stringContaining('invalid stream') as string },
  });
  expect((await stage.published.events('subscription.accepted')).map((e) => e.symbol).sort()).toEqual([
    'BNBUSDT',
    'BTCUSDT',
    'ETHUSDT',
  ]);
});

it('refuses a configured symbol that the venue does not list, and takes it once it is listed', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL', CHANNELS: 'trade' });
  await stage.published.redis.sadd(symbolsKey('deribit'), 'BTC-PERPETUAL');
  await stage.receive();
  await until(async () => (await stage.published.events('subscription.rejected')).length === 1);
  expect((await stage.published.events('subscription.rejected'))[0]).toMatchObject({
    symbol: 'ETH-PERPETUAL',
    data: { reason: 'the venue does not list this symbol' },
  });
  expect(atExchange()).toEqual(['trades.BTC-PERPETUAL.100ms']);
  await stage.published.redis.sadd(symbolsKey('deribit'), 'ETH-PERPETUAL');
  await until(tradesOf('ETH-PERPETUAL', 0));
});
