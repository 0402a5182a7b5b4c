// How full Redis is, and the level of the memory ladder that everybody obeys. Works when Redis is full.
import type { Redis } from 'ioredis';
import { memoryLevelValues, systemMemoryKey, type MemoryLevel } from '../contracts/index.ts';
import { toError } from '../core/errors.ts';
import { memoryOf } from './keyspace.ts';
import { loadScript, runScript } from './script.ts';

const probeScript = loadScript('memory_probe');
const levelScript = loadScript('memory_level');

/** Names the ladder in the meta of the states that it locked: such a lock is its own to take off. */
export const MEMORY_LADDER = 'memory ladder';
/** A level that nobody confirms any more must not hold up the fleet for ever. */
const TTL_S = 30;

/**
 * Used memory as a part of maxmemory, counted as Redis does when it refuses writes; 0 without a limit, at least 1 while it refuses
 * them. Rejects when Redis does not answer.
 */
export async function fullness(redis: Redis): Promise<number> {
  const [{ usedBytes, uncountedBytes, maxBytes }, refused] = await Promise.all([memoryOf(redis), refusesWrites(redis)]);
  const ratio = maxBytes === 0 ? 0 : Math.max(0, usedBytes - uncountedBytes) / maxBytes;
  return refused ? Math.max(1, ratio) : ratio;
}

async function refusesWrites(redis: Redis): Promise<boolean> {
  try {
    await runScript(redis, probeScript, [], []);
    return false;
  } catch (error) {
    if (toError(error).message.startsWith('OOM')) return true;
    throw error;
  }
}

export interface MemoryState {
  level: MemoryLevel;
  ratio: number;
  /** When it was confirmed last, and when the level began, µs. */
  atMicros: number;
  sinceMicros: number;
}

/** null while nobody watches. A level that is none of ours (written by hand, a newer build's) counts as normal. */
export async function readMemory(redis: Redis): Promise<MemoryState | null> {
  const { level, ratio, at, since } = await redis.hgetall(systemMemoryKey);
  if (level === undefined) return null;
  const known = memoryLevelValues.find((value) => value === level) ?? 'normal';
  return { level: known, ratio: Number(ratio), atMicros: Number(at), sinceMicros: Number(since) };
}

/** Writes a level for half a minute; false when another watcher has moved it since the caller saw `seen`. */
export async function writeMemory(redis: Redis, seen: MemoryLevel, level: MemoryLevel, ratio: number, atMicros: number): Promise<boolean> {
  return (await runScript(redis, levelScript, [systemMemoryKey], [seen, level, ratio.toFixed(4), atMicros, TTL_S])) === 1;
}

/** The level as one process knows it: what it read last. */
export class MemoryWatch {
  readonly #redis: Redis;
  #level: MemoryLevel = 'normal';

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  get level(): MemoryLevel {
    return this.#level;
  }

  /** Reads it anew; what was known stays while Redis does not answer. Never rejects. */
  async look(): Promise<MemoryLevel> {
    // What is asked while Redis is away would pile up in the client.
    if (this.#redis.status !== 'ready') return this.#level;
    const state = await readMemory(this.#redis).catch(() => undefined);
    if (state !== undefined) this.#level = state?.level ?? 'normal';
    return this.#level;
  }
}
