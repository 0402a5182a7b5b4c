// docs/runbooks/unlock.md, executed: refused while the data is bad, overruled with a reason, locked again by both ways.
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemStateKey, systemStateSimpleKey } from '../../contracts/index.ts';
import { start as govern } from '../../services/janitor/govern.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';

describe.skipIf(!redisServerInstalled())('runbook unlock', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let client: pg.Client;
  let governor: RunningReceiver;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_unlock', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'deribit', UNLOCK_POLICY: 'manual', BACKFILL_DAYS: '0' }, { rate: 1 });
    client = new pg.Client(database.url);
    await client.connect();
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    governor = await runInProcess('governor', govern, stage.env);
    await stage.published.redis.xgroup('CREATE', 'stream:market_data', 'distributor', '0', 'MKSTREAM');
    book = new Runbook('unlock.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await governor.stop();
    await client.end();
    await stage.close();
    await database.drop();
  });

  const states = (): Promise<(string | null)[]> => stage.published.redis.mget(systemStateKey('deribit'), systemStateSimpleKey);

  it('does what it says', async () => {
    expect(await states()).toEqual(['LOCKED', 'LOCKED']);
    // Unfillable would be a warning; a job in a queue that nobody works on stays open.
    await client.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
      SELECT instrument_id, 5, 9, 'killed on Tuesday', now() - interval '1 day', 5 FROM instruments WHERE symbol = 'BTC-PERPETUAL'`);

    expect((await book.run('redis-cli GET')).out).toBe('LOCKED\n');
    expect((await book.run('redis-cli HGETALL')).out).toContain('UNLOCK_POLICY=manual: waiting for npm run system-unlock');
    expect((await book.run('psql')).out).toMatch(/RECONCILING +\| LOCKED +\| janitor/);

    expect(await book.run('npm run completeness')).toMatchObject({ code: 1, out: expect.stringContaining('killed on Tuesday') as string });
    expect((await book.run('npm run doctor')).out).toMatch(/state deribit +LOCKED/);

    const refused = await book.run('npm run system-unlock');
    expect(refused).toMatchObject({ code: 1, out: expect.stringMatching(/refused: gaps: .*1 open for more than 10 minutes/) as string });
    expect(refused.out).toMatch(/ok {4}schema +at head/);
    expect(await states()).toEqual(['LOCKED', 'LOCKED']);

    expect(await book.run('npm run system-unlock -- deribit --force')).toMatchObject({ code: 0 });
    expect(await states()).toEqual(['HEALTHY', 'HEALTHY']);
    expect((await book.run('redis-cli MGET')).out).toBe('HEALTHY\nHEALTHY\n');
    expect((await book.run('psql')).out).toMatch(/system-unlock \| deribit \| gap of Tuesday is known/);

    expect((await book.run('npm run system-lock')).code).toBe(0);
    expect(await states()).toEqual(['LOCKED', 'LOCKED']);
    const { rows } = await client.query<{ reason: string; found: string }>(
      `SELECT reason, detail->>'forced' AS found FROM operator_actions WHERE action IN ('system-lock', 'system-unlock') ORDER BY action_id`);
    expect(rows).toEqual([{ reason: 'gap of Tuesday is known', found: 'true' }, { reason: 'odd prices since noon', found: null }]);
  }, 120_000);

  it('locks by the written word alone', async () => {
    await stage.published.redis.set(systemStateSimpleKey, 'HEALTHY');
    await stage.published.redis.set(systemStateKey('deribit'), 'HEALTHY');
    await until(async () => (await states()).join() === 'LOCKED,LOCKED', 5_000);
    expect((await book.run('redis-cli SET')).out).toBe('OK\n');
    await until(async () => (await client.query(`SELECT FROM state_log WHERE exchange = 'deribit' AND to_state = 'LOCKED'
      AND by = 'hand-written SET'`)).rowCount! > 0, 5_000);
    expect(await states()).toEqual(['LOCKED', 'LOCKED']);
    expect(book.left).toEqual([]);
  }, 120_000);
});
