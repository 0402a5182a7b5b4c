// From XADD of a signal to the first byte of its order request on the wire: the intent is committed as SENDING in between. Signals come
// at a steady rate; the wire is a proxy that notes when each label passes. The simulator is another process: in this one its ticks would
// be a part of what is measured.
//
// The floor is measured at the same time, between the signals: two commits of one small row, one after the other, and one request over
// a connection that stands. A busy machine shows in both; a slow executor in one.
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, request as httpRequest } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { openStage, cpuSeconds } from './stage.ts';
import { MARKET, UNLIMITED, openExchange, openFleet, quantile, restingPrice, sendSignal, untilTaken } from './orders_stage.ts';

interface Spread {
  p50: number;
  p99: number;
}

export interface LatencyResult {
  signals: number;
  perSecond: number;
  /** ms, signal → wire. */
  wire: Spread;
  /** The part before the intent: Redis, the stream's reader, the gate. */
  gate: Spread;
  /** The part after it: one commit, and the request until its first bytes are out. */
  commit: Spread;
  /** Two commits and a request of the same seconds, ms. */
  floor: Spread;
  bareCommit: Spread;
  executorCpu: number;
  /** Signals whose request was never seen. */
  missing: number;
}

const PER_SECOND = 50;
const WARM_UP = 250;
/** Every so many signals one round of the floor, halfway to the next signal. */
const FLOOR_EVERY = 2;

/** Signals at 50 per second (or `asked`) for `seconds`. */
export async function benchLatency(asked: number | undefined, seconds: number): Promise<LatencyResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  const db = new pg.Client(stage.databaseUrl);
  const floor = await openFloor(stage.databaseUrl);
  try {
    const { url } = await openExchange(stage, UNLIMITED);
    const wire = await openWire(Number(new URL(url).port));
    const env = await openFleet(stage, url, redis);
    const executor = await stage.service('executor', { ...env, DERIBIT_REST_URL: `http://127.0.0.1:${wire.port}/${MARKET}/api/v2` });
    await db.connect();
    await floor.prepare();
    const price = await restingPrice(redis);
    const perSecond = asked ?? PER_SECOND;
    const send = (id: string): Promise<unknown> => sendSignal(redis, id, price, { time_in_force: 'immediate_or_cancel' });
    await untilTaken(redis, price, () => wire.seen.size > 0);
    await atRate(WARM_UP, perSecond, (n) => send(`warm-${n}`));
    const signals = Math.max(1, perSecond * seconds);
    const [from, cpu] = [performance.now(), cpuSeconds(executor.pid)];
    const sentAt = new Map<string, number>();
    await atRate(signals, perSecond, (n) => {
      sentAt.set(`bench-${n}`, nowMs());
      if (n % FLOOR_EVERY === 0) setTimeout(() => void floor.round(), 500 / perSecond);
      return send(`bench-${n}`);
    });
    const executorCpu = (cpuSeconds(executor.pid) - cpu) / ((performance.now() - from) / 1000);
    await sleep(2_000);
    const { rows } = await db.query<{ label: string; signal_id: string; intent: string }>(
      `SELECT label, signal_id, extract(epoch FROM created_at) * 1000 AS intent FROM orders WHERE signal_id LIKE 'bench-%'`);
    const seen = rows.flatMap((row) => {
      const at = wire.seen.get(row.label);
      return at === undefined ? [] : [{ from: sentAt.get(row.signal_id)!, intent: Number(row.intent), at }];
    });
    return {
      signals, perSecond, missing: signals - seen.length, executorCpu, ...floor.result(),
      wire: spread(seen.map((s) => s.at - s.from)), gate: spread(seen.map((s) => s.intent - s.from)), commit: spread(seen.map((s) => s.at - s.intent)),
    };
  } finally {
    await floor.close();
    await db.end().catch(() => undefined);
    redis.disconnect();
    await stage.close();
  }
}

const nowMs = (): number => performance.timeOrigin + performance.now();
const spread = (values: readonly number[]): Spread => ({ p50: quantile(values, 0.5), p99: quantile(values, 0.99) });

/** Calls `work` for 0 … count − 1, spread evenly. */
async function atRate(count: number, perSecond: number, work: (n: number) => Promise<unknown>): Promise<void> {
  const from = performance.now();
  for (let n = 0; n < count; n++) {
    const waitMs = from + (n * 1000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    await work(n);
  }
}

/** A proxy before the exchange that notes when the label of an order request first passed, ms since the epoch. */
async function openWire(to: number): Promise<{ port: number; seen: Map<string, number> }> {
  const seen = new Map<string, number>();
  const server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1');
    for (const socket of [client, upstream]) socket.setNoDelay(true).on('error', () => socket.destroy());
    client.on('data', (chunk: Buffer) => {
      const at = nowMs();
      upstream.write(chunk);
      for (const [, label = ''] of chunk.toString('latin1').matchAll(/"label":"([^"]+)"/g)) if (!seen.has(label)) seen.set(label, at);
    });
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return { port: (server.address() as AddressInfo).port, seen };
}

interface Floor {
  prepare(): Promise<void>;
  round(): Promise<void>;
  result(): { floor: Spread; bareCommit: Spread };
  close(): Promise<void>;
}

async function openFloor(databaseUrl: string): Promise<Floor> {
  const db = new pg.Client(databaseUrl);
  const agent = new Agent({ keepAlive: true });
  const server = createHttpServer((_request, response) => response.end('{}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [commits, rounds]: [number[], number[]] = [[], []];
  let busy = false;
  const post = (): Promise<void> => new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port, method: 'POST', agent }, (response) => response.resume().once('end', () => resolve()));
    sent.once('error', reject).end('{}');
  });
  const commit = async (): Promise<void> => {
    const from = performance.now();
    await db.query({ name: 'floor', text: 'INSERT INTO bench_commits VALUES ($1)', values: [rounds.length] });
    commits.push(performance.now() - from);
  };
  return {
    async prepare() {
      await db.connect();
      await db.query('CREATE TABLE bench_commits (n int)');
    },
    async round() {
      if (busy) return;
      busy = true;
      const from = performance.now();
      await commit();
      await commit();
      await post();
      rounds.push(performance.now() - from);
      busy = false;
    },
    result: () => ({ floor: spread(rounds), bareCommit: spread(commits) }),
    async close() {
      agent.destroy();
      server.close();
      await db.end().catch(() => undefined);
    },
  };
}
