// Dead letters: entries that cannot be stored, kept as received with the reason, until somebody replays or discards them.
import type { Redis } from 'ioredis';
import type { DlqEntry } from '../contracts/index.ts';
import { loadScript, runScript } from './script.ts';

const deadLetterScript = loadScript('dead_letter');
const replayScript = loadScript('dlq_replay');

export type DlqErrorClass = DlqEntry['error_class'];

export interface DeadLetter {
  sourceId: string;
  /** As received: bytes where they are not ASCII. */
  payload: string | Buffer;
  error: string;
  errorClass: DlqErrorClass;
  deliveries: number;
  failedAtMicros: number;
}

/** A dead letter with its id in the dead-letter stream. */
export type StoredLetter = { id: string } & Partial<Record<keyof DlqEntry, string>>;

export interface DlqSource {
  stream: string;
  group: string;
  consumer: string;
}

/** Where the dead letters of a stream are kept. */
export const dlqKeyOf = (stream: string): string => `dlq:${stream}`;

/** Per script call: bounded time on the server. */
const PAGE = 200;
const MAX_ERROR = 1_000;

/**
 * Acknowledges entries and writes their dead letters in one step; works when Redis is full. Returns the letters that this
 * call wrote: an entry that was not pending any more has been settled by somebody else. Rejects when Redis does not answer;
 * repeating it is safe.
 */
export async function writeDeadLetters(redis: Redis, source: DlqSource, letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
  const written: DeadLetter[] = [];
  for (let at = 0; at < letters.length; at += PAGE) {
    const page = letters.slice(at, at + PAGE);
    const args = page.flatMap((letter) => [
      letter.sourceId, letter.payload, letter.error.slice(0, MAX_ERROR), letter.errorClass, letter.deliveries, letter.failedAtMicros,
    ]);
    const ids = (await runScript(redis, deadLetterScript, [source.stream, dlqKeyOf(source.stream)], [source.group, source.consumer, ...args])) as string[];
    written.push(...page.filter((_letter, n) => ids[n] !== ''));
  }
  return written;
}

/** How many dead letters there are. */
export const countLetters = (redis: Redis, stream: string): Promise<number> => redis.xlen(dlqKeyOf(stream));

/** Letters with ids after `after`, oldest first. */
export async function listLetters(redis: Redis, stream: string, limit: number, after = '-'): Promise<StoredLetter[]> {
  const entries = await redis.xrange(dlqKeyOf(stream), after === '-' ? '-' : `(${after}`, '+', 'COUNT', limit);
  return entries.map(([id, fields]) => letterOf(id, fields));
}

/** One letter, or null. */
export async function findLetter(redis: Redis, stream: string, id: string): Promise<StoredLetter | null> {
  const [entry] = await redis.xrange(dlqKeyOf(stream), id, id);
  return entry === undefined ? null : letterOf(entry[0], entry[1]);
}

/** A letter's payload as received; null when the letter, or its payload, is gone. */
export async function readPayload(redis: Redis, stream: string, id: string): Promise<Buffer | null> {
  const [entry] = await redis.xrangeBuffer(dlqKeyOf(stream), id, id);
  const fields = entry?.[1] ?? [];
  const at = fields.findIndex((name, n) => n % 2 === 0 && name.toString('latin1') === 'payload');
  return at < 0 ? null : fields[at + 1] ?? null;
}

/** Puts a payload into the stream and removes the letter, in one step. Returns the new entry's id; null when the letter is gone. */
export async function replayLetter(redis: Redis, stream: string, id: string, payload: Buffer): Promise<string | null> {
  const entry = (await runScript(redis, replayScript, [dlqKeyOf(stream), stream], [id, payload])) as string;
  return entry === '' ? null : entry;
}

/** Removes letters; returns how many were there. */
export const discardLetters = async (redis: Redis, stream: string, ids: readonly string[]): Promise<number> =>
  ids.length === 0 ? 0 : redis.xdel(dlqKeyOf(stream), ...ids);

function letterOf(id: string, fields: readonly string[]): StoredLetter {
  const letter: Record<string, string> = { id };
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i];
    if (name !== undefined && name !== 'id') letter[name] = fields[i + 1] ?? '';
  }
  return letter as StoredLetter;
}
