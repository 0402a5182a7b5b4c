// Two receivers of one market: what each tells must hold for the market, not only for itself.
import { afterEach, expect, it } from 'vitest';
import { account, openStage, until, type Stage } from '../../testing/receiver.ts';

let stage: Stage;
afterEach(() => stage.close());

const MARKET = 'deribit';
const env = { MARKETS: MARKET, CHANNELS: 'trade,ticker', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL' };
const position = async (): Promise<number> => Object.values(await stage.published.feedSeqs(MARKET)).reduce((sum, seq) => sum + seq, 0);
/** So many trades further on: by the positions, as decoding the whole stream each time would take longer than it grows. */
const more = async (trades: number): Promise<void> => {
  await until(async () => Object.keys(await stage.published.feedSeqs(MARKET)).length === 2);
  const before = await position();
  await until(async () => (await position()) >= before + trades);
};
const statuses = async (status: string): Promise<string[]> =>
  (await stage.published.statuses()).filter((s) => s.status === status).map((s) => s.reason);
const feedStatus = (): Promise<string | null> => stage.published.redis.hget('ticker:deribit:BTC-PERPETUAL', 'feed_status');

it('comes and goes beside another one without a gap and without a disconnection', async () => {
  stage = await openStage(env);
  const one = await stage.receive();
  await more(100);
  const two = await stage.receive();
  // Longer than the reordering window, behind which a hole at the start would be told.
  await more(700);
  await one.stop();
  expect(await statuses('disconnected')).toEqual([]);
  await more(100);
  expect(await feedStatus()).toBe('fresh');
  await two.stop();
  expect(await statuses('gap')).toEqual([]);
  expect(await statuses('disconnected')).toEqual(['the receiver stops']);
  expect(await feedStatus()).toBe('disconnected');
  expect(await account(stage.published, stage.simulator, MARKET)).toMatchObject({ unaccounted: [], missing: 0 });
});

it('tells the disconnection when both stop at once', async () => {
  stage = await openStage(env);
  const both = await Promise.all([stage.receive(), stage.receive()]);
  await more(50);
  await Promise.all(both.map((one) => one.stop()));
  expect((await statuses('disconnected')).length).toBeGreaterThan(0);
});

it('tells the disconnection when the exchange cuts both, and what the cut cost', async () => {
  stage = await openStage(env);
  await Promise.all([stage.receive(), stage.receive()]);
  await more(50);
  stage.simulator.inject({ kind: 'refuse_connect', duration_ms: 700 });
  stage.simulator.inject({ kind: 'cut' });
  await until(async () => (await statuses('disconnected')).length > 0);
  await until(async () => (await statuses('gap')).length > 0);
  await until(async () => (await account(stage.published, stage.simulator, MARKET)).unaccounted.length === 0);
  const { missing, needless } = await account(stage.published, stage.simulator, MARKET);
  expect(missing).toBeGreaterThan(0);
  expect(needless).toEqual([]);
});

it('reports what both missed, although one was there until a moment ago', async () => {
  stage = await openStage(env);
  const first = await Promise.all([stage.receive(), stage.receive()]);
  await more(50);
  await Promise.all(first.map((one) => one.stop()));
  const missedFrom = performance.now();
  await until(() => performance.now() - missedFrom > 500);
  await Promise.all([stage.receive(), stage.receive()]);
  await until(async () => (await statuses('gap')).length > 0);
  await more(50);
  await until(async () => (await account(stage.published, stage.simulator, MARKET)).unaccounted.length === 0);
  expect((await account(stage.published, stage.simulator, MARKET)).missing).toBeGreaterThan(0);
  expect(new Set(await statuses('gap'))).toEqual(new Set(['the receiver was not running']));
});
