// docs/runbooks/restore-postgres.md, executed: the database is lost some time after the dump. What the stream still holds is stored
// again from there, what it does not hold is found as holes and fetched; in the end everything that was stored before is there.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { streamMarketDataKey } from '../../contracts/index.ts';
import type { Start } from '../../runtime/service.ts';
import { start as backfill } from '../../services/backfill/main.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { start as govern } from '../../services/janitor/govern.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import { dumpPlace, openTwin } from '../../testing/twin.ts';

const INIT_SQL = readFileSync(join(import.meta.dirname, '../../../init.sql'), 'utf8');
const SERVICES: readonly [string, Start][] = [['distributor', distribute], ['governor', govern], ['backfill', backfill]];

describe.skipIf(!redisServerInstalled())('runbook restore-postgres', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-restore-'));
  const values = { 'tapekeeper.dump': join(folder, 'tapekeeper.dump') };
  let running: RunningReceiver[] = [];
  let stage: Stage;
  let database: FreshDatabase;
  let client: pg.Client;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_restore', { migrated: true });
    stage = await openStage({
      DATABASE_URL: database.url, UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0', CHANNELS: 'trade,ticker', JOB_LEASE_MS: '2000', INSTANCE_ID: '1',
    });
    book = new Runbook('restore-postgres.md', stage.env);
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    await stage.receive();
    await startServices();
    client = await connected();
  });
  afterAll(async () => {
    book.close();
    await stopServices();
    await client.end();
    await stage.close();
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  async function startServices(): Promise<void> {
    for (const [name, start] of SERVICES) running.push(await runInProcess(name, start, stage.env));
  }
  async function stopServices(): Promise<void> {
    await Promise.all(running.map((service) => service.stop()));
    running = [];
  }
  async function connected(): Promise<pg.Client> {
    const fresh = new pg.Client(database.url);
    await fresh.connect();
    return fresh;
  }
  const trades = async (): Promise<string[]> => (await client.query<{ line: string }>(
    `SELECT market_id || ' ' || symbol || ' ' || trade_id || ' ' || price || ' ' || amount AS line
     FROM public_trades JOIN instruments USING (instrument_id) ORDER BY 1`)).rows.map(({ line }) => line);
  const gaps = async (condition: string): Promise<number> =>
    Number((await client.query<{ n: string }>(`SELECT count(*) AS n FROM data_gaps WHERE ${condition}`)).rows[0]!.n);
  const lastId = async (): Promise<string> => (await stage.published.redis.xrevrange(streamMarketDataKey, '+', '-', 'COUNT', 1))[0]?.[0] ?? '0';

  /** The document's pg_dump; on a twin of the database where the installed one is older than its server. */
  async function dump(skip: (why: string) => never): Promise<void> {
    const { rows } = await client.query<{ major: number }>(`SELECT current_setting('server_version_num')::int / 10000 AS major`);
    const place = dumpPlace(rows[0]!.major);
    if (place.kind === 'nowhere') {
      if (process.env['CI'] === 'true') throw new Error(place.why);
      process.stdout.write(`the runbook restore-postgres is not run: ${place.why}\n`);
      skip(place.why);
    }
    const twin = place.kind === 'twin' ? await openTwin(place.installation, client) : null;
    try {
      expect(await book.run('pg_dump', values, twin === null ? {} : { DATABASE_URL: twin.url })).toMatchObject({ code: 0, out: '' });
    } finally {
      await twin?.remove();
    }
  }

  /** The server is lost; an empty one comes in its place, as Compose's first start makes it. */
  async function loseDatabase(): Promise<void> {
    await client.end();
    const name = new URL(database.url).pathname.slice(1);
    const server = new URL(database.url);
    server.pathname = '/postgres';
    const admin = new pg.Client(server.href);
    await admin.connect();
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await admin.query(`CREATE DATABASE ${name}`);
    await admin.end();
    client = await connected();
    await client.query(INIT_SQL);
    expect(await trades()).toEqual([]);
  }

  it('does what it says', async ({ skip }) => {
    await until(async () => (await trades()).length > 500);
    await dump(skip);
    const dumped = await lastId();

    // Some of what came after the dump leaves the stream, the rest stays in it; all of it was stored.
    const some = (await trades()).length;
    await until(async () => (await trades()).length > some + 400);
    const floor = await lastId();
    await until(async () => (await trades()).length > some + 800);
    await stopServices();
    const before = await trades();
    expect(dumped < floor).toBe(true);
    await stage.published.redis.xtrim(streamMarketDataKey, 'MINID', floor);
    await loseDatabase();

    expect((await book.run('psql')).code).toBe(0);
    expect(await book.run('pg_restore', values)).toMatchObject({ code: 0, out: '' });
    const restored = await trades();
    expect(restored.length).toBeGreaterThan(500);
    expect(restored.length).toBeLessThan(before.length - 400);
    expect(await book.run('npm run migrate')).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') as string });
    expect((await book.run('redis-cli XGROUP')).out).toBe('OK\n');
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    await startServices();

    await until(async () => (await gaps(`status = 'closed' AND reason = 'hole between stored trades'`)) > 0, 60_000);
    await until(async () => {
      const now = new Set(await trades());
      return before.every((line) => now.has(line)) && (await gaps(`status IN ('open', 'healing')`)) === 0;
    }, 60_000);
    expect((await book.run('psql "$DATABASE_URL" -c "SELECT')).out).toContain('hole between stored trades');
    expect(await book.run('npm run completeness')).toMatchObject({ code: 0, out: expect.stringMatching(/ 0 missing/) as string });
    expect(await book.run('npm run doctor')).toMatchObject({ code: 0 });
    const now = await trades();
    expect(new Set(now).size).toBe(now.length);
    expect(book.left).toEqual([]);
  }, 180_000);
});
