// doctor: versions, Redis, PostgreSQL.
import type { Redis } from 'ioredis';
import { readMemory } from '../../bus/memory.ts';
import type { Clock } from '../../core/clock.ts';
import { age, fail, ok, warn, type Finding } from '../../core/finding.ts';
import type { Pool } from '../../store/connect.ts';
import { migrationStatus } from '../../store/migrate.ts';
import { PARTITIONED_TABLES, countDefaultRows, loadPartitionDays } from '../../store/partitions.ts';

const MIN_NODE = [24, 11] as const;
const MIN_REDIS = 7;
const MIN_POSTGRES = 18;
const MICROS_PER_DAY = 86_400_000_000;
/** Maintenance makes a week; fewer than this means that nobody has made more for days. */
const DAYS_AHEAD_WANTED = 2;

export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const good = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  return good
    ? ok('node', version)
    : fail('node', version, `run it through npm (npm run doctor), or install Node ${MIN_NODE.join('.')} or newer`);
}

/** Version, and the settings without which Redis forgets or dies: noeviction, a limit, a log. */
export async function redisFindings(redis: Pick<Redis, 'info'>): Promise<Finding[]> {
  const info = await redis.info();
  const text = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const version = text('redis_version');
  const found: Finding[] = [
    Number(version.split('.')[0]) >= MIN_REDIS
      ? ok('redis', `${version}, ${Math.round(Number(text('used_memory')) / 1e6)} MB used`)
      : fail('redis', version, `install Redis ${MIN_REDIS} or newer`),
  ];
  const policy = text('maxmemory_policy');
  found.push(
    policy === 'noeviction'
      ? ok('redis policy', policy)
      : fail(
          'redis policy',
          policy,
          'CONFIG SET maxmemory-policy noeviction: any other policy throws market data away',
        ),
  );
  const [limit, used] = [Number(text('maxmemory')), Number(text('used_memory'))];
  if (limit === 0)
    found.push(
      warn(
        'redis memory',
        'no maxmemory',
        "set maxmemory below the machine's memory: without it the kernel kills Redis",
      ),
    );
  else if (used > limit * 0.8)
    found.push(
      warn(
        'redis memory',
        `${Math.round((100 * used) / limit)} % of maxmemory used`,
        'is a distributor running? then raise maxmemory or trim the stream',
      ),
    );
  else found.push(ok('redis memory', `${Math.round((100 * used) / limit)} % of ${Math.round(limit / 1e6)} MB used`));
  found.push(aofFinding(text));
  return found;
}

/** A log that cannot be written is worse than none: Redis then refuses what it is given. */
function aofFinding(text: (name: string) => string): Finding {
  const name = 'redis aof';
  if (text('aof_enabled') !== '1') return warn(name, 'off', 'CONFIG SET appendonly yes: what is not yet in PostgreSQL is lost with a restart');
  const [written, rewritten] = [text('aof_last_write_status'), text('aof_last_bgrewrite_status')];
  const remedy = 'is its disk full, or the folder of redis-cli CONFIG GET dir closed to it? its log says why';
  if (written !== 'ok') return fail(name, `on, last write ${written}: Redis takes nothing more`, remedy);
  return rewritten === 'err' ? warn(name, 'on, and cannot be rewritten: it grows without end', remedy) : ok(name, 'on, last write ok');
}

/** What the fleet does without because Redis is nearly full. */
export async function ladderFinding(redis: Redis, clock: Pick<Clock, 'nowMicros'>): Promise<Finding> {
  const name = 'memory ladder';
  const state = await readMemory(redis);
  if (state === null) return warn(name, 'nobody watches how full Redis is', 'start the maintenance: npm start -- maintenance');
  const used = `${Math.round(100 * state.ratio)} % of maxmemory`;
  if (state.level === 'normal') return ok(name, `normal, ${used}`);
  const detail = `${state.level} for ${age((clock.nowMicros() - state.sinceMicros) / 1_000)}, ${used}`;
  return (state.level === 'locked' ? fail : warn)(name, detail, 'docs/runbooks/redis-full.md');
}

/** Version, schema and the partitions of the days to come. */
export async function postgresFindings(pool: Pool, clock: Clock): Promise<Finding[]> {
  const { rows } = await pool.query<{ v: string }>(`SELECT current_setting('server_version') AS v`);
  const version = rows[0]?.v ?? '';
  const found: Finding[] = [
    Number.parseInt(version, 10) >= MIN_POSTGRES
      ? ok('postgres', version)
      : fail('postgres', version, `install PostgreSQL ${MIN_POSTGRES} or newer`),
  ];
  const { applied, pending, unknown } = await migrationStatus(pool);
  if (unknown.length > 0)
    found.push(fail('migrations', `newer than this build: ${unknown.join(', ')}`, 'deploy the newer build'));
  else if (pending.length > 0)
    found.push(fail('migrations', `pending: ${pending.join(', ')}`, 'npm run migrate -- up (or start the janitor)'));
  else found.push(ok('migrations', `at head (${applied.length} applied)`));
  if (pending.length > 0) return found;
  const today = Math.floor(clock.nowMicros() / MICROS_PER_DAY);
  for (const table of PARTITIONED_TABLES) found.push(await partitionFinding(pool, table, today));
  return found;
}

async function partitionFinding(
  pool: Pool,
  table: (typeof PARTITIONED_TABLES)[number],
  today: number,
): Promise<Finding> {
  const days = await loadPartitionDays(pool, table);
  let ahead = -1;
  while (days.has(today + ahead + 1)) ahead++;
  const waiting = await countDefaultRows(pool, table);
  const name = `partitions ${table}`;
  const remedy = 'npm run maintenance -- partitions makes a week ahead; npm start -- maintenance keeps doing so';
  if (ahead < 0) return fail(name, 'none for today', remedy);
  if (waiting > 0) {
    return warn(
      name,
      `${waiting} rows lie outside of any day partition`,
      `npm run maintenance -- partitions moves those of yesterday to a week ahead; older and later ones stay in ${table}_default, complete`,
    );
  }
  return ahead < DAYS_AHEAD_WANTED ? warn(name, `${ahead} days ahead`, remedy) : ok(name, `${ahead} days ahead`);
}
