// The command as a process: what it shows, follows and refuses.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { emitEvent } from '../bus/events.ts';
import { streamSystemEventsKey, type SystemEvent } from '../contracts/index.ts';
import { freshRedis, type FreshRedis } from '../testing/servers.ts';

const SCRIPT = join(import.meta.dirname, 'events.ts');
const TS = 1_790_755_218_589_000;
let server: FreshRedis;
let redis: Redis;

beforeAll(async () => {
  server = await freshRedis({});
  redis = new Redis(server.url);
});
beforeEach(() => redis.del(streamSystemEventsKey));
afterAll(async () => {
  redis.disconnect();
  await server.drop();
});

const env = (): Record<string, string> => ({ PATH: process.env['PATH'] ?? '', REDIS_URL: server.url });
function events(...args: string[]): { code: number | null; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8', env: env() });
  return { code: status, out: stdout, error: stderr };
}
const emit = (id: string, more: Partial<SystemEvent> = {}): Promise<void> =>
  emitEvent(redis, {
    event_id: id, type: 'market.price_spike', severity: 'warning', market_id: 'binance_spot', symbol: 'BTCUSDT', ts: TS, data: { return_bp: 78.5 }, ...more,
  });
const idsOf = (text: string): string[] => text.trim().split('\n').filter(Boolean).map((line) => (JSON.parse(line) as SystemEvent).event_id);

describe('events', () => {
  it('shows the last ones, oldest first, by type, severity, market and symbol', async () => {
    await emit('a');
    await emit('b', { type: 'feed.gap', severity: 'error', symbol: 'ETHUSDT' });
    await redis.xadd(streamSystemEventsKey, '*', 'payload', 'no event');
    await emit('c', { type: 'market.stale_feed', severity: 'error', market_id: 'deribit' });
    expect(idsOf(events('--json', '--limit', '2').out)).toEqual(['b', 'c']);
    expect(idsOf(events('--json', '--type', 'price_spike,feed').out)).toEqual(['a', 'b']);
    expect(idsOf(events('--json', '--severity', 'error', '--market', 'binance_spot').out)).toEqual(['b']);
    expect(events('--type', 'price_spike').out).toMatch(/^2026-09-30 .* warning {3}market\.price_spike +binance_spot BTCUSDT +\{"return_bp":78\.5\}\n$/);
  });

  it('follows what comes, from where it began', async () => {
    await emit('old');
    const args = ['--follow', '--json', '--severity', 'warning', '--limit', '1'];
    const child = spawn(process.execPath, [SCRIPT, ...args], { env: env(), stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const next = async (): Promise<string> => (JSON.parse((await lines.next()).value as string) as SystemEvent).event_id;
    expect(await next()).toBe('old');
    await emit('quiet', { severity: 'info' });
    await emit('new', { severity: 'critical' });
    expect(await next()).toBe('new');
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('refuses what it does not know in one line', () => {
    expect(events('--type', 'price_spkie')).toEqual({ code: 2, out: '', error: 'events: --type: "price_spkie" is no event type, did you mean price_spike?\n' });
    expect(events('--severity', 'bad')).toMatchObject({ code: 2, error: 'events: --severity: "bad" is not one of info, warning, error, critical\n' });
    expect(events('--market', 'x').error).toContain('--market: unknown market "x"; known: deribit');
    expect(events('--nope').code).toBe(2);
    expect(events('--help')).toMatchObject({ code: 0, out: expect.stringMatching(/^usage: npm run events/) as string });
  });
});
