// The stage of the benchmarks that need servers: an own PostgreSQL and Redis in a temporary folder, and the project's services as
// child processes, exactly as `npm start -- <service>` runs them.
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from '../../runtime/scope.ts';
import { freePort, hasExited, logTail, spawnChild, stopChild } from '../local/child.ts';
import { nodeOptions } from '../local/node_options.ts';
import { startPostgres } from '../local/postgres.ts';
import { startRedis } from '../local/redis.ts';

export interface Service {
  name: string;
  pid: number;
  metricsPort: number;
  stop(): Promise<void>;
}

export interface Stage {
  databaseUrl: string;
  redisUrl: string;
  /** Pids by name, for CPU figures. */
  pids: { postgres: number; redis: number };
  folder: string;
  /** `script` instead of what `npm start` runs. */
  service(name: string, env?: Record<string, string>, script?: string): Promise<Service>;
  close(): Promise<void>;
}

const START = join(import.meta.dirname, '../start.ts');

/** Starts PostgreSQL and Redis; `close` ends everything and removes the folder. */
export async function openStage(): Promise<Stage> {
  const scope = new Scope();
  const folder = scope.own(mkdtempSync(join(tmpdir(), 'tapekeeper-bench-')), (dir) => rmSync(dir, { recursive: true, force: true }));
  const [postgres, redis] = await Promise.all([
    startPostgres(join(folder, 'postgres'), { database: 'tapekeeper' }),
    startRedis(join(folder, 'redis'), { appendonly: true, maxmemory: '4gb' }),
  ]);
  scope.own(postgres, (server) => server.stop('fast'));
  scope.own(redis, (server) => server.stop());
  const base = { ...process.env, DATABASE_URL: postgres.url, REDIS_URL: redis.url, EXCHANGE_MODE: 'sim', LOG_LEVEL: 'warn', UNLOCK_POLICY: 'auto' };
  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    pids: { postgres: postgres.pid, redis: redis.pid },
    folder,
    async service(name, env = {}, script = START) {
      const metricsPort = await freePort();
      const logFile = join(folder, `${name}.log`);
      const child = spawnChild(process.execPath, [...nodeOptions(name), script, name], {
        env: { ...base, ...env, METRICS_PORT: String(metricsPort) }, logFile, deathSignal: 'TERM',
      });
      scope.own(child, (c) => stopChild(c, 'SIGTERM', 10_000));
      if (name !== 'janitor') await untilReady(child, name, metricsPort, logFile);
      else await untilDone(child, name, logFile);
      return { name, pid: child.pid ?? 0, metricsPort, stop: () => stopChild(child, 'SIGTERM', 10_000) };
    },
    close: () => scope.close(),
  };
}

async function untilReady(child: ChildProcess, name: string, port: number, logFile: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (hasExited(child)) throw new Error(`${name} ended at its start:\n${logTail(logFile)}`);
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (response?.ok === true) return;
    await sleep(50);
  }
  throw new Error(`${name} does not get ready:\n${logTail(logFile)}`);
}

async function untilDone(child: ChildProcess, name: string, logFile: string): Promise<void> {
  if (!hasExited(child)) await new Promise((resolve) => child.once('exit', resolve));
  if (child.exitCode !== 0) throw new Error(`${name} failed:\n${logTail(logFile)}`);
}

/** CPU seconds (user and system) of a process and all its descendants: PostgreSQL works in backends. */
export function cpuSeconds(pid: number): number {
  const ticks = (stat: string): number => {
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const children = (parent: number): number[] => {
    try {
      return readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  };
  const total = (id: number): number => {
    try {
      return ticks(readFileSync(`/proc/${id}/stat`, 'utf8')) + children(id).reduce((sum, child) => sum + total(child), 0);
    } catch {
      return 0;
    }
  };
  return total(pid) / 100;
}

/** Sum over all series of each metric name of a service, e.g. `{ distributor_rows_total: 1234 }`. */
export async function metricsOf(service: Service): Promise<MetricsText> {
  const response = await fetch(`http://127.0.0.1:${service.metricsPort}/metrics`);
  return new MetricsText(await response.text());
}

/** Just enough of Prometheus text to add up counters and read quantiles off histograms. */
export class MetricsText {
  readonly #lines: { name: string; labels: string; value: number }[];

  constructor(text: string) {
    this.#lines = text.split('\n').flatMap((line) => {
      const match = /^([a-zA-Z_:][\w:]*)(\{[^}]*\})? (\S+)/.exec(line);
      return match === null ? [] : [{ name: match[1]!, labels: match[2] ?? '', value: Number(match[3]) }];
    });
  }

  /** The sum over the series of `name` whose labels contain all of `labels`. */
  sum(name: string, ...labels: string[]): number {
    return this.#lines.filter((l) => l.name === name && labels.every((label) => l.labels.includes(label))).reduce((sum, l) => sum + l.value, 0);
  }

  /** Upper bounds of a histogram with cumulative counts, summed over series. */
  buckets(name: string): Map<number, number> {
    const out = new Map<number, number>();
    for (const line of this.#lines) {
      const le = line.name === `${name}_bucket` ? /le="([^"]+)"/.exec(line.labels)?.[1] : undefined;
      if (le !== undefined) out.set(le === '+Inf' ? Infinity : Number(le), (out.get(le === '+Inf' ? Infinity : Number(le)) ?? 0) + line.value);
    }
    return out;
  }
}

/** The q-quantile of what a histogram counted between two scrapes, interpolated inside its bucket; its upper bound is exact. */
export function quantile(before: MetricsText, after: MetricsText, name: string, q: number): number {
  const old = before.buckets(name);
  const buckets = [...after.buckets(name)].map(([le, count]) => [le, count - (old.get(le) ?? 0)] as const).sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)?.[1] ?? 0;
  const target = total * q;
  let lower = 0;
  let below = 0;
  for (const [le, count] of buckets) {
    if (count >= target) return le === Infinity ? Infinity : lower + ((le - lower) * (target - below)) / Math.max(count - below, 1);
    [lower, below] = [le, count];
  }
  return NaN;
}
