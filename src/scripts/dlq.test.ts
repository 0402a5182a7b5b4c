// The command as a process: what it refuses, what it puts back, and how it ends.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dlqStreamMarketDataKey, streamMarketDataKey } from '../contracts/index.ts';
import { freshRedis, type FreshRedis } from '../testing/servers.ts';

const SCRIPT = join(import.meta.dirname, 'dlq.ts');
const trade = {
  v: 1, type: 'trade', market_id: 'deribit', symbol: 'A', exchange_ts: 1_790_755_218_589_000, received_ts: 1_790_755_218_590_123,
  trade_id: '1', seq: 11, price: '1.5', amount: '1', side: 'buy',
};
let server: FreshRedis;
let redis: Redis;
const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-dlq-'));

beforeAll(async () => {
  server = await freshRedis({});
  redis = new Redis(server.url);
});
beforeEach(async () => {
  await redis.del(dlqStreamMarketDataKey, streamMarketDataKey);
});
afterAll(async () => {
  redis.disconnect();
  await server.drop();
  rmSync(folder, { recursive: true });
});

const environment = (over: Record<string, string> = {}): Record<string, string> => ({ PATH: process.env['PATH'] ?? '', REDIS_URL: server.url, ...over });

function dlq(args: string[], over: Record<string, string> = {}): { code: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8', env: environment(over) });
  return { code: status, out: stdout, error: stderr };
}

const bury = async (payload: unknown): Promise<string> => (await redis.xadd(dlqStreamMarketDataKey, '*', 'payload', JSON.stringify(payload))) ?? '';

describe('dlq', () => {
  it('does not put back what the distributor would refuse again', async () => {
    const id = await bury({ ...trade, seq_last: 10 });
    expect(dlq(['replay', id])).toMatchObject({ code: 1, out: expect.stringContaining('refused: seq_last: must be from seq') as string });
    expect([await redis.xlen(dlqStreamMarketDataKey), await redis.xlen(streamMarketDataKey)]).toEqual([1, 0]);
  });

  it('does not put back bytes that are no text as something else, from the letter or from a file', async () => {
    const bytes = Buffer.from(JSON.stringify({ ...trade, symbol: 'A\xff' }), 'latin1');
    const id = (await redis.xadd(dlqStreamMarketDataKey, '*', 'error', 'e', 'payload', bytes)) ?? '';
    expect(dlq(['replay', id])).toMatchObject({ code: 1, out: expect.stringContaining('refused: not JSON: not UTF-8') as string });
    writeFileSync(join(folder, 'bytes.json'), bytes);
    expect(dlq(['replay', id, '--payload', join(folder, 'bytes.json')])).toMatchObject({ code: 1, out: expect.stringContaining('not UTF-8') as string });
    expect([await redis.xlen(dlqStreamMarketDataKey), await redis.xlen(streamMarketDataKey)]).toEqual([1, 0]);
  });

  it('puts back what was received to the byte', async () => {
    // U+FFFD itself is text, as is any script.
    const payload = JSON.stringify({ ...trade, symbol: '币安\ufffd' });
    const id = (await redis.xadd(dlqStreamMarketDataKey, '*', 'payload', payload)) ?? '';
    expect(dlq(['replay', id])).toMatchObject({ code: 0 });
    expect((await redis.xrange(streamMarketDataKey, '-', '+')).map(([, fields]) => fields)).toEqual([['payload', payload]]);
  });

  it('finds the payload where npm was called from', async () => {
    const id = await bury({ ...trade, seq_last: 10 });
    writeFileSync(join(folder, 'repaired.json'), JSON.stringify(trade));
    expect(dlq(['replay', id, '--payload', 'repaired.json'], { INIT_CWD: folder })).toMatchObject({ code: 0 });
    expect(await redis.xlen(streamMarketDataKey)).toBe(1);
    const missing = dlq(['replay', await bury(trade), '--payload', 'none.json'], { INIT_CWD: folder });
    expect(missing).toMatchObject({ code: 2, error: `dlq: --payload: cannot read ${join(folder, 'none.json')}\n` });
  });

  it('ends quietly when the reader goes away', async () => {
    for (let i = 0; i < 5_000; i++) void redis.xadd(dlqStreamMarketDataKey, '*', 'payload', 'x', 'error', 'e'.repeat(90));
    await redis.ping();
    const command = `"${process.execPath}" "${SCRIPT}" list --limit 5000 | head -1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8', env: environment() });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(stderr).toBe('');
  });

  it.each([
    [['list', 'extra'], '"extra"'], [['list', '--all'], '--all'], [['show', '1-1', '--limit', '3'], '--limit'],
    [['discard', '1-1', '--payload', 'x'], '--payload'], [['list', '--limit', '0'], '--limit'], [['lst'], '"lst"'], [['list', '--bogus'], '--bogus'],
  ])('refuses %j', (args, named) => {
    expect(dlq(args)).toMatchObject({ code: 2, error: expect.stringContaining(named) as string });
  });
});
