// The console's server over HTTP: what it tells, what it refuses, and that it cannot write.
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REDIS_USERS, type RedisPasswords } from '../../bus/acl.ts';
import {
  dlqStreamMarketDataKey, feedSeqKey, heartbeatKey, streamMarketDataKey, streamSystemEventsKey, subscriptionsKey, systemStateKey, tickerKey,
} from '../../contracts/index.ts';
import { UsageError } from '../../core/errors.ts';
import { createPool, closePool } from '../../store/connect.ts';
import { openConsole, type RunningConsole } from '../../testing/console.ts';
import { until } from '../../testing/receiver.ts';
import { freshDatabase, ownRedis, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import type { LocalRedis } from '../local/redis.ts';
import type { Trading } from '../../services/console/shown.ts';
import { accessOf } from '../../services/console/access.ts';

const PASSWORDS = Object.fromEntries(REDIS_USERS.map((user) => [user, `secret-of-${user}`])) as RedisPasswords;
const MARKET = 'deribit';
const SYMBOL = '<img/src=x>';
const NOW = Date.now() * 1000;
const DAY = new Date(NOW / 1000).toISOString().slice(0, 10);
const TOKEN = 'a-token-of-enough-letters';

async function fill(database: pg.Client, redis: Redis): Promise<void> {
  await database.query(`INSERT INTO instruments (market_id, symbol, exchange, unified_symbol, kind, base, quote, amount_unit, status)
    VALUES ('${MARKET}', '${SYMBOL}', 'deribit', 'BTC/USD:BTC', 'perpetual', 'BTC', 'USD', 'USD', 'open')`);
  // Numbers 1..100 but for 40..44, one each five minutes from midnight on: all within nine hours.
  await database.query(`INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
    SELECT 1, n, '${DAY}'::date + n * interval '5 minutes', now(), 'buy', n, 100, 1 FROM generate_series(1, 100) AS n WHERE n NOT BETWEEN 40 AND 44`);
  await database.query(`INSERT INTO trade_coverage VALUES (1, '${DAY}', '{[1,40),[45,101)}')`);
  await database.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at, expected)
    VALUES (1, 40, 44, 'open', 'the receiver was not running', '${DAY}'::date + interval '3 hours 30 minutes', 5)`);
  await database.query(`INSERT INTO ohlc
    SELECT 1, '1m', date_trunc('minute', now()) - n * interval '1 minute', 1, 3, 0.5, 2.50, 10, NULL, 4, n > 0, 'stream', now()
    FROM generate_series(0, 9) AS n`);
  await redis.sadd(subscriptionsKey(MARKET), `trade:${SYMBOL}`, `ticker:${SYMBOL}`);
  await redis.hset(tickerKey(MARKET, SYMBOL), { best_bid_price: '99.5', last_price: '100.10', received_ts: String(NOW), feed_status: 'fresh' });
  await redis.hset(feedSeqKey(MARKET), SYMBOL, '100');
  await redis.set(systemStateKey('deribit'), 'HEALTHY');
  await redis.xadd(dlqStreamMarketDataKey, '1790755218589-0', 'payload', '{"price":"<b>x</b>"}', 'error', 'price: no', 'error_class', 'schema', 'failed_at',
    String(NOW));
  for (const [n, severity] of ['info', 'warning', 'critical'].entries()) {
    const event = { event_id: `e${n}`, type: n === 1 ? 'feed.stale' : 'state.changed', severity, ts: NOW, data: {} };
    await redis.xadd(streamSystemEventsKey, '*', 'payload', JSON.stringify(event));
  }
}

describe.skipIf(!redisServerInstalled())('the console', () => {
  let redisServer: LocalRedis;
  let database: FreshDatabase;
  let client: pg.Client;
  let redis: Redis;
  let console_: RunningConsole;

  beforeAll(async () => {
    [database, redisServer] = await Promise.all([freshDatabase('console', { migrated: true }), ownRedis({ passwords: PASSWORDS })]);
    client = new pg.Client(database.url);
    await client.connect();
    redis = new Redis(redisServer.url);
    await fill(client, redis);
    // The user of the fleet's aclfile that may read and nothing else: a command that writes would be refused.
    console_ = await openConsole({ DATABASE_URL: database.url, REDIS_URL: redisServer.urlOf('console'), MARKETS: MARKET });
  });
  afterAll(async () => {
    await console_.process.stop();
    redis.disconnect();
    await client.end();
    await Promise.all([redisServer.remove(), database.drop()]);
  });
  const tell = async (path: string): Promise<Record<string, unknown>> => {
    const { status, body } = await console_.get(`/api/${path}`);
    expect({ path, status, body }).toMatchObject({ status: 200 });
    return body as Record<string, unknown>;
  };
  const of = new URLSearchParams({ market: MARKET, symbol: SYMBOL }).toString();

  it('tells each view', async () => {
    expect(await tell('overview')).toMatchObject({
      problems: [], dlq: 1, gaps: { open: 1, unfillable: 0 }, killSwitch: false, exchanges: [{ exchange: 'deribit', state: 'HEALTHY' }],
      markets: [{ marketId: MARKET, subscribed: 1, newestTs: NOW }],
    });
    const symbols = [{ symbol: SYMBOL, status: 'fresh', last: '100.10' }];
    expect(await tell('feeds')).toMatchObject({ markets: [{ marketId: MARKET, reconnects: 0, symbols }] });
    expect(await tell('completeness')).toMatchObject({ missing: 5, expected: 100, rows: [{ symbol: SYMBOL }] });
    expect(await tell('instruments')).toMatchObject({ instruments: [{ symbol: SYMBOL, unifiedSymbol: 'BTC/USD:BTC' }] });
    expect(await tell(`quote?${of}`)).toMatchObject({ bid: '99.5', ask: null, last: '100.10' });
    expect(await tell(`candles?${of}&limit=3`)).toMatchObject({ candles: [{ close: '2.50' }, { isFinal: true }, { isFinal: false }] });
    expect(await tell('dlq')).toMatchObject({ total: 1, letters: [{ id: '1790755218589-0', errorClass: 'schema', payload: '{"price":"<b>x</b>"}' }] });
    expect(await tell('trading')).toMatchObject({ orders: [], profit: [], executors: [], guardArmed: null });
  });

  it('places what is missing in its hour', async () => {
    const { rows } = await tell(`completeness?by=hour&day=${DAY}`) as { rows: { cells: ({ expected: number; missing: number } | null)[] }[] };
    // 40..44 would have come at 3:20 to 3:40.
    expect(rows[0]!.cells[3]).toMatchObject({ expected: 12, missing: 5 });
    expect(rows[0]!.cells.reduce((sum, cell) => sum + (cell?.missing ?? 0), 0)).toBe(5);
    expect(rows[0]!.cells.reduce((sum, cell) => sum + (cell?.expected ?? 0), 0)).toBe(100);
    expect(rows[0]!.cells[23]).toBe(null);
    const gaps = { fromSeq: 40, toSeq: 44, status: 'open', reason: 'the receiver was not running', expected: 5 };
    expect(await tell(`gaps?${of}&day=${DAY}&hour=3`)).toMatchObject({ gaps: [gaps] });
    expect(await tell(`gaps?${of}&day=${DAY}&hour=9`)).toMatchObject({ gaps: [] });
    expect(await tell(`gaps?${of}&day=${DAY}`)).toMatchObject({ gaps: [gaps] });
  });

  it('leaves out no hole where there are more instruments than rows, and says how many are left out', async () => {
    const day = '2026-11-20';
    await client.query(`INSERT INTO instruments (market_id, symbol, exchange, status)
      SELECT 'deribit', 'MANY-' || n, 'deribit', 'open' FROM generate_series(1000, 1499) AS n`);
    await client.query(`INSERT INTO trade_coverage
      SELECT instrument_id, $1, CASE WHEN symbol = 'MANY-1499' THEN '{[1,10],[21,30]}' ELSE '{[1,30]}' END::int8multirange
      FROM instruments WHERE symbol LIKE 'MANY-%'`, [day]);
    for (const query of [`by=hour&day=${day}`, `day=${day}&days=1`]) {
      const { rows, more, missing } = await tell(`completeness?${query}`) as { rows: { symbol: string }[]; more: number; missing: number };
      expect({ query, rows: rows.length, more, missing, last: rows.at(-1)?.symbol }).toEqual({ query, rows: 300, more: 200, missing: 10, last: 'MANY-1499' });
    }
  });

  it('shows orders at work however many came after them, and a kill switch that only the executor knows of', async () => {
    const order = (n: number, state: string): Promise<unknown> => client.query(`INSERT INTO orders
        (label, account, strategy, origin, market_id, symbol, side, amount, order_type, state, epoch, created_at, valid_until, updated_at)
      VALUES ($1, '7', 's', 'own', 'deribit', 'BTC-PERPETUAL', 'buy', 10, 'limit', $2, 1, to_timestamp($3), now(), now())`,
    [`o${n}`, state, 1_790_000_000 + n]);
    await order(1, 'OPEN');
    await order(2, 'UNKNOWN');
    for (let n = 3; n < 63; n++) await order(n, 'FILLED');
    await redis.set(heartbeatKey('executor', '1'), JSON.stringify({ role: 'leader', mode: 'live', account: '7', kill_switch: 'file', locked: 'a mismatch' }));
    const trading = async (): Promise<Trading> => (await tell('trading')) as unknown as Trading;
    await expect.poll(async () => (await trading()).atWork, { timeout: 10_000 }).toEqual({ live: 1, unknown: 1 });
    const { orders, executors } = await trading();
    expect([orders.length, ...orders.slice(0, 3).map(({ label }) => label)]).toEqual([50, 'o2', 'o1', 'o62']);
    expect(executors).toMatchObject([{ killSwitch: 'file', locked: 'a mismatch' }]);
    await expect.poll(() => tell('overview'), { timeout: 10_000 }).toMatchObject({ killSwitch: true });
  });

  it('draws a fill of long ago into the profit when it is found at last', async () => {
    const fill = (id: string, at: number, side: string, price: number): Promise<unknown> => client.query(`INSERT INTO fills
        (account, trade_id, exchange_order_id, market_id, symbol, ts, side, price, amount, liquidity, fee, fee_currency, kind, source, recorded_at)
      VALUES ('7', $1, 'x', 'deribit', 'LINEAR', to_timestamp($2), $3, $4, 1, 'taker', 0, 'USDC', 'trade', 'stream', clock_timestamp())`,
    [id, 1_790_000_000 + at, side, price]);
    const totals = async (): Promise<string[]> => ((await tell('trading')) as unknown as Trading).profit.map(({ total }) => total);
    await fill('new', 600, 'sell', 12);
    await expect.poll(totals, { timeout: 10_000 }).toEqual(['0']);
    await fill('old', 0, 'buy', 10);
    await expect.poll(totals, { timeout: 10_000 }).toEqual(['0', '2']);
  });

  it('shows the trades that come while one looks', async () => {
    await tell(`trades?${of}`);
    const trade = {
      v: 1, type: 'trade', market_id: MARKET, symbol: SYMBOL, exchange_ts: NOW, received_ts: NOW, trade_id: 't1', seq: 101, price: '101.5', amount: '10',
      side: 'sell',
    };
    await redis.xadd(streamMarketDataKey, '*', 'payload', JSON.stringify({ ...trade, symbol: 'OTHER' }));
    await redis.xadd(streamMarketDataKey, '*', 'payload', JSON.stringify(trade));
    await expect.poll(() => tell(`trades?${of}`)).toMatchObject({ trades: [{ tradeId: 't1', side: 'sell', price: '101.5' }] });
  });

  it('filters events', async () => {
    const ids = async (query: string): Promise<string[]> =>
      ((await tell(`events?${query}`))['events'] as { event_id: string }[]).map(({ event_id }) => event_id);
    expect(await ids('')).toEqual(['e2', 'e1', 'e0']);
    expect(await ids('severity=warning')).toEqual(['e2', 'e1']);
    expect(await ids('family=feed')).toEqual(['e1']);
    expect(await ids('limit=1')).toEqual(['e2']);
  });

  it.each([
    ['/api/events?limit=abc', 400, 'bad_parameter', /^limit: expected a whole number, got "abc"$/],
    ['/api/events?limit=0', 400, 'bad_parameter', /^limit: /],
    ['/api/events?limit=1&limit=2', 400, 'bad_parameter', /^limit: .*got \["1","2"\]$/],
    ['/api/events?severity=loud', 400, 'bad_parameter', /^severity: .*got "loud"$/],
    ['/api/overview?colour=red', 400, 'bad_parameter', /colour/],
    ['/api/quote?market=nasdaq&symbol=X', 400, 'bad_parameter', /^market: .*got "nasdaq"$/],
    ['/api/quote?market=__proto__&symbol=X', 400, 'bad_parameter', /^market: /],
    [`/api/quote?market=${MARKET}`, 400, 'bad_parameter', /^symbol: /],
    [`/api/quote?market=${MARKET}&symbol=NOBODY`, 404, 'unknown_symbol', /"NOBODY" is no instrument of deribit/],
    [`/api/trades?market=${MARKET}&symbol=NOBODY`, 404, 'unknown_symbol', /NOBODY/],
    ['/api/completeness?day=2026-02-30', 400, 'bad_parameter', /^day: no day of the calendar, got "2026-02-30"$/],
    ['/api/dlq?id=%27;DROP', 400, 'bad_parameter', /^id: /],
    ['/api/dlq?id=1-1', 404, 'unknown_letter', /1-1/],
    ['/api/constructor', 404, 'unknown_view', /overview/],
    ['/api/live', 400, 'bad_parameter', /^topic: /],
    ['/api/live?topic=nothing', 404, 'unknown_view', /"nothing"/],
    ['/api/live?topic=events%3Flimit%3D-1', 400, 'bad_parameter', /^limit: /],
    ['/nowhere', 404, 'not_found', /nowhere/],
    ['/assets/nothing.js', 404, 'not_found', /nothing/],
    [`/api/events?family=${'x'.repeat(5_000)}`, 414, 'too_long', /at most 4096/],
  ])('refuses %s', async (path, status, code, message) => {
    const answer = await console_.get(path);
    expect(answer).toMatchObject({ status, body: { error: { code } } });
    expect((answer.body as { error: { message: string } }).error.message).toMatch(message);
  });

  it('opens no file for a path that climbs', async () => {
    const climbing = ['/assets/../main.ts', '/assets/..%2fmain.ts', '/assets/%2e%2e/%2e%2e/%2e%2e/package.json', '/assets/....//main.ts', '//etc/passwd'];
    for (const path of [...climbing, '/assets/%00', '/%zz']) {
      const answer = await raw(console_.url, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 40[04] /);
      expect(JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1))).toHaveProperty('error.code');
    }
  });

  it('knows no method that writes', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const response = await fetch(`${console_.url}/api/overview`, { method });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('GET, HEAD');
      expect(await response.json()).toHaveProperty('error.code', 'read_only');
    }
    const pool = createPool(database.url, { name: 'test', log: { warn: () => undefined }, readOnly: true });
    await expect(pool.query(`INSERT INTO trading_flags (name, value, by) VALUES ('kill_switch', 'on', 'x')`)).rejects.toMatchObject({ code: '25006' });
    await closePool(pool);
  });

  it('lets no other site read, and runs nothing inline', async () => {
    const answer = await console_.get('/');
    expect(answer.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'self'; style-src 'self'/);
    expect(answer.headers.get('content-security-policy')).not.toMatch(/unsafe/);
    expect(answer.headers.get('access-control-allow-origin')).toBe(null);
    // Names that a stranger lets resolve to this machine.
    const rebound = await raw(console_.url, 'GET /api/overview HTTP/1.1\r\nHost: evil.example:8080\r\nConnection: close\r\n\r\n');
    expect(rebound).toMatch(/^HTTP\/1\.1 403 /);
    expect(rebound).toContain('"foreign_host"');
  });

  it('asks for the token where there is one', async () => {
    const guarded = await openConsole({ DATABASE_URL: database.url, REDIS_URL: redisServer.urlOf('console'), MARKETS: MARKET, CONSOLE_TOKEN: TOKEN });
    try {
      expect(await guarded.get('/api/overview')).toMatchObject({ status: 401, body: { error: { code: 'token_missing' } } });
      expect(await guarded.get('/api/live?topic=overview')).toMatchObject({ status: 401 });
      const wrong = { status: 401, body: { error: { code: 'token_wrong' } } };
      expect(await guarded.get('/api/overview', { authorization: 'Bearer another-token-of-letters' })).toMatchObject(wrong);
      expect(await guarded.get('/api/overview', { cookie: 'tapekeeper_console=x' })).toMatchObject(wrong);
      const page = await guarded.get('/', { accept: 'text/html' });
      expect(page).toMatchObject({ status: 401 });
      expect(page.text).toContain('CONSOLE_TOKEN_FILE');
      expect(await guarded.get('/api/overview', { authorization: `Bearer ${TOKEN}` })).toMatchObject({ status: 200 });
      const cookie = (await guarded.get('/api/session', { authorization: `Bearer ${TOKEN}` })).headers.get('set-cookie') ?? '';
      expect(cookie).toMatch(/HttpOnly; SameSite=Strict/);
      expect(cookie).not.toContain(TOKEN);
      expect(await guarded.get('/api/overview', { cookie: cookie.split(';')[0]! })).toMatchObject({ status: 200 });
    } finally {
      await guarded.process.stop();
    }
  });

  it('does not start open to others without a token', () => {
    const asked = (host: string, published: string | null, token: string | null) => () => accessOf({ host, port: 1, published, token });
    for (const host of ['0.0.0.0', '::', '192.168.1.2', 'example.org', '127.evil.org']) {
      expect(asked(host, null, null)).toThrow(UsageError);
      expect(asked(host, null, null)).toThrow(`CONSOLE_HOST: ${JSON.stringify(host)} is not loopback`);
      expect(asked(host, null, TOKEN)).not.toThrow();
    }
    for (const host of ['127.0.0.1', '::1', 'localhost']) expect(asked(host, null, null)).not.toThrow();
    expect(asked('0.0.0.0', '127.0.0.1', null)).not.toThrow();
    expect(asked('127.0.0.1', '0.0.0.0', null)).toThrow(/^CONSOLE_PUBLISHED/);
    expect(asked('127.0.0.1', null, 'short')).toThrow(/^CONSOLE_TOKEN: 5 characters/);
  });

  it('sends what changes, at most ten times a second', async () => {
    const stop = new AbortController();
    const response = await fetch(`${console_.url}/api/live?topic=overview&topic=${encodeURIComponent(`quote?${of}`)}`, { signal: stop.signal });
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    const seen: { at: number; topics: string[]; last: string | undefined }[] = [];
    let left = '';
    let price = 0;
    const writer = setInterval(() => void redis.hset(tickerKey(MARKET, SYMBOL), 'last_price', String(++price)), 2);
    try {
      for await (const chunk of response.body!) {
        left += Buffer.from(chunk as Uint8Array).toString();
        for (let end = left.indexOf('\n\n'); end >= 0; end = left.indexOf('\n\n')) {
          const line = left.slice(0, end);
          left = left.slice(end + 2);
          if (!line.startsWith('data: ')) continue;
          const told = JSON.parse(line.slice(6)) as Record<string, { last?: string }>;
          seen.push({ at: performance.now(), topics: Object.keys(told), last: told[`quote?${of}`]?.last });
        }
        if (seen.length >= 8) break;
      }
    } finally {
      clearInterval(writer);
      stop.abort();
    }
    expect(await console_.process.metric('console_updates_total')).toBeGreaterThanOrEqual(8);
    expect(await console_.process.metric('console_requests_total', { kind: 'live', status: '200' })).toBe(1);
    await until(async () => (await console_.process.metric('console_event_streams')) === 0);
    const seconds = (seen.at(-1)!.at - seen[0]!.at) / 1000;
    expect((seen.length - 1) / seconds).toBeLessThanOrEqual(10.5);
    expect(new Set(seen.flatMap(({ topics }) => topics))).toEqual(new Set(['overview', `quote?${of}`]));
    expect(new Set(seen.map(({ last }) => last)).size).toBeGreaterThan(3);
  });
});

/** Sends bytes as they are: clients tidy paths up. */
function raw(url: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}
