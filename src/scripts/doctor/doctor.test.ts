import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dlqStreamMarketDataKey, heartbeatKey, streamMarketDataKey, systemStateKey } from '../../contracts/index.ts';
import { writeMemory } from '../../bus/memory.ts';
import { systemClock } from '../../runtime/clock.ts';
import { startSimulator, type Simulator } from '../../simulator/server.ts';
import { createPool } from '../../store/connect.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { nodeVersion } from './servers.ts';
import type { Finding } from '../../core/finding.ts';

const clock = systemClock();
let simulator: Simulator;
let server: FreshRedis;
let redis: Redis;
let database: FreshDatabase;

beforeAll(async () => {
  simulator = await startSimulator({ port: 0, seed: 1, rate: 0, clock });
  [server, database] = await Promise.all([freshRedis({ appendonly: true, maxmemory: '64mb' }), freshDatabase('doctor')]);
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await Promise.all([simulator.close(), server.drop(), database.drop()]);
});

async function run(script: string, args: string[], over: Record<string, string> = {}): Promise<{ code: number; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', script), ...args], {
    env: {
      PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url, REDIS_URL: server.url, EXCHANGE_MODE: 'sim',
      SIM_URL: simulator.url, UNLOCK_POLICY: 'auto', ...over,
    },
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, out, error };
}

async function findings(over: Record<string, string> = {}): Promise<{ code: number; rows: Map<string, Finding> }> {
  const { code, out } = await run('doctor.ts', ['--json'], over);
  const { findings: list } = JSON.parse(out) as { findings: Finding[] };
  return { code, rows: new Map(list.map((finding) => [finding.name, finding])) };
}

const levels = (rows: Map<string, Finding>, ...names: string[]): (string | undefined)[] => names.map((name) => rows.get(name)?.level);

describe('doctor', () => {
  it('says what an empty installation lacks and how to get it', async () => {
    const { code, rows } = await findings();
    expect(code).toBe(1);
    expect(levels(rows, 'node', 'redis', 'redis policy', 'redis memory', 'redis aof', 'postgres')).toEqual(Array.from({ length: 6 }, () => 'ok'));
    expect(rows.get('migrations')).toMatchObject({ level: 'fail', remedy: expect.stringContaining('npm run migrate -- up') as string });
    expect(levels(rows, 'state deribit', 'feed deribit')).toEqual(['fail', 'fail']);
  });

  it('is content after a bootstrap with a fresh feed, and sees each thing that goes wrong', async () => {
    expect((await run('start.ts', ['janitor'])).code).toBe(0);
    const ageing = async (seconds: number): Promise<void> => {
      const received = clock.nowMicros() - seconds * 1_000_000;
      for (const market of ['deribit', 'binance_spot', 'binance_usdm']) {
        await redis.xadd(streamMarketDataKey, '*', 'payload', `{"type":"trade","market_id":"${market}","received_ts":${received}}`);
      }
    };
    await ageing(1);
    // The bootstrap has asked for candles: somebody must be there to fetch them.
    await redis.set(heartbeatKey('backfill', '1'), '{}');
    const good = await findings();
    expect([...good.rows.values()].filter(({ level }) => level === 'fail')).toEqual([]);
    expect(good.code).toBe(0);
    expect([...good.rows.keys()].slice(0, 4)).toEqual(['clock deribit', 'clock binance_spot', 'clock binance_usdm', 'node']);
    expect(levels(good.rows, 'gaps deribit', 'queue:trade_work', 'ban binance', 'rate budget binance_usdm', 'credentials', 'executor', 'kill switch', 'guard'))
      .toEqual(Array.from({ length: 8 }, () => 'ok'));
    expect(levels(good.rows, 'redis acl', 'service distributor', 'postgres durability', 'lag')).toEqual(['warn', 'warn', 'ok', 'warn']);
    expect([...good.rows.keys()]).toEqual(expect.arrayContaining(['postgres connections', 'disk postgres', 'disk redis', 'port redis', 'secret files']));
    expect(levels(good.rows, 'clock deribit', 'clock binance_spot', 'feed binance_usdm', 'partitions tickers', 'dead letters', 'state binance'))
      .toEqual(Array.from({ length: 6 }, () => 'ok'));

    await redis.del(streamMarketDataKey);
    await ageing(900);
    await redis.xadd(dlqStreamMarketDataKey, '*', 'payload', 'x');
    await redis.set(systemStateKey('deribit'), 'LOCKED');
    await writeMemory(redis, 'normal', 'shed_symbols', 0.9, clock.nowMicros() - 90_000_000);
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    simulator.setClock(60_000);
    const pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
    await pool.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('9999_future', now())`);
    await pool.end();
    const bad = await findings();
    expect(bad.code).toBe(1);
    expect(levels(bad.rows, 'feed deribit', 'clock binance_usdm', 'redis policy', 'migrations')).toEqual(['fail', 'fail', 'fail', 'fail']);
    expect(levels(bad.rows, 'dead letters', 'state deribit', 'state binance')).toEqual(['warn', 'warn', 'ok']);
    expect(good.rows.get('memory ladder')?.remedy).toContain('npm start -- maintenance');
    expect(bad.rows.get('memory ladder')?.level).toBe('warn');
    expect(bad.rows.get('memory ladder')?.detail).toMatch(/^shed_symbols for 9\d\.\d s, 90 % of maxmemory$/);
    expect(bad.rows.get('clock binance_usdm')?.detail).toMatch(/^-(59|60)\d\d\d ms/);
  });

  it('takes a status of our own for no sign of life, looks for dead letters where the stream is, and says where late rows are', async () => {
    const other = await freshRedis({});
    const elsewhere = new Redis(other.url);
    const pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
    try {
      const [old, now] = [clock.nowMicros() - 900_000_000, clock.nowMicros()];
      await elsewhere.xadd(streamMarketDataKey, '*', 'payload', `{"type":"trade","market_id":"deribit","received_ts":${old}}`);
      await elsewhere.xadd(streamMarketDataKey, '*', 'payload', `{"type":"feed_status","market_id":"deribit","received_ts":${now}}`);
      await elsewhere.xadd(dlqStreamMarketDataKey, '*', 'payload', 'x');
      await redis.del(dlqStreamMarketDataKey);
      await pool.query(`DELETE FROM pgmigrations WHERE name = '9999_future'`);
      await pool.query(`INSERT INTO tickers (instrument_id, ts, received_at) SELECT min(instrument_id), '2020-01-01Z', now() FROM instruments`);
      const { rows } = await findings({ STREAM_REDIS_URL: other.url });
      expect(rows.get('feed deribit')).toMatchObject({ level: 'fail', detail: expect.stringContaining('15 min') as string });
      expect(rows.get('dead letters')).toMatchObject({ level: 'warn', detail: '1' });
      expect(rows.get('partitions tickers')).toMatchObject({
        level: 'warn', remedy: expect.stringMatching(/npm run maintenance -- partitions.*tickers_default/) as string,
      });
      const away = await findings({ STREAM_REDIS_URL: 'redis://127.0.0.1:1' });
      expect(away.rows.get('stream')?.remedy).toContain('STREAM_REDIS_URL (127.0.0.1:1)');
    } finally {
      elsewhere.disconnect();
      await Promise.all([pool.end(), other.drop()]);
    }
  });

  it('names servers that do not answer, without their passwords', async () => {
    const { out, code } = await run('doctor.ts', [], {
      DATABASE_URL: 'postgres://me:hunter22@127.0.0.1:1/x', REDIS_URL: 'redis://:hunter22@127.0.0.1:1', SIM_URL: 'http://127.0.0.1:1',
    });
    expect(code).toBe(1);
    const rows = [
      /FAIL {2}redis/, /FAIL {2}postgres/, /FAIL {2}clock deribit/, /start PostgreSQL or correct DATABASE_URL \(127\.0\.0\.1:1\)/,
    ];
    for (const row of rows) expect(out).toMatch(row);
    expect(out).not.toContain('hunter22');
  });

  it('refuses what it does not know with exit code 2', async () => {
    expect(await run('doctor.ts', ['--jsno'])).toMatchObject({ code: 2, error: expect.stringContaining('--jsno') as string });
    expect((await run('doctor.ts', [], { MARKETS: 'krakn' })).code).toBe(2);
  });

  it('wants the Node that the sources need', () => {
    expect(['v20.20.2', 'v24.10.0', 'v24.11.0', 'v26.0.0'].map((version) => nodeVersion(version).level)).toEqual(['fail', 'fail', 'ok', 'ok']);
  });
});
