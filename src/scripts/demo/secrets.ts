// The passwords that the services were given must be nowhere they write to: logs, Redis, tables, metrics, command lines, environments.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Pool } from '../../store/connect.ts';
import type { Fleet } from './fleet.ts';
import { scanKeys } from './scan.ts';
import { verdict, type Verdict } from './verdict.ts';

/** A text and where it stands. */
export type Place = readonly [where: string, text: string];

const PAGE = 2_000;
/** Tables whose texts come from processes, not from exchanges. */
const TOLD = ['state_log', 'operator_actions', 'data_gaps', 'backfill_jobs'];

/** How a secret may be written. */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [...new Set([secret, encodeURIComponent(secret), bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('hex')])];
}

/** Collects where one of the forms stands, text by text, so that a long run's logs need not be held at once. */
export class Search {
  readonly found: string[] = [];
  bytes = 0;
  places = 0;
  readonly #forms: readonly string[];

  constructor(...secrets: readonly string[]) {
    this.#forms = secrets.flatMap(formsOf);
  }

  look([where, text]: Place): void {
    this.places++;
    this.bytes += text.length;
    const form = this.#forms.find((candidate) => text.includes(candidate));
    if (form === undefined) return;
    const at = text.indexOf(form);
    this.found.push(`${where}: …${text.slice(Math.max(0, at - 60), at)}[the secret]`);
  }
}

/** What only living processes show: metrics, command lines, environments. */
export async function lookAtProcesses(search: Search, fleet: Fleet): Promise<void> {
  for (const { name, pid, metricsUrl } of fleet.processes) {
    for (const file of ['cmdline', 'environ']) {
      const path = `/proc/${pid}/${file}`;
      if (pid !== null && existsSync(path)) search.look([`${file} of ${name}`, readFileSync(path, 'latin1')]);
    }
    for (const path of ['/metrics', '/readyz', '/healthz']) {
      const response = await fetch(metricsUrl + path, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      if (response !== null) search.look([`${path} of ${name}`, await response.text()]);
    }
  }
}

/** Everything that the run has left behind. */
export async function checkSecrets(search: Search, fleet: Fleet, redis: Redis, pool: Pool): Promise<Verdict> {
  const logs = [...readdirSync(fleet.logDir).map((name) => join(fleet.logDir, name)), fleet.postgres.logFile, fleet.redis.logFile];
  for (const file of logs) search.look([file, readFileSync(file, 'utf8')]);
  const keys = await scanKeys(redis, '*');
  for (const key of keys) await lookAtKey(search, redis, key);
  for (const table of TOLD) {
    const { rows } = await pool.query<{ text: string }>(`SELECT t::text AS text FROM ${table} AS t`);
    for (const { text } of rows) search.look([table, text]);
  }
  return judgeSecrets(search, { logs: logs.length, keys: keys.length });
}

/** A search that saw nothing proves nothing. */
export function judgeSecrets(search: Search, seen: { logs: number; keys: number }): Verdict {
  const blind = Object.entries(seen).filter(([, n]) => n === 0).map(([what]) => `no ${what} were there to be searched`);
  const where = `${seen.logs} logs, ${seen.keys} keys, ${Math.round(search.bytes / 1024)} KiB`;
  return verdict('secrets', [...blind, ...search.found], `the servers' passwords in ${search.found.length} of ${search.places} places (${where})`,
    { places: search.places, bytes: search.bytes, ...seen });
}

/** Exported for its test: every kind of key is read. */
export async function lookAtKey(search: Search, redis: Redis, key: string): Promise<void> {
  const type = await redis.type(key);
  if (type === 'stream') return lookAtStream(search, redis, key);
  const text = type === 'string' ? await redis.get(key)
    : type === 'hash' ? Object.entries(await redis.hgetall(key)).flat().join('\n')
    : type === 'list' ? (await redis.lrange(key, 0, -1)).join('\n')
    : type === 'set' ? (await redis.smembers(key)).join('\n')
    : (await redis.zrange(key, 0, -1)).join('\n');
  search.look([key, `${key}\n${text ?? ''}`]);
}

async function lookAtStream(search: Search, redis: Redis, key: string): Promise<void> {
  for (let after = '-'; ; ) {
    const page = await redis.xrange(key, after, '+', 'COUNT', PAGE);
    if (page.length === 0) return;
    search.look([key, page.map(([, fields]) => fields.join('\n')).join('\n')]);
    after = `(${page.at(-1)?.[0] ?? ''}`;
  }
}
