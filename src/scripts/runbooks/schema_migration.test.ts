// docs/runbooks/schema-migration.md, executed: a database one version behind is migrated while services wait for it or go on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { streamMarketDataKey } from '../../contracts/index.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { migrationNames } from '../../store/migrate.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';

/** The build's newest file is taken back and applied again: whatever it is, it must be able to come to a live database. */
const PENDING = migrationNames().at(-1) ?? '';

describe.skipIf(!redisServerInstalled())('runbook schema-migration', () => {
  const running: RunningReceiver[] = [];
  let stage: Stage;
  let database: FreshDatabase;
  let client: pg.Client;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_migration', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'deribit' }, { rate: 20 });
    client = new pg.Client(database.url);
    await client.connect();
    book = new Runbook('schema-migration.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await Promise.all(running.map((service) => service.stop()));
    await client.end();
    await stage.close();
    await database.drop();
  });

  const trades = async (): Promise<number> => Number((await client.query<{ n: string }>('SELECT count(*) AS n FROM public_trades')).rows[0]!.n);
  const published = (): Promise<number> => stage.published.redis.xlen(streamMarketDataKey);
  const applied = async (): Promise<string[]> =>
    (await client.query<{ name: string }>('SELECT name FROM pgmigrations ORDER BY id')).rows.map(({ name }) => name);
  const waitsForLock = async (): Promise<boolean> => (await client.query(`SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE '%migrate%' AND wait_event_type = 'Lock'`)).rowCount! > 0;

  /** Everything that a file could have left behind. */
  const objects = async (): Promise<string[]> => (await client.query<{ name: string }>(`
    SELECT relkind::text || ' ' || relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`))
    .rows.map(({ name }) => name);

  /** As it was before the newest file of the build. */
  async function goBack(): Promise<void> {
    const sql = readFileSync(join(import.meta.dirname, '../../store/migrations', `${PENDING}.sql`), 'utf8');
    await client.query(sql.slice(sql.indexOf('-- Down Migration')));
    await client.query('DELETE FROM pgmigrations WHERE name = $1', [PENDING]);
  }

  it('does what it says, while one distributor runs and another one waits', async () => {
    await stage.receive();
    running.push(await runInProcess('distributor', distribute, { ...stage.env, INSTANCE_ID: '1' }));
    await until(async () => (await trades()) > 0);
    await goBack();
    const starting = runInProcess('distributor', distribute, { ...stage.env, INSTANCE_ID: '2' });
    starting.then((service) => running.push(service), () => undefined);
    expect(await book.run('npm run migrate -- status')).toMatchObject({ code: 1, out: expect.stringContaining(`pending  ${PENDING}`) as string });

    // Somebody holds a table that the migration needs: it waits, and the receiver goes on.
    const holder = new pg.Client(database.url);
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE pgmigrations IN SHARE MODE');
    expect((await book.run('psql')).code).toBe(0);
    const migrating = book.run('npm run migrate -- up');
    await until(waitsForLock);
    const meanwhile = await published();
    await until(async () => (await published()) > meanwhile);
    expect(await applied()).not.toContain(PENDING);
    await holder.query('ROLLBACK');
    await holder.end();
    expect(await migrating).toMatchObject({ code: 0, out: expect.stringContaining(`applied ${PENDING}`) as string });
    const second = await starting;
    await until(() => second.health.ready);
    const stored = await trades();
    await until(async () => (await trades()) > stored);

    expect(await book.run('npm run migrate -- status')).toMatchObject({ code: 0 });
    expect(await applied()).toEqual(migrationNames());
    expect((await book.run('npm run doctor')).out).toMatch(/migrations +/);
    expect(book.left).toEqual([]);
  }, 120_000);

  it('leaves nothing of a file that failed, and the fleet goes on', async () => {
    await goBack();
    await client.query(`ALTER TABLE pgmigrations ADD CONSTRAINT not_today CHECK (name <> '${PENDING}')`);
    const before = await objects();
    const again = new Runbook('schema-migration.md', stage.env);
    expect(await again.run('npm run migrate -- up')).toMatchObject({ code: 1, out: expect.stringContaining('not_today') as string });
    again.close();
    expect(await objects()).toEqual(before);
    expect(await applied()).toEqual(migrationNames().slice(0, -1));
    const meanwhile = await trades();
    await until(async () => (await trades()) > meanwhile);
    await client.query('ALTER TABLE pgmigrations DROP CONSTRAINT not_today');
    const mended = new Runbook('schema-migration.md', stage.env);
    expect((await mended.run('npm run migrate -- up')).code).toBe(0);
    mended.close();
    expect(await applied()).toEqual(migrationNames());
  }, 120_000);

  it('lets running services go on when the database is newer, and refuses to start old ones', async () => {
    await client.query(`INSERT INTO pgmigrations (name, run_on) VALUES ('9999_of_tomorrow', now())`);
    const child = spawn(process.execPath, [join(import.meta.dirname, '../start.ts'), 'distributor'], {
      env: { PATH: process.env['PATH'] ?? '', ...stage.env, INSTANCE_ID: '3' }, stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += String(chunk)));
    expect((await once(child, 'close'))[0]).toBe(2);
    expect(said).toContain('the database is newer than this build: it has 9999_of_tomorrow');
    const meanwhile = await trades();
    await until(async () => (await trades()) > meanwhile);
  }, 120_000);
});
