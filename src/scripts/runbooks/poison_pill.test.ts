// docs/runbooks/poison-pill.md, executed: letters of a running distributor are looked at, repaired, put back and thrown away.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dlqStreamMarketDataKey, streamMarketDataKey } from '../../contracts/index.ts';
import { start as distribute } from '../../services/distributor/main.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { Runbook } from '../../testing/runbook.ts';
import { freshDatabase, redisServerInstalled, type FreshDatabase } from '../../testing/servers.ts';

const TS = 1_790_755_218_589_000;

describe.skipIf(!redisServerInstalled())('runbook poison-pill', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-poison-'));
  let stage: Stage;
  let database: FreshDatabase;
  let client: pg.Client;
  let distributor: RunningReceiver;
  let book: Runbook;

  beforeAll(async () => {
    database = await freshDatabase('runbook_poison', { migrated: true });
    stage = await openStage({ DATABASE_URL: database.url, MARKETS: 'deribit', INSTANCE_ID: '1' }, { rate: 1 });
    client = new pg.Client(database.url);
    await client.connect();
    distributor = await runInProcess('distributor', distribute, stage.env);
    book = new Runbook('poison-pill.md', stage.env);
  });
  afterAll(async () => {
    book.close();
    await distributor.stop();
    await client.end();
    await stage.close();
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  const redis = (): Stage['published']['redis'] => stage.published.redis;
  const trade = (seq: number, price: string): string => JSON.stringify({
    v: 1, type: 'trade', market_id: 'deribit', symbol: 'BTC-PERPETUAL', exchange_ts: TS + seq, received_ts: TS + seq + 100,
    trade_id: `t${seq}`, seq, price, amount: '10', side: 'buy',
  });
  const send = (payload: string): Promise<string | null> => redis().xadd(streamMarketDataKey, '*', 'payload', payload);
  const letters = async (): Promise<string[]> => (await redis().xrange(dlqStreamMarketDataKey, '-', '+')).map(([id]) => id);
  const stored = async (): Promise<string[]> => (await client.query<{ line: string }>(
    `SELECT trade_id || ' ' || price AS line FROM public_trades ORDER BY seq`)).rows.map(({ line }) => line);

  it('does what it says', async () => {
    for (const payload of [trade(1, '85500'), trade(2, 'NaN'), trade(3, 'NaN'), 'not json', '[]', '{}', trade(9, '85509')]) await send(payload);
    await until(async () => (await letters()).length === 5);
    expect(await stored()).toEqual(['t1 85500', 't9 85509']);
    const [second, third, fourth, fifth] = await letters() as [string, string, string, string, string];

    expect((await book.run('redis-cli XREAD')).out).toMatch(/price[^]*error_class\nschema/);
    expect(await book.run('npm run dlq -- list')).toMatchObject({ code: 0, out: expect.stringContaining('5 of 5 dead letters') as string });
    expect((await book.run('npm run dlq -- show', { '<id>': second })).out).toMatch(/"seq":2,"price":"NaN"/);

    expect(await book.run('npm run dlq -- replay', { '<id>': second })).toMatchObject({ code: 1, out: expect.stringContaining('refused: price') as string });
    expect((await letters()).length).toBe(5);
    const repaired = join(folder, 'repaired.json');
    writeFileSync(repaired, trade(2, '85502'));
    expect((await book.run('npm run dlq -- replay', { '<id>': second, 'repaired.json': repaired })).code).toBe(0);
    await until(async () => (await stored()).includes('t2 85502'));
    expect(await letters()).not.toContain(second);

    writeFileSync(repaired, trade(3, '85503'));
    expect((await book.run('redis-cli -x XADD', { 'repaired.json': repaired })).out).toMatch(/^\d+-\d+\n$/);
    expect((await book.run('redis-cli XDEL', { '<id>': third })).out).toBe('1\n');
    await until(async () => (await stored()).includes('t3 85503'));
    expect(await stored()).toEqual(['t1 85500', 't2 85502', 't3 85503', 't9 85509']);

    expect((await book.run('npm run dlq -- discard', { '<id>': fourth })).out).toContain('1 discarded');
    expect((await book.run('redis-cli XTRIM', { '<id>': fifth })).out).toBe('0\n');
    expect((await book.run('redis-cli XTRIM')).out).toBe('2\n');
    expect(await letters()).toEqual([]);
    expect(book.left).toEqual([]);
  }, 120_000);
});
