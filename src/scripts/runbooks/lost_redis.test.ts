// docs/runbooks/lost-redis.md, executed: Redis is emptied under a running fleet, which must come back whole by itself.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start as backfill } from '../../services/backfill/main.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { start as govern } from '../../services/janitor/govern.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';

describe.skipIf(!redisServerInstalled())('runbook lost-redis', () => {
  const running: RunningReceiver[] = [];
  let stage: Stage;
  let database: FreshDatabase;
  let client: pg.Client;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_redis', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0', CHANNELS: 'trade,ticker', JOB_LEASE_MS: '2000' });
    client = new pg.Client(database.url);
    await client.connect();
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    await stage.receive();
    for (const [name, start] of [['distributor', distribute], ['governor', govern], ['backfill', backfill]] as const) {
      running.push(await runInProcess(name, start, { ...stage.env, INSTANCE_ID: '1' }));
    }
    book = new Runbook('lost-redis.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await Promise.all(running.map((service) => service.stop()));
    await client.end();
    await stage.close();
    await database.drop();
  });

  const rows = async (sql: string): Promise<number> => Number((await client.query<{ n: string }>(sql)).rows[0]?.n ?? 0);
  const trades = (): Promise<number> => rows('SELECT count(*) AS n FROM public_trades');

  it('does what it says', async () => {
    await until(async () => (await trades()) > 500);
    const changes = await rows('SELECT max(ver) AS n FROM state_log');
    // What is in the stream and not yet stored is lost with it.
    await running[0]!.stop();
    const before = await trades();
    await until(async () => (await stage.published.redis.xlen('stream:market_data')) > 2_000);
    await stage.published.redis.flushall();
    running[0] = await runInProcess('distributor', distribute, { ...stage.env, INSTANCE_ID: '1' });

    const states = ['system:state:simple', 'system:state:deribit', 'system:state:binance'];
    await until(async () => (await stage.published.redis.mget(states)).join() === 'HEALTHY,HEALTHY,HEALTHY');
    expect((await book.run('redis-cli MGET')).out).toBe('HEALTHY\nHEALTHY\nHEALTHY\n');
    await until(async () => (await trades()) > before + 500, 30_000);
    await until(async () => (await rows(`SELECT count(*) AS n FROM data_gaps WHERE status = 'closed'`)) > 0, 30_000);
    await until(async () => (await rows(`SELECT count(*) AS n FROM data_gaps WHERE status IN ('open', 'healing')`)) === 0, 30_000);
    expect((await book.run('psql')).out).toMatch(/closed/);
    const complete = await book.run('npm run completeness');
    expect(complete).toMatchObject({ code: 0, out: expect.stringMatching(/ 0 missing/) as string });
    const doctor = await book.run('npm run doctor');
    expect(doctor).toMatchObject({ code: 0, out: expect.not.stringContaining('FAIL') as string });
    const { rows: versions } = await client.query<{ ver: number }>(`SELECT ver::int FROM state_log WHERE exchange = 'deribit' ORDER BY ver`);
    expect(versions.map(({ ver }) => ver)).toEqual(versions.map((_row, n) => n + 1));
    expect(versions.length).toBeGreaterThan(changes);
    expect(book.left).toEqual([]);
  }, 120_000);
});
