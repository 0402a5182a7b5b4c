// (g) the receiver's rate with the raw capture on beside off, in turn within each round. The exchange is a socket that is always ahead: its
// frames are made before, so that the receiver is what limits.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { WebSocketServer } from 'ws';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { median } from './measure.ts';
import { cpuSeconds, metricsOf, openStage, type Stage } from './stage.ts';

export interface CaptureResult {
  frames: number;
  offPerSecond: number;
  onPerSecond: number;
  /** Median of the rounds' ratios. */
  onToOff: number;
  /** CPU of the receiver's main thread, which is what limits its rate where a core is free for the capture's worker. */
  threadMicrosPerFrame: { off: number; on: number };
  /** What that limit is with the capture on, beside off: median of the rounds' ratios. Holds on a busy machine, too. */
  threadOffToOn: number;
  /** CPU of the whole process, its worker included. */
  cpuMicrosPerFrame: { off: number; on: number };
  capturedFrames: number;
  bytesPerFrame: number;
}

export interface Flood {
  url: string;
  /** Sends frames to the one connection, as fast as it is read. */
  send(bytes: Buffer): Promise<void>;
  close(): void;
}

interface Load {
  warm: Buffer;
  timed: Buffer;
  frames: number;
}

interface Run {
  perSecond: number;
  cpuMicros: number;
  threadMicros: number;
  captured: number;
  bytes: number;
}

const FIRST_ID = 5_000_000_000;
const SLICE = 256 * 1024;
const PATIENCE_MS = 120_000;
/** Not timed: compilation. */
export const WARM_FRAMES = 50_000;

/** Trades `first` … of one symbol as the socket's bytes: unmasked text frames. */
export function framesOf(first: number, frames: number): Buffer {
  const parts = Array.from({ length: frames }, (_frame, n) => {
    const i = first + n;
    const ms = 1_790_000_000_000 + Math.floor(i / 20);
    const text = `{"stream":"btcusdt@trade","data":{"e":"trade","E":${ms},"s":"BTCUSDT","t":${FIRST_ID + i}` +
      `,"p":"${86_000 + (i % 997)}.${10 + (i % 89)}000000","q":"0.${String(1000 + (i % 8999))}0000","T":${ms},"m":${i % 3 === 0},"M":true}}`;
    return Buffer.concat([Buffer.from([0x81, 126, text.length >> 8, text.length & 255]), Buffer.from(text)]);
  });
  return Buffer.concat(parts);
}

/** An exchange that acknowledges what it is asked, and then floods. */
export async function openFlood(): Promise<Flood> {
  const server = createServer((_request, response) => response.end('[]'));
  const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  let current: Duplex | null = null;
  server.on('upgrade', (request, socket, head) => {
    accept.handleUpgrade(request, socket, head, (ws) => {
      current = socket;
      const wanted = new Set<string>();
      ws.on('error', () => ws.terminate());
      ws.on('message', (data) => {
        const { id, method, params = [] } = JSON.parse((data as Buffer).toString()) as { id: number; method: string; params?: string[] };
        for (const name of params) wanted.add(name);
        ws.send(JSON.stringify({ result: method === 'LIST_SUBSCRIPTIONS' ? [...wanted] : null, id }));
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async send(bytes) {
      for (let at = 0; at < bytes.length && current !== null; at += SLICE) {
        if (!current.write(bytes.subarray(at, at + SLICE))) await once(current, 'drain');
      }
    },
    close: () => {
      current?.destroy();
      server.close();
    },
  };
}

/** CPU seconds of a process's main thread. */
export function threadSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function runOnce(stage: Stage, flood: Flood, redis: Redis, { warm, timed, frames }: Load, captures: boolean): Promise<Run> {
  await redis.flushall();
  const folder = mkdtempSync(join(stage.folder, 'capture-'));
  const receiver = await stage.service('receiver', {
    MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CHANNELS: 'trade', BINANCE_SPOT_WS_URL: `ws://${flood.url}`,
    BINANCE_SPOT_REST_URL: `http://${flood.url}`, CAPTURE_DIR: captures ? folder : '',
    // On a busy machine Redis may be the slower one: what is dropped would never be published.
    RECEIVER_BUFFER_MESSAGES: String(WARM_FRAMES + frames),
  });
  const published = async (count: number): Promise<number> => {
    const until = performance.now() + PATIENCE_MS;
    while ((await redis.xlen(streamMarketDataKey)) - before < count) {
      if (performance.now() > until) throw new Error(`fewer than ${count} trades were published in ${PATIENCE_MS / 1000} s`);
      await sleep(5);
    }
    return performance.now();
  };
  const before = await redis.xlen(streamMarketDataKey);
  await flood.send(warm);
  await published(WARM_FRAMES);
  const from = performance.now();
  const [cpuBefore, threadBefore] = [cpuSeconds(receiver.pid), threadSeconds(receiver.pid)];
  await flood.send(timed);
  const ms = (await published(WARM_FRAMES + frames)) - from;
  const perFrame = (seconds: number): number => (seconds * 1e6) / frames;
  const [cpuMicros, threadMicros] = [perFrame(cpuSeconds(receiver.pid) - cpuBefore), perFrame(threadSeconds(receiver.pid) - threadBefore)];
  // What the last second held is on disk then.
  await sleep(captures ? 1_500 : 0);
  const captured = captures ? (await metricsOf(receiver)).sum('receiver_captured_frames_total') : 0;
  await receiver.stop();
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  rmSync(folder, { recursive: true });
  return { perSecond: (frames / ms) * 1000, cpuMicros, threadMicros, captured, bytes };
}

/** Measures `rounds` pairs of runs over `frames` frames each, on and off changing places; one more pair before warms the machine. */
export async function benchCapture(frames: number, rounds: number): Promise<CaptureResult> {
  const stage = await openStage();
  const flood = await openFlood();
  const load = { warm: framesOf(0, WARM_FRAMES), timed: framesOf(WARM_FRAMES, frames), frames };
  const redis = new Redis(stage.redisUrl);
  try {
    const pairs: { on: Run; off: Run }[] = [];
    for (let round = 0; round <= rounds; round++) {
      const first = await runOnce(stage, flood, redis, load, round % 2 === 0);
      const second = await runOnce(stage, flood, redis, load, round % 2 === 1);
      if (round > 0) pairs.push(round % 2 === 0 ? { on: first, off: second } : { on: second, off: first });
    }
    const of = (which: 'on' | 'off', figure: keyof Run): number => median(pairs.map((pair) => pair[which][figure]));
    return {
      frames,
      offPerSecond: of('off', 'perSecond'),
      onPerSecond: of('on', 'perSecond'),
      onToOff: median(pairs.map(({ on, off }) => on.perSecond / off.perSecond)),
      threadMicrosPerFrame: { off: of('off', 'threadMicros'), on: of('on', 'threadMicros') },
      threadOffToOn: median(pairs.map(({ on, off }) => off.threadMicros / on.threadMicros)),
      cpuMicrosPerFrame: { off: of('off', 'cpuMicros'), on: of('on', 'cpuMicros') },
      capturedFrames: of('on', 'captured'),
      bytesPerFrame: of('on', 'bytes') / (frames + WARM_FRAMES),
    };
  } finally {
    redis.disconnect();
    flood.close();
    await stage.close();
  }
}
