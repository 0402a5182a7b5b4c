// Raw frames to measure with: recordings (one JSON a line: t, kind, url?, data), files of one frame a line, or the simulator's.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { MARKETS } from '../../exchanges/registry.ts';
import type { MessageSink } from '../../exchanges/exchange.ts';
import { systemClock } from '../../runtime/clock.ts';
import { startSimulator } from '../../simulator/server.ts';

export interface FrameSet {
  marketId: string;
  kind: 'trade' | 'ticker' | 'ohlc';
  frames: string[];
}

/** Enough that no candidate profits from one frame's branch pattern. */
export const MIN_FRAMES = 20;

/** The frames of a file or folder, sorted by market and kind; only those that hold market data we collect. */
export function framesFrom(path: string): FrameSet[] {
  const files = statSync(path).isDirectory() ? readdirSync(path).filter((n) => n.endsWith('.jsonl')).map((n) => join(path, n)) : [path];
  return sortFrames(files.flatMap((file) => framesOfFile(file)));
}

interface RawFrame {
  marketId: string;
  text: string;
}

function framesOfFile(file: string): RawFrame[] {
  let url = '';
  const frames: RawFrame[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.trim() === '') continue;
    const entry = JSON.parse(line) as { kind?: string; url?: string; data?: string; raw?: string; market?: string; message?: unknown };
    if (entry.kind === 'connect') url = entry.url ?? '';
    const text = entry.kind === 'recv' ? entry.data : entry.raw ?? (entry.kind === undefined ? line : undefined);
    if (text !== undefined) frames.push({ marketId: marketOfFrame(text, entry.market ?? url), text });
  }
  return frames;
}

/** Which market a frame is of: by where it came from, else by its dialect. */
function marketOfFrame(text: string, from: string): string {
  const hint = from.replaceAll('-', '_');
  for (const [id, market] of Object.entries(MARKETS)) {
    if (hint === id || (from !== '' && from.startsWith(market.wsUrl))) return id;
  }
  const ids = Object.keys(MARKETS);
  const jsonRpc = text.includes('"jsonrpc"');
  return ids.find((id) => MARKETS[id]!.wsUrl.includes('/api/v2') === jsonRpc) ?? ids[0]!;
}

function sortFrames(frames: readonly RawFrame[]): FrameSet[] {
  const sets = new Map<string, FrameSet>();
  const normalisers = new Map(Object.values(MARKETS).map((market) => [market.marketId, market.normaliser()]));
  const received = systemClock().nowMicros();
  for (const { marketId, text } of frames) {
    const kinds = new Set<FrameSet['kind']>();
    const sink: MessageSink = { trade: () => kinds.add('trade'), ticker: () => kinds.add('ticker'), ohlc: () => kinds.add('ohlc') };
    if (normalisers.get(marketId)?.normalise(text, received, sink) !== 'data') continue;
    for (const kind of kinds) {
      const key = `${marketId} ${kind}`;
      if (!sets.has(key)) sets.set(key, { marketId, kind, frames: [] });
      sets.get(key)!.frames.push(text);
    }
  }
  return [...sets.values()].filter((set) => set.frames.length >= MIN_FRAMES).sort((a, b) => `${a.marketId} ${a.kind}`.localeCompare(`${b.marketId} ${b.kind}`));
}

/** Subscribes to everything of a running simulator for `seconds` and returns what it sent. */
export async function framesFromSimulator(seconds: number, seed: number): Promise<FrameSet[]> {
  const simulator = await startSimulator({ port: 0, seed, rate: 2000, clock: systemClock() });
  try {
    const frames = await Promise.all(Object.values(MARKETS).map((market) => record(market.marketId, simulator.url, seconds)));
    return sortFrames(frames.flat());
  } finally {
    await simulator.close();
  }
}

async function record(marketId: string, simulatorUrl: string, seconds: number): Promise<RawFrame[]> {
  const market = MARKETS[marketId]!;
  const path = new URL(market.wsUrl).pathname.replace(/\/$/, '');
  const base = `${simulatorUrl.replace('http', 'ws')}/${marketId}${path}`;
  const wire = market.defaultSymbols.flatMap((symbol) =>
    (['trade', 'ticker', 'ohlc'] as const).flatMap((channel) => market.feed.wireChannels({ channel, symbol }, ['1m'])));
  const byUrl = Map.groupBy(wire, (channel) => market.feed.url(base, channel));
  const frames: RawFrame[] = [];
  const sockets = [...byUrl].map(([url, channels]) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on('open', () => socket.send(market.feed.subscribe(channels, 1)));
    socket.on('message', (data) => frames.push({ marketId, text: (data as Buffer).toString() }));
    socket.on('error', () => undefined);
    return socket;
  });
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  for (const socket of sockets) socket.terminate();
  return frames;
}
