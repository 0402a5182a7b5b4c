// A trade of our own that the exchange tells in its log alone: the position differs, the executor asks for an audit, the audit inserts
// the fill, both sides agree, and the case ends with its evidence. Executor, governor, simulator, PostgreSQL and Redis are the real ones.
import { afterEach, describe, expect, it } from 'vitest';
import { requestAudit } from '../bus/audits.ts';
import { start as govern } from '../services/janitor/govern.ts';
import { start as bootstrap } from '../services/janitor/main.ts';
import { runInProcess, until as untilWithin, type RunningReceiver } from '../testing/receiver.ts';
import { openTradingStage, PERP, type TradingStage } from '../testing/trading.ts';

/** Positions are compared every minute. */
const PATIENCE_MS = 120_000;
const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);

let stage: TradingStage;
let governor: RunningReceiver | null = null;
afterEach(async () => {
  await governor?.stop();
  governor = null;
  await stage.close();
});

const rowsOf = async <T extends object>(sql: string): Promise<T[]> => (await stage.db.query<T>(sql)).rows;
const byHand = (side: 'buy' | 'sell', amount: number): unknown =>
  stage.simulator.operate({ market_id: 'deribit', action: 'order', symbol: PERP, side, amount, type: 'market' });
const theirs = (): number => Number(stage.account().positions.find(({ symbol }) => symbol === PERP)?.amount ?? 0);
const ours = async (): Promise<number> => Number((await rowsOf<{ amount: string }>('SELECT amount FROM positions'))[0]?.amount ?? 0);
const runs = (): Promise<{ verdict: string | null; detail: string; by: string }[]> =>
  rowsOf('SELECT verdict, detail, asked_by AS by FROM audit_runs WHERE ended_at IS NOT NULL ORDER BY run_id');

async function open(name: string): Promise<void> {
  stage = await openTradingStage(name);
  const env = { ...stage.env, UNLOCK_POLICY: 'auto', BACKFILL_DAYS: '0', METRICS_PORT: '0' };
  await (await runInProcess('janitor', bootstrap, env)).stop();
  governor = await runInProcess('governor', (ctx) => govern(ctx, { checksMs: 100, graceMs: 3_600_000, settleMs: 100 }), { ...env, INSTANCE_ID: '1' });
}

describe('a trade that the exchange tells in its log alone', () => {
  it('is found by the audit that the executor asks for, inserted, booked once, and closes the case', async () => {
    await open('own_trades');
    byHand('sell', 30);
    // From here on no list and no stream tells of a fill.
    stage.simulator.inject({ kind: 'late_fill', market_id: 'deribit', delay_ms: 3_600_000 });
    byHand('buy', 80);
    expect(theirs()).toBe(50);
    const executor = stage.run('executor');
    await until(async () => (await rowsOf(`SELECT FROM trading_cases WHERE kind = 'position_mismatch'`)).length === 1);
    // The audit asks for nothing that it must not know: it reads what the executor has written.
    await until(async () => (await ours()) === 50);
    const healed = await rowsOf<{ trade_id: string; amount: string }>(`SELECT trade_id, amount FROM fills WHERE source = 'audit'`);
    expect(healed.reduce((sum, { amount }) => sum + Number(amount), 0)).toBe(80);
    expect(await rowsOf('SELECT FROM fills_to_book')).toEqual([]);
    expect((await rowsOf(`SELECT FROM account_log WHERE trade_id = '${healed[0]!.trade_id}'`)).length).toBe(2);
    expect(await rowsOf(`SELECT DISTINCT kind, resolution FROM audit_findings`)).toEqual([{ kind: 'own_trade_missing', resolution: 'repaired' }]);
    expect((await runs())[0]).toMatchObject({ verdict: 'good', by: expect.stringContaining('executor') as string });
    // Both sides are compared again, and agree.
    await until(async () => (await rowsOf(`SELECT FROM trading_cases WHERE status = 'healed'`)).length === 1);
    const [closed] = await rowsOf<{ decision: string; evidence: { trade_id?: string }[] }>('SELECT decision, evidence FROM trading_cases');
    expect(closed!.decision).toBe('both sides agree again');
    expect(closed!.evidence.flatMap((one) => one.trade_id ?? []).sort()).toEqual(healed.map(({ trade_id: id }) => id).sort());
    expect(executor.log()).not.toContain('Persistent Position Mismatch');
    // A second audit finds nothing, nor does one after the exchange tells of the fill at last.
    const before = await rowsOf('SELECT * FROM fills ORDER BY trade_id');
    stage.simulator.heal();
    const ended = (await runs()).length;
    await requestAudit(stage.commands, { exchange: 'deribit', hours: 1, by: 'test', reason: 'again' }, Date.now() * 1_000);
    await until(async () => (await runs()).length > ended);
    const last = (await runs()).at(-1);
    expect(last).toMatchObject({ verdict: 'good', by: 'test' });
    expect(last!.detail).toMatch(/own trades compared, no difference$/);
    expect(await rowsOf('SELECT * FROM fills ORDER BY trade_id')).toEqual(before);
    expect(await ours()).toBe(theirs());
    await executor.stop();
  }, 240_000);

  it('that nothing tells stays a mismatch: the audit finds nothing, and the executor locks itself', async () => {
    await open('own_trades_lock');
    stage.simulator.operate({ market_id: 'deribit', action: 'position', symbol: PERP, amount: 40 });
    const executor = stage.run('executor');
    await until(() => executor.log().includes(`Persistent Position Mismatch: ${PERP} ours 0, the exchange's 40`));
    const all = await runs();
    expect(all.length).toBeGreaterThan(0);
    expect(all.every(({ verdict }) => verdict === 'good')).toBe(true);
    expect(await rowsOf('SELECT FROM fills')).toEqual([]);
    expect(await rowsOf(`SELECT type FROM account_log WHERE symbol = '${PERP}'`)).toEqual([{ type: 'correction' }]);
  }, 240_000);
});
