// The receiver under a level that the test writes: what it withholds, what it tells, and how it comes back.
import { afterEach, expect, it } from 'vitest';
import { readMemory, writeMemory } from '../../bus/memory.ts';
import { controlSubscriptionsKey, streamMarketDataKey, type FeedStatus, type MemoryLevel } from '../../contracts/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { account, openStage, until, type Stage } from '../../testing/receiver.ts';

const [BTC, ETH, SOL] = ['BTCUSDT', 'ETHUSDT', 'SOLUSDT'];
const clock = systemClock();

let stage: Stage;
afterEach(() => stage.close());

const open = async (env: Record<string, string> = {}): Promise<void> => {
  stage = await openStage({ MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: `${BTC},${ETH}`, ...env }, { rate: 300 });
};
async function level(to: MemoryLevel): Promise<void> {
  const seen = (await readMemory(stage.published.redis))?.level ?? 'normal';
  expect(await writeMemory(stage.published.redis, seen, to, 0.9, clock.nowMicros())).toBe(true);
}
const seqs = async (symbol: string): Promise<number> => (await stage.published.trades(symbol)).length;
const grows = async (symbol: string): Promise<void> => {
  const before = await seqs(symbol);
  await until(async () => (await seqs(symbol)) > before + 5);
};
const gaps = async (symbol: string): Promise<FeedStatus[]> =>
  (await stage.published.statuses()).filter((status) => status.status === 'gap' && status.symbol === symbol);

it('stops what has no priority, tells why, and reports exactly what was missed', async () => {
  await open();
  const receiver = await stage.receive();
  await grows(ETH);
  await level('shed_symbols');
  await until(async () => (await receiver.metric('receiver_withheld_subscriptions')) === 3);
  await until(async () => (await stage.published.events('subscription.removed')).length === 3);
  const removed = await stage.published.events('subscription.removed');
  for (const event of removed) expect(event).toMatchObject({ symbol: ETH, data: { reason: 'withheld while redis was nearly full', retried: true } });
  const held = await seqs(ETH);
  await grows(BTC);
  expect(await seqs(ETH)).toBe(held);
  expect(JSON.stringify(receiver.health.report())).toContain('3 withheld');
  expect(receiver.health.ready).toBe(true);

  await level('normal');
  await grows(ETH);
  await until(async () => (await gaps(ETH)).length === 2);
  const told = await gaps(ETH);
  expect(told.map(({ reason }) => reason)).toEqual(['candles withheld while redis was nearly full', 'withheld while redis was nearly full']);
  expect(told[0]!.received_ts - told[0]!.exchange_ts).toBeGreaterThan(0);
  await receiver.stop();
  expect(await account(stage.published, stage.simulator, 'binance_spot')).toMatchObject({ unaccounted: [], needless: [] });
  expect(await gaps(BTC)).toEqual([]);
});

it('keeps what a pattern gives priority, by name and by kind', async () => {
  await open({ CHANNELS: 'trade', MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: '*USDT', BINANCE_SPOT_PRIORITY: 'kind:perpetual,ETH*' });
  const { redis } = stage.published;
  await redis.sadd('symbols:binance_spot', BTC, ETH, SOL);
  // Whatever the exchange calls them: the list of the kind is what counts.
  await redis.sadd('symbols:binance_spot:kind:perpetual', SOL);
  const receiver = await stage.receive();
  for (const symbol of [BTC, ETH, SOL]) await grows(symbol);
  await level('shed_symbols');
  await until(async () => (await receiver.metric('receiver_withheld_subscriptions')) === 1);
  await until(async () => (await stage.published.events('subscription.removed')).length === 1);
  expect((await stage.published.events('subscription.removed')).map(({ symbol }) => symbol)).toEqual([BTC]);
  await grows(ETH);
  await grows(SOL);
  await level('normal');
  await grows(BTC);
});

it('sheds nothing of a market that one pattern makes up, unless told otherwise', async () => {
  await open({ CHANNELS: 'trade,ticker', BINANCE_SPOT_SYMBOLS: '*USDT' });
  await stage.published.redis.sadd('symbols:binance_spot', BTC, ETH);
  const receiver = await stage.receive();
  await level('locked');
  await until(async () => (await receiver.metric('receiver_shed_tickers_total')) > 0);
  await grows(BTC);
  await grows(ETH);
  expect(await receiver.metric('receiver_withheld_subscriptions')).toBe(0);
});

it('answers a command for what it withholds, and carries it out later', async () => {
  await open({ CHANNELS: 'trade' });
  await level('shed_symbols');
  await stage.receive();
  await grows(BTC);
  expect(await seqs(ETH)).toBe(0);
  const command = { action: 'subscribe', symbols: [SOL], channels: ['trade'], request_id: 'r1' };
  await stage.published.redis.publish(controlSubscriptionsKey('binance_spot'), JSON.stringify(command));
  await until(async () => (await stage.published.events('subscription.rejected')).length === 1);
  expect((await stage.published.events('subscription.rejected'))[0]).toMatchObject({ symbol: SOL, data: { retried: true, request_id: 'r1' } });
  await level('normal');
  await grows(SOL);
  await grows(ETH);
});

it('gives up tickers first, and lets go of a level that nobody confirms any more', async () => {
  await open({ CHANNELS: 'trade,ticker', BINANCE_SPOT_PRIORITY: ETH });
  const receiver = await stage.receive();
  await level('shed_tickers');
  await until(async () => (await receiver.metric('receiver_shed_tickers_total')) > 0);
  const tickers = async (): Promise<number> => (await stage.published.tickers()).length;
  // What was on its way is in by then.
  await grows(BTC);
  const before = await tickers();
  await grows(BTC);
  expect(await tickers()).toBe(before);
  expect(await receiver.metric('receiver_withheld_subscriptions')).toBe(0);
  await level('locked');
  await until(async () => (await receiver.metric('receiver_withheld_subscriptions')) === 2);
  await grows(ETH);
  expect(await stage.published.redis.exists(streamMarketDataKey)).toBe(1);
  await stage.published.redis.del('system:memory');
  await until(async () => (await tickers()) > before);
  await grows(BTC);
});
