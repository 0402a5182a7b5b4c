// heartbeats: how many instances of each service are alive. One that has gone stays in the figures, with none.
import { countHeartbeats } from '../../bus/keyspace.ts';
import type { TaskContext, TaskReport } from './task.ts';

export async function heartbeats({ redis, metrics }: TaskContext): Promise<TaskReport> {
  const alive = await countHeartbeats(redis);
  const { values } = await metrics.instances.get();
  for (const service of new Set([...values.map(({ labels }) => String(labels['of'])), ...alive.keys()])) {
    metrics.instances.set({ of: service }, alive.get(service) ?? 0);
  }
  const lines = [...alive].sort().map(([service, count]) => `${service}: ${count}`);
  return { lines: lines.length === 0 ? ['nobody is alive'] : lines, facts: { alive: Object.fromEntries(alive) }, changed: false };
}
