import { afterEach, expect, it } from 'vitest';
import { replaceSymbols, replaceSymbolsOfKind } from '../../bus/symbols.ts';
import { controlSubscriptionsKey, subscriptionsKey, subscriptionsPatternsKey, type SystemEvent } from '../../contracts/index.ts';
import { openStage, until, type Stage } from '../../testing/receiver.ts';

let stage: Stage;
afterEach(() => stage.close());

const PERPETUALS = ['BTC-PERPETUAL', 'ETH-PERPETUAL'];
const redis = (): Stage['published']['redis'] => stage.published.redis;
const wanted = async (): Promise<string[]> => (await redis().smembers(subscriptionsKey('deribit'))).sort();
const becomes = (members: readonly string[]): Promise<void> => until(async () => (await wanted()).join() === [...members].sort().join());
const told = async (symbol: string): Promise<SystemEvent[]> =>
  (await stage.published.events()).filter((event) => event.symbol === symbol && event.type.startsWith('subscription.'));
const command = async (action: 'subscribe' | 'unsubscribe', symbols: readonly string[], request_id?: string): Promise<void> => {
  const body = { action, symbols, channels: ['trade'], request_id };
  await redis().publish(controlSubscriptionsKey('deribit'), JSON.stringify(body));
};
const answer = async (request: string, many = 1): Promise<SystemEvent[]> => {
  const answers = async (): Promise<SystemEvent[]> => (await stage.published.events()).filter(({ data }) => data['request_id'] === request);
  await until(async () => (await answers()).length === many);
  return answers();
};

/** What the janitor writes. */
async function list(perpetuals: readonly string[], others: readonly string[] = []): Promise<void> {
  await replaceSymbolsOfKind(redis(), 'deribit', 'perpetual', perpetuals);
  await replaceSymbols(redis(), 'deribit', [...perpetuals, ...others]);
}

it('subscribes what a configured pattern matches, as it is listed and until it is gone, over restarts', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'kind:perpetual,BTC_USDC', CHANNELS: 'trade' });
  await list(['BTC-PERPETUAL'], ['BTC_USDC']);
  const first = await stage.receive();
  await becomes(['trade:BTC-PERPETUAL', 'trade:BTC_USDC']);
  await until(async () => (await stage.published.trades('BTC-PERPETUAL')).length > 0);
  await list(PERPETUALS, ['BTC_USDC']);
  await becomes(['trade:BTC-PERPETUAL', 'trade:BTC_USDC', 'trade:ETH-PERPETUAL']);
  await until(async () => (await told('ETH-PERPETUAL')).some(({ type }) => type === 'subscription.accepted'));
  await first.stop();
  await list(['ETH-PERPETUAL'], ['BTC_USDC']);
  await stage.receive();
  await becomes(['trade:BTC_USDC', 'trade:ETH-PERPETUAL']);
  // Without a list (an emptied Redis) nothing is known, and nothing is unsubscribed.
  await redis().del('symbols:deribit', 'symbols:deribit:kind:perpetual');
  await command('subscribe', ['SOL_USDC-PERPETUAL'], 'r');
  await answer('r');
  expect(await wanted()).toEqual(['trade:BTC_USDC', 'trade:ETH-PERPETUAL', 'trade:SOL_USDC-PERPETUAL']);
});

it('takes patterns by command; one that matches nothing yet is an event, a malformed one is refused by name', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC_USDC', CHANNELS: 'trade' });
  await list(PERPETUALS, ['BTC_USDC']);
  await stage.receive();
  await command('subscribe', ['*-PERPETUAL'], 'some');
  expect((await answer('some'))[0]).toMatchObject({ type: 'subscription.pattern', symbol: '*-PERPETUAL', data: { channel: 'trade', matched: 2 } });
  await becomes(['trade:BTC-PERPETUAL', 'trade:BTC_USDC', 'trade:ETH-PERPETUAL']);
  await command('subscribe', ['XYZ-*', 'kind:optoin', 'BTC-**'], 'odd');
  const odd = await answer('odd', 3);
  expect(odd.map(({ type, symbol }) => `${type} ${symbol}`).sort()).toEqual(
    ['subscription.pattern XYZ-*', 'subscription.rejected BTC-**', 'subscription.rejected kind:optoin']);
  expect(odd.find(({ symbol }) => symbol === 'kind:optoin')?.data['reason']).toMatch(/did you mean kind:option\?$/);
  expect((await told('XYZ-*')).map(({ severity, data }) => [severity, data['matched'], data['note']])).toContainEqual(['warning', 0, 'matches nothing yet']);
  expect((await redis().smembers(subscriptionsPatternsKey('deribit'))).sort()).toEqual(['trade:*-PERPETUAL', 'trade:XYZ-*']);
  await command('unsubscribe', ['*-PERPETUAL', 'ABC-*'], 'off');
  expect((await answer('off', 2)).map(({ type, data }) => [type, data['note']])).toEqual(
    [['subscription.removed', undefined], ['subscription.removed', 'was not subscribed']]);
  await becomes(['trade:BTC_USDC']);
});

it('lets a symbol that is named stand above the patterns', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,kind:perpetual', CHANNELS: 'trade' });
  await list(PERPETUALS);
  await stage.receive();
  await becomes(['trade:BTC-PERPETUAL', 'trade:ETH-PERPETUAL']);
  await command('unsubscribe', ['ETH-PERPETUAL'], 'off');
  await answer('off');
  await list([...PERPETUALS, 'SOL_USDC-PERPETUAL']);
  await becomes(['trade:BTC-PERPETUAL', 'trade:SOL_USDC-PERPETUAL']);
  await command('subscribe', ['ETH-PERPETUAL'], 'on');
  await answer('on');
  await command('unsubscribe', ['kind:perpetual'], 'none');
  await answer('none');
  expect(await wanted()).toEqual(['trade:BTC-PERPETUAL', 'trade:ETH-PERPETUAL']);
});

it('stays within what the exchange takes, and says what is left out', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC_USDC', CHANNELS: 'trade' });
  // 14 connections of 500 channels each.
  await list([], ['BTC_USDC', ...Array.from({ length: 7_010 }, (_none, n) => `X-${String(n).padStart(5, '0')}`)]);
  await stage.receive();
  await command('subscribe', ['X-*'], 'full');
  expect((await answer('full'))[0]?.data).toMatchObject({ matched: 7_010, left_out: 11 });
  expect(await redis().scard(subscriptionsKey('deribit'))).toBe(7_000);
  expect((await told('X-*')).find(({ severity }) => severity === 'warning')?.data['note']).toBe('the exchange takes 500 channels on each of 14 connections');
});
