// npm run orders, positions, cases and kill-switch, as commands.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, type Pool } from '../store/connect.ts';
import { PgTradingStore } from '../store/trading/store.ts';
import { until } from '../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { fill, intent } from '../testing/trading_store.ts';
import { runScript } from '../testing/trading.ts';

let database: FreshDatabase;
let pool: Pool;
let store: PgTradingStore;
let env: Record<string, string>;
beforeAll(async () => {
  database = await freshDatabase('books', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined }, max: 2 });
  store = new PgTradingStore(pool);
  const killFile = join(mkdtempSync(join(tmpdir(), 'tapekeeper-test-kill-')), 'deep/kill');
  env = { DATABASE_URL: database.url, KILL_FILE: killFile, PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/' };
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

const books = (...args: string[]): ReturnType<typeof runScript> => runScript('books', args, env);

describe('the books', () => {
  it('are shown: orders, positions, cases, as lines and as JSON', async () => {
    expect(await books('orders')).toEqual({ code: 0, out: 'no live orders\n' });
    const epoch = await store.nextEpoch();
    const { order } = await store.insertIntent(intent({ label: 'paper-a\u001b[31m' }), { epoch, state: 'SENDING', at: 1_790_000_000_000_000 });
    await store.applyFills('acc', [fill({ label: order.label, exchangeOrderId: 'X-1', amount: '40' })], () => ({ reciprocal: false, settle: 'USDC' }));
    const { out } = await books('orders');
    expect(out).toContain('PARTIALLY_FILLED buy  40/100 ETH_USDC-PERPETUAL @ 10.5  paper-a');
    expect(out).not.toContain('\u001b');
    expect(JSON.parse((await books('positions', '--json')).out)).toMatchObject({ amount: '40', averagePrice: '10.5', settle: 'USDC' });
  });

  it('a case is closed with a reason, once, and that is on record', async () => {
    const views = { ours: { amount: '1' }, theirs: { amount: '2' }, evidence: [] };
    const entry = { account: 'acc', kind: 'position_mismatch' as const, marketId: 'deribit', symbol: 'X', ...views };
    const { caseId } = await store.openCase(entry, 1_790_000_000_000_000);
    await store.settleCase(caseId, 'locked', 'persistent', 1_790_000_000_000_000);
    expect((await books('cases')).out).toMatch(/locked position_mismatch X {2}ours \{"amount":"1"\} {2}the exchange's \{"amount":"2"\} {2}→ persistent/);
    expect(await books('cases', 'close', caseId)).toMatchObject({ code: 2 });
    expect(await books('cases', 'close', caseId, '--reason', 'counted by hand')).toEqual({
      code: 0, out: `case ${caseId} is closed; the executor unlocks itself and reconciles\n`,
    });
    expect((await books('cases', 'close', caseId, '--reason', 'again')).out).toContain(`case ${caseId} is closed already`);
    expect(await store.openCases('acc')).toEqual([]);
    expect((await pool.query(`SELECT target, reason FROM operator_actions WHERE action = 'case closed'`)).rows).toEqual([
      { target: `case ${caseId}`, reason: 'counted by hand' },
    ]);
  });

  it.each([
    [['orders', '--limit', '0'], /--limit: "0" is not a whole number from 1 to 99999/],
    [['orders', 'close', '1'], /unexpected argument "close"/],
    [['cases', 'close', 'x', '--reason', 'y'], /close: "x" is not the number of a case/],
    [['cases', 'close', '1', '--reason', 'y', '--follow'], /close takes --reason alone/],
    [['cases', '--reason', 'y'], /--reason goes with close/],
  ])('%j is refused in one line', async (args, why) => {
    const { code, out } = await books(...args);
    expect([code, out.trim().split('\n').length]).toEqual([2, 1]);
    expect(out).toMatch(why);
  });
});

describe('followed', () => {
  const AT = 1_790_000_000_000_000;
  const changes: Record<string, () => Promise<unknown>> = {
    orders: async () => store.insertIntent(intent({ label: 'paper-followed' }), { epoch: await store.nextEpoch(), state: 'SENDING', at: Date.now() * 1000 }),
    positions: () => store.applyFills('acc', [fill({ symbol: 'FOLLOWED', recordedTs: Date.now() * 1000 })], () => ({ reciprocal: false, settle: 'USDC' })),
    cases: () => store.openCase(
      { account: 'acc', kind: 'missing_order', marketId: 'deribit', symbol: 'FOLLOWED', ours: {}, theirs: null, evidence: [] }, Date.now() * 1000),
  };

  it.each(Object.keys(changes))('%s show a change when it comes, and end with 0 by Ctrl-C', async (book) => {
    // What is there already is shown first: then it follows.
    await store.applyFills('acc', [fill({ symbol: 'BEFORE' })], () => ({ reciprocal: false, settle: 'USDC' }));
    await store.openCase({ account: 'acc', kind: 'missing_order', marketId: 'deribit', symbol: 'BEFORE', ours: {}, theirs: null, evidence: [] }, AT);
    await store.insertIntent(intent({ label: 'paper-before' }), { epoch: await store.nextEpoch(), state: 'SENDING', at: AT });
    const [following, asJson] = [followed(book), followed(book, '--json')];
    await Promise.all([following.shows(/before/i), asJson.shows(/before/i)]);
    await changes[book]!();
    await Promise.all([following.shows(/followed/i), asJson.shows(/followed/i)]);
    expect([await following.interrupted(), await asJson.interrupted()]).toEqual([0, 0]);
    expect(following.err()).toBe('');
    const rows = asJson.out().trim().split('\n').map((line) => JSON.parse(line) as unknown);
    expect(rows.filter((row) => /followed/i.test(JSON.stringify(row)))).toHaveLength(1);
  }, 60_000);

  /** A command that goes on until it is interrupted. */
  function followed(...args: string[]): Followed {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'books.ts'), ...args, '--follow'], { env });
    const [text, problems] = [collected(child.stdout), collected(child.stderr)];
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    return {
      out: text, err: problems, shows: (what) => until(() => what.test(text())),
      interrupted: () => {
        child.kill('SIGINT');
        return ended;
      },
    };
  }
});

interface Followed {
  out: () => string;
  err: () => string;
  shows: (what: RegExp) => Promise<void>;
  /** By Ctrl-C; resolves with the exit code. */
  interrupted: () => Promise<number | null>;
}

function collected(stream: Readable): () => string {
  let text = '';
  stream.on('data', (chunk) => (text += String(chunk)));
  return () => text;
}

describe('the kill switch', () => {
  const kill = (...args: string[]): ReturnType<typeof runScript> => runScript('kill-switch', args, env);

  it('goes on in both places and off again', async () => {
    expect(await kill('on')).toMatchObject({ code: 2 });
    expect((await kill('on', '--reason', 'test')).code).toBe(0);
    expect([existsSync(env['KILL_FILE']!), await store.flag('kill_switch')]).toEqual([true, 'on']);
    expect((await kill('status')).out).toContain('the kill switch is ON');
    expect((await kill('off', '--reason', 'over')).code).toBe(0);
    expect([existsSync(env['KILL_FILE']!), await store.flag('kill_switch')]).toEqual([false, 'off']);
  });

  it('goes on by its file alone while the database is away, and says so', async () => {
    const { code, out } = await runScript('kill-switch', ['on', '--reason', 'test'], { ...env, DATABASE_URL: 'postgres://127.0.0.1:1/none' });
    expect(code).toBe(1);
    expect(out).toMatch(/written[\s\S]*flag: FAILED[\s\S]*by this one alone/);
    expect(existsSync(env['KILL_FILE']!)).toBe(true);
  });
});
