import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemStateKey, systemStateSimpleKey, symbolsKey, streamSystemEventsKey, type SystemEvent } from '../../contracts/index.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { systemClock } from '../../runtime/clock.ts';
import { loadConfig } from '../../runtime/env.ts';
import { Health } from '../../runtime/health.ts';
import { createLogger } from '../../runtime/log.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { Scope } from '../../runtime/scope.ts';
import { startSimulator, type Simulator } from '../../simulator/server.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { start } from './main.ts';

const clock = systemClock();
const log = createLogger({ service: 'janitor', level: 'silent' });
let simulator: Simulator;
let server: FreshRedis;
let redis: Redis;
let database: FreshDatabase;
let pool: Pool;

beforeAll(async () => {
  simulator = await startSimulator({ port: 0, host: '127.0.0.1', seed: 1, ledgerPath: null, replayDir: null, speed: 1, rate: 0, clock, log });
  server = await freshRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await Promise.all([simulator.close(), server.drop()]);
});
beforeEach(async () => {
  await redis.flushall();
  database = await freshDatabase('janitor');
  pool = createPool(database.url, { name: 'test', log });
});
afterEach(async () => {
  simulator.heal();
  await pool.end();
  await database.drop();
});

const environment = (over: Record<string, string> = {}): Record<string, string> => ({
  DATABASE_URL: database.url, REDIS_URL: server.url, EXCHANGE_MODE: 'sim', SIM_URL: simulator.url, UNLOCK_POLICY: 'auto', LOG_LEVEL: 'silent', ...over,
});

/** One run of the bootstrap in this process; time may go faster for it. */
async function bootstrap(over: Record<string, string> = {}, speed = 1): Promise<void> {
  const scope = new Scope();
  try {
    await start({
      service: 'janitor', config: loadConfig(MARKETS, environment(over)), scope, log, random: () => 0, metrics: createMetrics('janitor'),
      clock: { ...clock, monotonicMs: () => clock.monotonicMs() * speed },
      health: new Health(), signal: new AbortController().signal, fail: (error) => expect(error).toBeUndefined(),
    });
  } finally {
    await scope.close();
  }
}

/** A REST endpoint that answers everything with `body`. */
async function listing(body: () => string): Promise<{ server: Server; url: string }> {
  const server = createServer((_request, response) => response.end(body()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const coin = (symbol: string): object => ({ symbol, status: 'TRADING', baseAsset: symbol.slice(0, -4), quoteAsset: 'USDT', filters: [] });

const exchanges = ['deribit', 'binance'];
const states = (): Promise<(string | null)[]> => redis.mget(systemStateSimpleKey, ...exchanges.map(systemStateKey));

async function logged(exchange: string): Promise<string[]> {
  const { rows } = await pool.query<{ line: string }>(
    `SELECT ver || ' ' || coalesce(from_state, '-') || ' ' || to_state AS line FROM state_log WHERE exchange = $1 ORDER BY ver`, [exchange]);
  return rows.map(({ line }) => line);
}

async function events(type: string): Promise<SystemEvent[]> {
  const entries = await redis.xrange(streamSystemEventsKey, '-', '+');
  return entries.map(([, fields]) => JSON.parse(fields[1] ?? '') as SystemEvent).filter((event) => event.type === type);
}

describe('an empty installation', () => {
  it('gets its schema, partitions, instruments and states, and the same again changes nothing', async () => {
    await bootstrap();
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
    for (const exchange of exchanges) {
      expect(await logged(exchange)).toEqual(['1 - BOOTSTRAPPING', '2 BOOTSTRAPPING RECONCILING', '3 RECONCILING HEALTHY']);
    }
    const before = await pool.query<{ market_id: string; n: string }>(
      `SELECT market_id, count(*) AS n, min(instrument_id), max(instrument_id) FROM instruments WHERE status = 'open' GROUP BY 1 ORDER BY 1`);
    expect(before.rows.map((row) => row.market_id)).toEqual(['binance_spot', 'binance_usdm', 'deribit']);
    for (const { market_id: marketId, n } of before.rows) expect(await redis.scard(symbolsKey(marketId))).toBe(Number(n));
    expect(await redis.sismember(symbolsKey('deribit'), 'BTC-PERPETUAL')).toBe(1);
    const { rows } = await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM pg_class WHERE relname ~ '^(public_trades|tickers)_p\\d{8}$'`);
    expect(rows[0]?.n).toBe(2 * 9);

    await bootstrap();
    const after = await pool.query(
      `SELECT market_id, count(*) AS n, min(instrument_id), max(instrument_id) FROM instruments WHERE status = 'open' GROUP BY 1 ORDER BY 1`);
    expect(after.rows).toEqual(before.rows);
    expect((await logged('deribit')).slice(3)).toEqual(['4 HEALTHY BOOTSTRAPPING', '5 BOOTSTRAPPING RECONCILING', '6 RECONCILING HEALTHY']);
    expect((await events('state.changed')).map((event) => event.event_id)).toContain('state:deribit:6');
  });

  it('survives two bootstraps at once', async () => {
    await Promise.all([bootstrap(), bootstrap()]);
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
    const { rows } = await pool.query<{ n: number; ver: number }>(
      `SELECT count(*)::int AS n, max(ver)::int AS ver FROM state_log WHERE exchange = 'deribit'`);
    expect(rows[0]?.n).toBe(rows[0]?.ver);
  });
});

describe('the last state', () => {
  it('waits for an operator when the policy says so', async () => {
    await bootstrap({ UNLOCK_POLICY: 'manual' });
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'LOCKED']);
    // Its own lock is not an operator's.
    await bootstrap();
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
  });

  it('keeps a lock that somebody set by hand, over any number of bootstraps', async () => {
    await bootstrap();
    await redis.set(systemStateKey('deribit'), 'LOCKED');
    await bootstrap();
    await bootstrap();
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'HEALTHY']);
  });

  it.each(['all that Redis held', 'the state'])('keeps a lock that is on record when %s is lost', async (what) => {
    await bootstrap();
    await redis.set(systemStateKey('deribit'), 'LOCKED');
    await bootstrap();
    if (what === 'the state') await redis.del(systemStateKey('deribit'));
    else await redis.flushall();
    await bootstrap();
    await bootstrap();
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'HEALTHY']);
  });
});

describe('trouble', () => {
  it('names configured symbols that the exchange does not list', async () => {
    await bootstrap({ DERIBIT_SYMBOLS: 'BTC-PERPETUAL,BTC-NONSENSE' });
    expect(await events('instrument.unknown')).toMatchObject([{ market_id: 'deribit', symbol: 'BTC-NONSENSE', severity: 'warning' }]);
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
  });

  it('asks again when an exchange fails for a moment', async () => {
    simulator.inject({ kind: 'rest_status', market_id: 'binance_spot', mode: '500', count: 2 });
    await bootstrap();
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY', 'HEALTHY']);
  });

  it('waits for an exchange that is there later', async () => {
    const { server, url } = await listing(() => JSON.stringify({ symbols: [coin('BTCUSDT')] }));
    await new Promise((resolve) => server.close(resolve));
    const booted = bootstrap({ MARKETS: 'binance_spot', BINANCE_SPOT_REST_URL: url });
    // Five attempts without jitter took less than half a second.
    const timer = setTimeout(() => server.listen(Number(new URL(url).port), '127.0.0.1'), 1_500);
    try {
      await booted;
      expect(await redis.smembers(symbolsKey('binance_spot'))).toEqual(['BTCUSDT']);
    } finally {
      clearTimeout(timer);
      server.close();
    }
  });

  it('takes the rest of a list with odd entries, and names those', async () => {
    let entries: object[] = [coin('BTCUSDT'), coin('ETHUSDT'), coin('OLDUSDT')];
    const { server, url } = await listing(() => JSON.stringify({ symbols: entries }));
    const env = { MARKETS: 'binance_spot', BINANCE_SPOT_REST_URL: url, BINANCE_SPOT_SYMBOLS: 'BTCUSDT,ETHUSDT' };
    try {
      await bootstrap(env);
      // OLDUSDT is gone, ETHUSDT cannot be read, and so can a crowd of a new kind.
      const crowd = Array.from({ length: 30 }, (_none, n) => ({ symbol: `NEW-${n}` }));
      entries = [coin('BTCUSDT'), { ...coin('ETHUSDT'), filters: null }, ...crowd];
      await bootstrap(env);
    } finally {
      server.close();
    }
    const { rows } = await pool.query(`SELECT symbol, status FROM instruments ORDER BY 1`);
    expect(rows).toEqual([
      { symbol: 'BTCUSDT', status: 'open' }, { symbol: 'ETHUSDT', status: 'open' }, { symbol: 'OLDUSDT', status: 'unlisted' }]);
    const told = await events('instrument.unknown');
    expect(told).toHaveLength(20);
    expect(told[0]).toMatchObject({ market_id: 'binance_spot', symbol: 'ETHUSDT', severity: 'warning' });
    expect(told[0]?.data).toEqual({ reason: expect.stringMatching(/^listed, but not as documented: filters: .*, got null$/) as string });
  });

  it('gives up naming market and URL, and leaves nothing healthy behind', async () => {
    simulator.inject({ kind: 'rest_status', market_id: 'binance_spot', mode: '500' });
    await expect(bootstrap({}, 60)).rejects.toThrow(`instruments of binance_spot from ${simulator.url}/binance_spot`);
    expect(await states()).toEqual(['LOCKED', 'LOCKED', 'LOCKED']);
    expect((await logged('binance')).at(-1)).toBe('2 BOOTSTRAPPING LOCKED');
  });

  it('refuses a database that is newer than this build', async () => {
    await bootstrap();
    await pool.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('9999_future', now())`);
    await expect(bootstrap()).rejects.toThrow('newer than this build: it has 9999_future');
  });

  it('ends with 0, 1 or 2 as a process, so that others can wait for it', async () => {
    const run = async (over: Record<string, string>): Promise<unknown> => {
      const child = spawn(process.execPath, [join(import.meta.dirname, '../../scripts/start.ts'), 'janitor'], {
        env: { PATH: process.env['PATH'] ?? '', ...environment(over) }, stdio: 'ignore',
      });
      return (await once(child, 'exit'))[0];
    };
    simulator.inject({ kind: 'rest_status', market_id: 'deribit', mode: '418' });
    expect(await Promise.all([run({ MARKETS: 'binance_spot' }), run({ MARKETS: 'deribit' }), run({ MARKETS: 'krakn' })])).toEqual([0, 1, 2]);
  });
});
