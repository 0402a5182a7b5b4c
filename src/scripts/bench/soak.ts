// Memory over a long run: the fleet at a steady rate, the resident size of receiver and distributor sampled all along.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeFleet, openFleet, rows, type Fleet } from './end-to-end.ts';
import { rate } from './measure.ts';
import { metricsOf } from './stage.ts';

export interface MemorySummary {
  medianMb: number;
  leastMb: number;
  mostMb: number;
  /** Last fifth against the first one. */
  drift: number;
}

export interface SoakResult {
  minutes: number;
  tradesPerSecond: number;
  memory: ({ process: string } & MemorySummary)[];
}

const SAMPLE_MS = 5_000;
/** Compiled code and filled caches: what comes before is not the steady state. */
const WARM_UP_MS = 180_000;
const PROCESSES = ['receiver', 'distributor'] as const;

/** Runs the fleet at `perSecond` generated trades per second. Prints a line a minute: it takes its time. */
export async function benchSoak(perSecond: number, minutes: number): Promise<SoakResult> {
  const fleet = await openFleet(perSecond);
  try {
    await sleep(Math.min(WARM_UP_MS, minutes * 30_000));
    const samples: Record<(typeof PROCESSES)[number], number[]> = { receiver: [], distributor: [] };
    const [from, rowsBefore] = [performance.now(), rows(await metricsOf(fleet.distributor))];
    const elapsed = (): number => performance.now() - from;
    for (let n = 1; elapsed() < minutes * 60_000; n++) {
      for (const name of PROCESSES) samples[name].push(residentMb(fleet[name].pid));
      if (n % 12 === 0) process.stdout.write(`${(elapsed() / 60_000).toFixed(0)} min  ${await oneLine(fleet)}\n`);
      await sleep(SAMPLE_MS);
    }
    const stored = rows(await metricsOf(fleet.distributor)) - rowsBefore;
    return {
      minutes,
      tradesPerSecond: stored / (elapsed() / 1000),
      memory: PROCESSES.map((name) => ({ process: name, ...memorySummary(samples[name]) })),
    };
  } finally {
    await closeFleet(fleet);
  }
}

async function oneLine(fleet: Fleet): Promise<string> {
  const memory = PROCESSES.map((name) => `${name} ${residentMb(fleet[name].pid).toFixed(0)} MB`).join('  ');
  return `${memory}  rows ${rows(await metricsOf(fleet.distributor))}`;
}

/** Resident set, MB. */
export function residentMb(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

export function memorySummary(samples: readonly number[]): MemorySummary {
  const sorted = samples.toSorted((a, b) => a - b);
  const fifth = Math.max(1, Math.floor(samples.length / 5));
  const mean = (part: readonly number[]): number => part.reduce((sum, value) => sum + value, 0) / part.length;
  return {
    medianMb: sorted[sorted.length >> 1] ?? Number.NaN,
    leastMb: sorted[0] ?? Number.NaN,
    mostMb: sorted.at(-1) ?? Number.NaN,
    drift: mean(samples.slice(-fifth)) / mean(samples.slice(0, fifth)) - 1,
  };
}

/** For the terminal. */
export const soakTable = (r: SoakResult): Record<string, string | number>[] => r.memory.map((m) => ({
  process: m.process, 'trades/s': rate(r.tradesPerSecond), minutes: r.minutes, 'median MB': m.medianMb.toFixed(0), 'least MB': m.leastMb.toFixed(0),
  'most MB': m.mostMb.toFixed(0), 'drift (± 10 %)': `${(m.drift * 100).toFixed(0)} %`,
}));
