import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import type { ControlEvent, FeedProtocol } from '../../exchanges/exchange.ts';
import { systemClock } from '../../runtime/clock.ts';
import { until } from '../../testing/receiver.ts';
import { ConnectBudget } from './connect_budget.ts';
import { ShardSet, type ShardSetOptions } from './shards.ts';

const clock = systemClock();
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A venue of our own: `{"op","wire","id"}` in, `{"id","ok"}` out, and numbered data while anything is on. */
interface Venue {
  url: string;
  sockets: Set<WebSocket>;
  opened: number;
  on: (socket: WebSocket) => Set<string>;
  refuse: Set<string>;
  mute: boolean;
}

async function venue(): Promise<Venue> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const wires = new Map<WebSocket, Set<string>>();
  const self: Venue = {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sockets: new Set(),
    opened: 0,
    refuse: new Set(),
    mute: false,
    on: (socket) => wires.get(socket) ?? new Set(),
  };
  let number = 0;
  const timer = setInterval(() => {
    number++;
    for (const socket of self.sockets) if (self.on(socket).size > 0) socket.send(`data ${number}`);
  }, 5);
  server.on('connection', (socket) => {
    self.opened++;
    self.sockets.add(socket);
    wires.set(socket, new Set());
    socket.on('close', () => self.sockets.delete(socket));
    socket.on('message', (data: Buffer) => {
      const { op, wire, id } = JSON.parse(data.toString()) as { op: string; wire: string[]; id: number };
      if (self.mute) return;
      const ok = wire.filter((name) => !self.refuse.has(name));
      for (const name of ok)
        if (op === 'subscribe') wires.get(socket)?.add(name);
        else wires.get(socket)?.delete(name);
      socket.send(JSON.stringify({ id, ok }));
    });
  });
  closers.push(() => {
    clearInterval(timer);
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return self;
}

const feed = (limits: Partial<FeedProtocol['limits']> = {}): FeedProtocol => ({
  limits: {
    maxWirePerSession: 3,
    maxWirePerRequest: 2,
    maxRequestBytes: 10_000,
    minSendIntervalMs: 1,
    maxSessionAgeMs: null,
    maxConnectsPer5Min: 100,
    maxSessions: 10,
    pingAfterMs: 5000,
    ...limits,
  },
  wireChannels: ({ channel, symbol }) => [`${channel}.${symbol}`],
  url: (base) => base,
  hello: () => [],
  subscribe: (wire, id) => JSON.stringify({ op: 'subscribe', wire, id }),
  unsubscribe: (wire, id) => JSON.stringify({ op: 'unsubscribe', wire, id }),
  list: () => null,
  control(frame): ControlEvent {
    const { id, ok } = JSON.parse(frame) as { id: number; ok: string[] };
    return { kind: 'accepted', requestId: id, wire: ok };
  },
});

interface Seen {
  shards: ShardSet;
  news: string[];
  flows: string[];
  numbers: number[];
  outcomes: string[];
}

function run(url: string, protocol: FeedProtocol, options: Partial<ShardSetOptions> = {}): Seen {
  const seen: Omit<Seen, 'shards'> = { news: [], flows: [], numbers: [], outcomes: [] };
  const shards = new ShardSet({
    baseUrl: url,
    feed: protocol,
    clock,
    random: () => 0.5,
    budget: new ConnectBudget(clock, 100),
    onFrames(frames, onControl, onFirst) {
      let data = 0;
      for (const { text } of frames) {
        if (text.startsWith('data ') && data === 0) onFirst();
        if (text.startsWith('data ')) data += seen.numbers.push(Number(text.slice(5)));
        else onControl(text);
      }
      return data;
    },
    onWire: (wire, outcome) => seen.outcomes.push(`${wire} ${outcome}`),
    onPlatform: () => undefined,
    onBadFrame: () => undefined,
    onConnecting: () => undefined,
    onTrouble: () => undefined,
    onFlowing: (cause) => seen.flows.push(cause),
    onAllUp: (cause) => seen.news.push(`up ${cause}`),
    onSomeDown: (reason) => seen.news.push(`down ${reason}`),
    ...options,
  });
  closers.push(() => shards.close());
  return { shards, ...seen };
}

const everyWire = (v: Venue): string[] => [...v.sockets].flatMap((socket) => [...v.on(socket)]).sort();

it('spreads channels over connections, and what is on follows what is wanted', async () => {
  const v = await venue();
  const { shards, news } = run(v.url, feed());
  shards.retarget(new Set(['a', 'b', 'c', 'd', 'e']));
  await until(() => news.includes('up start'));
  expect(everyWire(v)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(v.sockets.size).toBe(2);
  shards.retarget(new Set(['b', 'f']));
  await until(() => everyWire(v).join() === 'b,f');
  shards.retarget(new Set(['b', 'f', 'g', 'h', 'i', 'j', 'k']));
  await until(() => everyWire(v).join() === 'b,f,g,h,i,j,k');
  await until(() => v.sockets.size === 3);
  shards.retarget(new Set());
  await until(() => v.sockets.size === 0);
  expect(news.filter((n) => n.startsWith('down'))).toEqual([]);
});

it('leaves a session before its age is cut, without missing a message', async () => {
  const v = await venue();
  const { shards, news, numbers } = run(v.url, feed({ maxSessionAgeMs: 300 }));
  shards.retarget(new Set(['a']));
  await until(() => v.opened === 3, 30_000);
  await until(() => news.filter((n) => n === 'up session age').length === 2);
  const got = new Set(numbers);
  const first = Math.min(...got);
  expect(numbers.length).toBeGreaterThan(got.size);
  expect(got.size).toBe(Math.max(...got) - first + 1);
  expect(news.every((n) => n.startsWith('up'))).toBe(true);
});

it('keeps the old connection when the new one cannot be had', async () => {
  const v = await venue();
  let allowed = 1;
  const { shards, news } = run(v.url, feed(), {
    budget: {
      take: () => (allowed-- > 0 ? Promise.resolve() : Promise.reject(new Error('no more'))),
    } as unknown as ConnectBudget,
  });
  shards.retarget(new Set(['a']));
  await until(() => news.length === 1);
  shards.shardOf('a')?.replace('test');
  await until(() => allowed < -1);
  expect(v.sockets.size).toBe(1);
  expect(news).toEqual(['up start']);
  allowed = 1;
  await until(() => news.at(-1) === 'up test');
});

it('connects once for several drops at the same time, and subscribes everything again', async () => {
  const v = await venue();
  const { shards, news } = run(v.url, feed());
  shards.retarget(new Set(['a', 'b', 'c']));
  await until(() => news.length === 1);
  const [socket] = v.sockets;
  shards.shardOf('a')?.replace('test');
  socket?.terminate();
  await until(() => news.filter((n) => n.startsWith('up')).length === 2);
  await until(() => v.sockets.size === 1);
  expect(v.opened).toBe(2);
  expect(everyWire(v)).toEqual(['a', 'b', 'c']);
});

it('is not up before everything wanted is acknowledged or given up', async () => {
  const v = await venue();
  v.refuse.add('b');
  const { shards, news, outcomes } = run(v.url, feed());
  shards.retarget(new Set(['a', 'b']));
  await until(() => outcomes.includes('a on'));
  expect(news).toEqual([]);
  await until(() => outcomes.includes('b refused'));
  await until(() => news.length === 1);
  v.refuse.clear();
  await until(() => outcomes.includes('b on'));
});

it('flows with the first data, acknowledged or not, and is down again when that connection ends', async () => {
  const v = await venue();
  v.refuse.add('b');
  const { shards, news, flows } = run(v.url, feed());
  shards.retarget(new Set(['a', 'b']));
  await until(() => flows.length === 1);
  expect(news).toEqual([]);
  for (const socket of v.sockets) socket.terminate();
  await until(() => news.length === 1);
  expect(news[0]).toMatch(/^down /);
  await until(() => flows.length === 2);
  expect(shards.allUp()).toBe(false);
});

it('flows again when the connection that was missing does, not while only the others do', async () => {
  const v = await venue();
  const { shards, news, flows } = run(v.url, feed({ maxWirePerSession: 2 }));
  shards.retarget(new Set(['a', 'b', 'c']));
  await until(() => news.includes('up start'));
  const told = flows.length;
  for (const wire of ['a', 'b']) v.refuse.add(wire);
  const [first] = [...v.sockets].filter((socket) => v.on(socket).has('a'));
  first?.terminate();
  await until(() => news.some((n) => n.startsWith('down')));
  await until(() => v.opened > 2);
  expect(flows).toHaveLength(told);
  v.refuse.delete('a');
  await until(() => flows.length === told + 1);
  expect(shards.allUp()).toBe(false);
});

it('gives up a session whose requests are not answered', async () => {
  const v = await venue();
  v.mute = true;
  const fast = { nowMicros: () => clock.nowMicros(), monotonicMs: () => clock.monotonicMs() * 50 };
  const troubles: string[] = [];
  const { shards, news } = run(v.url, feed({ pingAfterMs: 1e9 }), {
    clock: fast,
    onTrouble: (_shard, reason) => troubles.push(reason),
  });
  shards.retarget(new Set(['a']));
  await until(() => troubles.length > 0);
  expect(troubles[0]).toContain('not answered');
  v.mute = false;
  await until(() => news.includes('up reconnect') || news.includes('up start'));
});

it('opens no more connections in five minutes than allowed', async () => {
  let nowMs = 0;
  const budget = new ConnectBudget({ nowMicros: () => 0, monotonicMs: () => nowMs }, 2);
  const stop = new AbortController();
  await budget.take(stop.signal);
  await budget.take(stop.signal);
  let third = false;
  const waiting = budget.take(stop.signal).then(
    () => (third = true),
    () => undefined,
  );
  await new Promise((resolve) => setImmediate(resolve));
  expect(third).toBe(false);
  stop.abort();
  await waiting;
  expect(third).toBe(false);
  nowMs = 300_000;
  await budget.take(new AbortController().signal);
});
