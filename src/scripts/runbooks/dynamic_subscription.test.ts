// docs/runbooks/dynamic-subscription.md, executed against a running receiver.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { replaceSymbols } from '../../bus/symbols.ts';
import { subscriptionsKey } from '../../contracts/index.ts';
import { openStage, until, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { redisServerInstalled } from '../../testing/servers.ts';

describe.skipIf(!redisServerInstalled())('runbook dynamic-subscription', () => {
  let stage: Stage;
  let book: Runbook;

  beforeAll(async () => {
    stage = await openStage({ MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CHANNELS: 'trade' });
    await stage.receive();
    book = new Runbook('dynamic-subscription.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await stage.close();
  });

  const wanted = async (): Promise<string[]> => (await stage.published.redis.smembers(subscriptionsKey('binance_spot'))).sort();
  const atExchange = (): string => {
    const { markets } = stage.simulator.state() as { markets: Record<string, { connections: { streams?: string[] }[] }> };
    return (markets['binance_spot']?.connections ?? []).flatMap(({ streams }) => streams ?? []).join(' ');
  };

  it('does what it says', async () => {
    const events = book.follow('redis-cli SUBSCRIBE');
    await events.until('subscribe');
    await until(() => atExchange().includes('btcusdt'));

    expect((await book.run('redis-cli PUBLISH')).out).toBe('1\n');
    const heard = await events.until('subscription.accepted');
    expect(heard).toContain('"request_id":"r1"');
    await until(() => /solusdt@(aggTrade|trade)/i.test(atExchange()) && /solusdt@\w*ticker/i.test(atExchange()));
    expect(await wanted()).toEqual(['ticker:SOLUSDT', 'trade:BTCUSDT', 'trade:SOLUSDT']);
    await until(async () => (await stage.published.trades('SOLUSDT')).length > 0);

    expect((await book.run('redis-cli PUBLISH')).out).toBe('1\n');
    await events.until('subscription.removed');
    await until(() => !atExchange().includes('solusdt'));

    await replaceSymbols(stage.published.redis, 'binance_spot', ['BTCUSDT', 'ETHUSDT', 'BNBUSDT']);
    expect((await book.run('redis-cli PUBLISH')).out).toBe('1\n');
    expect(await events.until('"request_id":"r2"')).toContain('subscription.pattern');
    await events.stop();
    await until(() => atExchange().includes('bnbusdt'));
    expect((await book.run('redis-cli SMEMBERS')).out).toBe('trade:BNB*\n');
    await stage.published.redis.srem('subscriptions:binance_spot:patterns', 'trade:BNB*');
    await until(() => !atExchange().includes('bnbusdt'));

    expect((await book.run('redis-cli XREVRANGE')).out).toContain('subscription.removed');
    expect((await book.run('redis-cli SMEMBERS')).out).toBe('trade:BTCUSDT\n');
    expect((await book.run('redis-cli SADD')).out).toBe('1\n');
    await until(() => atExchange().includes('ethusdt'));
    await until(async () => (await stage.published.trades('ETHUSDT')).length > 0);
    expect(book.left).toEqual([]);
  }, 120_000);
});
