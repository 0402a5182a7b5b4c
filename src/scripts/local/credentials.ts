// Who logs in as whom: each service's user on Redis and role on PostgreSQL, their passwords, and the files by which a service gets
// its own and no other's.
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { REDIS_USERS, type RedisPasswords, type RedisUser } from '../../bus/acl.ts';
import { DATABASE_SERVICES, OWNER, roleOf, type DatabasePasswords, type DatabaseService } from '../../store/logins.ts';

interface Login {
  readonly redis: RedisUser;
  /** null: it has no business in the database. */
  readonly database: DatabaseService | 'owner' | null;
}

export const LOGINS = {
  receiver: { redis: 'receiver', database: null },
  distributor: { redis: 'distributor', database: 'distributor' },
  analyzer: { redis: 'analyzer', database: 'analyzer' },
  backfill: { redis: 'backfill', database: 'backfill' },
  executor: { redis: 'executor', database: 'executor' },
  guard: { redis: 'guard', database: null },
  // The one-shot bootstrap migrates the schema; it has ended before the others start.
  janitor: { redis: 'governor', database: 'owner' },
  governor: { redis: 'governor', database: 'governor' },
  maintenance: { redis: 'maintenance', database: 'maintenance' },
  notifier: { redis: 'notifier', database: null },
  strategy: { redis: 'strategy', database: null },
  console: { redis: 'console', database: 'console' },
  operator: { redis: 'operator', database: 'operator' },
} as const satisfies Record<string, Login>;
export type ServiceLogin = keyof typeof LOGINS;
export const SERVICE_LOGINS = Object.keys(LOGINS) as ServiceLogin[];

/** Users of the Compose services' processes: a file of one is not another's to read. The receiver's is the image's own (captures). */
export const UIDS: Readonly<Record<ServiceLogin, number>> = {
  receiver: 1000, distributor: 10002, analyzer: 10003, backfill: 10004, executor: 10005, guard: 10006, janitor: 10007, governor: 10008, maintenance: 10009,
  notifier: 10010, strategy: 10011, console: 10012, operator: 10013,
};

export interface Credentials {
  readonly redis: RedisPasswords;
  readonly database: DatabasePasswords;
}

/** 192 random bits that a URL, a shell and an aclfile take as they are. */
export const newPassword = (): string => randomBytes(24).toString('base64url');

const passwordsFor = <T extends string>(names: readonly T[]): Record<T, string> =>
  Object.fromEntries(names.map((name) => [name, newPassword()])) as Record<T, string>;

export const newCredentials = (): Credentials => ({
  redis: passwordsFor(REDIS_USERS), database: passwordsFor([...DATABASE_SERVICES, 'owner'] as const),
});

/** `host:port/database` of PostgreSQL, `host:port` of Redis. */
export interface Places {
  readonly database: string;
  readonly redis: string;
}

/** The URLs that a service logs in with. */
export function urlsOf(service: ServiceLogin, { redis, database }: Credentials, at: Places): { redisUrl: string; databaseUrl: string | null } {
  const login: Login = LOGINS[service];
  const role = login.database === null ? null : login.database === 'owner' ? OWNER : roleOf(login.database);
  return {
    redisUrl: `redis://${login.redis}:${redis[login.redis]}@${at.redis}`,
    databaseUrl: login.database === null ? null : `postgres://${role}:${database[login.database]}@${at.database}`,
  };
}

/** The credentials that the files in `folder` hold; what is missing there is made. */
export function keptCredentials(folder: string): Credentials {
  const fresh = newCredentials();
  const redis = { ...fresh.redis } as Record<RedisUser, string>;
  const database = { ...fresh.database } as Record<DatabaseService | 'owner', string>;
  for (const service of SERVICE_LOGINS) {
    const login: Login = LOGINS[service];
    redis[login.redis] = passwordIn(join(folder, service, 'redis_url')) ?? redis[login.redis];
    if (login.database !== null) database[login.database] = passwordIn(join(folder, service, 'database_url')) ?? database[login.database];
  }
  return { redis, database };
}

function passwordIn(file: string): string | null {
  if (!existsSync(file)) return null;
  const text = readFileSync(file, 'utf8').trim();
  return URL.canParse(text) ? decodeURIComponent(new URL(text).password) || null : null;
}

/** A service's files, by variable; the receiver's database is nowhere. */
export function fileVariables(folder: string, service: ServiceLogin): Record<string, string> {
  const of = (name: string): string => join(folder, service, name);
  return { REDIS_URL_FILE: of('redis_url'), ...(LOGINS[service].database === null ? {} : { DATABASE_URL_FILE: of('database_url') }) };
}

/** Writes a service's folder anew: readable by `uid` alone (the own user without it), its files for nobody to write. */
export function writeLogin(folder: string, service: ServiceLogin, urls: { redisUrl: string; databaseUrl: string | null }, uid?: number): void {
  const own = join(folder, service);
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const write = (name: string, text: string): void => {
    writeFileSync(join(own, name), `${text}\n`, { mode: 0o400 });
    if (uid !== undefined) chownSync(join(own, name), uid, uid);
  };
  write('redis_url', urls.redisUrl);
  if (urls.databaseUrl !== null) write('database_url', urls.databaseUrl);
  if (uid !== undefined) chownSync(own, uid, uid);
}
