// Each row of the doctor as ok, warn and fail, under conditions that are planted.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { banKey, budgetKey, streamMarketDataKey } from '../../contracts/index.ts';
import { countHeartbeats } from '../../bus/keyspace.ts';
import type { Finding } from '../../core/finding.ts';
import { spotLimit } from '../../exchanges/binance/limits.ts';
import type { TradingConfig } from '../../runtime/trading_env.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { readServerFacts, readTradingState, type TradingState } from '../../store/settings.ts';
import { freshDatabase, freshRedis, ownRedis, redisServerInstalled, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { outsideAddresses, portFindings } from './ports.ts';
import { redisFindings } from './servers.ts';
import { aclFinding, diskFinding, redisAclFinding, settingFindings } from './settings.ts';
import { credentialsFinding, riskFinding, secretFilesFinding, tradingFindings, type TradingFacts } from './trading.ts';
import { banFinding, budgetFinding, gapFindings, lagFinding, queueFinding, queueFindings, serviceFindings } from './work.ts';

const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-doctor-'));
let database: FreshDatabase;
let server: FreshRedis;
let pool: Pool;
let redis: Redis;

beforeAll(async () => {
  [database, server] = await Promise.all([freshDatabase('doctor_rows', { migrated: true }), freshRedis({})]);
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  redis = new Redis(server.url);
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('deribit', 'BTC-PERPETUAL', 'deribit', 'open')`);
});
afterAll(async () => {
  redis.disconnect();
  await pool.end();
  await Promise.all([database.drop(), server.drop()]);
  rmSync(folder, { recursive: true });
});

const named = (found: readonly Finding[], name: string): Finding | undefined => found.find((one) => one.name === name);
const levels = (found: readonly Finding[]): string[] => found.map(({ level }) => level);
/** Whoever is told of something is told what to do. */
const expectRemedies = (found: readonly Finding[]): void =>
  expect(found.filter(({ level, remedy }) => (level === 'ok') !== (remedy === undefined))).toEqual([]);

describe('servers', () => {
  it.each([
    ['ok', 'ok', 'ok'], ['err', 'ok', 'fail'], ['ok', 'err', 'warn'],
  ])('Redis whose log was written %s and rewritten %s is %s', async (written, rewritten, level) => {
    const info = ['redis_version:7.0.15', 'aof_enabled:1', `aof_last_bgrewrite_status:${rewritten}`, `aof_last_write_status:${written}`].join('\r\n');
    const found = await redisFindings({ info: () => Promise.resolve(info) });
    expect(named(found, 'redis aof')?.level).toBe(level);
    expectRemedies(found);
  });

  const good = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on', max_connections: '100', jit: 'off', track_commit_timestamp: 'on' };
  it.each([
    ['postgres durability', {}, 'ok'], ['postgres durability', { synchronous_commit: 'off' }, 'warn'], ['postgres durability', { fsync: 'off' }, 'fail'],
    ['postgres jit', {}, 'ok'], ['postgres jit', { jit: 'on' }, 'warn'],
    ['postgres commit times', {}, 'ok'], ['postgres commit times', { track_commit_timestamp: 'off' }, 'warn'],
    ['postgres connections', {}, 'ok'], ['postgres connections', { max_connections: '24' }, 'warn'],
    ['postgres connections', { max_connections: '12' }, 'warn'],
    ['postgres connections', { max_connections: '10' }, 'fail'],
  ])('%s with %j is %s', (name, over, level) => {
    const found = settingFindings({ settings: { ...good, ...over }, connections: 10 });
    expect(named(found, name)?.level).toBe(level);
    expectRemedies(found);
  });

  it('reads the settings of a real server as a stranger meets it', async () => {
    const { settings, connections } = await readServerFacts(database.url);
    expect(settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on', track_commit_timestamp: expect.stringMatching(/^o/) as string });
    expect(connections).toBeGreaterThan(0);
    await pool.query(`ALTER ROLE CURRENT_USER IN DATABASE ${new URL(database.url).pathname.slice(1)} SET synchronous_commit = off`);
    const found = settingFindings(await readServerFacts(database.url));
    expect(named(found, 'postgres durability')).toMatchObject({ level: 'warn', detail: 'synchronous_commit off' });
    await expect(readServerFacts('postgres://127.0.0.1:1/x')).rejects.toThrow('ECONNREFUSED');
  });

  it('tells a disk that fills up', () => {
    const found = [[500e9, 1000e9], [50e9, 1000e9], [4e9, 20e9], [15e9, 1000e9], [0.5e9, 20e9]]
      .map(([free = 0, total = 0]) => diskFinding('disk', free, total));
    expect(levels(found)).toEqual(['ok', 'warn', 'warn', 'fail', 'fail']);
    expectRemedies(found);
  });

  it.skipIf(!redisServerInstalled())('tells who may log in to Redis', async () => {
    expect([aclFinding('default', true, '127.0.0.1'), aclFinding('default', false, '10.1.2.3'), aclFinding('default', true, 'redis.example.com')]
      .map(({ level }) => level)).toEqual(['warn', 'warn', 'fail']);
    expect(await redisAclFinding(redis, '127.0.0.1')).toMatchObject({ level: 'warn', detail: 'whoever reaches 127.0.0.1 may do anything' });
    const names = ['receiver', 'distributor', 'analyzer', 'backfill', 'executor', 'guard', 'governor',
      'maintenance', 'notifier', 'strategy', 'console', 'operator'];
    const guarded = await ownRedis({ passwords: Object.fromEntries(names.map((name) => [name, `${name}-password`])) as never });
    const client = new Redis(guarded.url);
    try {
      expect(await redisAclFinding(client, '127.0.0.1')).toMatchObject({ level: 'ok', detail: 'logged in as operator' });
    } finally {
      client.disconnect();
      await guarded.remove();
    }
  });

  it('tells ports that others can reach', async () => {
    const listen = (host: string): Promise<Server> => new Promise((resolve) => {
      const one = createServer((socket) => socket.destroy()).listen(0, host, () => resolve(one));
    });
    const portOf = (one: Server): number => (one.address() as { port: number }).port;
    const [open, closed] = [await listen('0.0.0.0'), await listen('127.0.0.1')];
    // An address of this machine that is not the one which the second server is bound to.
    const addresses = outsideAddresses().length > 0 ? outsideAddresses() : ['127.0.0.2'];
    const found = await portFindings([
      { name: 'redis', host: '127.0.0.1', port: portOf(open), sensitive: true }, { name: 'metrics', host: '127.0.0.1', port: portOf(open), sensitive: false },
      { name: 'postgres', host: 'localhost', port: portOf(closed), sensitive: true }, { name: 'away', host: 'db', port: 5432, sensitive: true },
    ], addresses);
    expect(found.map(({ name, level }) => `${name} ${level}`)).toEqual(['port redis fail', 'port metrics warn', 'port postgres ok', 'port away ok']);
    expectRemedies(found);
    open.close();
    closed.close();
  });
});

describe('work', () => {
  it('tells gaps: being healed, unfillable, open for long', async () => {
    const gap = (from: number, status: string, minutes: number): Promise<unknown> => pool.query(
      `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at)
       SELECT instrument_id, $1, $1, $2, 'test', now() - $3::int * interval '1 minute' FROM instruments`, [from, status, minutes]);
    const level = async (): Promise<string[]> => levels(await gapFindings(pool, ['deribit', 'binance_spot']));
    expect(await level()).toEqual(['ok', 'ok']);
    await gap(1, 'healing', 2);
    expect(await level()).toEqual(['ok', 'ok']);
    await gap(2, 'unfillable', 90);
    expect(await level()).toEqual(['warn', 'ok']);
    await gap(3, 'open', 11);
    const found = await gapFindings(pool, ['deribit']);
    expect(found).toMatchObject([{ level: 'fail', detail: '2 open or being healed, the oldest for 11 min, 1 unfillable' }]);
    expectRemedies(found);
  });

  it('tells how far the writers are behind', async () => {
    const at = (ms: number): Promise<unknown> => redis.xadd(streamMarketDataKey, `${ms}-0`, 'payload', 'x');
    expect((await lagFinding(redis)).level).toBe('warn');
    await at(1_000_000);
    await redis.xgroup('CREATE', streamMarketDataKey, 'distributor', '$');
    expect(await lagFinding(redis)).toMatchObject({ level: 'ok', detail: '0 ms behind the stream' });
    await at(1_020_000);
    expect((await lagFinding(redis)).level).toBe('warn');
    await at(1_090_000);
    expect(await lagFinding(redis)).toMatchObject({ level: 'fail', detail: '90.0 s behind the stream' });
  });

  it('tells queues that nobody works on, given-up jobs, and services that are not there', async () => {
    await redis.set('heartbeat:backfill:1', '{}');
    const alive = await countHeartbeats(redis);
    await redis.lpush('queue:trade_work', 'job');
    await redis.lpush('queue:audit', 'job');
    await redis.xadd('dlq:queue:ohlc_work', '*', 'payload', 'job');
    const queues = await queueFindings(redis, alive);
    expect(queues.map(({ name, level }) => `${name} ${level}`)).toEqual(['queue:trade_work ok', 'queue:ohlc_work warn', 'queue:audit fail']);
    expect(queues[2]?.remedy).toBe('nobody works on it: npm start -- governor');
    expect(queueFinding('q', { waiting: 20_000, leased: 0, dead: 0 }, 'backfill', 1).level).toBe('warn');
    const services = serviceFindings(alive);
    expect([named(services, 'service backfill'), named(services, 'service receiver')]).toMatchObject([{ level: 'ok', detail: '1 alive' }, { level: 'warn' }]);
    expectRemedies([...queues, ...services]);
  });

  it('tells bans and spent rate budgets', async () => {
    expect((await banFinding(redis, 'binance')).level).toBe('ok');
    await redis.set(banKey('binance'), 'HTTP 429', 'PX', 60_000);
    expect(await banFinding(redis, 'binance')).toMatchObject({
      level: 'warn', detail: expect.stringMatching(/^for another (59|60)\.\d s: HTTP 429$/) as string,
    });
    await redis.set(banKey('binance'), 'HTTP 418', 'PX', 7_200_000);
    expect((await banFinding(redis, 'binance')).level).toBe('fail');
    expect(levels(await budgetFinding(redis, 'binance_spot', 5_000))).toEqual(['ok']);
    await redis.hset(budgetKey(spotLimit.pool), 'level', '1', 'at', '5000');
    expect(levels(await budgetFinding(redis, 'binance_spot', 5_000))).toEqual(['warn']);
    expect(levels(await budgetFinding(redis, 'binance_spot', 65_000))).toEqual(['ok']);
  });
});

describe('trading', () => {
  const file = (name: string, mode: number, text = 'secret'): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const config = (over: Partial<TradingConfig> = {}): TradingConfig => ({
    mode: 'observe', market: { marketId: 'deribit', exchange: 'deribit', restUrl: '', wsUrl: '', liveHost: '', testHost: '' },
    clientId: { value: null, file: null }, clientSecret: { value: null, file: null }, riskFile: null, strategiesFile: null, liveTrading: false,
    liveAccount: null, signalKeyFile: null,
    killFile: join(folder, 'kill'), ...over,
  });
  const fromFile = (path: string): { value: null; file: string } => ({ value: null, file: path });

  it('tells credentials that are missing, open to others, or in the environment', () => {
    const [good, open] = [fromFile(file('good', 0o400)), fromFile(file('open', 0o644))];
    const value = { value: 'secret', file: null };
    const found = [
      config(), config({ mode: 'test', clientId: good, clientSecret: good }), config({ mode: 'paper', clientId: value, clientSecret: value }),
      config({ mode: 'test' }), config({ mode: 'test', clientId: good, clientSecret: open }), config({ mode: 'test', clientId: good, clientSecret: value }),
    ].map(credentialsFinding);
    expect(levels(found)).toEqual(['ok', 'ok', 'ok', 'fail', 'fail', 'fail']);
    expect(found.map(({ detail }) => detail).join()).not.toContain('secret,');
    expect(found[4]?.detail).toMatch(/^DERIBIT_CLIENT_SECRET_FILE: .*\/open has mode 0644, it must be 0400 or 0600$/);
    expectRemedies(found);
  });

  it('tells files of secrets that others can read', () => {
    const isSecret = (name: string): boolean => name === 'DATABASE_URL';
    const of = (mode: number): Finding => secretFilesFinding({ DATABASE_URL_FILE: file('url', mode), RISK_FILE: file('any', 0o644), HOME: folder }, isSecret);
    expect([of(0o400), of(0o440), of(0o604), secretFilesFinding({}, isSecret)].map(({ level }) => level)).toEqual(['ok', 'warn', 'fail', 'ok']);
    expect(of(0o604).detail).toMatch(/^DATABASE_URL_FILE .*\/url has mode 0604$/);
  });

  it('tells missing limits', () => {
    const found = [config(), config({ mode: 'paper', riskFile: file('risk.yml', 0o644) }), config({ mode: 'paper' }),
      config({ mode: 'paper', riskFile: '/nowhere' })];
    expect(levels(found.map(riskFinding))).toEqual(['ok', 'ok', 'fail', 'fail']);
  });

  it('tells an executor that is away, observes or is locked, the kill switch, and a guard that is not armed', async () => {
    const none: TradingState = { killSwitch: null, locked: [] };
    const rows = (over: Partial<TradingFacts>): string[] => {
      const found = tradingFindings({ config: config({ mode: 'live' }), executors: [], guards: [], state: none, ...over });
      expectRemedies(found);
      return levels(found);
    };
    const leader = { instance: '1', says: { role: 'leader', mode: 'live', account: '7' } };
    const guard = { instance: '1', says: { armed: true } };
    expect(rows({ config: config() })).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(rows({ executors: [leader], guards: [guard] })).toEqual(['ok', 'ok', 'ok', 'ok']);
    expect(rows({})).toEqual(['fail', 'ok', 'ok', 'fail']);
    expect(rows({ executors: [{ instance: '2', says: { role: 'standby' } }], guards: [{ instance: '1', says: { armed: false, reason: 'no key' } }] }))
      .toEqual(['fail', 'ok', 'ok', 'fail']);
    expect(rows({ executors: [{ instance: '1', says: { role: 'leader', mode: 'observe' } }], guards: [guard] })).toEqual(['warn', 'ok', 'ok', 'ok']);
    expect(rows({ config: config({ mode: 'paper' }), executors: [{ instance: '1', says: { role: 'leader', mode: 'paper' } }] }))
      .toEqual(['ok', 'ok', 'ok', 'warn']);
    expect(await readTradingState(pool)).toEqual(none);
    await pool.query(`INSERT INTO trading_flags (name, value, by, reason) VALUES ('kill_switch', 'on', 'me', 'drill')`);
    await pool.query(`INSERT INTO trading_cases (account, kind, symbol, ours, theirs, evidence, status, decision, opened_at, updated_at)
      VALUES ('7', 'position', 'BTC-PERPETUAL', '{}', '{}', '{}', 'locked', 'Persistent Position Mismatch', now(), now())`);
    const state = await readTradingState(pool);
    expect(rows({ state, executors: [leader], guards: [guard] })).toEqual(['ok', 'fail', 'warn', 'ok']);
    expect(tradingFindings({ config: config(), executors: [], guards: [], state }).map(({ detail }) => detail)).toEqual([
      expect.any(String), 'locked by case 1: Persistent Position Mismatch of BTC-PERPETUAL', 'on, by me: drill', expect.any(String),
    ]);
    file('kill', 0o600);
    expect(rows({ executors: [leader], guards: [guard] })).toEqual(['ok', 'ok', 'warn', 'ok']);
  });
});
