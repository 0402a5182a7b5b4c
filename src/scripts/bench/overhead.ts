// What metrics, health and console cost the pipeline: receiver and distributor as they are, asked for /metrics, /healthz and /readyz each
// second and looked at through a console, beside the same without any metrics that nobody asks and nobody looks at; in turn within each
// round. Compose's Prometheus asks every five seconds.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { framesOf, openFlood, threadSeconds, WARM_FRAMES, type Flood } from './capture.ts';
import { median, rate } from './measure.ts';
import { fillStream, simulatorUrl } from './persist.ts';
import { watchedConsole, type WatchedConsole } from './overhead/watched_console.ts';
import { cpuSeconds, openStage, type Service, type Stage } from './stage.ts';
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
  /** The least of all rounds: what else runs on the machine can only add to a run's CPU, by caches that it empties. */
  leastMicros: { off: number; on: number };
  /** What asking all three paths once takes of the main thread, and the part of its time when Prometheus asks every five seconds. */
  askMs: number;
  askShare: number;
  /** CPU of the service and both servers per item, and what the console took meanwhile, of one core. */
  serversMicros: { off: number; on: number };
  consoleShare: number;
}

interface Timed {
  perSecond: number;
  threadMicros: number;
  serversMicros: number;
  consoleShare: number;
}

interface Run extends Timed {
  askMs: number;
}

const WITHOUT = join(import.meta.dirname, 'overhead/main.ts');
const ASK_MS = 1_000;
const LOOK_MS = 20;
const PATIENCE_MS = 120_000;
const SCRAPE_MS = 5_000;
const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
/** CPU is told in hundredths of a second. */
const ASKED_AT_LEAST = 100;
const ASKED_BEFORE = 50;

/** Asks a service all that Prometheus and Compose ask, until `work` has ended. */
async function asked(service: Service, work: () => Promise<Timed>): Promise<Run> {
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

/** What is asked for the first time is compiled: that is once in a process's life, and not to be measured. */
async function askBefore(service: Service): Promise<void> {
  for (let n = 0; n < ASKED_BEFORE; n++) await ask(service);
}

async function ask({ metricsPort }: Service): Promise<void> {
  for (const path of ['metrics', 'healthz', 'readyz']) {
    // The server ends connections that were idle for as long as we were; the next time counts.
    await fetch(`http://127.0.0.1:${metricsPort}/${path}`).then((response) => response.text()).catch(() => '');
  }
}

/** Begins to measure; the function that comes back ends it after `items`. */
function meter(stage: Stage, service: Service, console_: WatchedConsole | null): (items: number) => Timed {
  const cpu = (): number[] => [
    threadSeconds(service.pid), [service.pid, stage.pids.redis, stage.pids.postgres].reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    console_ === null ? 0 : cpuSeconds(console_.pid),
  ];
  const [from, before] = [performance.now(), cpu()];
  return (items) => {
    const seconds = (performance.now() - from) / 1_000;
    const [thread = 0, servers = 0, shown = 0] = cpu().map((now, n) => now - before[n]!);
    return { perSecond: items / seconds, threadMicros: (thread * 1e6) / items, serversMicros: (servers * 1e6) / items, consoleShare: shown / seconds };
  };
}

/** Frames from a socket that is always ahead to entries in the stream. */
async function receiverRun(stage: Stage, flood: Flood, redis: Redis, load: { warm: Buffer; timed: Buffer; frames: number }, on: boolean): Promise<Run> {
  await redis.flushall();
  const receiver = await stage.service('receiver', {
    MARKETS: 'binance_spot', BINANCE_SPOT_SYMBOLS: 'BTCUSDT', CHANNELS: 'trade', BINANCE_SPOT_WS_URL: `ws://${flood.url}`,
    BINANCE_SPOT_REST_URL: `http://${flood.url}`,
    // On a busy machine Redis may be the slower one: what is dropped would never be published.
    RECEIVER_BUFFER_MESSAGES: String(WARM_FRAMES + load.frames),
  }, on ? undefined : WITHOUT);
  if (on) await askBefore(receiver);
  const shown = on ? await watchedConsole(stage, 'binance_spot', 'BTCUSDT') : null;
  const published = async (count: number): Promise<void> => {
    const until = performance.now() + PATIENCE_MS;
    while ((await redis.xlen(streamMarketDataKey)) < count) {
      if (performance.now() > until) throw new Error(`fewer than ${count} trades were published in ${PATIENCE_MS / 1_000} s`);
      await sleep(5);
    }
  };
  const before = await redis.xlen(streamMarketDataKey);
  const timed = async (): Promise<Timed> => {
    await flood.send(load.warm);
    await published(before + WARM_FRAMES);
    const measured = meter(stage, receiver, shown);
    await flood.send(load.timed);
    await published(before + WARM_FRAMES + load.frames);
    return measured(load.frames);
  };
  const run = on ? await asked(receiver, timed) : { ...(await timed()), askMs: 0 };
  await shown?.stop();
  await receiver.stop();
  return run;
}

/** A full stream to committed rows: from the moment when all waits to the last commit. */
async function distributorRun(stage: Stage, client: pg.Client, redis: Redis, trades: readonly BenchTrade[], on: boolean): Promise<Run> {
  await client.query('TRUNCATE public_trades, trade_coverage');
  await client.query('CHECKPOINT');
  await redis.del(streamMarketDataKey);
  const distributor = await stage.service('distributor', { MARKETS: BENCH_MARKET, INSTANCE_ID: 'bench' }, on ? undefined : WITHOUT);
  if (on) await askBefore(distributor);
  // It is ready only when nothing waits, and must not begin before all does.
  process.kill(distributor.pid, 'SIGSTOP');
  await fillStream(redis, trades);
  const shown = on ? await watchedConsole(stage, BENCH_MARKET, trades[0]?.symbol ?? '') : null;
  const timed = async (): Promise<Timed> => {
    const measured = meter(stage, distributor, shown);
    process.kill(distributor.pid, 'SIGCONT');
    while ((await storedTrades(client)) < trades.length) await sleep(LOOK_MS);
    return measured(trades.length);
  };
  const run = on ? await asked(distributor, timed) : { ...(await timed()), askMs: 0 };
  await shown?.stop();
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
    if (round === 0) continue;
    const pair = onFirst ? { on: first, off: second } : { on: second, off: first };
    pairs.push(pair);
    process.stdout.write(`${part}, round ${round}: on / off ${percent(pair.on.perSecond / pair.off.perSecond)}, main thread ` +
      `${pair.off.threadMicros.toFixed(2)} µs off, ${pair.on.threadMicros.toFixed(2)} µs on\n`);
  }
  const of = (which: 'on' | 'off', figure: keyof Run): number => median(pairs.map((pair) => pair[which][figure]));
  const least = (which: 'on' | 'off'): number => Math.min(...pairs.map((pair) => pair[which].threadMicros));
  return {
    part, items, offPerSecond: of('off', 'perSecond'), onPerSecond: of('on', 'perSecond'),
    onToOff: median(pairs.map(({ on, off }) => on.perSecond / off.perSecond)),
    threadMicros: { off: of('off', 'threadMicros'), on: of('on', 'threadMicros') },
    leastMicros: { off: least('off'), on: least('on') },
    threadOffToOn: median(pairs.map(({ on, off }) => off.threadMicros / on.threadMicros)),
    askMs: of('on', 'askMs'), askShare: of('on', 'askMs') / SCRAPE_MS,
    serversMicros: { off: of('off', 'serversMicros'), on: of('on', 'serversMicros') }, consoleShare: of('on', 'consoleShare'),
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

/** For the terminal. */
export const overheadTables = (results: readonly OverheadResult[]) => results.map((r) => ({
  result: r,
  rows: [{
    part: r.part, trades: r.items, 'off/s': rate(r.offPerSecond), 'on/s': rate(r.onPerSecond), 'on / off (≥ 97 %)': percent(r.onToOff),
    'main thread off µs': r.threadMicros.off.toFixed(2), 'on µs': r.threadMicros.on.toFixed(2), 'main thread off / on (≥ 97 %)': percent(r.threadOffToOn),
    'least off / on (≥ 97 %)': percent(r.leastMicros.off / r.leastMicros.on),
    'with servers off µs': r.serversMicros.off.toFixed(2), ' on µs': r.serversMicros.on.toFixed(2), 'console, of a core': percent(r.consoleShare),
    'one scrape ms': r.askMs.toFixed(2), 'of the time (< 3 %)': `${(r.askShare * 100).toFixed(2)} %`,
  }],
}));
