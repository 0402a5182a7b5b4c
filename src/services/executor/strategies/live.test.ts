// Candles of the table and quotes of the hashes as strategies see them, from the file to the signal.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Signal } from '../../../contracts/index.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { createPool, type Pool } from '../../../store/connect.ts';
import { freshDatabase, freshRedis, redisServerInstalled, type FreshDatabase, type FreshRedis } from '../../../testing/servers.ts';
import { AccountBook } from '../account_book.ts';
import { runnersOf, type RunnerHost } from '../runners.ts';

const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-live-'));
let database: FreshDatabase;
let cache: FreshRedis;
let pool: Pool;
let redis: Redis;

beforeAll(async () => {
  database = await freshDatabase('strategies_live', { migrated: true });
  cache = await freshRedis();
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  redis = new Redis(cache.url);
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status, kind, base, quote, settle, inverse, tick_size, min_amount, amount_step, raw)
    SELECT 'deribit', s, 'deribit', 'open', 'perpetual', 'BTC', 'USD', 'BTC', true, 0.5, 10, 10, '{}'
    FROM unnest(ARRAY['BTC-PERPETUAL', 'ETH-PERPETUAL']) AS s`);
});
afterAll(async () => {
  redis.disconnect();
  await pool.end();
  await database.drop();
  await cache.drop();
  rmSync(folder, { recursive: true, force: true });
});

/** Candles that end `ago` minutes before the present one began. */
const candle = (ago: number, close: number): Promise<unknown> => pool.query(
  `INSERT INTO ohlc SELECT instrument_id, '1m', date_trunc('minute', now()) - ($1 + 1) * interval '1 min', $2, $2, $2, $2, 1, NULL, 1, true, 'rest', now()
   FROM instruments WHERE symbol = 'BTC-PERPETUAL'`, [ago, close]);

function runner(yaml: string): { signals: (count: number) => Promise<Signal[]>; stop: () => Promise<void> } {
  const file = join(folder, 'strategies.yml');
  writeFileSync(file, yaml);
  const stop = new AbortController();
  const sent: Signal[] = [];
  const more = new EventTarget();
  const host: RunnerHost = {
    mode: 'observe', marketId: 'deribit', redis, pool, clock: systemClock(), log: { info: () => undefined, warn: () => undefined } as never,
    signal: stop.signal, book: new AccountBook(),
    send: (signal) => {
      sent.push(signal);
      more.dispatchEvent(new Event('more'));
      return Promise.resolve({ kind: 'placed', label: 'x' });
    },
  };
  const [one] = runnersOf(file);
  const running = one!.run(host);
  return {
    async signals(count) {
      while (sent.length < count) await Promise.race([running, new Promise((resolve) => more.addEventListener('more', resolve, { once: true }))]);
      return sent;
    },
    async stop() {
      stop.abort();
      await running;
    },
  };
}

describe.skipIf(!redisServerInstalled())('a built-in strategy', () => {
  it('is warmed up with what is stored, and asks after the next final candle', async () => {
    for (let ago = 5; ago > 1; ago--) await candle(ago, 1000);
    const running = runner('strategies: [{ strategy: sma-cross, market: deribit, symbol: BTC-PERPETUAL, params: { fast: 1, slow: 3, amount: 100 } }]');
    await candle(1, 1010);
    const [signal] = await running.signals(1);
    expect(signal).toMatchObject({ strategy: 'sma-cross', side: 'buy', amount: '100', price: '1012' });
    expect(signal!.created_ts % 60_000_000).toBe(0);
    await running.stop();
  });

  it('sees quotes that are fresh', async () => {
    const fields = { best_bid_price: '2000', best_ask_price: '2000.5', funding_rate: '0.001', last_price: '2000', exchange_ts: String(Date.now() * 1000) };
    await redis.hset('ticker:deribit:ETH-PERPETUAL', { ...fields, feed_status: 'stale' });
    const running = runner('strategies: [{ strategy: funding-carry, market: deribit, symbol: ETH-PERPETUAL, params: { amount: 50, max_slippage_bps: 0 } }]');
    await redis.hset('ticker:deribit:ETH-PERPETUAL', { feed_status: 'fresh', best_bid_price: '2001' });
    const [signal] = await running.signals(1);
    const id = `funding-carry:ETH-PERPETUAL:${fields.exchange_ts}:0`;
    expect(signal).toMatchObject({ strategy: 'funding-carry', side: 'sell', amount: '50', price: '2001', signal_id: id });
    await running.stop();
  });

  it('of a file that is not there, or on a market that nobody trades on, stops the start', () => {
    expect(() => runnersOf('/none.yml')).toThrow(/^STRATEGIES_FILE: \/none\.yml cannot be read: ENOENT/);
    expect(() => runner('strategies: [{ strategy: sma-cross, market: binance_spot, symbol: X, params: { amount: 1 } }]')).toThrow(
      /strategies\.0\.market: "binance_spot" is not one of deribit$/);
  });
});
