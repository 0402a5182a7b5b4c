// The analyzer process as a whole, in this process, against a Redis and a PostgreSQL of its own.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { parseSystemEvent, slotKey, streamMarketDataKey, streamSystemEventsKey, type SystemEvent } from '../../contracts/index.ts';
import { runInProcess, type RunningReceiver } from '../../testing/receiver.ts';
import { freshDatabase, ownRedis, type FreshDatabase } from '../../testing/servers.ts';
import type { LocalRedis } from '../../scripts/local/redis.ts';
import { start } from './main.ts';

const TS = Math.floor(Date.now() / 1000) * 1_000_000 - 600_000_000;
/** Our own clock stands still: silences are those of the messages. */
const clock = { nowMicros: () => TS, monotonicMs: () => performance.now() };
const patience = { timeout: 30_000, interval: 20 };

let server: LocalRedis;
let database: FreshDatabase;
let redis: Redis;
let running: RunningReceiver[] = [];
let numbers = 0;

beforeEach(async () => {
  [server, database] = await Promise.all([ownRedis({ appendonly: true }), freshDatabase('analyzer', { migrated: true })]);
  redis = new Redis(server.url);
  redis.on('error', () => undefined);
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  redis.disconnect();
  await Promise.all([server.remove(), database.drop()]);
});

async function analyze(env: Record<string, string> = {}): Promise<RunningReceiver> {
  const one = await runInProcess('analyzer', start, {
    REDIS_URL: server.url, DATABASE_URL: database.url, METRICS_PORT: '0', INSTANCE_ID: String(++numbers), ...env,
  }, clock);
  running.push(one);
  return one;
}

const trade = (symbol: string, second: number, price: number, more: Record<string, unknown> = {}): string => JSON.stringify({
  v: 1, type: 'trade', market_id: 'binance_spot', symbol, exchange_ts: TS + second * 1_000_000, received_ts: TS + second * 1_000_000 + 500,
  trade_id: `${symbol}${++numbers}`, seq: numbers, price: price.toFixed(2), amount: '1.5', side: numbers % 2 === 0 ? 'buy' : 'sell', ...more,
});

/** A price that goes to and fro by a basis point, one trade a second, from `from` on. */
const calm = (symbol: string, from: number, seconds: number, market = 'binance_spot'): string[] =>
  Array.from({ length: seconds }, (_trade, n) => trade(symbol, from + n, n % 2 === 0 ? 50_000 : 50_005, { market_id: market }));

async function add(payloads: readonly (string | Buffer)[]): Promise<void> {
  const batch = redis.pipeline();
  for (const payload of payloads) batch.xadd(streamMarketDataKey, '*', 'payload', payload);
  await batch.exec();
}

async function events(): Promise<SystemEvent[]> {
  const entries = await redis.xrange(streamSystemEventsKey, '-', '+');
  return entries.map(([, fields]) => {
    const parsed = parseSystemEvent(JSON.parse(fields[1] ?? ''));
    if (!parsed.ok) throw new Error(parsed.error);
    return parsed.value;
  });
}
const told = async (): Promise<string[]> => (await events()).map((event) => `${event.type} ${event.symbol ?? '-'}`);

async function drained(): Promise<void> {
  await vi.waitFor(async () => {
    const groups = (await redis.xinfo('GROUPS', streamMarketDataKey)) as unknown[][];
    const last = await redis.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', 1);
    const group = groups.find((each) => each[1] === 'analyzer') ?? [];
    expect([group[group.indexOf('last-delivered-id') + 1], group[group.indexOf('pending') + 1]]).toEqual([last[0]?.[0], 0]);
  }, patience);
}

describe('the analyzer', () => {
  it('tells a price spike once, on the channel and in the stream, with an id that says what it is', async () => {
    const listener = new Redis(server.url);
    const heard: string[] = [];
    listener.on('message', (_channel, text: string) => heard.push(text));
    await listener.subscribe('channel:system_events');
    const analyzer = await analyze();
    await add([...calm('BTCUSDT', 0, 60), trade('BTCUSDT', 60, 50_400), trade('BTCUSDT', 60.2, 50_420), trade('BTCUSDT', 60.4, 50_000)]);
    await drained();
    expect(await told()).toEqual(['market.price_spike BTCUSDT']);
    const [event] = await events();
    expect(event).toMatchObject({ severity: 'warning', market_id: 'binance_spot', ts: TS + 60_000_000, data: { window: '1s', trades: 1 } });
    expect(event?.event_id).toMatch(/^price_spike-[0-9a-f]{32}$/);
    expect(event?.data['return_bp']).toBeCloseTo(78.7, 0);
    expect(heard.map((text) => (JSON.parse(text) as SystemEvent).event_id)).toEqual([event?.event_id]);
    expect(analyzer.health.ready).toBe(true);
    expect(await analyzer.metric('analyzer_messages_total')).toBe(63);
    listener.disconnect();
  });

  it('knows after a restart what was usual before, and publishes nothing twice', async () => {
    const first = await analyze();
    await add([...calm('BTCUSDT', 0, 60), trade('BTCUSDT', 60, 50_400)]);
    await drained();
    await first.stop();
    expect(await told()).toEqual(['market.price_spike BTCUSDT']);
    // As if it had died before its acknowledgement: the last entries are pending again.
    const recent = await redis.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', 5);
    await redis.xclaim(streamMarketDataKey, 'analyzer', 'analyzer', 0, ...recent.map(([id]) => id), 'FORCE', 'JUSTID');
    const second = await analyze();
    await drained();
    expect(await second.metric('analyzer_rebuilt_entries_total')).toBe(61);
    expect(await second.metric('analyzer_repeated_events_total')).toBe(1);
    await add([...calm('BTCUSDT', 100, 25), trade('BTCUSDT', 125, 49_000)]);
    await drained();
    expect(await told()).toEqual(['market.price_spike BTCUSDT', 'market.price_spike BTCUSDT']);
    expect(new Set((await events()).map((event) => event.event_id)).size).toBe(2);
  });

  it('gives the same events when the stream is replayed elsewhere', async () => {
    await analyze();
    const payloads = [
      ...calm('BTCUSDT', 0, 60), ...calm('ETHUSDT', 20, 60), trade('BTCUSDT', 80, 50_400), trade('ETHUSDT', 80, 49_000), trade('ETHUSDT', 81, -5),
      trade('BTCUSDT', 82, 50_000), ...calm('BTCUSDT', 100, 100), trade('BTCUSDT', 201, 51_000), ...calm('BTCUSDT', 300, 3),
    ];
    await add(payloads);
    await drained();
    const original = await events();
    await Promise.all(running.splice(0).map((one) => one.stop()));
    await redis.flushall();
    await analyze();
    for (const payload of payloads) await add([payload]);
    await drained();
    expect(await events()).toEqual(original);
    expect(original.map((event) => event.type)).toContain('market.stale_feed');
  });

  it('calls no feed stale that was unsubscribed', async () => {
    await redis.sadd('subscriptions:binance_spot', 'trade:KEPT', 'ohlc:LEFT', 'trade:OTHER');
    await analyze();
    await add([...calm('KEPT', 0, 60), ...calm('LEFT', 0, 60), ...calm('OTHER', 0, 200)]);
    await drained();
    await vi.waitFor(async () => expect(await told()).toEqual(['market.stale_feed KEPT']), patience);
  });

  it('calls none stale in a market whose last subscription has gone', async () => {
    await redis.sadd('subscriptions:binance_spot', 'trade:LEFT');
    await redis.sadd('subscriptions:binance_spot:config', 'trade:LEFT');
    await redis.srem('subscriptions:binance_spot', 'trade:LEFT');
    await redis.sadd('subscriptions:deribit', 'trade:KEPT');
    await analyze();
    await add([...calm('LEFT', 0, 60), ...calm('KEPT', 0, 60, 'deribit'), ...calm('OTHER', 0, 200, 'deribit')]);
    await drained();
    await vi.waitFor(async () => expect(await told()).toEqual(['market.stale_feed KEPT']), patience);
  });

  it('sets a symbol aside that says something absurd or malformed, and the rest go on', async () => {
    const analyzer = await analyze();
    await add([
      ...calm('GOOD', 0, 60), ...calm('BAD', 0, 60), ...calm('TORN', 0, 60), trade('BAD', 60, 5_000_000_000), trade('BAD', 61, 50_400),
      trade('TORN', 60, 1).slice(0, 150), '{"type":"trade"}', Buffer.from([0xff, 0xfe]), trade('GOOD', 62, 50_400),
    ]);
    await drained();
    expect(await told()).toEqual(['analyzer.quarantined BAD', 'analyzer.quarantined TORN', 'market.price_spike GOOD']);
    const reasons = (await events()).map((event) => event.data['reason']);
    expect(reasons[0]).toBe('price: 5000000000 is beyond 100 times the last one, 50005');
    expect(reasons[1]).toContain('not JSON');
    expect(await analyzer.metric('analyzer_quarantined_symbols')).toBe(2);
    expect(await analyzer.metric('analyzer_malformed_messages_total')).toBe(3);
    await add([...calm('BAD', 70, 60), trade('BAD', 130, 50_400)]);
    await drained();
    expect((await told()).slice(3)).toEqual(['analyzer.resumed BAD', 'market.stale_feed GOOD', 'market.price_spike BAD']);
    expect(await analyzer.metric('analyzer_quarantined_symbols')).toBe(1);
  });

  it('waits longer from one quarantine to the next', async () => {
    await analyze();
    await add([...calm('BAD', 0, 2), trade('BAD', 2, -1), trade('BAD', 8, 50_000), trade('BAD', 9, -1), trade('BAD', 15, 50_000), trade('BAD', 20, 50_000)]);
    await drained();
    expect((await events()).map((event) => [event.type.split('.')[1], event.data['retry_s'] ?? null, (event.ts - TS - 500) / 1e6])).toEqual([
      ['quarantined', 5, 2], ['resumed', null, 8], ['quarantined', 10, 9], ['resumed', null, 20],
    ]);
  });

  it('compares the markets of one unified symbol', async () => {
    const client = new pg.Client(database.url);
    await client.connect();
    await client.query(`INSERT INTO instruments (market_id, symbol, exchange, unified_symbol, kind, status) VALUES
      ('binance_spot', 'BTCUSDC', 'binance', 'BTC/USDC', 'spot', 'open'), ('deribit', 'BTC_USDC', 'deribit', 'BTC/USDC', 'spot', 'open')`);
    await client.end();
    const ticker = (marketId: string, symbol: string, second: number, bid: number): string => JSON.stringify({
      v: 1, type: 'ticker', market_id: marketId, symbol, exchange_ts: TS + second * 1_000_000, received_ts: TS + second * 1_000_000,
      best_bid_price: String(bid), best_bid_amount: '1', best_ask_price: String(bid + 2), best_ask_amount: '1', last_price: null, mark_price: null,
      index_price: null, open_interest: null, funding_rate: null, volume_24h: null,
    });
    await analyze();
    const both = (second: number, bid: number, other: number): string[] =>
      [ticker('binance_spot', 'BTCUSDC', second, bid), ticker('deribit', 'BTC_USDC', second + 0.1, other)];
    await add([...both(0, 50_000, 50_001), ...both(1, 50_300, 50_000), ...both(2, 50_000, 50_000), ...both(3, 50_400, 50_000), ...both(4, 50_400, 50_000),
      ...both(5.2, 50_400, 50_000), ...both(6, 50_400, 50_000)]);
    await drained();
    expect(await told()).toEqual(['market.divergence BTCUSDC']);
    expect((await events())[0]?.data).toMatchObject({
      first: 'binance_spot:BTCUSDC', second: 'deribit:BTC_USDC', divergence_bp: expect.closeTo(79.7, 0) as number,
    });
  });

  it('stands by while another one leads, and takes over where that left off', async () => {
    await redis.set(slotKey('analyzer', 'leader'), 'elsewhere:1:token', 'PX', 1_500);
    await redis.xgroup('CREATE', streamMarketDataKey, 'analyzer', '0', 'MKSTREAM');
    await add(calm('BTCUSDT', 0, 60));
    const [last] = await redis.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', 1);
    await redis.xgroup('SETID', streamMarketDataKey, 'analyzer', last?.[0] ?? '');
    const standby = await analyze();
    expect(standby.health.report()['stream']?.detail).toBe('standing by for elsewhere:1:token');
    await add([trade('BTCUSDT', 60, 50_400)]);
    await vi.waitFor(async () => expect(await told()).toEqual(['market.price_spike BTCUSDT']), patience);
    expect(await standby.metric('analyzer_messages_total')).toBeLessThanOrEqual(1);
    expect(await standby.metric('analyzer_rebuilt_entries_total')).toBe(60);
  });

  it('waits for a Redis that is away, and loses nothing', async () => {
    const analyzer = await analyze();
    await add(calm('BTCUSDT', 0, 60));
    await drained();
    await server.kill();
    await vi.waitFor(() => expect(analyzer.health.ready).toBe(false), patience);
    await server.restart();
    await vi.waitFor(() => add([trade('BTCUSDT', 60, 50_400)]), patience);
    await vi.waitFor(async () => expect(await told()).toEqual(['market.price_spike BTCUSDT']), patience);
    await vi.waitFor(() => expect(analyzer.health.ready).toBe(true), patience);
  });

  it('begins anew with its rebuilding when Redis dies under it, and tells what it would have told', async () => {
    await redis.config('SET', 'appendfsync', 'always');
    await redis.xgroup('CREATE', streamMarketDataKey, 'analyzer', '0', 'MKSTREAM');
    await add([...calm('BTCUSDT', 0, 30_000), ...calm('ETHUSDT', 0, 30_000)]);
    const [last] = await redis.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', 1);
    await redis.xgroup('SETID', streamMarketDataKey, 'analyzer', last?.[0] ?? '');
    const starting = analyze();
    await vi.waitFor(async () => expect(await redis.client('LIST')).toContain('name=analyzer-look-back'), { timeout: 10_000, interval: 1 });
    await server.kill();
    await server.restart();
    const analyzer = await starting;
    await vi.waitFor(() => expect(analyzer.health.ready).toBe(true), patience);
    expect(await analyzer.metric('analyzer_rebuilt_entries_total')).toBe(60_000);
    await add([trade('BTCUSDT', 30_000, 50_400)]);
    await vi.waitFor(async () => expect(await told()).toEqual(['market.price_spike BTCUSDT']), patience);
  });

  it('waits at its start for a Redis that is there and does not answer', async () => {
    await redis.config('SET', 'busy-reply-threshold', 1);
    const busy = redis.duplicate();
    busy.on('error', () => undefined);
    busy.eval('while true do end', 0).catch(() => undefined);
    await vi.waitFor(() => expect(redis.ping()).rejects.toThrow('BUSY'), { ...patience, interval: 1 });
    const starting = analyze();
    expect(await Promise.race([starting.then(() => 'began', String), sleep(1_000, 'waits')])).toBe('waits');
    await redis.script('KILL');
    const analyzer = await starting;
    await vi.waitFor(() => expect(analyzer.health.ready).toBe(true), patience);
    busy.disconnect();
  });

  it('refuses rules that are not right in one line', async () => {
    await expect(analyze({ ANALYZER_RULES_FILE: '/nowhere.yml' })).rejects.toThrow('ANALYZER_RULES_FILE: cannot read /nowhere.yml: ENOENT');
  });
});
