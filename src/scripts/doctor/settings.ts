// doctor: PostgreSQL's settings, who may log in to Redis, and how full the disks are.
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import { fail, ok, warn, type Finding } from '../../core/finding.ts';
import { isNearby } from '../../runtime/env_values.ts';
import { databaseSize } from '../../store/upkeep.ts';
import type { Pool } from '../../store/connect.ts';
import type { ServerFacts } from '../../store/settings.ts';

/** What the fleet opens at most when each service runs twice. */
const CONNECTIONS_WANTED = 40;
const GB = 1e9;

/** One row for each setting that data or speed depends on. */
export function settingFindings({ settings, connections }: ServerFacts): Finding[] {
  return [
    durability(settings), connectionFinding(Number(settings.max_connections), connections), jit(settings.jit), commitTimes(settings.track_commit_timestamp),
  ];
}

function durability(settings: ServerFacts['settings']): Finding {
  const name = 'postgres durability';
  const off = (['fsync', 'full_page_writes'] as const).filter((setting) => settings[setting] === 'off');
  if (off.length > 0) {
    return fail(name, `${off.join(', ')} off`, `ALTER SYSTEM SET ${off[0]} = on, and reload: a crash of the machine may destroy the database`);
  }
  const { synchronous_commit: commit = '?' } = settings;
  return commit === 'off' || commit === 'local'
    ? warn(name, `synchronous_commit ${commit}`, 'ALTER SYSTEM SET synchronous_commit = on: others than the fleet lose what they believe stored')
    : ok(name, `fsync on, synchronous_commit ${commit}`);
}

function connectionFinding(max: number, used: number): Finding {
  const name = 'postgres connections';
  const detail = `${used} of ${max} in use`;
  const remedy = 'raise max_connections (a restart), or find who holds them: SELECT application_name, count(*) FROM pg_stat_activity GROUP BY 1';
  if (used >= max * 0.95) return fail(name, detail, remedy);
  return used >= max * 0.8 || max < CONNECTIONS_WANTED ? warn(name, detail, remedy) : ok(name, detail);
}

const jit = (setting: string | undefined): Finding => setting === 'on'
  ? warn('postgres jit', 'on', 'ALTER SYSTEM SET jit = off, and reload: compiling short queries takes longer than they do')
  : ok('postgres jit', setting ?? '?');

const commitTimes = (setting: string | undefined): Finding => setting === 'off'
  ? warn('postgres commit times', 'not kept', 'ALTER SYSTEM SET track_commit_timestamp = on, and restart: npm run trace then says when a trade was committed')
  : ok('postgres commit times', 'kept');

/** Who we are to Redis. `host` is where it is: what anybody may do on loopback is less bad than what anybody may do on a network. */
export function aclFinding(user: string, passwordless: boolean, host: string): Finding {
  const name = 'redis acl';
  if (user !== 'default') return ok(name, `logged in as ${user}`);
  const remedy = 'give each service a login of its own: npm run secrets';
  if (!passwordless) return warn(name, 'one login with all rights for everybody', remedy);
  return (isNearby(host) ? warn : fail)(name, `whoever reaches ${host} may do anything`, remedy);
}

export async function redisAclFinding(redis: Redis, host: string): Promise<Finding> {
  const user = String(await redis.call('ACL', 'WHOAMI'));
  if (user !== 'default') return aclFinding(user, false, host);
  const about = (await redis.call('ACL', 'GETUSER', 'default')) as unknown[];
  const flags = about[about.indexOf('flags') + 1];
  return aclFinding(user, Array.isArray(flags) && flags.includes('nopass'), host);
}

/** Room on a disk, in bytes. */
export function diskFinding(name: string, free: number, total: number, inside = ''): Finding {
  const share = free / total;
  const detail = `${(free / GB).toFixed(1)} GB of ${(total / GB).toFixed(0)} GB free${inside}`;
  const remedy = 'make room: TRADES_RETENTION_DAYS and TICKERS_RETENTION_DAYS drop old days, CAPTURE_MAX_MB bounds the capture; '
    + 'npm run maintenance -- memory tells what is big';
  if (free < GB || share < 0.02) return fail(name, detail, remedy);
  return free < 5 * GB || share < 0.1 ? warn(name, detail, remedy) : ok(name, detail);
}

async function diskOf(name: string, folder: string | undefined, nearby: boolean, inside: string): Promise<Finding> {
  // A server in a container, or on another machine, has a folder of that name somewhere else.
  if (folder === undefined || !nearby || !existsSync(folder)) return ok(name, `its disk cannot be seen from here${inside}`);
  const { bavail, blocks, bsize } = await statfs(folder);
  return diskFinding(name, bavail * bsize, blocks * bsize, inside);
}

/** The disks of PostgreSQL, of Redis and of the raw capture. */
export async function diskFindings(
  pool: Pool, redis: Redis, facts: ServerFacts, hosts: { database: string; redis: string }, captureFolder: string | null,
): Promise<Finding[]> {
  const size = await databaseSize(pool);
  const [, folder] = (await redis.config('GET', 'dir')) as string[];
  return Promise.all([
    diskOf('disk postgres', facts.settings.data_directory, isLoopback(hosts.database), `; the database takes ${(size / GB).toFixed(2)} GB`),
    diskOf('disk redis', folder, isLoopback(hosts.redis), ''),
    ...(captureFolder === null ? [] : [diskOf('disk capture', captureFolder, true, '')]),
  ]);
}

export const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/i.test(host);
