// Real servers for tests. Order: DATABASE_URL / REDIS_URL given → binaries on this machine (embedded PostgreSQL 18,
// redis-server) → testcontainers where a Docker engine answers. Every test file gets a database of its own.
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { Redis } from 'ioredis';
import pg from 'pg';
import { inject } from 'vitest';
import { startPostgres, type LocalPostgres, type PostgresOptions } from '../scripts/local/postgres.ts';
import { startRedis, type LocalRedis, type RedisOptions } from '../scripts/local/redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    databaseUrl: string;
    redisUrl: string;
  }
}

export interface RunningServer {
  url: string;
  stop(): Promise<void>;
}

const temporaryFolder = (name: string): string => mkdtempSync(join(tmpdir(), `tapekeeper-test-${name}-`));

/** The run's PostgreSQL (global set-up only; tests use freshDatabase). */
export async function providePostgres(given: string | undefined): Promise<RunningServer> {
  if (given !== undefined && given !== '') return { url: given, stop: () => Promise.resolve() };
  try {
    const server = await ownPostgres();
    return { url: server.url, stop: () => server.remove() };
  } catch (error) {
    return fromContainer('PostgreSQL', 'DATABASE_URL', 'postgres:18', 5432, error, {
      env: { POSTGRES_PASSWORD: 'test' }, url: (host, port) => `postgres://postgres:test@${host}:${port}/postgres`,
      ready: /ready to accept connections[\s\S]*ready to accept connections/,
    });
  }
}

/** The run's Redis (global set-up only; tests use freshRedis). */
export async function provideRedis(given: string | undefined): Promise<RunningServer> {
  if (given !== undefined && given !== '') return { url: given, stop: () => Promise.resolve() };
  try {
    const server = await ownRedis();
    return { url: server.url, stop: () => server.remove() };
  } catch (error) {
    return fromContainer('Redis', 'REDIS_URL', 'redis:7', 6379, error, {
      env: {}, url: (host, port) => `redis://${host}:${port}`, ready: /Ready to accept connections/,
    });
  }
}

interface ContainerSpec {
  env: Record<string, string>;
  url: (host: string, port: number) => string;
  ready: RegExp;
}

async function fromContainer(
  what: string, variable: string, image: string, port: number, cause: unknown, spec: ContainerSpec,
): Promise<RunningServer> {
  try {
    const { GenericContainer, Wait } = await import('testcontainers');
    const container = await new GenericContainer(image).withEnvironment(spec.env).withExposedPorts(port)
      .withWaitStrategy(Wait.forLogMessage(spec.ready)).start();
    const stop = async (): Promise<void> => {
      await container.stop();
    };
    return { url: spec.url(container.getHost(), container.getMappedPort(port)), stop };
  } catch (error) {
    const local = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The tests need a ${what}: ${local}. Or start Docker, or set ${variable}.`, { cause: error });
  }
}

/** A PostgreSQL server that the test may kill, fill and restart. `remove()` it in the end. */
export const ownPostgres = (options: PostgresOptions = {}): Promise<LocalPostgres> =>
  startPostgres(temporaryFolder('postgres'), options);

/** A Redis server that the test may kill, fill and restart. `remove()` it in the end. */
export const ownRedis = (options: RedisOptions = {}): Promise<LocalRedis> => startRedis(temporaryFolder('redis'), options);

export interface FreshDatabase {
  url: string;
  drop(): Promise<void>;
}

/** An empty database on the run's server, or one at the newest migration with `migrated` (a copy of a template). */
export async function freshDatabase(prefix: string, options: { migrated?: boolean } = {}): Promise<FreshDatabase> {
  const server = inject('databaseUrl');
  const name = `test_${prefix.replaceAll(/\W/g, '_').toLowerCase()}_${randomBytes(5).toString('hex')}`;
  await withClient(server, async (client) => {
    if (options.migrated !== true) await client.query(`CREATE DATABASE ${name}`);
    else await client.query(`CREATE DATABASE ${name} TEMPLATE ${await templateDatabase(server, client)}`);
  });
  return {
    url: databaseUrl(server, name),
    drop: () => withClient(server, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    }),
  };
}

/** Migrating takes about half a second, copying a template a tenth: made once per run by whoever comes first. */
async function templateDatabase(server: string, client: pg.Client): Promise<string> {
  const name = `template_${process.ppid}`;
  await client.query('SELECT pg_advisory_lock(727001)');
  try {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate', [name]);
    if (rowCount === 0) {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await client.query(`CREATE DATABASE ${name}`);
      const { migrateUp } = await import('../store/migrate.ts');
      await migrateUp(databaseUrl(server, name));
      await client.query(`ALTER DATABASE ${name} IS_TEMPLATE true`);
    }
  } finally {
    await client.query('SELECT pg_advisory_unlock(727001)');
  }
  return name;
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

async function withClient(url: string, use: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

export interface FreshRedis {
  url: string;
  /** The server, where it is the test's own: kill and restart it. null on a server that was given. */
  server: LocalRedis | null;
  drop(): Promise<void>;
}

/** An empty Redis: a server of its own (pub/sub is not separated by database number), else an empty database of the given one. */
export async function freshRedis(options: RedisOptions = {}): Promise<FreshRedis> {
  if (redisServerInstalled()) {
    const server = await ownRedis(options);
    return { url: server.url, server, drop: () => server.remove() };
  }
  return emptyDatabaseOf(inject('redisUrl'));
}

/** True where tests can start a Redis of their own; others skip. */
export const redisServerInstalled = (): boolean =>
  spawnSync('redis-server', ['--version'], { stdio: 'ignore' }).status === 0;

/** Never a database that holds anything: the server may be somebody's. */
async function emptyDatabaseOf(serverUrl: string): Promise<FreshRedis> {
  for (let number = 1; number < 16; number++) {
    const url = new URL(serverUrl);
    url.pathname = `/${number}`;
    const redis = new Redis(url.href);
    const won = await redis.set('tapekeeper:test', String(process.pid), 'NX');
    if (won === 'OK' && await redis.dbsize() === 1) {
      const drop = async (): Promise<void> => {
        await redis.flushdb();
        redis.disconnect();
      };
      return { url: url.href, server: null, drop };
    }
    if (won === 'OK') await redis.del('tapekeeper:test');
    redis.disconnect();
  }
  throw new Error(`no empty database among 1..15 of ${serverUrl}`);
}
