// The command as a process: trades that came by the stream, that were healed, that are on their way, and that nobody has.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Redis } from 'ioredis';
import { dlqStreamMarketDataKey, runsKey, streamMarketDataKey } from '../contracts/index.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../testing/servers.ts';
import type { Lineage } from './trace/lineage.ts';

let database: FreshDatabase;
let server: FreshRedis;
let pool: Pool;
let redis: Redis;
/** When everything was received, ms since the epoch. */
const AT = Math.floor(Date.now() / 1000) * 1000 - 60_000;

const message = (seq: number, more: Record<string, unknown> = {}): string => JSON.stringify({
  type: 'trade', v: 1, market_id: 'deribit', symbol: 'BTC-PERPETUAL', exchange_ts: (AT - 12) * 1000 - 345, received_ts: AT * 1000, trade_id: `id-${seq}`, seq,
  price: '50000.5', amount: '10', side: 'buy', ...more,
});
const entry = (offset: number, payload: string): Promise<string | null> => redis.xadd(streamMarketDataKey, `${AT + offset}-0`, 'payload', payload);
const stored = async (seq: number, seqLast: number | null = null): Promise<void> => {
  await pool.query(
    `INSERT INTO public_trades (instrument_id, seq, seq_last, ts, received_at, side, trade_id, price, amount)
     VALUES (1, $1, $2, to_timestamp($3::numeric / 1000000), to_timestamp($4::numeric / 1000), 'buy', $5, 50000.5, 10)`,
    [seq, seqLast, (AT - 12) * 1000 - 345, AT, `id-${seq}`]);
};

beforeAll(async () => {
  [database, server] = await Promise.all([freshDatabase('trace', { migrated: true }), freshRedis({})]);
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  redis = new Redis(server.url);
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('deribit', 'BTC-PERPETUAL', 'deribit', 'open'),
    ('deribit', 'ETH-PERPETUAL', 'deribit', 'open')`);
  await pool.query(`INSERT INTO trade_coverage (instrument_id, day, seqs, healed)
    VALUES (1, to_timestamp($1)::date, '{[1,10),[20,60)}', '{[4,5)}')`, [AT / 1000]);
  await pool.query(`INSERT INTO trade_extent VALUES (1, '{[1,10),[20,60)}')`);
  await pool.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, status, reason, detected_at, closed_at) VALUES
    (1, 4, 4, 'closed', 'receiver restart', to_timestamp($1), to_timestamp($1)), (1, 10, 19, 'open', 'sequence jump', to_timestamp($1), NULL)`, [AT / 1000]);
  for (const seq of [1, 2, 3, 4]) await stored(seq);
  await stored(20, 25);
  for (let n = 0; n < 20; n++) await entry(-5_000 + n, message(900 + n, { symbol: 'ETH-PERPETUAL', trade_id: 'id-2' }));
  await entry(1, message(1));
  await entry(3, message(2));
  await entry(4, message(2));
  await entry(5, message(20, { seq_last: 25 }));
  await entry(6, message(77));
  await redis.xgroup('CREATE', streamMarketDataKey, 'distributor', `${AT + 4}-0`);
  await redis.xgroup('CREATE', streamMarketDataKey, 'analyzer', `${AT + 1}-0`);
  await redis.xreadgroup('GROUP', 'analyzer', 'analyzer-1', 'COUNT', 1, 'STREAMS', streamMarketDataKey, '>');
});
afterAll(async () => {
  redis.disconnect();
  await pool.end();
  await Promise.all([database.drop(), server.drop()]);
});

async function run(args: string[], over: Record<string, string> = {}): Promise<{ code: number; out: string; error: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'trace.ts'), ...args], {
    env: { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url, REDIS_URL: server.url, ...over },
  });
  let [out, error] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  const code = await new Promise<number>((resolve) => child.once('close', (status) => resolve(status ?? -1)));
  return { code, out, error };
}

const BTC = ['--market', 'deribit', '--symbol', 'BTC-PERPETUAL'];
async function lineage(...args: string[]): Promise<Lineage & { code: number }> {
  const { code, out, error } = await run([...BTC, '--json', ...args]);
  expect(error).toBe('');
  return { ...(JSON.parse(out) as Lineage), code };
}

describe('trace', () => {
  it('shows the way of a trade that came by the stream, by its id and by its number', async () => {
    const { code, out } = await run([...BTC, '--trade-id', 'id-2']);
    expect(code).toBe(0);
    const iso = (ms: number): string => new Date(ms).toISOString().slice(0, -1);
    expect(out.split('\n')).toEqual([
      'deribit BTC-PERPETUAL trade id-2 (seq 2): buy 10 at 50000.5',
      `exchange   ${iso(AT - 13)}655Z`,
      `socket     ${iso(AT)}000Z  +12.345 ms after the exchange`,
      `stream     ${AT + 3}-0  +3.000 ms after the socket, and 1 more of it`,
      'delivered  analyzer: in the hands of analyzer-1, delivered 1 times',
      'delivered  distributor: acknowledged (by whom, Redis forgets)',
      expect.stringMatching(/^committed {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}\+[\d.]+ s after the socket, transaction \d+, public_trades_/) as string,
      'healed     no',
      '',
    ]);
    const bySeq = await lineage('--seq', '2');
    expect(bySeq).toMatchObject({ code: 0, trade: { tradeId: 'id-2', exchangeTs: (AT - 12) * 1000 - 345 }, stream: { id: `${AT + 3}-0`, repeats: 1 } });
    expect(bySeq.committed_ts).toBeGreaterThan(AT * 1000);
  });

  it('finds an aggregate by any number of its run, and who has its entry in hand', async () => {
    expect(await lineage('--seq', '23')).toMatchObject({
      trade: { seq: 20, seqLast: 25 },
      stream: { id: `${AT + 5}-0`, deliveries: [{ group: 'analyzer', state: 'waiting' }, { group: 'distributor', state: 'waiting' }] },
    });
    await redis.xgroup('SETID', streamMarketDataKey, 'distributor', `${AT + 6}-0`);
    await redis.hset(runsKey(streamMarketDataKey, 'distributor'), `${AT + 5}-0`, `${AT + 6}-0 2 distributor-7`);
    expect((await lineage('--seq', '23')).stream.deliveries[1]).toMatchObject({ state: 'pending', consumer: 'distributor-7' });
  });

  it('says of a healed trade which gap it was missing in', async () => {
    expect(await lineage('--seq', '4')).toMatchObject({
      code: 0, healed: true, gaps: [{ reason: 'receiver restart', status: 'closed' }],
      stream: { id: null, why: 'fetched by REST: it never was in the stream' },
    });
    const { out } = await run([...BTC, '--seq', '4']);
    expect(out).toMatch(/^fetched {4}/m);
    expect(out).toMatch(/^healed {5}yes: it was missing and was fetched from the exchange's REST; gap 1 \(4\.\.4: receiver restart\), noticed .*, closed /m);
    expect((await lineage('--seq', '3')).stream.why).toMatch(/^not among the \d+ entries of its time$/);
  });

  it('says what is known of a trade that is not stored: its gap, its entry, its dead letter, a dropped day', async () => {
    const inGap = await run([...BTC, '--seq', '12']);
    expect(inGap.code).toBe(1);
    expect(inGap.out).toMatch(/^deribit BTC-PERPETUAL: no such trade is stored\n/);
    expect(inGap.out).toMatch(/^gap {8}2, 10\.\.19, open: sequence jump, noticed /m);
    expect(inGap.out).toMatch(/^stored are 1 to 59 of this instrument$/m);
    expect(await lineage('--seq', '77')).toMatchObject({ code: 1, trade: null, gaps: [], stream: { id: `${AT + 6}-0` } });
    await redis.xadd(dlqStreamMarketDataKey, '7-0', 'payload', message(78), 'error', 'price: no number');
    const rejected = await run([...BTC, '--trade-id', 'id-78']);
    expect([rejected.code, rejected.out]).toEqual([1, expect.stringContaining('rejected   dead letter 7-0: price: no number\n')]);
    expect((await run([...BTC, '--seq', '30'])).out).toMatch(/^was stored on \d{4}-\d\d-\d\d: the day's partition has been dropped since/m);
  });

  it('says when the stream was trimmed, and goes without a Redis that is away', async () => {
    // It begins a quarter of an hour ago at most, and nothing of it is gone.
    expect((await lineage('--seq', '999')).stream.why).toMatch(/^not among the \d+ entries of its time$/);
    await redis.xtrim(streamMarketDataKey, 'MINID', `${AT + 5}-0`);
    expect((await lineage('--seq', '2')).stream).toMatchObject({ id: null, why: `trimmed: the stream begins with ${AT + 5}-0` });
    const away = await run([...BTC, '--seq', '2'], { REDIS_URL: 'redis://127.0.0.1:1' });
    expect([away.code, away.out]).toEqual([0, expect.stringMatching(/^stream {5}Redis does not answer: /m) as string]);
  }, 30_000);

  it.each([
    [['--symbol', 'BTC-PERPETUAL', '--seq', '1'], '--market is missing'],
    [['--market', 'deribt', '--symbol', 'X', '--seq', '1'], '--market: "deribt" is not one of deribit, binance_spot, binance_usdm, did you mean deribit?'],
    [['--market', 'deribit', '--symbol', 'BTC-PERPETUL', '--seq', '1'],
      '--symbol: "BTC-PERPETUL" is not an instrument of deribit, did you mean BTC-PERPETUAL?'],
    [[...BTC], 'give one of --trade-id and --seq'],
    [[...BTC, '--seq', '1', '--trade-id', '1'], 'give one of --trade-id and --seq'],
    [[...BTC, '--seq', '-1'], 'Option \'--seq\''],
    [[...BTC, '--seq', '1.5'], '--seq: "1.5" is not a whole number'],
    [[...BTC, '--trade-id', 'a b'], '--trade-id: "a b" is no id of a trade'],
  ])('refuses %j with one line', async (args, line) => {
    const { code, out, error } = await run(args);
    expect([code, out, error.split('\n').length]).toEqual([2, '', 2]);
    expect(error).toContain(`trace: ${line}`);
  });
});
