// docs/runbooks/position-mismatch.md, executed as far as it goes today: the lock, and its place in the audit.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemStateSimpleKey } from '../../contracts/index.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { openStage, runInProcess, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';

describe.skipIf(!redisServerInstalled())('runbook position-mismatch', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_position', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'deribit', UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0' }, { rate: 1 });
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    book = new Runbook('position-mismatch.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await stage.close();
    await database.drop();
  });

  it('does what it says', async () => {
    expect(await stage.published.redis.get(systemStateSimpleKey)).toBe('HEALTHY');
    expect((await book.run('npm run system-lock')).code).toBe(0);
    expect((await book.run('redis-cli GET')).out).toBe('LOCKED\n');
    expect((await book.run('psql')).out).toMatch(/system-lock \| deribit \| position differs from the exchange/);
    expect(book.left).toEqual([]);
  }, 120_000);
});
