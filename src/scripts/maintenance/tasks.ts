// All tasks by name, and when the service runs each.
import { UsageError } from '../../core/errors.ts';
import { closestName } from '../../core/spelling.ts';
import { heartbeats } from './heartbeats.ts';
import { instruments } from './instruments.ts';
import { keys } from './keys.ts';
import { ladder } from './ladder.ts';
import { memory } from './memory.ts';
import { partitions } from './partitions.ts';
import { dailyAt, every, type Timing } from './schedule.ts';
import { streams } from './streams.ts';
import type { Task } from './task.ts';
import { trim } from './trim.ts';
import { vacuum } from './vacuum.ts';

export interface TaskEntry {
  readonly run: Task;
  readonly help: string;
  /** Servers it needs. Without the database, a full Redis can still be trimmed. */
  readonly needs: readonly ('redis' | 'database')[];
  /** null: on demand only. */
  readonly timing: Timing | null;
}

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

export const TASKS = {
  trim: { run: trim, help: 'trim stream:market_data, never past what a consumer group needs', needs: ['redis'], timing: every(MINUTE_MS) },
  streams: { run: streams, help: 'bound the dead letters and stream:system_events', needs: ['redis'], timing: every(5 * MINUTE_MS) },
  keys: { run: keys, help: 'remove ticker hashes of instruments that are gone', needs: ['redis', 'database'], timing: every(60 * MINUTE_MS) },
  partitions: { run: partitions, help: 'make day partitions ahead, drop those past retention', needs: ['database'], timing: every(60 * MINUTE_MS) },
  instruments: { run: instruments, help: 'mark expired instruments', needs: ['database'], timing: every(60 * MINUTE_MS) },
  vacuum: { run: vacuum, help: 'VACUUM (ANALYZE) what is rewritten, and yesterday', needs: ['database'], timing: dailyAt(3) },
  memory: { run: memory, help: 'report what fills Redis and PostgreSQL', needs: ['redis', 'database'], timing: null },
  ladder: { run: ladder, help: 'look how full Redis is, and have the fleet do without what can wait', needs: ['redis'], timing: every(SECOND_MS) },
  heartbeats: { run: heartbeats, help: 'count the instances of each service that are alive', needs: ['redis'], timing: every(5 * SECOND_MS) },
} as const satisfies Record<string, TaskEntry>;

export type TaskName = keyof typeof TASKS;

/** Throws UsageError, one line that names what is wrong and the known tasks. */
export function taskNamed(name: string | undefined): TaskName {
  const known = Object.keys(TASKS);
  if (name === undefined) throw new UsageError(`a task is missing; known: ${known.join(', ')}`);
  if (Object.hasOwn(TASKS, name)) return name as TaskName;
  const meant = closestName(name, known);
  throw new UsageError(`unknown task ${JSON.stringify(name)}${meant === null ? '' : `, did you mean ${meant}?`}; known: ${known.join(', ')}`);
}
