import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, describe, expect, it } from 'vitest';
import { startPostgres, type StopMode } from '../scripts/local/postgres.ts';
import { freshDatabase, freshRedis, ownRedis, redisServerInstalled } from './servers.ts';

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('freshDatabase', () => {
  it('gives every caller a database of its own', async () => {
    const [a, b] = await Promise.all([freshDatabase('one'), freshDatabase('two')]);
    await query(a.url, 'CREATE TABLE t (x int)');
    await expect(query(b.url, 'SELECT * FROM t')).rejects.toThrow('does not exist');
    await Promise.all([a.drop(), b.drop()]);
    await expect(query(a.url, 'SELECT 1')).rejects.toThrow('does not exist');
  });
});

describe('local PostgreSQL', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tapekeeper-test-cluster-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('keeps committed rows over every way of restarting, on loopback only', async () => {
    const server = await startPostgres(dir, { database: 'mine' });
    await query(server.url, 'CREATE TABLE t (x text)');
    for (const mode of ['smart', 'fast', 'immediate', 'kill'] satisfies StopMode[]) {
      await query(server.url, `INSERT INTO t VALUES ('${mode}')`);
      await server.restart(mode);
    }
    expect(await query(server.url, 'SELECT x FROM t')).toEqual([{ x: 'smart' }, { x: 'fast' }, { x: 'immediate' }, { x: 'kill' }]);
    expect(await query(server.url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    expect(await query(server.url, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
    await expect(startPostgres(dir)).rejects.toThrow(`in use by process ${process.pid}`);
    await server.stop();
  });

  it('starts again after its parent was killed', async () => {
    const script = `import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, '../scripts/local/postgres.ts'))};
      await startPostgres(${JSON.stringify(dir)}); process.stdout.write('up'); setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(parent.stdout, 'data');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    const server = await startPostgres(dir, { database: 'mine' });
    expect(await query(server.url, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: 4 }]);
    await server.remove();
  });
});

describe.skipIf(!redisServerInstalled())('local Redis', () => {
  it('refuses writes when it is full instead of forgetting', async () => {
    const server = await freshRedis({ maxmemory: '2mb' });
    const redis = new Redis(server.url);
    const fill = async (): Promise<void> => {
      for (let i = 0; ; i++) await redis.set(`k${i}`, 'x'.repeat(10_000));
    };
    await expect(fill()).rejects.toThrow('OOM');
    expect(await redis.get('k0')).toHaveLength(10_000);
    redis.disconnect();
    await server.drop();
  });

  it('keeps what it held over a restart with appendonly', async () => {
    const server = await ownRedis({ appendonly: true });
    const redis = new Redis(server.url);
    await redis.set('k', 'v');
    await server.restart();
    expect(await redis.get('k')).toBe('v');
    redis.disconnect();
    await server.remove();
  });
});
