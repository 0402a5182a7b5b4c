// Who of a service is alive, and what it says of itself (fleet.ts writes it).
import type { Redis } from 'ioredis';
import { heartbeatKey } from '../contracts/index.ts';

export interface Heartbeat {
  instance: string;
  /** What the process said; fields are not to be trusted for their type. */
  says: Readonly<Record<string, unknown>>;
}

const SCAN_PAGE = 500;

/** The heartbeats of a service's instances. Rejects when Redis does not answer: nobody is dead for that. */
export async function readHeartbeats(redis: Redis, service: string): Promise<Heartbeat[]> {
  const prefix = heartbeatKey(service, '');
  const keys = new Set<string>();
  for (let cursor = '0', first = true; first || cursor !== '0'; first = false) {
    const [next, page] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', SCAN_PAGE);
    cursor = next;
    for (const key of page) keys.add(key);
  }
  if (keys.size === 0) return [];
  const sorted = [...keys].sort();
  const values = await redis.mget(...sorted);
  return sorted.flatMap((key, i) => {
    const says = objectOf(values[i] ?? null);
    return says === null ? [] : [{ instance: key.slice(prefix.length), says }];
  });
}

function objectOf(text: string | null): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
