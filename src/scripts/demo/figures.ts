// Reads a running fleet's figures for the view: the processes' metrics, Redis, PostgreSQL, /proc. Every source may be away.
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { closeRedis, connectRedis } from '../../bus/connect.ts';
import {
  dlqStreamMarketDataKey, streamMarketDataKey, subscriptionsKey, systemStateKey, systemStateSimpleKey, tickerKey,
} from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { MARKETS } from '../../exchanges/registry.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { MetricsText, quantile } from '../bench/stage.ts';
import type { Fleet } from './fleet.ts';
import type { MarketFigures, PriceFigures, ProcessFigures, Snapshot } from './snapshot.ts';

const TIMEOUT_MS = 1_500;
const WINDOW_MS = 5_000;
const COUNT_BELOW = 200_000;
const PRICES = 12;
const GROUP = 'distributor';
/** Unified names change when an instrument is listed: rarely. */
const NAMES_EVERY = 40;

const silent = { info: () => undefined, warn: () => undefined };

interface Counters {
  atMs: number;
  rows: number;
  frames: Map<string, number>;
  trades: Map<string, number>;
  metrics: Map<string, MetricsText>;
}

export class FiguresReader {
  readonly #fleet: Fleet;
  readonly #clock: Clock;
  readonly #markets: readonly string[];
  readonly #redis: Redis;
  readonly #pool: Pool;
  readonly #startedMs: number;
  /** Counters of the last seconds: processes and statistics update once a second, so shorter rates would jump. */
  #window: Counters[] = [];
  #names = new Map<string, string>();
  #reads = 0;

  constructor(fleet: Fleet, clock: Clock) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
    this.#markets = fleet.config.markets.map(({ marketId }) => marketId);
    this.#redis = connectRedis(fleet.redis.url, { name: 'demo', log: silent });
    this.#pool = createPool(fleet.postgres.url, { name: 'demo', log: silent, max: 2 });
  }

  get redis(): Redis {
    return this.#redis;
  }

  get pool(): Pool {
    return this.#pool;
  }

  /** What each process told of itself last. */
  get metrics(): ReadonlyMap<string, MetricsText> {
    return this.#window.at(-1)?.metrics ?? new Map();
  }

  async close(): Promise<void> {
    await Promise.all([closeRedis(this.#redis), this.#pool.end()]);
  }

  /** One snapshot; what could not be read is empty and named in `problem`. Never rejects. */
  async read(): Promise<Snapshot> {
    const problems: string[] = [];
    const attempt = async <T>(what: string, fallback: T, work: () => Promise<T>): Promise<T> => {
      try {
        return await withTimeout(work(), TIMEOUT_MS);
      } catch (error) {
        problems.push(`${what}: ${toError(error).message}`);
        return fallback;
      }
    };
    const [metrics, stream, states, prices, database] = await Promise.all([
      this.#scrape(),
      attempt('Redis', { length: 0, lag: null, pending: 0, dlq: 0 }, () => this.#readStream()),
      attempt('states', new Map<string, string>(), () => this.#readStates()),
      attempt('prices', [], () => this.#readPrices()),
      attempt('PostgreSQL', { rows: this.#window.at(-1)?.rows ?? 0, gapsOpen: 0 }, () => this.#readDatabase()),
    ]);
    const now = this.#counters(metrics, database.rows);
    const before = this.#window[0] ?? null;
    this.#window = [...this.#window.filter((old) => now.atMs - old.atMs < WINDOW_MS), now];
    return {
      elapsedS: (now.atMs - this.#startedMs) / 1000,
      aggregate: states.get(systemStateSimpleKey) ?? '-',
      markets: this.#markets.map((marketId) => this.#market(marketId, states, now, before)),
      stream,
      rows: { total: now.rows, perS: rate(now.rows, before?.rows, now, before) ?? 0 },
      latencyMs: latency(now.metrics, before?.metrics),
      gapsOpen: database.gapsOpen,
      dlq: stream.dlq,
      prices,
      processes: this.#processes(),
      problem: problems.length === 0 ? null : problems.join(' · '),
    };
  }

  async #scrape(): Promise<Map<string, MetricsText>> {
    const found = new Map<string, MetricsText>();
    await Promise.all(this.#fleet.processes.map(async ({ name, metricsUrl }) => {
      const response = await fetch(`${metricsUrl}/metrics`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => null);
      const text = await response?.text().catch(() => null);
      if (typeof text === 'string') found.set(name, new MetricsText(text));
    }));
    return found;
  }

  async #readStream(): Promise<{ length: number; lag: number | null; pending: number; dlq: number }> {
    const [length, dlq, groups] = await Promise.all([
      this.#redis.xlen(streamMarketDataKey),
      this.#redis.xlen(dlqStreamMarketDataKey),
      (this.#redis.xinfo('GROUPS', streamMarketDataKey) as Promise<unknown[][]>).catch(() => []),
    ]);
    const group = groups.map(toRecord).find((g) => g['name'] === GROUP);
    const lag = group?.['lag'];
    return { length, dlq, lag: typeof lag === 'number' ? lag : null, pending: Number(group?.['pending'] ?? 0) };
  }

  async #readStates(): Promise<Map<string, string>> {
    const keys = [systemStateSimpleKey, ...new Set(this.#markets.map((id) => systemStateKey(MARKETS[id]?.exchange ?? id)))];
    const values = await this.#redis.mget(...keys);
    return new Map(keys.map((key, i) => [key, values[i] ?? '-']));
  }

  async #readPrices(): Promise<PriceFigures[]> {
    const wanted = await Promise.all(this.#markets.map(async (marketId) => {
      const members = await this.#redis.smembers(subscriptionsKey(marketId));
      return members.filter((m) => m.startsWith('ticker:')).map((m) => ({ marketId, symbol: m.slice('ticker:'.length) }));
    }));
    const chosen = interleave(wanted.map((list) => list.sort((a, b) => (a.symbol < b.symbol ? -1 : 1)))).slice(0, PRICES * 2);
    if (this.#reads++ % NAMES_EVERY === 0 || this.#names.size === 0) this.#names = await this.#readNames();
    return Promise.all(chosen.map(async ({ marketId, symbol }) => {
      const [last, bid, ask] = await this.#redis.hmget(tickerKey(marketId, symbol), 'last_price', 'best_bid_price', 'best_ask_price');
      return { marketId, symbol, unifiedSymbol: this.#names.get(`${marketId} ${symbol}`) ?? symbol, last: last ?? null, bid: bid ?? null, ask: ask ?? null };
    }));
  }

  async #readNames(): Promise<Map<string, string>> {
    const { rows } = await this.#pool.query<{ market_id: string; symbol: string; unified_symbol: string }>(
      `SELECT market_id, symbol, unified_symbol FROM instruments WHERE unified_symbol IS NOT NULL AND status = 'open'`);
    return new Map(rows.map((row) => [`${row.market_id} ${row.symbol}`, row.unified_symbol]));
  }

  /** Counted while that is cheap; the statistics' insert counter, which is a second late, once there are many rows. */
  async #readDatabase(): Promise<{ rows: number; gapsOpen: number }> {
    const counted = (this.#window.at(-1)?.rows ?? 0) < COUNT_BELOW
      ? 'SELECT count(*) FROM public_trades'
      : `SELECT coalesce(sum(n_tup_ins - n_tup_del), 0) FROM pg_stat_user_tables WHERE relname LIKE 'public_trades%'`;
    const { rows } = await this.#pool.query<{ n: string; gaps: string }>(
      `SELECT (${counted}) AS n, (SELECT count(*) FROM data_gaps WHERE status IN ('open', 'healing')) AS gaps`);
    return { rows: Number(rows[0]?.n ?? 0), gapsOpen: Number(rows[0]?.gaps ?? 0) };
  }

  #counters(metrics: Map<string, MetricsText>, rows: number): Counters {
    const receiver = metrics.get('receiver');
    const perMarket = (name: string, label: string): Map<string, number> =>
      new Map(this.#markets.map((id) => [id, receiver?.sum(name, `market="${id}"`, label) ?? 0]));
    return {
      atMs: this.#clock.monotonicMs(), rows, metrics,
      frames: perMarket('receiver_frames_total', ''), trades: perMarket('receiver_messages_total', 'type="trade"'),
    };
  }

  #market(marketId: string, states: Map<string, string>, now: Counters, before: Counters | null): MarketFigures {
    const receiver = now.metrics.get('receiver');
    const label = `market="${marketId}"`;
    const age = receiver?.sum('receiver_feed_age_seconds', label);
    return {
      marketId,
      state: states.get(systemStateKey(MARKETS[marketId]?.exchange ?? marketId)) ?? '-',
      messagesPerS: rate(now.frames.get(marketId), before?.frames.get(marketId), now, before),
      tradesPerS: rate(now.trades.get(marketId), before?.trades.get(marketId), now, before),
      feedAgeMs: age === undefined || (now.frames.get(marketId) ?? 0) === 0 ? null : age * 1000,
      reconnects: receiver?.sum('receiver_disconnects_total', label) ?? 0,
    };
  }

  #processes(): ProcessFigures[] {
    const { postgres, redis, processes } = this.#fleet;
    const servers = [['postgres', postgres.pid], ['redis', redis.pid]] as const;
    return [
      ...servers.map(([name, pid]) => ({ name, pid, rssBytes: residentBytes(pid), restarts: 0 })),
      ...processes.map(({ name, pid, restarts }) => ({ name, pid, restarts, rssBytes: pid === null ? null : residentBytes(pid) })),
    ];
  }
}

/** Per second since the snapshot before; null without one. A counter that went back belongs to a new process. */
function rate(value: number | undefined, old: number | undefined, now: Counters, before: Counters | null): number | null {
  if (value === undefined || old === undefined || before === null || now.atMs <= before.atMs) return null;
  return (Math.max(0, value >= old ? value - old : value) * 1000) / (now.atMs - before.atMs);
}

function latency(now: Map<string, MetricsText>, before: Map<string, MetricsText> | undefined): Snapshot['latencyMs'] {
  if (before === undefined) return null;
  const name = 'distributor_oldest_seconds';
  const both = [...now.keys()].filter((key) => key.startsWith('distributor') && before.has(key));
  const quantiles = both.map((key) => [0.5, 0.99].map((q) => quantile(before.get(key)!, now.get(key)!, name, q) * 1000))
    .filter((pair) => pair.every(Number.isFinite));
  if (quantiles.length === 0) return null;
  return { p50: Math.max(...quantiles.map((pair) => pair[0]!)), p99: Math.max(...quantiles.map((pair) => pair[1]!)) };
}

function residentBytes(pid: number): number | null {
  try {
    const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return line === null ? null : Number(line[1]) * 1024;
  } catch {
    return null;
  }
}

/** Alternates between the lists, so that a short view shows something of each. */
function interleave<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

function toRecord(pairs: unknown[]): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: pairs.length / 2 }, (_, i) => [String(pairs[2 * i]), pairs[2 * i + 1]]));
}

async function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
