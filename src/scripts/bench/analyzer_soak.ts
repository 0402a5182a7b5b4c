// The analyzer's memory over a long run: 500 instruments, each of two markets of one unified symbol, with what makes it work: moves that
// are events, messages that set a symbol aside, and a stream that is trimmed behind it as maintenance does.
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { migrateUp } from '../../store/migrate.ts';
import { freePort } from '../local/child.ts';
import { SYMBOLS, fill, nowMicros, ticker, trade } from './analyzer_load.ts';
import { liveHeapMb } from './live_heap.ts';
import { memorySummary, residentMb, type MemorySummary } from './soak.ts';
import { metricsOf, openStage, type Service } from './stage.ts';

export interface AnalyzerSoakResult {
  minutes: number;
  symbols: number;
  messagesPerSecond: number;
  events: number;
  quarantines: number;
  resident: MemorySummary & { slopeMbPerHour: number };
  /** What is in use after a full collection: what a leak would add to. */
  live: MemorySummary & { slopeMbPerHour: number };
}

interface Sample {
  readonly minute: number;
  readonly residentMb: number;
  /** Null between two collections: those come seldom, so that the rest is as it is without them. */
  readonly liveMb: number | null;
}

const MARKETS = ['binance_spot', 'deribit'] as const;
const SAMPLE_MS = 10_000;
/** Compiled code and filled caches: what comes before is not the steady state. */
const WARM_UP_MS = 180_000;
const LIVE_EVERY = 12;
const TICK_MS = 100;
const KEPT_ENTRIES = 100_000;
/** One message in so many. */
const SPIKE = 5_000;
const ABSURD = 20_000;

/** Feeds a running analyzer with `perSecond` messages for `minutes` after its warm-up. Prints a line a minute: it takes its time. */
export async function soakAnalyzer(perSecond: number, minutes: number): Promise<AnalyzerSoakResult> {
  const stage = await openStage();
  const redis = new Redis(stage.redisUrl);
  redis.on('error', () => undefined); // the stage ends its server under us when something failed
  const stop = new AbortController();
  try {
    await migrateUp(stage.databaseUrl);
    await addInstruments(stage.databaseUrl);
    const inspector = await freePort();
    const analyzer = await stage.service('analyzer', { MARKETS: MARKETS.join(','), NODE_OPTIONS: `--inspect=127.0.0.1:${inspector}` });
    const feeding = feed(redis, perSecond, stop.signal);
    await sleep(Math.min(WARM_UP_MS, minutes * 30_000));
    const before = await metricsOf(analyzer);
    const from = performance.now();
    const samples = await Promise.race([sampled(analyzer, inspector, minutes), feeding]);
    if (samples === null) throw new Error('the feed ended');
    const [seconds, after] = [(performance.now() - from) / 1_000, await metricsOf(analyzer)];
    stop.abort();
    await feeding;
    const grown = (name: string): number => after.sum(name) - before.sum(name);
    return {
      minutes, symbols: after.sum('analyzer_symbols'), messagesPerSecond: grown('analyzer_messages_total') / seconds,
      events: grown('analyzer_events_total'), quarantines: grown('analyzer_quarantines_total'), ...memoryOf(samples),
    };
  } finally {
    stop.abort();
    redis.disconnect();
    await stage.close();
  }
}

async function addInstruments(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  await client.query(
    `INSERT INTO instruments (market_id, symbol, exchange, unified_symbol, kind, status)
     SELECT m, 'BENCH-' || n, split_part(m, '_', 1), 'BENCH' || n || '/USD', 'spot', 'open' FROM unnest($1::text[]) m, generate_series(0, $2::int) n`,
    [MARKETS, SYMBOLS / MARKETS.length - 1],
  );
  await client.end();
}

/** Null once `signal` aborts; rejects when Redis fails. */
async function feed(redis: Redis, perSecond: number, signal: AbortSignal): Promise<null> {
  const prices = Array.from({ length: SYMBOLS }, () => 60_000);
  const began = performance.now();
  const ended = (): boolean => signal.aborted;
  for (let n = 0; !ended();) {
    const due = Math.floor(((performance.now() - began) / 1_000) * perSecond);
    await fill(redis, Array.from({ length: Math.max(0, due - n) }, (_message, i) => messageOf(n + i, prices)));
    n = Math.max(n, due);
    await redis.xtrim(streamMarketDataKey, 'MAXLEN', '~', KEPT_ENTRIES);
    await sleep(TICK_MS);
  }
  return null;
}

/** A walk of at most a few basis points a step, now and then a jump of one and a half per cent, or a price that cannot be. */
function messageOf(n: number, prices: number[]): string {
  const at = Math.floor(Math.random() * SYMBOLS);
  const [symbol, market] = [Math.floor(at / MARKETS.length), MARKETS[at % MARKETS.length]!];
  const jump = n % SPIKE === 0 ? 900 : 0;
  const last = prices[at] ?? 0;
  const price = Math.round(last + (Math.random() - 0.5) * 30 + (60_000 - last) / 50 + jump);
  prices[at] = price;
  return n % 5 < 3 ? trade(symbol, n, nowMicros(), n % ABSURD === 1 ? 9_000_000_000 : price, market) : ticker(symbol, nowMicros(), price, market);
}

async function sampled(analyzer: Service, inspector: number, minutes: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const from = performance.now();
  for (let n = 1; performance.now() - from < minutes * 60_000; n++) {
    await sleep(SAMPLE_MS);
    const [minute, resident] = [(performance.now() - from) / 60_000, residentMb(analyzer.pid)];
    const liveMb = n % LIVE_EVERY === 1 ? await liveHeapMb(inspector) : null;
    samples.push({ minute, residentMb: resident, liveMb });
    if (liveMb === null) continue;
    const metrics = await metricsOf(analyzer);
    const counted = `${metrics.sum('analyzer_messages_total')} messages, ${metrics.sum('analyzer_events_total')} events`;
    process.stdout.write(`${minute.toFixed(1)} min  ${resident.toFixed(0)} MB resident, ${liveMb.toFixed(2)} MB live  ${counted}\n`);
  }
  return samples;
}

function memoryOf(samples: readonly Sample[]): Pick<AnalyzerSoakResult, 'resident' | 'live'> {
  const told = (points: readonly (readonly [minute: number, mb: number])[]) => ({
    ...memorySummary(points.map(([, mb]) => mb)), slopeMbPerHour: 60 * slope(points),
  });
  return {
    resident: told(samples.map(({ minute, residentMb: mb }) => [minute, mb])),
    live: told(samples.flatMap(({ minute, liveMb: mb }) => (mb === null ? [] : [[minute, mb] as const]))),
  };
}

/** Of the straight line with the least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (which: 0 | 1): number => points.reduce((sum, point) => sum + point[which], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / spread;
}

/** For the terminal. */
export function analyzerSoakTable(r: AnalyzerSoakResult): Record<string, string | number>[] {
  return (['resident', 'live'] as const).map((of) => ({
    of, minutes: r.minutes, symbols: r.symbols, 'messages/s': Math.round(r.messagesPerSecond), events: r.events, quarantines: r.quarantines,
    'median MB': r[of].medianMb.toFixed(1), 'least MB': r[of].leastMb.toFixed(1), 'most MB': r[of].mostMb.toFixed(1),
    'MB/hour': r[of].slopeMbPerHour.toFixed(1), 'drift (± 10 %)': `${(r[of].drift * 100).toFixed(0)} %`,
  }));
}
