// docs/runbooks/redis-full.md, executed: a group that nobody needs fills Redis up; once it is destroyed, all comes back by itself.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMemory } from '../../bus/memory.ts';
import { streamMarketDataKey, systemStateKey, systemStateMetaKey, systemStateSimpleKey } from '../../contracts/index.ts';
import { start as govern } from '../../services/janitor/govern.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import { start as maintain } from '../maintenance/main.ts';

describe.skipIf(!redisServerInstalled())('runbook redis-full', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let running: RunningReceiver[];
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_full', { migrated: true });
    const env = { DATABASE_URL: database.url, MARKETS: 'deribit', UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0' };
    stage = await openStage(env, { rate: 1 }, { maxmemory: '24mb' });
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    running = await Promise.all([runInProcess('governor', govern, stage.env), runInProcess('maintenance', maintain, stage.env)]);
    book = new Runbook('redis-full.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await Promise.all(running.map((one) => one.stop()));
    await stage.close();
    await database.drop();
  });

  const redis = (): Stage['published']['redis'] => stage.published.redis;
  const states = (): Promise<(string | null)[]> => redis().mget(systemStateSimpleKey, systemStateKey('deribit'));

  it('does what it says', async () => {
    await until(async () => (await states()).join() === 'HEALTHY,HEALTHY');
    for (const group of ['abandoned', 'distributor']) await redis().xgroup('CREATE', streamMarketDataKey, group, '0', 'MKSTREAM');
    const fill = async (): Promise<void> => {
      for (;;) await redis().xadd(streamMarketDataKey, '*', 'payload', 'x'.repeat(20_000));
    };
    await expect(fill()).rejects.toThrow('OOM');
    await redis().xgroup('SETID', streamMarketDataKey, 'distributor', '$');
    await until(async () => (await states()).join() === 'LOCKED,LOCKED');
    expect(await redis().hget(systemStateMetaKey('deribit'), 'by')).toBe('memory ladder');

    expect((await book.run('redis-cli HGETALL')).out).toMatch(/^level\nlocked\n|\nlevel\nlocked\n/);
    expect((await book.run('redis-cli INFO')).out).toContain('maxmemory_policy:noeviction');
    expect(await book.run('npm run maintenance -- ladder')).toMatchObject({ code: 0, out: expect.stringMatching(/of maxmemory: level locked/) as string });
    expect((await book.run('npm run doctor')).out).toMatch(/FAIL {2}memory ladder +locked for .*\n.*docs\/runbooks\/redis-full\.md/);

    expect((await book.run('npm run maintenance -- memory')).out).toMatch(/ {2}stream:market_data +\d+ entries, 2\d.* MB/);
    expect((await book.run('redis-cli XINFO')).out).toContain('abandoned');

    expect((await book.run('redis-cli XGROUP', { '<group>': 'abandoned' })).out).toBe('1\n');
    await until(async () => (await readMemory(redis()))?.level === 'normal');
    await until(async () => (await states()).join() === 'HEALTHY,HEALTHY');
    expect(await book.run('npm run maintenance -- trim')).toMatchObject({ code: 0 });
    expect(await book.run('npm run maintenance -- streams')).toMatchObject({ code: 0 });

    expect((await book.run('redis-cli CONFIG', { '<bytes>': '64000000' })).out).toBe('OK\n');
    expect((await redis().config('GET', 'maxmemory') as string[])[1]).toBe('64000000');

    expect((await book.run('redis-cli HGET ')).out).toBe('normal\n');
    expect((await book.run('redis-cli MGET')).out).toBe('HEALTHY\nHEALTHY\n');
    expect(await book.run('npm run completeness')).toMatchObject({ code: 0 });
    expect(book.left).toEqual([]);
  }, 120_000);
});
