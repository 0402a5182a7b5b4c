// The notifier as a whole, in this process, against a Redis of its own and real HTTP servers.
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { emitEvent } from '../../bus/events.ts';
import { streamSystemEventsKey, type SystemEvent } from '../../contracts/index.ts';
import type { LocalRedis } from '../../scripts/local/redis.ts';
import { runInProcess, type RunningReceiver } from '../../testing/receiver.ts';
import { ownRedis } from '../../testing/servers.ts';
import { start } from './main.ts';

const patience = { timeout: 30_000, interval: 20 };
const TS = Math.floor(Date.now() / 1000) * 1_000_000;

interface Request {
  path: string;
  body: Record<string, unknown>;
}

let server: LocalRedis;
let redis: Redis;
let running: RunningReceiver[] = [];
let hooks: Server;
let base: string;
let requests: Request[] = [];
/** What the hook answers next; then 200. */
let answers: number[] = [];
let numbers = 0;

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  requests.push({ path: request.url ?? '', body: JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown> });
  response.writeHead(answers.shift() ?? 200, { 'retry-after': '0' }).end('ok');
}

beforeEach(async () => {
  server = await ownRedis();
  redis = new Redis(server.url);
  hooks = createServer((request, response) => void handle(request, response));
  hooks.listen(0, '127.0.0.1');
  await once(hooks, 'listening');
  base = `http://127.0.0.1:${(hooks.address() as { port: number }).port}`;
  [requests, answers] = [[], []];
});
afterEach(async () => {
  await Promise.all(running.map((one) => one.stop()));
  running = [];
  redis.disconnect();
  hooks.closeAllConnections();
  hooks.close();
  await server.remove();
});

async function notify(env: Record<string, string>): Promise<RunningReceiver> {
  const one = await runInProcess('notifier', start, {
    REDIS_URL: server.url, METRICS_PORT: '0', INSTANCE_ID: String(++numbers), NOTIFY_PER_MINUTE: '6000', ...env,
  });
  running.push(one);
  await vi.waitFor(async () => expect((await redis.xinfo('GROUPS', streamSystemEventsKey)) as unknown[]).not.toEqual([]), patience);
  return one;
}

const emit = async (more: Partial<SystemEvent> = {}): Promise<void> => emitEvent(redis, {
  event_id: `e${++numbers}`, type: 'market.price_spike', severity: 'warning', market_id: 'binance_spot', symbol: `S${numbers}`, ts: TS + numbers,
  data: { return_bp: 78.5 }, ...more,
});
const texts = (name: string): string => requests.map(({ body }) => String(body[name])).join('\n');
const eventIds = (): string[] => requests.flatMap(({ body }) => (body['events'] as SystemEvent[]).map((event) => event.event_id));
const settled = (group: string): Promise<void> => vi.waitFor(async () => {
  const groups = (await redis.xinfo('GROUPS', streamSystemEventsKey)) as unknown[][];
  const last = await redis.xrevrange(streamSystemEventsKey, '+', '-', 'COUNT', 1);
  const facts = groups.find((each) => each[1] === group) ?? [];
  expect([facts[facts.indexOf('last-delivered-id') + 1], facts[facts.indexOf('pending') + 1]]).toEqual([last[0]?.[0], 0]);
}, patience);

describe('the notifier', () => {
  it('tells each place in its own words, with addresses from files, and what strangers sent as text', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'tapekeeper-test-notify-')), 'slack');
    writeFileSync(file, `${base}/slack\n`);
    await notify({
      NOTIFY_WEBHOOK_URL: `${base}/hook`, NOTIFY_SLACK_URL_FILE: file, NOTIFY_DISCORD_URL: `${base}/discord`, NOTIFY_TELEGRAM_URL: base,
      NOTIFY_TELEGRAM_TOKEN: '1:secret', NOTIFY_TELEGRAM_CHAT: '-100',
    });
    await vi.waitFor(async () => expect((await redis.xinfo('GROUPS', streamSystemEventsKey)) as unknown[]).toHaveLength(4), patience);
    await emit({ symbol: '<!here>*x*', event_id: 'only' });
    await vi.waitFor(() => expect(requests.map(({ path }) => path).sort()).toEqual(['/bot1:secret/sendMessage', '/discord', '/hook', '/slack']), patience);
    const of = (path: string): Record<string, unknown> => requests.find((request) => request.path.endsWith(path))?.body ?? {};
    expect(of('/hook')).toMatchObject({ source: 'tapekeeper', events: [{ event_id: 'only', type: 'market.price_spike' }], left_out: {} });
    expect(of('/slack')['text']).toMatch(/^\[warning\] market\.price_spike binance_spot &lt;!here&gt;\*x\* at .* UTC: return_bp 78\.5$/);
    expect(of('/discord')).toMatchObject({ content: expect.stringContaining('<!here\\>\\*x\\*') as string, allowed_mentions: { parse: [] } });
    expect(of('sendMessage')).toMatchObject({ chat_id: '-100', text: expect.stringContaining('<!here>*x*') as string });
  });

  it('tells what is wanted, each kind once in a while, and how many were left out', async () => {
    const notifier = await notify({ NOTIFY_SLACK_URL: `${base}/slack`, NOTIFY_TYPES: 'market', NOTIFY_REPEAT_S: '60' });
    await emit({ symbol: 'A' });
    await emit({ symbol: 'A', ts: TS + 1_000_000 });
    await emit({ symbol: 'A', ts: TS + 2_000_000 });
    await emit({ symbol: 'B', severity: 'info' });
    await emit({ type: 'feed.gap', severity: 'error' });
    await emit({ symbol: 'A', ts: TS + 61_000_000 });
    await settled('notifier-slack');
    await vi.waitFor(() => expect(texts('text')).toContain('2 more of this kind'), patience);
    const what = texts('text').split('\n').map((line) => /\w+\.\w+ \w+ \w+/.exec(line)?.[0]);
    expect(what).toEqual(['market.price_spike binance_spot A', 'market.price_spike binance_spot A']);
    expect(await notifier.metric('notifier_left_out_events_total')).toBe(2);
  });

  it('tells how many of a kind were left out with the next one of that kind, whatever else is told before', async () => {
    await notify({ NOTIFY_SLACK_URL: `${base}/slack`, NOTIFY_REPEAT_S: '60' });
    await emit({ symbol: 'A' });
    await emit({ symbol: 'A', ts: TS + 1_000_000 });
    await emit({ symbol: 'A', ts: TS + 2_000_000 });
    await vi.waitFor(() => expect(texts('text')).toContain('A'), patience);
    await emit({ symbol: 'B' });
    await vi.waitFor(() => expect(texts('text')).toContain('spot B'), patience);
    await emit({ symbol: 'A', ts: TS + 61_000_000 });
    await vi.waitFor(() => expect(requests.at(-1)?.body['text']).toMatch(/spot A .*2 more of this kind/), patience);
  });

  it('keeps events while the other side is down, also over a restart, and tells each once', async () => {
    answers = [500, 429, 404];
    const first = await notify({ NOTIFY_WEBHOOK_URL: `${base}/hook` });
    await emit({ event_id: 'a' });
    await vi.waitFor(() => expect(first.health.ready).toBe(false), patience);
    await emit({ event_id: 'b' });
    await first.stop();
    requests = [];
    answers = [];
    await emit({ event_id: 'c' });
    await notify({ NOTIFY_WEBHOOK_URL: `${base}/hook` });
    await vi.waitFor(() => expect(eventIds()).toEqual(['a', 'b', 'c']), patience);
    await settled('notifier-webhook');
    // The same event once more, as a repeated publication would bring it.
    await emit({ event_id: 'c', symbol: 'other' });
    await emit({ event_id: 'd' });
    await vi.waitFor(() => expect(eventIds()).toEqual(['a', 'b', 'c', 'd']), patience);
  });

  it('tells many together where there is a limit, and goes on after what the other side refuses', async () => {
    answers = [400];
    const notifier = await notify({ NOTIFY_WEBHOOK_URL: `${base}/hook`, NOTIFY_PER_MINUTE: '60' });
    await emit({ event_id: 'refused' });
    await vi.waitFor(async () => expect(await notifier.metric('notifier_refused_messages_total')).toBe(1), patience);
    requests = [];
    for (let n = 0; n < 120; n++) await emit();
    await vi.waitFor(() => expect(eventIds()).toHaveLength(120), patience);
    expect(new Set(eventIds()).size).toBe(120);
    expect(requests.length).toBeLessThan(12);
  });

  it('has a target that is down hold up no other', async () => {
    await notify({ NOTIFY_WEBHOOK_URL: `${base}/hook`, NOTIFY_SLACK_URL: 'http://127.0.0.1:1/nobody' });
    await vi.waitFor(async () => expect((await redis.xinfo('GROUPS', streamSystemEventsKey)) as unknown[]).toHaveLength(2), patience);
    await emit({ event_id: 'a' });
    await vi.waitFor(() => expect(eventIds()).toEqual(['a']), patience);
    await settled('notifier-webhook');
  });
});
