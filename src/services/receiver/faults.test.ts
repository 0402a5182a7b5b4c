import { afterEach, expect, it } from 'vitest';
import type { Clock } from '../../core/clock.ts';
import { systemClock } from '../../runtime/clock.ts';
import { account, openStage, until, type Stage } from '../../testing/receiver.ts';

let stage: Stage;
afterEach(() => stage.close());

const trades = (market: string, more: number) => async (): Promise<boolean> =>
  (await stage.published.count(market)) >= more;
const statuses = async (status: string): Promise<string[]> =>
  (await stage.published.statuses()).filter((s) => s.status === status).map((s) => s.reason);

/** A clock that runs faster, so that a silence of half a minute passes in less than a second. */
function fastClock(factor: number): Clock {
  const clock = systemClock();
  const from = clock.nowMicros();
  return {
    nowMicros: () => from + (clock.nowMicros() - from) * factor,
    monotonicMs: () => clock.monotonicMs() * factor,
  };
}

it('counts garbage of every kind and goes on', async () => {
  stage = await openStage({ MARKETS: 'deribit,binance_spot', CHANNELS: 'trade' });
  const receiver = await stage.receive();
  await until(trades('deribit', 10));
  for (const market_id of ['deribit', 'binance_spot'])
    stage.simulator.inject({ kind: 'garbage', market_id, probability: 0.2, duration_ms: 1500 });
  await until(
    async () =>
      (await receiver.metric('receiver_frames_total', { class: 'malformed' })) +
        (await receiver.metric('receiver_bad_frames_total')) >=
      20,
  );
  stage.simulator.heal();
  const before = await stage.published.count('deribit');
  await until(trades('deribit', before + 50));
  for (const market of ['deribit', 'binance_spot'])
    await until(async () => (await account(stage.published, stage.simulator, market)).unaccounted.length === 0);
  await receiver.stop();
  const event = (await stage.published.events('feed.malformed'))[0];
  expect(event).toMatchObject({ severity: 'warning', data: { sample: expect.any(String) as string } });
});

it('takes duplicates and trades out of order for what they are: no gap', async () => {
  stage = await openStage({ MARKETS: 'deribit,binance_usdm', CHANNELS: 'trade' });
  const receiver = await stage.receive();
  for (const market_id of ['deribit', 'binance_usdm']) {
    stage.simulator.inject({ kind: 'duplicate', market_id, probability: 0.3 });
    stage.simulator.inject({ kind: 'reorder', market_id, probability: 0.5, factor: 6 });
  }
  for (const market of ['deribit', 'binance_usdm']) await until(trades(market, 200));
  stage.simulator.heal();
  for (const market of ['deribit', 'binance_usdm']) await until(trades(market, 300));
  await receiver.stop();
  expect(await receiver.metric('receiver_duplicate_trades_total')).toBeGreaterThan(20);
  const seqs = (await stage.published.trades('BTC-PERPETUAL')).map((t) => t.seq ?? 0);
  expect(seqs.some((seq, i) => i > 0 && seq < seqs[i - 1]!)).toBe(true);
  expect(await statuses('gap')).toEqual([]);
  for (const market of ['deribit', 'binance_usdm'])
    expect(await account(stage.published, stage.simulator, market)).toMatchObject({ unaccounted: [], missing: 0 });
});

it('reports exactly the trades that the exchange left out, in order with the data', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL', CHANNELS: 'trade' });
  const receiver = await stage.receive();
  await until(trades('deribit', 10));
  stage.simulator.inject({ kind: 'gap', market_id: 'deribit', symbol: 'BTC-PERPETUAL', count: 3 });
  await until(async () => (await stage.published.statuses()).some((s) => s.status === 'gap'));
  await receiver.stop();
  const result = await account(stage.published, stage.simulator, 'deribit');
  expect(result).toMatchObject({ unaccounted: [], needless: [], missing: 3 });
  expect(await receiver.metric('receiver_missing_trades_total')).toBe(3);
  const gap = (await stage.published.statuses()).find((s) => s.status === 'gap');
  expect((await stage.published.events('feed.gap'))[0]).toMatchObject({
    symbol: 'BTC-PERPETUAL',
    data: { from_seq: gap?.from_seq, to_seq: gap?.to_seq },
  });
  expect((await stage.published.feedSeqs('deribit'))['BTC-PERPETUAL']).toBeGreaterThan(gap?.to_seq ?? Infinity);
});

it('reconnects after a cut with everything subscribed again, and reports what the cut cost', async () => {
  stage = await openStage({ MARKETS: 'deribit,binance_spot', CHANNELS: 'trade,ticker' });
  const receiver = await stage.receive();
  for (const market of ['deribit', 'binance_spot']) await until(trades(market, 20));
  stage.simulator.inject({ kind: 'refuse_connect', duration_ms: 700 });
  stage.simulator.inject({ kind: 'cut' });
  await until(async () => (await statuses('disconnected')).length === 2);
  expect(receiver.health.ready && (await statuses('connected')).length > 2).toBe(false);
  await until(async () => (await statuses('connected')).length === 4);
  const counts = await Promise.all(['deribit', 'binance_spot'].map((market) => stage.published.count(market)));
  for (const [i, market] of ['deribit', 'binance_spot'].entries()) await until(trades(market, counts[i]! + 100));
  for (const market of ['deribit', 'binance_spot'])
    await until(async () => (await account(stage.published, stage.simulator, market)).unaccounted.length === 0);
  await receiver.stop();
  for (const market of ['deribit', 'binance_spot']) {
    const result = await account(stage.published, stage.simulator, market);
    expect(result).toMatchObject({ unaccounted: [], needless: [] });
    expect(result.missing).toBeGreaterThan(0);
  }
  expect((await statuses('gap')).every((reason) => reason.startsWith('the connection was lost'))).toBe(true);
});

it('changes connections without a gap when the exchange announces its shutdown', async () => {
  stage = await openStage({ MARKETS: 'binance_spot', CHANNELS: 'trade' });
  const receiver = await stage.receive();
  await until(trades('binance_spot', 20));
  stage.simulator.announce({ market_id: 'binance_spot', event: 'serverShutdown' });
  await until(async () => (await receiver.metric('receiver_connects_total', { cause: 'planned' })) === 1);
  await until(async () => (await receiver.metric('receiver_duplicate_trades_total')) > 50);
  const closed = (): boolean => [...stage.simulator.ledger.entries()].filter((e) => e.k === 'close').length === 1;
  await until(closed);
  const before = await stage.published.count('binance_spot');
  await until(trades('binance_spot', before + 100));
  await receiver.stop();
  expect(await account(stage.published, stage.simulator, 'binance_spot')).toMatchObject({
    unaccounted: [],
    missing: 0,
  });
  expect((await stage.published.statuses()).map((s) => s.status)).toEqual(['connected', 'disconnected']);
  expect(await receiver.metric('receiver_disconnects_total')).toBe(0);
});

it('tells a dead channel from a quiet one by asking the exchange, and gets a working connection', async () => {
  stage = await openStage(
    { MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH-PERPETUAL', CHANNELS: 'trade' },
    { symbols: ['BTC-PERPETUAL'] },
  );
  // ETH-PERPETUAL never trades: quiet. BTC-PERPETUAL goes on trading, but one connection no longer tells.
  const receiver = await stage.receive({}, fastClock(40));
  await until(trades('deribit', 20));
  stage.simulator.inject({ kind: 'silence', market_id: 'deribit', symbol: 'BTC-PERPETUAL', channel: 'trade' });
  await until(async () => (await statuses('stale')).length > 0);
  // A new connection did not cure it: another one is tried, but the news is told once.
  await until(async () => (await receiver.metric('receiver_connects_total', { cause: 'planned' })) > 1);
  expect(await statuses('stale')).toHaveLength(1);
  stage.simulator.heal();
  await until(async () => (await statuses('fresh')).length > 0);
  await until(async () => (await account(stage.published, stage.simulator, 'deribit')).unaccounted.length === 0);
  await receiver.stop();
  const news = (await stage.published.statuses()).filter((s) => s.status === 'stale' || s.status === 'fresh');
  expect([...new Set(news.map((s) => s.symbol))]).toEqual(['BTC-PERPETUAL']);
  expect(await receiver.metric('receiver_probes_total', { outcome: 'quiet' })).toBeGreaterThan(0);
  expect(await receiver.metric('receiver_connects_total', { cause: 'planned' })).toBeGreaterThan(0);
  expect((await account(stage.published, stage.simulator, 'deribit')).missing).toBeGreaterThan(0);
});

it('raises no alarm of silence while the venue says that it is locked', async () => {
  stage = await openStage({ MARKETS: 'deribit', DERIBIT_SYMBOLS: 'BTC-PERPETUAL', CHANNELS: 'trade' });
  const receiver = await stage.receive({}, fastClock(100));
  await until(trades('deribit', 20));
  stage.simulator.announce({
    market_id: 'deribit',
    channel: 'platform_state',
    data: { price_index: 'btc_usd', locked: true },
  });
  await until(async () => (await stage.published.events('feed.platform')).length === 1);
  stage.simulator.inject({ kind: 'silence', market_id: 'deribit' });
  const probes = await receiver.metric('receiver_probes_total');
  const from = performance.now();
  await until(() => performance.now() - from > 1500);
  expect(await receiver.metric('receiver_probes_total')).toBe(probes);
  expect(await statuses('stale')).toEqual([]);
  stage.simulator.heal();
  stage.simulator.announce({
    market_id: 'deribit',
    channel: 'platform_state',
    data: { price_index: 'btc_usd', locked: false },
  });
  await until(async () => (await stage.published.events('feed.platform')).length === 2);
});

it('gets out of a half-open connection', async () => {
  stage = await openStage({ MARKETS: 'deribit', CHANNELS: 'trade' });
  const receiver = await stage.receive({}, fastClock(20));
  await until(trades('deribit', 20));
  stage.simulator.inject({ kind: 'half_open', market_id: 'deribit' });
  // Answers may be on their way: only what comes after this is of the new connection.
  await until(async () => (await receiver.metric('receiver_connects_total')) === 2);
  const before = await stage.published.count('deribit');
  await until(trades('deribit', before + 20));
  await until(async () => (await account(stage.published, stage.simulator, 'deribit')).unaccounted.length === 0);
  await receiver.stop();
});
