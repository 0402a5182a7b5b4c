// A receiver inside the test's own process, against a simulator and a Redis of the test, and what it has published.
import { Redis } from 'ioredis';
import { pino } from 'pino';
import {
  feedSeqKey,
  parseStreamMessage,
  parseSystemEvent,
  streamMarketDataKey,
  streamSystemEventsKey,
} from '../contracts/index.ts';
import type { FeedStatus, Ohlc, StreamMessage, SystemEvent, Ticker, Trade } from '../contracts/index.ts';
import { MARKETS } from '../exchanges/registry.ts';
import { systemClock } from '../runtime/clock.ts';
import { loadConfig } from '../runtime/env.ts';
import { Health } from '../runtime/health.ts';
import { createMetrics } from '../runtime/metrics.ts';
import { Scope } from '../runtime/scope.ts';
import type { RedisOptions } from '../scripts/local/redis.ts';
import type { Clock } from '../core/clock.ts';
import type { Start } from '../runtime/service.ts';
import { start as startReceiver } from '../services/receiver/main.ts';
import { startSimulator, type Simulator, type SimulatorOptions } from '../simulator/server.ts';
import { freshRedis, type FreshRedis } from './servers.ts';

export interface RunningReceiver {
  readonly health: Health;
  /** The value of a counter or gauge. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  /** As SIGTERM does: stop, flush, close. */
  stop(): Promise<void>;
}

/** A simulator, a Redis, and receivers between them. */
export interface Stage {
  readonly redis: FreshRedis;
  readonly simulator: Simulator;
  readonly published: Published;
  readonly env: Record<string, string>;
  /** Starts a receiver; it is stopped with the stage at the latest. */
  readonly receive: (more?: Record<string, string>, clock?: Clock) => Promise<RunningReceiver>;
  close(): Promise<void>;
}

let instances = 0;

/**
 * A stage of the test's own: `env` for all its receivers, `options` for its simulator (300 trades per second, no
 * limits).
 */
export async function openStage(
  env: Record<string, string>,
  options: Partial<SimulatorOptions> = {},
  redisOptions: RedisOptions = {},
): Promise<Stage> {
  const [redis, simulator] = await Promise.all([
    freshRedis(redisOptions),
    startSimulator({ port: 0, seed: 7, rate: 300, clock: systemClock(), limits: false, ...options }),
  ]);
  const published = new Published(redis.url);
  const all = { EXCHANGE_MODE: 'sim', SIM_URL: simulator.url, REDIS_URL: redis.url, METRICS_PORT: '0', ...env };
  const receivers: RunningReceiver[] = [];
  return {
    redis,
    simulator,
    published,
    env: all,
    async receive(more = {}, clock) {
      const receiver = await runInProcess(
        'receiver',
        startReceiver,
        { ...all, INSTANCE_ID: `${++instances}`, ...more },
        clock,
      );
      receivers.push(receiver);
      return receiver;
    },
    async close() {
      await Promise.all(receivers.map((receiver) => receiver.stop()));
      published.close();
      await simulator.close();
      await redis.drop();
    },
  };
}

/** Starts a service in this process with an environment; resolves when it is ready, or after ten seconds. */
export async function runInProcess(
  service: string,
  start: Start,
  env: Record<string, string>,
  clock = systemClock(),
): Promise<RunningReceiver> {
  const stop = new AbortController();
  const scope = new Scope();
  const health = new Health();
  const metrics = createMetrics(service);
  const failure = Promise.withResolvers<Error>();
  const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });
  const ctx = {
    service,
    scope,
    health,
    metrics,
    log,
    clock,
    random: Math.random,
    signal: stop.signal,
    config: loadConfig(MARKETS, env),
    fail: (error: unknown) => failure.resolve(error as Error),
  };
  const running = start(ctx);
  running.catch((error: unknown) => failure.resolve(error as Error));
  await Promise.race([
    running,
    failure.promise.then((error) => Promise.reject(error)),
    until(() => health.ready, 10_000).catch(() => undefined),
  ]);
  return {
    health,
    async metric(name, labels = {}) {
      const values = (await metrics.registry.getSingleMetric(name)?.get())?.values ?? [];
      return values
        .filter((v) => Object.entries(labels).every(([key, value]) => v.labels[key] === value))
        .reduce((sum, v) => sum + v.value, 0);
    },
    async stop() {
      if (stop.signal.aborted) return;
      stop.abort();
      await running;
      await scope.close();
    },
  };
}

/** Polls until `condition` holds; throws after `ms`. */
export async function until(condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What is in the stream and the events, decoded; every entry is checked against the contracts. */
export class Published {
  readonly redis: Redis;

  constructor(url: string) {
    this.redis = new Redis(url, { maxRetriesPerRequest: null });
    this.redis.on('error', () => undefined);
  }

  async messages(): Promise<StreamMessage[]> {
    return (await this.redis.xrange(streamMarketDataKey, '-', '+')).map(([id, fields]) => {
      const parsed = parseStreamMessage(JSON.parse(fields[1] ?? 'null'));
      if (fields.length !== 2 || fields[0] !== 'payload' || !parsed.ok)
        throw new Error(`entry ${id} breaks the contract: ${fields.join(' ')}`);
      return parsed.value;
    });
  }

  async trades(symbol?: string): Promise<Trade[]> {
    return (await this.messages()).filter(
      (m): m is Trade => m.type === 'trade' && (symbol === undefined || m.symbol === symbol),
    );
  }

  async tickers(): Promise<Ticker[]> {
    return (await this.messages()).filter((m): m is Ticker => m.type === 'ticker');
  }

  async candles(): Promise<Ohlc[]> {
    return (await this.messages()).filter((m): m is Ohlc => m.type === 'ohlc');
  }

  async statuses(): Promise<FeedStatus[]> {
    return (await this.messages()).filter((m): m is FeedStatus => m.type === 'feed_status');
  }

  async events(type?: SystemEvent['type']): Promise<SystemEvent[]> {
    const events = (await this.redis.xrange(streamSystemEventsKey, '-', '+')).map(([, fields]) => {
      const parsed = parseSystemEvent(JSON.parse(fields[1] ?? 'null'));
      if (!parsed.ok) throw new Error(`event breaks the contract: ${parsed.error}`);
      return parsed.value;
    });
    return events.filter((event) => type === undefined || event.type === type);
  }

  async feedSeqs(marketId: string): Promise<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(await this.redis.hgetall(feedSeqKey(marketId))).map(([symbol, seq]) => [symbol, Number(seq)]),
    );
  }

  /** How many distinct trades of a market are published. */
  async count(marketId: string): Promise<number> {
    return new Set((await this.trades()).filter((t) => t.market_id === marketId).map((t) => `${t.symbol} ${t.seq}`))
      .size;
  }

  close(): void {
    this.redis.disconnect();
  }
}

export interface Accounts {
  /**
   * Trades of the ledger between the first and the last published that are neither published nor inside a reported gap.
   */
  unaccounted: string[];
  /** Reported as missing although published. */
  needless: string[];
  missing: number;
  published: number;
}

/** Compares what was published with the simulator's ledger of the truth. */
export async function account(published: Published, simulator: Simulator, marketId: string): Promise<Accounts> {
  const messages = (await published.messages()).filter((m) => m.market_id === marketId);
  const trades = new Map<string, Set<number>>();
  const gaps = new Map<string, [number, number][]>();
  for (const m of messages) {
    if (m.type === 'trade' && m.seq !== null) {
      const seqs = trades.get(m.symbol) ?? new Set();
      trades.set(m.symbol, seqs);
      for (let n = m.seq; n <= (m.seq_last ?? m.seq); n++) seqs.add(n);
    } else if (
      m.type === 'feed_status' &&
      m.status === 'gap' &&
      m.symbol !== null &&
      m.from_seq !== undefined &&
      m.to_seq !== undefined
    ) {
      gaps.set(m.symbol, [...(gaps.get(m.symbol) ?? []), [m.from_seq, m.to_seq]]);
    }
  }
  const inGap = (symbol: string, n: number): boolean =>
    (gaps.get(symbol) ?? []).some(([from, to]) => n >= from && n <= to);
  await simulator.ledger.commit();
  const result: Accounts = { unaccounted: [], needless: [], missing: 0, published: 0 };
  for (const entry of simulator.ledger.entries()) {
    if (entry.k !== 'trade' || entry['market_id'] !== marketId || entry.seq === undefined) continue;
    const symbol = String(entry['symbol']);
    const seqs = trades.get(symbol);
    if (seqs === undefined || entry.seq < Math.min(...seqs) || entry.seq > Math.max(...seqs)) continue;
    const isPublished = seqs.has(entry.seq);
    const isGap = inGap(symbol, entry.seq);
    if (isPublished) result.published++;
    else if (isGap) result.missing++;
    else result.unaccounted.push(`${symbol} ${entry.seq}`);
    if (isPublished && isGap) result.needless.push(`${symbol} ${entry.seq}`);
  }
  return result;
}
