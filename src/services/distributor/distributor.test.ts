// The distributor process as a whole, in this process, against a PostgreSQL and a Redis of its own.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runInProcess, type RunningReceiver } from '../../testing/receiver.ts';
import { freshDatabase, freshRedis, ownPostgres, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';
import { start } from './main.ts';

const STREAM = 'stream:market_data';
const DLQ = `dlq:${STREAM}`;
const TS = Math.floor(Date.now() / 1000) * 1_000_000;
const patience = { timeout: 30_000, interval: 20 };

let database: FreshDatabase;
let server: FreshRedis;
let redis: Redis;
let client: pg.Client;
let running: RunningReceiver[] = [];

const trade = (seq: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  v: 1,
  type: 'trade',
  market_id: 'deribit',
  symbol: 'BTC-PERPETUAL',
  exchange_ts: TS + seq,
  received_ts: TS + seq,
  trade_id: `t${seq}`,
  seq,
  price: '84319.0',
  amount: '580.0',
  side: 'sell',
  ...more,
});

async function add(...payloads: (string | object)[]): Promise<string[]> {
  const ids: string[] = [];
  for (const payload of payloads) {
    ids.push(
      (await redis.xadd(STREAM, '*', 'payload', typeof payload === 'string' ? payload : JSON.stringify(payload))) ?? '',
    );
  }
  return ids;
}

async function distribute(instance: string, more: Record<string, string> = {}): Promise<RunningReceiver> {
  const env = {
    DATABASE_URL: database.url,
    REDIS_URL: server.url,
    INSTANCE_ID: instance,
    METRICS_PORT: '0',
    CLAIM_IDLE_MS: '300',
    MARKETS: 'deribit',
    ...more,
  };
  const one = await runInProcess('distributor', start, env);
  running.push(one);
  return one;
}

const seqs = async (): Promise<number[]> =>
  (await client.query<{ seq: string }>('SELECT seq FROM public_trades ORDER BY seq')).rows.map((row) =>
    Number(row.seq),
  );
const letters = async (): Promise<Record<string, string>[]> =>
  (await redis.xrange(DLQ, '-', '+')).map(([, fields]) =>
    Object.fromEntries(Array.from({ length: fields.length / 2 }, (_f, i) => [fields[2 * i]!, fields[2 * i + 1]!])),
  );
const pending = async (): Promise<number> => ((await redis.xpending(STREAM, 'distributor')) as [number])[0];
const drained = (): Promise<void> =>
  vi.waitFor(async () => {
    const groups = (await redis.xinfo('GROUPS', STREAM)) as unknown[][];
    const facts = groups[0]!;
    const last = (await redis.xrevrange(STREAM, '+', '-', 'COUNT', 1))[0]?.[0];
    expect([facts[facts.indexOf('last-delivered-id') + 1], await pending()]).toEqual([last, 0]);
  }, patience);

beforeEach(async () => {
  [database, server] = await Promise.all([freshDatabase('distributor', { migrated: true }), freshRedis()]);
  redis = new Redis(server.url);
  client = new pg.Client(database.url);
  client.on('error', () => undefined);
  await client.connect();
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  redis.disconnect();
  await client.end().catch(() => undefined);
  await Promise.all([database.drop(), server.drop()]);
});

describe('poison', () => {
  const poison: [string, string, RegExp][] = [
    ['not JSON', '{"v":1,', /./],
    ['a wrong type', JSON.stringify(trade(100, { price: 84319 })), /^price: .*84319/],
    ['NaN', JSON.stringify(trade(101, { price: 'NaN' })), /^price: .*"NaN"/],
    ['1e400', JSON.stringify(trade(102)).replace('"seq":102', '"seq":1e400'), /^seq: /],
    ['a missing field', JSON.stringify(trade(103, { trade_id: undefined })), /^trade_id: .*nothing/],
    ['a 10 kB symbol', JSON.stringify(trade(104, { symbol: 'X'.repeat(10_240) })), /^symbol: /],
    ['a NUL byte', JSON.stringify(trade(105, { symbol: 'BTC\0' })), /^symbol: /],
    ['another type', JSON.stringify({ ...trade(106), type: 'book' }), /^type: .*"book"/],
    ['time in milliseconds', JSON.stringify(trade(107, { exchange_ts: TS / 1000 })), /^exchange_ts: /],
  ];

  it('goes to the dead letters with payload, error and source; its neighbours are stored', async () => {
    const ids: string[] = [];
    for (const [i, [, payload]] of poison.entries()) {
      await add(trade(i));
      ids.push(...(await add(payload)));
    }
    await distribute('1');
    await drained();
    expect(await seqs()).toEqual(poison.map((_p, i) => i));
    const found = await letters();
    expect(found.map((letter) => letter['source_id']).sort()).toEqual([...ids].sort());
    for (const [i, [name, payload, error]] of poison.entries()) {
      const letter = found.find((l) => l['source_id'] === ids[i])!;
      expect(letter['payload'], name).toBe(payload);
      expect(letter['error'], name).toMatch(error);
      expect(letter).toMatchObject({ group: 'distributor', consumer: 'distributor-1', deliveries: '1' });
    }
  });

  it('that is no UTF-8 is no other name: nothing is stored under it', async () => {
    const broken = (message: object): Buffer => {
      const [head, tail] = JSON.stringify(message).split('~~');
      return Buffer.concat([Buffer.from(head!), Buffer.from([0xff, 0xfe]), Buffer.from(tail!)]);
    };
    const payloads = [
      broken(trade(1, { symbol: 'BTC~~PERPETUAL' })), broken({ ...trade(2, { symbol: 'BTC~~PERPETUAL' }), type: 'ticker' }), Buffer.from([0xff]),
    ];
    for (const payload of payloads) await redis.xadd(STREAM, '*', 'payload', payload);
    // U+FFFD itself is text.
    await add(trade(3, { symbol: 'BTC\ufffdPERPETUAL' }), trade(4, { symbol: '币安人生USDT' }));
    await distribute('1');
    await drained();
    expect(await seqs()).toEqual([3, 4]);
    const found = await letters();
    expect(found.map((letter) => letter['error_class'])).toEqual(['not_json', 'not_json', 'not_json']);
    for (const letter of found) expect(letter['error']).toMatch(/^not JSON: not UTF-8: /);
    const kept = (await redis.xrangeBuffer(DLQ, '-', '+')).map(([, fields]) => fields[fields.findIndex((f) => f.toString() === 'payload') + 1]);
    expect(kept).toEqual(payloads);
  });

  it('is replayed once repaired, and refused while it is not', async () => {
    const env = { ...process.env, REDIS_URL: server.url, DATABASE_URL: database.url, MARKETS: 'deribit' };
    const dlq = (...args: string[]): { code: number; text: string } => {
      try {
        return {
          code: 0,
          text: execFileSync(process.execPath, [join(import.meta.dirname, '../../scripts/dlq.ts'), ...args], {
            env,
            encoding: 'utf8',
            stdio: 'pipe',
          }),
        };
      } catch (error) {
        const failed = error as { status: number; stdout: string; stderr: string };
        return { code: failed.status, text: failed.stdout + failed.stderr };
      }
    };
    await add('garbage', trade(1, { price: 'x' }));
    await distribute('1');
    await vi.waitFor(async () => expect(await letters()).toHaveLength(2), patience);
    const ids = (await redis.xrange(DLQ, '-', '+')).map(([id]) => id);
    expect(dlq('list').text).toContain('2 of 2 dead letters');
    expect(dlq('show', ids[1]!).text).toContain('price');
    expect(dlq('replay', ids[1]!)).toMatchObject({
      code: 1,
      text: expect.stringContaining('refused: price') as string,
    });
    const { writeFileSync, mkdtempSync } = await import('node:fs');
    const file = join(mkdtempSync('/tmp/dlq-'), 'repaired.json');
    writeFileSync(file, JSON.stringify(trade(1)));
    expect(dlq('replay', ids[1]!, '--payload', file)).toMatchObject({ code: 0 });
    await vi.waitFor(async () => expect(await seqs()).toEqual([1]), patience);
    expect(dlq('discard', '--all').text).toContain('1 discarded');
    expect(await redis.xlen(DLQ)).toBe(0);
    expect(dlq('show', '1-1')).toMatchObject({ code: 1 });
    expect(dlq('show', 'nonsense')).toMatchObject({ code: 2 });
  });
});

describe('exactly once', () => {
  it('stores a redelivered stream once and counts the rest as duplicates', async () => {
    const all = Array.from({ length: 500 }, (_t, i) => trade(i));
    await add(...all, ...all.slice(100, 200));
    const one = await distribute('1');
    await drained();
    await one.stop();
    await redis.xgroup('SETID', STREAM, 'distributor', '0');
    const again = await distribute('1');
    await drained();
    expect(await seqs()).toEqual(all.map((_t, i) => i));
    expect(await again.metric('distributor_duplicates_total')).toBe(600);
    expect(await letters()).toEqual([]);
    const { rows } = await client.query<{ seqs: string }>('SELECT seqs::text FROM trade_coverage');
    expect(rows).toEqual([{ seqs: '{[0,500)}' }]);
  });

  it('keeps the first of two trades that contradict each other; the second is a dead letter', async () => {
    const [, second] = await add(trade(7), trade(7, { price: '1.0' }));
    await distribute('1');
    await drained();
    expect((await client.query('SELECT price::text FROM public_trades')).rows).toEqual([{ price: '84319.0' }]);
    expect(await letters()).toMatchObject([{ error_class: 'conflict', source_id: second }]);
  });

  it('takes over what a dead consumer had in hand', async () => {
    await add(...Array.from({ length: 50 }, (_t, i) => trade(i)));
    await redis.xgroup('CREATE', STREAM, 'distributor', '0');
    await redis.xreadgroup('GROUP', 'distributor', 'distributor-dead', 'COUNT', 30, 'STREAMS', STREAM, '>');
    const one = await distribute('1');
    await drained();
    expect(await seqs()).toHaveLength(50);
    expect(await one.metric('distributor_claimed_entries_total')).toBe(30);
  });

  it('shares the work among several without storing anything twice', async () => {
    await Promise.all([distribute('1'), distribute('2')]);
    await Promise.all(
      Array.from({ length: 20 }, (_b, b) => add(...Array.from({ length: 50 }, (_t, i) => trade(b * 50 + i)))),
    );
    await drained();
    expect(await seqs()).toEqual(Array.from({ length: 1000 }, (_t, i) => i));
    expect(await letters()).toEqual([]);
  });
});

describe('far behind', () => {
  const SYMBOLS = 20;
  const many = (from: number, to: number): Record<string, unknown>[] =>
    Array.from({ length: to - from }, (_t, i) => trade(from + i, { symbol: `BULK-${(from + i) % SYMBOLS}`, seq: Math.floor((from + i) / SYMBOLS) }));
  const fill = async (payloads: (string | object)[]): Promise<string[]> => {
    const batch = redis.pipeline();
    for (const payload of payloads) batch.xadd(STREAM, '*', 'payload', typeof payload === 'string' ? payload : JSON.stringify(payload));
    return ((await batch.exec()) ?? []).map(([, id]) => id as string);
  };
  const stored = async (): Promise<{ n: number; d: number }> =>
    (await client.query<{ n: number; d: number }>(
      'SELECT count(*)::int AS n, count(DISTINCT (instrument_id, seq))::int AS d FROM public_trades')).rows[0]!;

  it('finds the poison inside a run, and acknowledges its neighbours with it', async () => {
    const payloads: (string | object)[] = many(0, 6000);
    for (const at of [1500, 1501, 3999, 5000]) payloads.splice(at, 0, `{"v":1,"poison":${at}`);
    payloads.splice(4500, 0, trade(0, { symbol: 'BULK-0', seq: 0, price: '1.5' }));
    const ids = await fill(payloads);
    await distribute('1', { BATCH_MAX_ROWS: '2000' });
    await drained();
    expect(await stored()).toEqual({ n: 6000, d: 6000 });
    const found = (await letters()).map((letter) => `${letter['error_class']} ${letter['source_id']}`);
    const expected = [1500, 1501, 3999, 5001].map((at) => `not_json ${ids[at]}`);
    expect(found.sort()).toEqual([...expected, `conflict ${ids[4500]}`].sort());
    expect(await redis.exists(`runs:${STREAM}:distributor`)).toBe(0);
  });

  it('stores everything once when it is killed again and again in the middle', async () => {
    await fill([...many(0, 30_000), 'poison']);
    const env = {
      ...process.env, DATABASE_URL: database.url, REDIS_URL: server.url, INSTANCE_ID: '1', METRICS_PORT: '0', CLAIM_IDLE_MS: '2000',
      MARKETS: 'deribit', BATCH_MAX_ROWS: '3000', LOG_LEVEL: 'warn',
    };
    const start = join(import.meta.dirname, '../../scripts/start.ts');
    for (let kills = 0; kills < 3; kills++) {
      const before = (await stored()).n;
      const child = spawn(process.execPath, [start, 'distributor'], { env, stdio: 'ignore' });
      await vi.waitFor(async () => expect((await stored()).n).toBeGreaterThan(before), patience);
      const dead = once(child, 'exit');
      child.kill('SIGKILL');
      await dead;
    }
    expect((await stored()).n).toBeLessThan(30_000);
    // One with another name has to take over what the killed one had.
    await distribute('2', { CLAIM_IDLE_MS: '1000' });
    await drained();
    expect(await stored()).toEqual({ n: 30_000, d: 30_000 });
    expect(await letters()).toHaveLength(1);
    const { rows } = await client.query<{ n: string }>(
      'SELECT sum(upper(r) - lower(r))::text AS n FROM trade_coverage, unnest(seqs) AS r');
    expect(rows).toEqual([{ n: '30000' }]);
  });
});

it('stores an unknown instrument under a stub row and reports it once', async () => {
  await add(trade(1, { symbol: 'NEW-1' }), trade(2, { symbol: 'NEW-1' }));
  await distribute('1');
  await drained();
  expect((await client.query('SELECT market_id, symbol, status, kind FROM instruments')).rows).toEqual([
    { market_id: 'deribit', symbol: 'NEW-1', status: 'stub', kind: null },
  ]);
  const events = (await redis.xrange('stream:system_events', '-', '+')).map(
    ([, fields]) => JSON.parse(fields[1]!) as { type: string; symbol?: string },
  );
  expect(events.filter((event) => event.type === 'instrument.unknown').map((event) => event.symbol)).toEqual(['NEW-1']);
});

it('keeps rows of days without a partition, gaps as rows, and final candles over provisional ones', async () => {
  const candle = (more: object) => ({
    v: 1,
    type: 'ohlc',
    market_id: 'deribit',
    symbol: 'BTC-PERPETUAL',
    exchange_ts: TS,
    received_ts: TS,
    resolution: '1m',
    open_ts: TS,
    open: '1',
    high: '2',
    low: '0.5',
    close: '1.5',
    volume: '10',
    quote_volume: null,
    trade_count: null,
    closed: false,
    source: 'stream',
    ...more,
  });
  const gap = {
    v: 1,
    type: 'feed_status',
    market_id: 'deribit',
    symbol: 'BTC-PERPETUAL',
    exchange_ts: TS,
    received_ts: TS,
    status: 'gap',
    reason: 'killed',
    from_seq: 2,
    to_seq: 9,
  };
  await add(
    trade(1, { exchange_ts: 1_400_000_000_000_000 }),
    gap,
    gap,
    candle({ close: '1.7', closed: true }),
    candle({ close: '1.9', received_ts: TS + 5 }),
  );
  await distribute('1');
  await drained();
  expect((await client.query('SELECT seq FROM public_trades_default')).rows).toEqual([{ seq: '1' }]);
  expect((await client.query('SELECT from_seq, to_seq, status FROM data_gaps')).rows).toEqual([
    { from_seq: '2', to_seq: '9', status: 'open' },
  ]);
  expect((await client.query('SELECT close::text, is_final FROM ohlc')).rows).toEqual([
    { close: '1.7', is_final: true },
  ]);
});

it('keeps no gap of which everything is stored, in the same batch or before', async () => {
  const gap = (from: number, to: number): object => ({
    v: 1, type: 'feed_status', market_id: 'deribit', symbol: 'BTC-PERPETUAL', exchange_ts: TS, received_ts: TS, status: 'gap',
    reason: 'the receiver was not running', from_seq: from, to_seq: to,
  });
  await add(...[1, 2, 3, 4, 5, 6].map((seq) => trade(seq)), gap(2, 4), gap(5, 8));
  await distribute('1');
  await drained();
  await add(gap(1, 6));
  await drained();
  const { rows } = await client.query<{ f: number; t: number }>('SELECT from_seq::int AS f, to_seq::int AS t FROM data_gaps');
  expect(rows).toEqual([{ f: 5, t: 8 }]);
});

it.each(['fast', 'immediate'] as const)(
  'waits for a %s restart of PostgreSQL, loses nothing and calls nothing poison',
  async (mode) => {
    const postgres = await ownPostgres({ database: 'tapekeeper' });
    try {
      const { migrateUp } = await import('../../store/migrate.ts');
      await migrateUp(postgres.url);
      await distribute('1', { DATABASE_URL: postgres.url });
      const writing = (async () => {
        for (let b = 0; b < 40; b++) await add(...Array.from({ length: 25 }, (_t, i) => trade(b * 25 + i)));
      })();
      await postgres.restart(mode);
      await writing;
      await drained();
      const own = new pg.Client(postgres.url);
      await own.connect();
      expect(
        (await own.query('SELECT count(*)::int AS n, count(DISTINCT seq)::int AS d FROM public_trades')).rows,
      ).toEqual([{ n: 1000, d: 1000 }]);
      await own.end();
      expect(await letters()).toEqual([]);
    } finally {
      await Promise.all(running.map((one) => one.stop()));
      running = [];
      await postgres.remove();
    }
  },
);
