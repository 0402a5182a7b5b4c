// What every task of the maintenance gets and gives.
import type { Redis } from 'ioredis';
import type { Clock } from '../../core/clock.ts';
import type { Config } from '../../runtime/env.ts';
import type { Logger } from '../../runtime/log.ts';
import type { Pool } from '../../store/connect.ts';
import type { UnloggedChanges } from './ladder_states.ts';
import type { MaintenanceMetrics } from './metrics.ts';

export interface TaskContext {
  readonly redis: Redis;
  /** Redis of stream:market_data and its dead letters. */
  readonly stream: Redis;
  readonly pool: Pool;
  readonly clock: Pick<Clock, 'nowMicros'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly metrics: MaintenanceMetrics;
  readonly settings: Config['maintenance'];
  /** All that are served: the aggregate state is over them. */
  readonly exchanges: readonly string[];
  /** Changes of states on their way into state_log. */
  readonly unlogged: UnloggedChanges;
  /** Say what would be done, and change nothing. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
}

export interface TaskReport {
  /** For people: one line per thing that was (or would be) done, at least one. */
  readonly lines: readonly string[];
  /** The same for programs and logs. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Whether anything was done, or found, that is worth a line in the service's log. */
  readonly changed: boolean;
}

/** Rejects when it could not do its work; repeating it is safe, and so are two at once. */
export type Task = (ctx: TaskContext) => Promise<TaskReport>;

export const DAY_MICROS = 86_400_000_000;

/** `removed` or `would remove`. */
export const verb = ({ dryRun }: Pick<TaskContext, 'dryRun'>, past: string, infinitive: string): string => (dryRun ? `would ${infinitive}` : past);

/** `12 kB`, `3.4 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
