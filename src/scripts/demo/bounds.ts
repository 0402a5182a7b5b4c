// What a fleet may use at most, watched all through a run: a leak shows as a peak, also when it is gone in the end.
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { streamMarketDataKey } from '../../contracts/index.ts';
import type { Pool } from '../../store/connect.ts';
import type { MetricsText } from '../bench/stage.ts';
import type { Fleet } from './fleet.ts';
import { verdict, type Verdict } from './verdict.ts';

const MIB = 1024 * 1024;
const EVERY_MS = 1_000;

/** measure → limit; see limitsOf. */
export type Measure = 'rss_mb' | 'handles' | 'timers' | 'connections' | 'stream_entries' | 'wal_mb' | 'log_kb';
export type Limits = Readonly<Record<Measure, number>>;

interface Peak {
  value: number;
  who: string;
}

/** Room for what a run of this length and rate really needs, times about three; the rest is a leak. */
export function limitsOf(durationS: number, ratePerS: number): Limits {
  return {
    // Of one service, the simulator among them: its ledger and history are in memory.
    rss_mb: 512 + (ratePerS * durationS) / 2_000,
    // File descriptors and living timers of one service.
    handles: 256,
    timers: 500,
    // Of PostgreSQL: five services with pools of at most four, this command, and what a killed one left for moments.
    connections: 60,
    // About two messages per trade besides quotes; nothing is trimmed within the hour.
    stream_entries: 20_000 + (1_000 + 5 * ratePerS) * durationS,
    // max_wal_size is 2 GB, a checkpoint may be under way.
    wal_mb: 3_072,
    // Of all logs: an error that repeats fills them.
    log_kb: 1_024 + 20 * durationS,
  };
}

/** The highest value of each measure so far, and whose it was. */
export class Peaks {
  readonly #peaks = new Map<Measure, Peak>();
  samples = 0;

  note(measure: Measure, who: string, value: number): void {
    if (value > (this.#peaks.get(measure)?.value ?? -1)) this.#peaks.set(measure, { value, who });
  }

  /** Above its limit, or never seen: what was not watched is not bounded. */
  judge(limits: Limits): Verdict {
    const offenders: string[] = [];
    const figures: Record<string, number> = { samples: this.samples };
    const told: string[] = [];
    for (const [measure, limit] of Object.entries(limits) as [Measure, number][]) {
      const peak = this.#peaks.get(measure);
      if (peak === undefined) offenders.push(`${measure} was never measured`);
      else {
        figures[measure] = round(peak.value);
        figures[`${measure}_limit`] = round(limit);
        told.push(`${measure} ${round(peak.value)}/${round(limit)}`);
        if (peak.value > limit) offenders.push(`${measure} of ${peak.who} was ${round(peak.value)}, the limit is ${round(limit)}`);
      }
    }
    return verdict('bounded', offenders, `peaks of limits: ${told.join(', ')}`, figures);
  }
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Samples a fleet once a second until it is stopped. */
export class Watch {
  readonly peaks = new Peaks();
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, redis: Redis, pool: Pool, metrics: () => ReadonlyMap<string, MetricsText>) {
    let busy = false;
    this.#timer = setInterval(() => {
      if (busy) return;
      busy = true;
      // A server that is just being restarted has no figures.
      this.#running = sample(this.peaks, fleet, redis, pool, metrics()).catch(() => undefined).finally(() => (busy = false));
    }, EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }
}

async function sample(peaks: Peaks, fleet: Fleet, redis: Redis, pool: Pool, metrics: ReadonlyMap<string, MetricsText>): Promise<void> {
  peaks.samples++;
  for (const { name, pid } of fleet.processes) {
    if (pid === null) continue;
    try {
      const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      if (resident !== undefined) peaks.note('rss_mb', name, Number(resident) / 1024);
      peaks.note('handles', name, readdirSync(`/proc/${pid}/fd`).length);
    } catch {
      // it has just ended
    }
    peaks.note('timers', name, metrics.get(name)?.sum('nodejs_active_resources', 'type="Timeout"') ?? 0);
  }
  peaks.note('log_kb', fleet.logDir, readdirSync(fleet.logDir).reduce((sum, name) => sum + statSync(join(fleet.logDir, name)).size, 0) / 1024);
  peaks.note('stream_entries', streamMarketDataKey, await redis.xlen(streamMarketDataKey));
  const { rows } = await pool.query<{ connections: number; wal: string }>(
    `SELECT (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()) AS wal`);
  peaks.note('connections', 'PostgreSQL', rows[0]?.connections ?? 0);
  peaks.note('wal_mb', 'PostgreSQL', Number(rows[0]?.wal ?? 0) / MIB);
}
