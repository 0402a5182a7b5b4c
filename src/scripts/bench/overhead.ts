// What metrics and health cost the pipeline: receiver and distributor as they are, asked for /metrics, /healthz and /readyz each
// second, beside the same without any metrics that nobody asks; in turn within each round. Compose's Prometheus asks every five seconds.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { framesOf, openFlood, threadSeconds, WARM_FRAMES, type Flood } from './capture.ts';
import { median, rate } from './measure.ts';
import { fillStream, simulatorUrl } from './persist.ts';
import { openStage, type Service, type Stage } from './stage.ts';
import { BENCH_MARKET, makeTrades, type BenchTrade } from './trades.ts';

export interface OverheadResult {
  part: 'receiver' | 'distributor';
  items: number;
  offPerSecond: number;
  onPerSecond: number;
  /** Median of the rounds' ratios. */
  onToOff: number;
  /** The same of the CPU of the main thread, which is what limits both where a core is free: holds on a busy machine, too. */
  threadMicros: { off: number; on: number };
  threadOffToOn: number;
  /** What asking all three paths once takes of the main thread, and the part of its time when Prometheus asks every five seconds. */
  askMs: number;
  askShare: number;
}

interface Run {
  perSecond: number;
  threadMicros: number;
  askMs: number;
}

const WITHOUT = join(import.meta.dirname, 'overhead/main.ts');
const ASK_MS = 1_000;
const LOOK_MS = 20;
const SCRAPE_MS = 5_000;
/** CPU is told in hundredths of a second. */
const ASKED_AT_LEAST = 100;

/** Asks a service all that Prometheus and Compose ask, until `work` has ended. */
async function asked(service: Service, work: () => Promise<Omit<Run, 'askMs'>>): Promise<Run> {
  const stop = new AbortController();
  const asking = (async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await ask(service);
      await sleep(ASK_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  const result = await work();
  stop.abort();
  await asking;
  // With nothing else to do, and with the series that the run has made.
  const before = threadSeconds(service.pid);
  for (let n = 0; n < ASKED_AT_LEAST; n++) await ask(service);
  return { ...result, askMs: ((threadSeconds(service.pid) - before) * 1_000) / ASKED_AT_LEAST };
}

async function ask({ metricsPort }: Service): Promise<void> {
  for (const path of ['metrics', 'healthz', 'readyz']) {
    // The server ends connections that were idle for as long as we were; the next time counts.
    await fetch(`http://127.0.0.1:${metricsPort}/${path}`).then((response) => response.text()).catch(() => '');
  }
}

/** Frames from a socket that is always ahead to entries in the stream. */
async function receiverRun(stage: Stage, flood: Flood, redis: Redis, load: { warm: Buffer; timed: Buffer; frames: number }, on: boolean): Promise<Run> {
  await redis.flushall();
  const receiver = await stage.service('receiver', {
    MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CHANNELS: 'trade', BINANCE_SPOT_WS_URL: `ws://${flood.url}`,
    BINANCE_SPOT_REST_URL: `http://${flood.url}`,
  }, on ? undefined : WITHOUT);
  const published = async (count: number): Promise<number> => {
    while ((await redis.xlen(streamMarketDataKey)) < count) await sleep(5);
    return performance.now();
  };
  const before = await redis.xlen(streamMarketDataKey);
  const timed = async (): Promise<Omit<Run, 'askMs'>> => {
    await flood.send(load.warm);
    await published(before + WARM_FRAMES);
    const [from, cpu] = [performance.now(), threadSeconds(receiver.pid)];
    await flood.send(load.timed);
    const elapsedMs = (await published(before + WARM_FRAMES + load.frames)) - from;
    return { perSecond: (load.frames / elapsedMs) * 1_000, threadMicros: ((threadSeconds(receiver.pid) - cpu) * 1e6) / load.frames };
  };
  const run = on ? await asked(receiver, timed) : { ...(await timed()), askMs: 0 };
  await receiver.stop();
  return run;
}

/** A full stream to committed rows: from the moment when all waits to the last commit. */
async function distributorRun(stage: Stage, client: pg.Client, redis: Redis, trades: readonly BenchTrade[], on: boolean): Promise<Run> {
  await client.query('TRUNCATE public_trades, trade_coverage');
  await client.query('CHECKPOINT');
  await redis.del(streamMarketDataKey);
  const distributor = await stage.service('distributor', { MARKETS: BENCH_MARKET, INSTANCE_ID: 'bench' }, on ? undefined : WITHOUT);
  // It is ready only when nothing waits, and must not begin before all does.
  process.kill(distributor.pid, 'SIGSTOP');
  await fillStream(redis, trades);
  const timed = async (): Promise<Omit<Run, 'askMs'>> => {
    const [from, cpu] = [performance.now(), threadSeconds(distributor.pid)];
    process.kill(distributor.pid, 'SIGCONT');
    while ((await storedTrades(client)) < trades.length) await sleep(LOOK_MS);
    const elapsedMs = performance.now() - from;
    return { perSecond: (trades.length / elapsedMs) * 1_000, threadMicros: ((threadSeconds(distributor.pid) - cpu) * 1e6) / trades.length };
  };
  const run = on ? await asked(distributor, timed) : { ...(await timed()), askMs: 0 };
  await distributor.stop();
  return run;
}

/** By the coverage, which is a row per instrument and commits with the trades: to count those would cost more than it measures. */
async function storedTrades(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ n: string | null }>('SELECT sum(upper(r) - lower(r)) AS n FROM trade_coverage, unnest(seqs) AS r');
  return Number(rows[0]?.n ?? 0);
}

/** `rounds` pairs of runs, on and off changing places; one more pair before warms the machine. */
async function pairsOf(part: OverheadResult['part'], items: number, rounds: number, run: (on: boolean) => Promise<Run>): Promise<OverheadResult> {
  const pairs: { on: Run; off: Run }[] = [];
  for (let round = 0; round <= rounds; round++) {
    const onFirst = round % 2 === 0;
    const first = await run(onFirst);
    const second = await run(!onFirst);
    if (round > 0) pairs.push(onFirst ? { on: first, off: second } : { on: second, off: first });
  }
  const of = (which: 'on' | 'off', figure: keyof Run): number => median(pairs.map((pair) => pair[which][figure]));
  return {
    part, items, offPerSecond: of('off', 'perSecond'), onPerSecond: of('on', 'perSecond'),
    onToOff: median(pairs.map(({ on, off }) => on.perSecond / off.perSecond)),
    threadMicros: { off: of('off', 'threadMicros'), on: of('on', 'threadMicros') },
    threadOffToOn: median(pairs.map(({ on, off }) => off.threadMicros / on.threadMicros)),
    askMs: of('on', 'askMs'), askShare: of('on', 'askMs') / SCRAPE_MS,
  };
}

/** Both parts over `items` trades a run. */
export async function benchOverhead(items: number, rounds: number): Promise<OverheadResult[]> {
  const stage = await openStage();
  const flood = await openFlood();
  const redis = new Redis(stage.redisUrl);
  const client = new pg.Client(stage.databaseUrl);
  client.on('error', () => undefined); // the stage ends its server under us when something failed
  try {
    const load = { warm: framesOf(0, WARM_FRAMES), timed: framesOf(WARM_FRAMES, items), frames: items };
    const receiver = await pairsOf('receiver', items, rounds, (on) => receiverRun(stage, flood, redis, load, on));
    await redis.flushall();
    await client.connect();
    await stage.service('janitor', { MARKETS: BENCH_MARKET, ...(await simulatorUrl(stage)) });
    const trades = makeTrades(items, 50);
    return [receiver, await pairsOf('distributor', items, rounds, (on) => distributorRun(stage, client, redis, trades, on))];
  } finally {
    redis.disconnect();
    flood.close();
    await client.end().catch(() => undefined);
    await stage.close();
  }
}

const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;

/** For the terminal. */
export const overheadTables = (results: readonly OverheadResult[]) => results.map((r) => ({
  result: r,
  rows: [{
    part: r.part, trades: r.items, 'off/s': rate(r.offPerSecond), 'on/s': rate(r.onPerSecond), 'on / off (≥ 97 %)': percent(r.onToOff),
    'main thread off µs': r.threadMicros.off.toFixed(2), 'on µs': r.threadMicros.on.toFixed(2), 'main thread off / on (≥ 97 %)': percent(r.threadOffToOn),
    'one scrape ms': r.askMs.toFixed(2), 'of the time (< 3 %)': `${(r.askShare * 100).toFixed(2)} %`,
  }],
}));
