// (f) the analyzer: messages per second from bytes to findings beside JSON.parse of the same bytes, from the stream by the service, the
// time from the socket to the published event, and the memory of a symbol. What it finds is detection.ts'.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { StreamEntry } from '../../bus/entry_parser.ts';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { Analysis } from '../../core/analysis/analysis.ts';
import { DEFAULT_RULES } from '../../core/analysis/rules.ts';
import { parsePlain } from '../../core/json.ts';
import { EntryReader } from '../../services/analyzer/reader.ts';
import { MARKET, SYMBOLS, calm, fill, nowMicros, payloads, symbolOf, ticker, trade } from './analyzer_load.ts';
import { detect, type Detection } from './detection.ts';
import { median, paired, rate } from './measure.ts';
import { metricsOf, openStage, quantile, type Service, type Stage } from './stage.ts';

export interface AnalyzerResult {
  purePerSecond: number;
  parsePerSecond: number;
  /** Of JSON.parse's time. */
  timesParse: number;
  streamPerSecond: number;
  latencyP50Ms: number;
  latencyP99Ms: number;
  events: number;
  bytesPerSymbol: number;
  detection: Detection;
}

const PURE_MESSAGES = 100_000;
const PER_SECOND = 1_000;
const WARM_UP_S = 40;
const TICK_MS = 10;
const PAIRS = 10;
const PLANTED = 200;
const SEED = 7;

export async function benchAnalyzer(rows: number, rounds: number, seconds: number): Promise<AnalyzerResult> {
  const pure = benchPure(rounds);
  const bytesPerSymbol = symbolBytes();
  const detection = detect(PAIRS, PLANTED, SEED);
  const stage = await openStage();
  try {
    const streams: number[] = [];
    for (let round = 0; round < Math.min(rounds, 3); round++) streams.push(await streamRound(stage, rows));
    return { ...pure, bytesPerSymbol, detection, streamPerSecond: median(streams), ...(await latency(stage, seconds)) };
  } finally {
    await stage.close();
  }
}

/** For the terminal: speed, then what was found. */
export function analyzerTables(r: AnalyzerResult): { result: unknown; rows: Record<string, string | number>[] }[] {
  const { detection: d } = r;
  const kinds = Object.entries(d.byKind).map(([kind, { planted, found }]) => [kind, `${found}/${planted}`]);
  return [
    {
      result: r,
      rows: [{
        'pure/s (≥ 60,000)': rate(r.purePerSecond), 'JSON.parse/s': rate(r.parsePerSecond), 'of its time': r.timesParse.toFixed(2),
        'stream/s (≥ 20,000)': rate(r.streamPerSecond), 'socket → event p50 ms': r.latencyP50Ms.toFixed(1), 'p99 ms (≤ 50)': r.latencyP99Ms.toFixed(1),
        events: r.events, 'bytes/symbol': rate(r.bytesPerSymbol),
      }],
    },
    {
      result: d,
      rows: [{
        planted: d.planted, found: d.found, 'recall (≥ 0.95)': d.recall.toFixed(3), 'quiet symbol-hours': d.quietSymbolHours.toFixed(0),
        'false events': d.falseEvents, 'per symbol-hour (≤ 1)': d.falsePerSymbolHour.toFixed(3),
      }],
    },
    { result: d.byKind, rows: [Object.fromEntries(kinds) as Record<string, string>] },
  ];
}

function newReader(): EntryReader {
  return new EntryReader(new Analysis({ rules: DEFAULT_RULES, instrument: () => undefined, found: () => undefined }));
}

function benchPure(rounds: number): Pick<AnalyzerResult, 'purePerSecond' | 'parsePerSecond' | 'timesParse'> {
  const entries = payloads(PURE_MESSAGES, 20_000, nowMicros()).map((payload, n) => StreamEntry.of(`${n}-0`, payload));
  const [parse, ours] = paired([
    {
      name: 'JSON.parse',
      run() {
        for (const entry of entries) parsePlain(entry.payload ?? '');
        return entries.length;
      },
    },
    {
      name: 'analyzer',
      run() {
        const reader = newReader();
        for (const entry of entries) reader.read(entry);
        return entries.length;
      },
    },
  ], rounds);
  return { purePerSecond: ours!.perSecond, parsePerSecond: parse!.perSecond, timesParse: ours!.timesFirst };
}

/** Heap per symbol of a state in which every part is used. */
function symbolBytes(): number {
  const count = 4_000;
  const reader = newReader();
  const ts = nowMicros();
  const feed = (from: number): void => {
    for (let n = 0; n < count; n++) {
      reader.read(StreamEntry.of('1-0', trade(from + n, n, ts, 60_000)));
      reader.read(StreamEntry.of('1-0', ticker(from + n, ts, 60_000)));
    }
  };
  feed(0);
  globalThis.gc?.();
  const before = process.memoryUsage();
  feed(count);
  globalThis.gc?.();
  const after = process.memoryUsage();
  return (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / count;
}

const taken = async (analyzer: Service): Promise<number> => (await metricsOf(analyzer)).sum('analyzer_messages_total');

/** Fills the stream, then starts the service; counts from its first acknowledged entries to its last. */
async function streamRound(stage: Stage, rows: number): Promise<number> {
  const redis = new Redis(stage.redisUrl);
  await redis.flushall();
  await fill(redis, payloads(rows, 20_000, nowMicros()));
  redis.disconnect();
  const analyzer = await stage.service('analyzer', { MARKETS: MARKET });
  try {
    for (let first: { at: number; count: number } | null = null; ;) {
      const count = await taken(analyzer);
      const at = performance.now();
      if (first === null && count > 0) first = { at, count };
      if (first !== null && count >= rows) {
        if (count === first.count) throw new Error(`analyzer: ${rows} rows are too few to measure with`);
        return (count - first.count) / ((at - first.at) / 1000);
      }
      await sleep(50);
    }
  } finally {
    await analyzer.stop();
  }
}

/** A thousand messages a second, ten of which are price spikes, each of another symbol. */
async function latency(stage: Stage, seconds: number): Promise<Pick<AnalyzerResult, 'latencyP50Ms' | 'latencyP99Ms' | 'events'>> {
  const redis = new Redis(stage.redisUrl);
  await redis.flushall();
  await fill(redis, payloads(WARM_UP_S * PER_SECOND, PER_SECOND, nowMicros()));
  const analyzer = await stage.service('analyzer', { MARKETS: MARKET });
  try {
    while ((await taken(analyzer)) < WARM_UP_S * PER_SECOND) await sleep(50);
    const before = await metricsOf(analyzer);
    const began = performance.now();
    for (let n = 0; n < seconds * PER_SECOND;) {
      const due = Math.min(seconds * PER_SECOND, Math.floor(((performance.now() - began) / 1000) * PER_SECOND));
      const batch = redis.pipeline();
      for (; n < due; n++) {
        const isSpike = n % (PER_SECOND / 10) === 0;
        const message = isSpike ? trade((n / 100) % SYMBOLS, n, nowMicros(), 61_000) : trade(symbolOf(n), n, nowMicros(), calm(n));
        batch.xadd(streamMarketDataKey, '*', 'payload', message);
      }
      await batch.exec();
      await sleep(TICK_MS);
    }
    await sleep(1_000);
    const after = await metricsOf(analyzer);
    const at = (q: number): number => quantile(before, after, 'analyzer_event_latency_seconds', q) * 1000;
    return { latencyP50Ms: at(0.5), latencyP99Ms: at(0.99), events: after.sum('analyzer_events_total') - before.sum('analyzer_events_total') };
  } finally {
    redis.disconnect();
    await analyzer.stop();
  }
}
