// After the heal the fleet lives: data flow quickly again, nobody was restarted but by us, nobody hangs.
import type { Redis } from 'ioredis';
import { scanKeys } from './scan.ts';
import { settle } from './settle.ts';
import { verdict, type Verdict } from './verdict.ts';

/** Socket → committed, p99 of the last seconds. */
export const MAX_LATENCY_MS = 2_000;
/** Heartbeats are renewed every three seconds and end after ten. */
export const MAX_HEARTBEAT_MS = 10_000;

/** A process under supervision. */
export interface Service {
  readonly name: string;
  readonly pid: number | null;
  readonly restarts: number;
}

export interface Pulse extends Service {
  /** Times that the schedule killed it. */
  readonly killed: number;
  /** Age of the heartbeat with this pid; null without one. */
  readonly heartbeatMs: number | null;
}

/** What does not live as it should. */
export function lifeProblems(pulses: readonly Pulse[], latencyP99Ms: number | null): string[] {
  const slow = latencyP99Ms === null ? 'nothing was committed in the last seconds' : `p99 of socket → committed is ${Math.round(latencyP99Ms)} ms`;
  return [
    ...(latencyP99Ms !== null && latencyP99Ms <= MAX_LATENCY_MS ? [] : [slow]),
    ...pulses.flatMap(({ name, pid, restarts, killed, heartbeatMs }) => [
      ...(pid === null ? [`${name} does not run`] : []),
      ...(restarts > killed ? [`${name} was started again ${restarts} times, killed ${killed} times`] : []),
      ...(pid !== null && (heartbeatMs === null || heartbeatMs > MAX_HEARTBEAT_MS)
        ? [`${name} (pid ${pid}) has ${heartbeatMs === null ? 'no heartbeat' : `a heartbeat of ${Math.round(heartbeatMs)} ms ago`}`] : []),
    ]),
  ];
}

/** Waits at most `seconds` until everything lives; what does not by then is an offender. */
export async function checkLiveness(
  redis: Redis, services: readonly Service[], killed: readonly string[], latencyP99Ms: () => number | null, seconds: number,
): Promise<Verdict> {
  let pulses: Pulse[] = [];
  let problems: string[] = [];
  await settle(seconds, async () => {
    const ages = await heartbeatAges(redis);
    pulses = services.map(({ name, pid, restarts }) => ({
      name, pid, restarts, killed: killed.filter((victim) => victim === name).length, heartbeatMs: pid === null ? null : (ages.get(pid) ?? null),
    }));
    problems = lifeProblems(pulses, latencyP99Ms());
    return problems[0] ?? null;
  });
  const oldest = Math.max(0, ...pulses.map(({ heartbeatMs }) => heartbeatMs ?? 0));
  const restarts = pulses.reduce((sum, pulse) => sum + pulse.restarts, 0);
  const latency = latencyP99Ms();
  return verdict('liveness', problems,
    `p99 ${latency === null ? '-' : Math.round(latency)} ms (limit ${MAX_LATENCY_MS}), ${restarts} restarts of ${killed.length} kills, `
    + `oldest heartbeat ${(oldest / 1000).toFixed(1)} s (limit ${MAX_HEARTBEAT_MS / 1000})`,
    { ...(latency === null ? {} : { p99_ms: Math.round(latency) }), restarts, kills: killed.length, oldest_heartbeat_ms: Math.round(oldest) });
}

async function heartbeatAges(redis: Redis): Promise<Map<number, number>> {
  const keys = await scanKeys(redis, 'heartbeat:*');
  const values = keys.length === 0 ? [] : await redis.mget(...keys);
  const nowMicros = Date.now() * 1000;
  return new Map(values.filter((text) => text !== null).map((text) => {
    const { pid, at } = JSON.parse(text) as { pid: number; at: number };
    return [pid, (nowMicros - at) / 1000];
  }));
}
