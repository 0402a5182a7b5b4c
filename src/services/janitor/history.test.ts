// Which candles are asked for: names and patterns, how far back, and what is listed while the fleet runs.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OhlcJob } from '../../contracts/index.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { loadConfig } from '../../runtime/env.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { start as govern } from './govern.ts';
import { historyJobs } from './history.ts';
import { start as bootstrap } from './main.ts';

const MINUTE = 60_000_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = 1_790_000_040_000_000;

describe('history jobs', () => {
  const listed = [
    { symbol: 'BTC-PERPETUAL', kind: 'perpetual', listedTs: 1_534_242_287_000_000 },
    { symbol: 'BTC-1-C', kind: 'option', listedTs: NOW - 3 * HOUR - 1 },
    { symbol: 'BTC-2-C', kind: 'option', listedTs: null },
    { symbol: 'ETH-1-C', kind: 'option', listedTs: NOW },
  ];
  const jobs = (env: Record<string, string>, last = new Map<string, number>(), namedAnyway = true): OhlcJob[] => {
    const config = loadConfig(MARKETS, { MARKETS: 'deribit', BACKFILL_DAYS: '2', ...env });
    return historyJobs(config, [{ marketId: 'deribit', listed }], last, { nowMicros: NOW + 1, reason: 'test', namedAnyway });
  };
  const told = (all: OhlcJob[]): [string, number][] => all.map(({ symbol, start }) => [symbol, NOW - start]);

  it('are for names first, then for matches, each symbol once', () => {
    expect(told(jobs({ DERIBIT_SYMBOLS: 'BTC-*-C,BTC-2-C,kind:perpetual' })).map(([symbol]) => symbol)).toEqual(['BTC-2-C', 'BTC-PERPETUAL', 'BTC-1-C']);
    expect(jobs({ DERIBIT_SYMBOLS: 'kind:combo' })).toEqual([]);
    expect(jobs({ DERIBIT_SYMBOLS: 'BTC-*', CHANNELS: 'trade' })).toEqual([]);
    expect(jobs({ DERIBIT_SYMBOLS: 'BTC-*', BACKFILL_DAYS: '0' })).toEqual([]);
  });

  it('reach back for BACKFILL_DAYS, but not behind the candle of the listing nor the last one stored', () => {
    expect(told(jobs({ DERIBIT_SYMBOLS: 'BTC-*' }))).toEqual([
      ['BTC-PERPETUAL', 2 * DAY], ['BTC-1-C', 3 * HOUR + MINUTE], ['BTC-2-C', 2 * DAY]]);
    expect(told(jobs({ DERIBIT_SYMBOLS: 'BTC-1-C', OHLC_RESOLUTIONS: '1d' }))).toEqual([['BTC-1-C', DAY + 3 * HOUR]]);
    expect(told(jobs({ DERIBIT_SYMBOLS: 'BTC-1-C' }, new Map([['deribit BTC-1-C 1m', NOW - 5 * MINUTE]])))).toEqual([['BTC-1-C', 5 * MINUTE - 1]]);
    // One that was listed this minute has its first candle all the same.
    expect(told(jobs({ DERIBIT_SYMBOLS: 'ETH-*' }))).toEqual([['ETH-1-C', MINUTE - 1]]);
  });

  it('are for a name that is not listed where its status may be another one', () => {
    expect(jobs({ DERIBIT_SYMBOLS: 'NEXT,BTC-1-C' }).map(({ symbol }) => symbol)).toEqual(['NEXT', 'BTC-1-C']);
    expect(jobs({ DERIBIT_SYMBOLS: 'NEXT,BTC-1-C' }, undefined, false).map(({ symbol }) => symbol)).toEqual(['BTC-1-C']);
  });
});

describe('of patterns', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let exchange: Server;
  let governor: RunningReceiver | null = null;
  let names: string[] = [];
  const coin = (symbol: string): object => ({ symbol, status: 'TRADING', baseAsset: symbol.slice(0, -4), quoteAsset: 'USDT', filters: [] });

  beforeEach(async () => {
    names = ['BTCUSDT', 'ETHUSDT', 'ETHBTC'];
    exchange = createServer((_request, response) => response.end(JSON.stringify({ symbols: names.map(coin) }))).listen(0, '127.0.0.1');
    await once(exchange, 'listening');
    database = await freshDatabase('history_jobs', { migrated: true });
    stage = await openStage({
      DATABASE_URL: database.url, UNLOCK_POLICY: 'auto', MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT,*USDT', INSTANCE_ID: '1',
      BINANCE_SPOT_REST_URL: `http://127.0.0.1:${(exchange.address() as AddressInfo).port}`,
    });
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
  });
  afterEach(async () => {
    await governor?.stop();
    governor = null;
    exchange.closeAllConnections();
    exchange.close();
    await stage.close();
    await database.drop();
  });

  const queued = async (): Promise<OhlcJob[]> =>
    (await stage.published.redis.lrange('queue:ohlc_work', 0, -1)).reverse().map((text) => JSON.parse(text) as OhlcJob);

  it('a bootstrap asks for what matches, the governor for what is listed later, before anybody can subscribe it', async () => {
    expect((await queued()).map(({ symbol, reason }) => [symbol, reason])).toEqual([['BTCUSDT', 'bootstrap'], ['ETHUSDT', 'bootstrap']]);
    governor = await runInProcess('governor', (ctx) => govern(ctx, { resyncMs: 200 }), stage.env);
    names.push('NEWUSDT', 'NEWBTC');
    await until(async () => (await stage.published.redis.sismember('symbols:binance_spot', 'NEWUSDT')) === 1);
    const later = (await queued()).slice(2);
    expect(later.map(({ symbol, reason }) => [symbol, reason])).toEqual([['NEWUSDT', 'newly listed']]);
    // What comes back after it was closed gets what it missed, and once more is not twice.
    names = names.filter((name) => name !== 'ETHUSDT');
    await until(async () => (await stage.published.redis.sismember('symbols:binance_spot', 'ETHUSDT')) === 0);
    names.push('ETHUSDT', 'LASTUSDT');
    await until(async () => (await stage.published.redis.sismember('symbols:binance_spot', 'LASTUSDT')) === 1);
    expect((await queued()).slice(3).map(({ symbol }) => symbol).filter((symbol) => symbol !== 'ETHUSDT')).toEqual(['LASTUSDT']);
    expect((await queued()).length).toBeLessThanOrEqual(5);
  });
});
