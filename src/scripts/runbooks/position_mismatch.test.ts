// docs/runbooks/position-mismatch.md, executed: a case that locked, looked into, closed and unlocked.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemStateSimpleKey } from '../../contracts/index.ts';
import { start as bootstrap } from '../../services/janitor/main.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { AccountLogBooks } from '../../store/trading/account_log.ts';
import { PgTradingStore } from '../../store/trading/store.ts';
import { openStage, runInProcess, until, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';
import { fill } from '../../testing/trading_store.ts';

const AT = 1_790_000_000_000_000;

describe.skipIf(!redisServerInstalled())('runbook position-mismatch', () => {
  let stage: Stage;
  let database: FreshDatabase;
  let pool: Pool;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_position', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'deribit', UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0' }, { rate: 1 });
    await (await runInProcess('janitor', bootstrap, stage.env)).stop();
    pool = createPool(database.url, { name: 'test', log: { warn: () => undefined }, max: 2 });
    book = new Runbook('position-mismatch.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await pool.end();
    await stage.close();
    await database.drop();
  });

  it('does what it says', async () => {
    const state = (): Promise<string | null> => stage.published.redis.get(systemStateSimpleKey);
    expect(await state()).toBe('HEALTHY');
    const store = new PgTradingStore(pool);
    await store.applyFills('acc', [fill({ symbol: 'BTC-PERPETUAL', amount: '10', price: '70000' })], () => ({ reciprocal: true, settle: 'BTC' }));
    const { caseId } = await store.openCase({
      account: 'acc', kind: 'position_mismatch', marketId: 'deribit', symbol: 'BTC-PERPETUAL', ours: { amount: '10' }, theirs: { amount: '20' }, evidence: [],
    }, AT);
    await store.settleCase(caseId, 'locked', 'Persistent Position Mismatch: BTC-PERPETUAL ours 10, the exchange\'s 20', AT);

    expect((await book.run('npm run system-lock')).code).toBe(0);
    expect((await book.run('redis-cli GET')).out).toBe('LOCKED\n');
    expect((await book.run('npm run cases -- --limit')).out)
      .toMatch(/locked position_mismatch BTC-PERPETUAL {2}ours \{"amount":"10"\} {2}the exchange's \{"amount":"20"\}/);
    expect((await book.run('npm run positions')).out).toContain('BTC-PERPETUAL');
    expect((await book.run('psql "$DATABASE_URL" -c "SELECT ts, symbol')).out).toMatch(/BTC-PERPETUAL \| buy +\| +10 \| +70000/);
    const log = new AccountLogBooks(pool);
    await log.append('acc', 'deribit', [{
      logId: '1', ts: AT, currency: 'BTC', type: 'correction', symbol: 'BTC-PERPETUAL', tradeId: null, change: '0', balance: null, commission: null,
      exchangeOrderId: null, side: null, price: '70000', amount: '10', liquidity: null, funding: null, raw: {},
    }], () => ({ reciprocal: true, settle: 'BTC' }));
    await log.readThrough('acc', 'deribit', AT);
    expect((await book.run('psql "$DATABASE_URL" -c "SELECT account, through')).out).toMatch(/acc +\| +20/);
    expect((await book.run('psql "$DATABASE_URL" -c "SELECT ts, currency')).out).toMatch(/BTC +\| correction \| BTC-PERPETUAL/);
    expect((await book.run('psql "$DATABASE_URL" -c "SELECT found_at')).code).toBe(0);
    const closed = await book.run('npm run cases -- close', { '<id>': caseId });
    expect([closed.code, closed.out]).toEqual([0, expect.stringContaining(`case ${caseId} is closed`)]);
    expect(await store.openCases('acc')).toEqual([]);
    const unlocked = await book.run('npm run system-unlock');
    expect([unlocked.code, unlocked.out]).toEqual([0, expect.stringContaining('HEALTHY')]);
    await until(async () => (await state()) === 'HEALTHY');
    expect(book.left).toEqual([]);
  }, 120_000);
});
