// The state of each exchange: one compare-and-set script holds the legal edges, the fencing epoch, the version and the
// aggregate. Missing, unreadable or unknown state counts as LOCKED.
import type { Redis } from 'ioredis';
import { systemStateKey, systemStateMetaKey, systemStateSimpleKey, systemStateValues, type SystemState } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const cas = loadScript('state_cas');
const seed = loadScript('state_seed');

export interface StateChange {
  exchange: string;
  /** The state the caller believes in: null none yet, '*' whatever it is. */
  expected: SystemState | null | '*';
  to: SystemState;
  /** Fencing token of the caller; a lower one than the last writer's is refused. */
  epoch: number;
  atMicros: number;
  by: string;
  reason: string;
  /** The version the caller saw: another one is refused as STALE. */
  ver?: number;
  /** mark: a SET by hand over this change, of the very same state even, shall be seen; marked: refused as STALE after such a SET. */
  hand?: 'mark' | 'marked';
}

export type StateOutcome =
  | { ok: true; from: SystemState | null; to: SystemState; ver: number; epoch: number }
  | { ok: false; why: 'FENCED' | 'STALE' | 'ILLEGAL'; actual: SystemState | null; ver: number; epoch: number };

/** Moves one exchange's state and the aggregate over `exchanges` in one script; works when Redis is full. */
export async function changeState(redis: Redis, change: StateChange, exchanges: readonly string[]): Promise<StateOutcome> {
  const keys = [systemStateKey(change.exchange), systemStateMetaKey(change.exchange), systemStateSimpleKey, ...exchanges.map(systemStateKey)];
  const args = [change.expected ?? '', change.to, change.epoch, change.atMicros, change.by, change.reason, change.ver ?? '', change.hand ?? ''];
  const reply = (await runScript(redis, cas, keys, args)) as [number, string, string, number, number];
  const [ok, second, third, ver, epoch] = reply;
  if (ok === 1) return { ok: true, from: asState(second), to: change.to, ver, epoch };
  return { ok: false, why: second as 'FENCED' | 'STALE' | 'ILLEGAL', actual: asState(third), ver, epoch };
}

/** What the last change on record left behind. */
export interface LastChange {
  state: string;
  by: string;
  reason: string;
}

/** Makes version and epoch go on from these where Redis has none, and with them the last change; false when it has. */
export async function seedVersion(redis: Redis, exchange: string, ver: number, epoch: number, last?: LastChange): Promise<boolean> {
  const args = [ver, epoch, last?.state ?? '', last?.by ?? '', last?.reason ?? ''];
  return (await runScript(redis, seed, [systemStateMetaKey(exchange)], args)) === 1;
}

/** The state as readers must see it: LOCKED when it is missing or not one of the five words. */
export async function readState(redis: Redis, exchange: string): Promise<SystemState> {
  return asState(await redis.get(systemStateKey(exchange))) ?? 'LOCKED';
}

/** The raw state for display: null when there is none yet. */
export async function peekState(redis: Redis, exchange: string): Promise<{ state: string | null; meta: Record<string, string> }> {
  const [state, meta] = await Promise.all([redis.get(systemStateKey(exchange)), redis.hgetall(systemStateMetaKey(exchange))]);
  return { state, meta };
}

/** Whether nobody has written the state by hand since a change that left its mark (StateChange.hand). */
export const isMarked = async (redis: Redis, exchange: string): Promise<boolean> => (await redis.ttl(systemStateKey(exchange))) > 0;

function asState(text: string | null): SystemState | null {
  return systemStateValues.find((state) => state === text) ?? null;
}
