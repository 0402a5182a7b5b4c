// (g) the receiver's rate with the raw capture on beside off, in turn. The exchange is a socket that is always ahead: its
// frames are made before, so that the receiver is what limits.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { WebSocketServer } from 'ws';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { median, medianInterval } from './measure.ts';
import { cpuSeconds, metricsOf, openStage, type Service, type Stage } from './stage.ts';

export interface CaptureResult {
  /** Pairs of stretches, and the frames of each. */
  stretches: number;
  framesEach: number;
  offPerSecond: number;
  onPerSecond: number;
  /** Median of the pairs' ratios, and where it lies with 95 % certainty. */
  onToOff: number;
  onToOffWithin: readonly [from: number, to: number];
  /** CPU of the receiver's main thread, which is what limits its rate where a core is free for the capture's worker. */
  threadMicrosPerFrame: { off: number; on: number };
  /** What that limit is with the capture on, beside off: median of the pairs' ratios. Holds on a busy machine, too. */
  threadOffToOn: number;
  threadOffToOnWithin: readonly [from: number, to: number];
  /** CPU of the whole process, its worker included. */
  cpuMicrosPerFrame: { off: number; on: number };
  sentFrames: number;
  capturedFrames: number;
  bytesPerFrame: number;
}

export interface Flood {
  url: string;
  /** Sends frames to the one connection, as fast as it is read. */
  send(bytes: Buffer): Promise<void>;
  close(): void;
}

/** One receiver with its own exchange and Redis. */
interface Side {
  readonly stage: Stage;
  readonly flood: Flood;
  readonly redis: Redis;
  readonly receiver: Service;
  readonly folder: string;
  /** Frames that it was sent. */
  sent: number;
}

interface Stretch {
  perSecond: number;
  cpuMicros: number;
  threadMicros: number;
}

const FIRST_ID = 5_000_000_000;
const SLICE = 256 * 1024;
/** Half a second of the receiver. */
const STRETCH_FRAMES = 60_000;
const SETTLE_MS = 300;
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
export const threadSeconds = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e9;

/** Opens a receiver, and lets it get warm. */
async function openSide(captures: boolean, warm: Buffer): Promise<Side> {
  const [stage, flood] = await Promise.all([openStage(), openFlood()]);
  const folder = mkdtempSync(join(stage.folder, 'capture-'));
  const receiver = await stage.service('receiver', {
    MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CHANNELS: 'trade', BINANCE_SPOT_WS_URL: `ws://${flood.url}`,
    BINANCE_SPOT_REST_URL: `http://${flood.url}`, CAPTURE_DIR: captures ? folder : '',
    // On a busy machine Redis may be the slower one: what is dropped would never be published.
    RECEIVER_BUFFER_MESSAGES: String(WARM_FRAMES + STRETCH_FRAMES),
  });
  const side: Side = { stage, flood, folder, receiver, redis: new Redis(stage.redisUrl), sent: 0 };
  await stretch(side, warm, WARM_FRAMES);
  return side;
}

async function stretch(side: Side, bytes: Buffer, frames: number): Promise<Stretch> {
  const { redis, flood, receiver: { pid } } = side;
  await redis.xtrim(streamMarketDataKey, 'MAXLEN', 0);
  const from = performance.now();
  const [cpuBefore, threadBefore] = [cpuSeconds(pid), threadSeconds(pid)];
  await flood.send(bytes);
  side.sent += frames;
  while ((await redis.xlen(streamMarketDataKey)) < frames) {
    if (performance.now() - from > PATIENCE_MS) throw new Error(`fewer than ${frames} trades were published in ${PATIENCE_MS / 1000} s`);
    await sleep(2);
  }
  const perFrame = (seconds: number): number => (seconds * 1e6) / frames;
  return {
    perSecond: (frames / (performance.now() - from)) * 1000,
    cpuMicros: perFrame(cpuSeconds(pid) - cpuBefore), threadMicros: perFrame(threadSeconds(pid) - threadBefore),
  };
}

async function closeSide({ stage, flood, redis }: Side): Promise<void> {
  redis.disconnect();
  flood.close();
  await stage.close();
}

/**
 * Two receivers, one that captures and one that does not, are driven in turn, stretch by stretch, each stretch beside the next: what else
 * runs on the machine meets both. `rounds` pairs of receivers, `frames` frames each.
 */
export async function benchCapture(frames: number, rounds: number): Promise<CaptureResult> {
  const warm = framesOf(0, WARM_FRAMES);
  const stretches = Array.from({ length: Math.ceil(frames / STRETCH_FRAMES) }, (_stretch, n) => framesOf(WARM_FRAMES + n * STRETCH_FRAMES, STRETCH_FRAMES));
  const pairs: { on: Stretch; off: Stretch }[] = [];
  let [captured, bytes, sent] = [0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    const [off, on] = [await openSide(false, warm), await openSide(true, warm)];
    try {
      for (const [n, each] of stretches.entries()) {
        const run = async (side: Side): Promise<Stretch> => {
          // What the worker of the other one still packs is no work of this one.
          await sleep(SETTLE_MS);
          return stretch(side, each, STRETCH_FRAMES);
        };
        const first = await run(n % 2 === 0 ? off : on);
        const second = await run(n % 2 === 0 ? on : off);
        pairs.push(n % 2 === 0 ? { off: first, on: second } : { on: first, off: second });
      }
      // What the last second held is on disk then.
      await sleep(1_500);
      captured += (await metricsOf(on.receiver)).sum('receiver_captured_frames_total');
      sent += on.sent;
      await on.receiver.stop();
      bytes += readdirSync(on.folder).reduce((sum, name) => sum + statSync(join(on.folder, name)).size, 0);
    } finally {
      await Promise.all([closeSide(off), closeSide(on)]);
    }
  }
  const rates = pairs.map(({ on, off }) => on.perSecond / off.perSecond);
  const threads = pairs.map(({ on, off }) => off.threadMicros / on.threadMicros);
  const of = (which: 'on' | 'off', figure: keyof Stretch): number => median(pairs.map((pair) => pair[which][figure]));
  return {
    stretches: pairs.length,
    framesEach: STRETCH_FRAMES,
    offPerSecond: of('off', 'perSecond'),
    onPerSecond: of('on', 'perSecond'),
    onToOff: median(rates),
    onToOffWithin: medianInterval(rates),
    threadMicrosPerFrame: { off: of('off', 'threadMicros'), on: of('on', 'threadMicros') },
    threadOffToOn: median(threads),
    threadOffToOnWithin: medianInterval(threads),
    cpuMicrosPerFrame: { off: of('off', 'cpuMicros'), on: of('on', 'cpuMicros') },
    sentFrames: sent,
    capturedFrames: captured,
    bytesPerFrame: bytes / sent,
  };
}
