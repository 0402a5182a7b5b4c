// (b) messages per second into Redis through the publisher, beside raw pipelined XADD of the same payloads on one connection:
// redis-benchmark -P 500, and a bare socket that writes prepared commands 500 at a time and waits for their replies.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { MAX_BATCH } from '../../services/receiver/outbox.ts';
import { pino } from 'pino';
import { connectRedis } from '../../bus/connect.ts';
import { Publisher } from '../../bus/publish.ts';
import { feedSeqKey, streamMarketDataKey } from '../../contracts/index.ts';
import { median } from './measure.ts';
import { openStage } from './stage.ts';
import { BENCH_MARKET, makeTrades, type BenchTrade } from './trades.ts';

export interface PublishResult {
  messages: number;
  oursPerSecond: number;
  redisBenchmarkPerSecond: number | null;
  rawSocketPerSecond: number;
  ofRedisBenchmark: number | null;
  ofRawSocket: number;
}

const BATCH = 500;
/** Under load the receiver's outbox fills its batches. */
const OWN_BATCH = MAX_BATCH;

export async function benchPublish(messages: number, rounds: number): Promise<PublishResult> {
  const stage = await openStage();
  try {
    const trades = makeTrades(messages, 50);
    const admin = new Redis(stage.redisUrl);
    const clear = (): Promise<unknown> => admin.del(streamMarketDataKey);
    const results: { ours: number; bench: number | null; raw: number }[] = [];
    for (let round = 0; round < rounds + 1; round++) {
      const order = [
        async (r: { ours: number }) => void (r.ours = await ours(stage.redisUrl, trades)),
        (r: { bench: number | null }) => void (r.bench = redisBenchmark(stage.redisUrl, trades)),
        async (r: { raw: number }) => void (r.raw = await rawSocket(stage.redisUrl, trades)),
      ];
      if (round % 2 === 1) order.reverse();
      const result = { ours: 0, bench: null as number | null, raw: 0 };
      for (const run of order) {
        await clear();
        await run(result);
      }
      if (round > 0) results.push(result); // the first one warms up
    }
    await admin.quit();
    const benches = results.map((r) => r.bench).filter((b) => b !== null);
    return {
      messages,
      oursPerSecond: median(results.map((r) => r.ours)),
      redisBenchmarkPerSecond: benches.length === 0 ? null : median(benches),
      rawSocketPerSecond: median(results.map((r) => r.raw)),
      ofRedisBenchmark: benches.length === 0 ? null : median(results.map((r) => r.ours / r.bench!)),
      ofRawSocket: median(results.map((r) => r.ours / r.raw)),
    };
  } finally {
    await stage.close();
  }
}

async function ours(url: string, trades: readonly BenchTrade[]): Promise<number> {
  const redis = connectRedis(url, { name: 'bench', log: pino({ level: 'silent' }) });
  const writer = `${BENCH_MARKET}:bench:${process.hrtime.bigint()}`;
  const publisher = new Publisher(redis, {
    streamKey: streamMarketDataKey,
    seqKey: feedSeqKey('bench'),
    writer,
    random: Math.random,
  });
  await redis.ping();
  const from = performance.now();
  const done: Promise<void>[] = [];
  for (let i = 0; i < trades.length; i += OWN_BATCH) {
    const batch = trades.slice(i, i + OWN_BATCH);
    done.push(
      publisher.publish({
        payloads: batch.map((t) => t.payload),
        lastSeqs: new Map(batch.map((t) => [t.symbol, t.seq])),
      }),
    );
  }
  await Promise.all(done);
  const perSecond = trades.length / ((performance.now() - from) / 1000);
  publisher.close();
  redis.disconnect();
  return perSecond;
}

/** redis-benchmark sends one payload again and again; the one of median length stands for all. null when it is not installed. */
function redisBenchmark(url: string, trades: readonly BenchTrade[]): number | null {
  const payload = [...trades.slice(0, 1001)].sort((a, b) => a.payload.length - b.payload.length)[500]!.payload;
  const args = [
    '-p',
    new URL(url).port,
    '-c',
    '1',
    '-P',
    String(BATCH),
    '-n',
    String(trades.length),
    '--csv',
    'XADD',
    streamMarketDataKey,
    '*',
    'payload',
    payload,
  ];
  const result = spawnSync('redis-benchmark', args, { encoding: 'utf8' });
  if (result.error !== undefined) return null;
  // The command, payload and all, is the first CSV field of the last line; its rate follows.
  const figure = /","(\d+(?:\.\d+)?)"/.exec(result.stdout.trim().split('\n').at(-1) ?? '')?.[1];
  return figure === undefined ? null : Number(figure);
}

async function rawSocket(url: string, trades: readonly BenchTrade[]): Promise<number> {
  const batches: Buffer[] = [];
  for (let i = 0; i < trades.length; i += BATCH)
    batches.push(
      Buffer.from(
        trades
          .slice(i, i + BATCH)
          .map((t) => command(t.payload))
          .join(''),
      ),
    );
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  const from = performance.now();
  for (const [i, batch] of batches.entries()) {
    const expected = Math.min(BATCH, trades.length - i * BATCH);
    socket.write(batch);
    await replies(socket, expected);
  }
  const perSecond = trades.length / ((performance.now() - from) / 1000);
  socket.destroy();
  return perSecond;
}

function command(payload: string): string {
  const parts = ['XADD', streamMarketDataKey, '*', 'payload', payload];
  return `*${parts.length}\r\n${parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}

/** Each XADD is answered by a bulk string: `$n`, then the id. Two line ends a reply. */
function replies(socket: ReturnType<typeof connect>, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let ends = 0;
    const onData = (chunk: Buffer): void => {
      if (chunk[0] === 0x2d) return reject(new Error(chunk.toString('utf8', 0, 200)));
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) ends++;
      if (ends < count * 2) return;
      socket.off('data', onData);
      resolve();
    };
    socket.on('data', onData);
  });
}
