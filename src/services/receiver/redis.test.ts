import { afterEach, describe, expect, it } from 'vitest';
import { account, openStage, until, type Stage } from '../../testing/receiver.ts';
import { redisServerInstalled } from '../../testing/servers.ts';
import type { LocalRedis } from '../../scripts/local/redis.ts';

let stage: Stage;
afterEach(() => stage.close());

const trades = (more: number) => async (): Promise<boolean> => (await stage.published.count('deribit')) >= more;
const server = (): LocalRedis => {
  if (stage.redis.server === null) throw new Error('needs a server of its own');
  return stage.redis.server;
};
const inOrder = async (): Promise<boolean> => {
  const last = new Map<string, number>();
  return (await stage.published.trades()).every(({ symbol, seq }) => {
    const before = last.get(symbol) ?? 0;
    last.set(symbol, seq ?? 0);
    return (seq ?? 0) > before;
  });
};

describe.skipIf(!redisServerInstalled())('with a Redis that fails', () => {
  it('loses and doubles nothing when Redis is killed and comes back', async () => {
    stage = await openStage({ MARKETS: 'deribit', CHANNELS: 'trade,ticker' }, { rate: 2000 }, { appendonly: true });
    const receiver = await stage.receive();
    await until(trades(200));
    for (let round = 0; round < 3; round++) {
      await server().kill();
      await until(async () => (await receiver.metric('receiver_buffer_messages')) > 300);
      expect(receiver.health.ready).toBe(false);
      await server().restart();
      const before = await stage.published.count('deribit');
      await until(trades(before + 1000));
    }
    await receiver.stop();
    expect(await account(stage.published, stage.simulator, 'deribit')).toMatchObject({ unaccounted: [], missing: 0 });
    expect(await inOrder()).toBe(true);
    expect(await receiver.metric('receiver_dropped_messages_total')).toBe(0);
  });

  it('waits in memory while Redis is full, and recovers without an operator', async () => {
    stage = await openStage({ MARKETS: 'deribit', CHANNELS: 'trade' }, { rate: 1000 }, { maxmemory: '8mb' });
    const receiver = await stage.receive();
    await until(trades(100));
    const { redis } = stage.published;
    const fill = async (): Promise<void> => {
      for (let i = 0; ; i++) await redis.set(`filler${i}`, 'x'.repeat(100_000));
    };
    await expect(fill()).rejects.toThrow('OOM');
    await until(async () => (await receiver.metric('receiver_buffer_messages')) > 500);
    await until(() => !receiver.health.ready);
    expect(JSON.stringify(receiver.health.report())).toContain('OOM');
    await redis.del(await redis.keys('filler*'));
    const before = await stage.published.count('deribit');
    await until(trades(before + 500));
    await until(() => receiver.health.ready);
    await receiver.stop();
    expect(await account(stage.published, stage.simulator, 'deribit')).toMatchObject({ unaccounted: [], missing: 0 });
    expect(await inOrder()).toBe(true);
  });

  it('reports exactly what a too long absence of Redis cost', async () => {
    stage = await openStage(
      { MARKETS: 'deribit', RECEIVER_BUFFER_MESSAGES: '500' },
      { rate: 3000 },
      { appendonly: true },
    );
    const receiver = await stage.receive();
    await until(trades(200));
    await server().kill();
    await until(async () => (await receiver.metric('receiver_dropped_messages_total', { type: 'trade' })) > 2000);
    expect(await receiver.metric('receiver_buffer_messages')).toBeLessThan(600);
    await server().restart();
    await until(async () => (await stage.published.events('feed.overflow')).length > 0);
    // A quieter market, so that the buffer is empty in the end on the slowest machine, and every loss has a trade behind it.
    stage.simulator.setRate(100);
    await until(async () => (await receiver.metric('receiver_buffer_messages')) < 50);
    const before = await stage.published.count('deribit');
    await until(trades(before + 100));
    await until(async () => (await account(stage.published, stage.simulator, 'deribit')).unaccounted.length === 0);
    await receiver.stop();
    const result = await account(stage.published, stage.simulator, 'deribit');
    expect(result).toMatchObject({ unaccounted: [], needless: [] });
    const dropped = await receiver.metric('receiver_dropped_messages_total', { type: 'trade' });
    expect(result.missing).toBe(dropped);
    // So small a buffer may fill up once more while Redis catches up: each time is told, and they add up.
    const told = (await stage.published.events('feed.overflow')).map(({ data }) => data as { missing: number; trades: number });
    const sum = (name: 'missing' | 'trades'): number => told.reduce((total, data) => total + data[name], 0);
    expect({ missing: sum('missing'), trades: sum('trades') }).toEqual({ missing: dropped, trades: dropped });
  });

  it('reports what an emptied Redis took with it', async () => {
    stage = await openStage({ MARKETS: 'deribit', CHANNELS: 'trade' });
    const receiver = await stage.receive();
    await until(trades(100));
    const lost = await stage.published.trades();
    await stage.published.redis.flushall();
    await until(trades(50));
    await until(async () => (await stage.published.statuses()).some((s) => s.status === 'gap'));
    // What the configuration asks for is wanted again.
    await until(async () => (await stage.published.redis.scard('subscriptions:deribit')) > 0);
    await receiver.stop();
    const gaps = (await stage.published.statuses()).filter((s) => s.status === 'gap');
    for (const trade of lost) {
      expect(
        gaps.some((gap) => gap.symbol === trade.symbol && gap.from_seq! <= trade.seq! && trade.seq! <= gap.to_seq!),
      ).toBe(true);
    }
  });
});
