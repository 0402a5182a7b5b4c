// A position that no fill explains, met by a running executor: a case, a lock, and the operator's real commands out of it.
import { afterEach, expect, it } from 'vitest';
import { systemStateSimpleKey, type OrderUpdate } from '../../contracts/index.ts';
import type { CaseRecord } from '../../core/trading/records.ts';
import { openTradingStage, PERP, ready, runScript, type TradingStage } from '../../testing/trading.ts';
import { until as untilWithin } from '../../testing/receiver.ts';

/** Positions are compared each minute, and four times ten seconds apart before they are persistent. */
const PATIENCE_MS = 150_000;
const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);

let stage: TradingStage;
afterEach(() => stage.close());

const correct = (amount: number): unknown => stage.simulator.operate({ market_id: 'deribit', action: 'position', symbol: PERP, amount });
const state = (): Promise<string | null> => stage.commands.get(systemStateSimpleKey);
/** The unlock looks at the recorder's side, too: here its distributor has always read everything. */
async function unlock(...more: string[]): ReturnType<typeof runScript> {
  await stage.commands.xgroup('SETID', 'stream:market_data', 'distributor', '$');
  return runScript('system-state', ['unlock', 'deribit', ...more], stage.env);
}
/** The outcome of a command, by its exit code and what its output holds. */
const outcome = (code: number, says: string | RegExp): unknown => ({ code, out: expect.stringMatching(says) as string });
const close = (id: string): ReturnType<typeof runScript> => runScript('books', ['cases', 'close', id, '--reason', 'looked at it'], stage.env);
const position = async (): Promise<number> =>
  Number((await stage.db.query<{ amount: string }>('SELECT amount FROM positions WHERE symbol = $1', [PERP])).rows[0]?.amount ?? 0);
const theirs = (): number => Number(stage.account().positions[0]?.amount ?? 0);

/** What is told of cases, by `npm run cases`. */
async function cases(): Promise<Pick<CaseRecord, 'caseId' | 'status' | 'kind' | 'decision'>[]> {
  const { out } = await runScript('books', ['cases', '--json'], stage.env);
  return out.trim().split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as CaseRecord);
}

async function told(is: (update: OrderUpdate) => boolean): Promise<void> {
  await until(async () => (await stage.updates()).some(is));
}

async function refusal(more: Parameters<TradingStage['signal']>[0] = {}): Promise<[string | undefined, string | undefined]> {
  const { code, reason } = await stage.answer(await stage.signal({ price: await stage.restingPrice(), ...more }), ({ kind }) => kind === 'refusal');
  return [code, reason];
}

it('a persistent mismatch opens a case, locks and stops; it ends when both sides agree and the operator says so', async () => {
  stage = await openTradingStage('executor_lock');
  const { executor } = await stage.trading();
  await stage.commands.xgroup('CREATE', 'stream:market_data', 'distributor', '$', 'MKSTREAM');
  await stage.answer(await stage.signal({ order_type: 'market', amount: '40' }), ({ state: now }) => now === 'FILLED');
  await stage.answer(await stage.signal({ price: await stage.restingPrice() }), ({ state: now }) => now === 'OPEN');
  correct(50);

  // Open: only what reduces goes out.
  await told(({ kind, data }) => kind === 'case' && data['status'] === 'open');
  await until(async () => (await refusal())[0] === 'STATE');
  expect((await refusal())[1]).toMatch(/the position of BTC-PERPETUAL is in doubt: ours 40, the exchange's 90/);
  await stage.answer(await stage.signal({ side: 'sell', order_type: 'market' }), ({ state: now }) => now === 'FILLED');

  // Persistent: locked, with the reason, and off the market.
  await told(({ kind, data }) => kind === 'case' && data['status'] === 'locked');
  await until(async () => (await state()) === 'LOCKED');
  const reason = 'Persistent Position Mismatch: BTC-PERPETUAL ours 30, the exchange\'s 80';
  expect(executor.log()).toContain(reason);
  await until(() => stage.account().open_orders.length === 0);
  expect(await refusal()).toEqual(['LOCKED', expect.stringContaining(reason)]);
  const [locked, ...others] = await cases();
  expect([locked, others]).toEqual([expect.objectContaining({ status: 'locked', kind: 'position_mismatch', decision: reason }), []]);
  expect(await unlock()).toEqual(outcome(1, `refused: cases: ${locked!.caseId} locked: ${reason}`));

  // The lock outlives the process.
  await executor.stop();
  const next = stage.run('executor');
  await until(() => next.log().includes('"reconciled"'));
  expect((await refusal())[0]).toBe('LOCKED');

  // Closed and overruled, but not mended: it locks again, and the system with it.
  expect(await close(locked!.caseId)).toMatchObject({ code: 0 });
  await told(({ kind, data }) => kind === 'case' && data['status'] === 'open' && data['case_id'] !== locked!.caseId);
  expect(await unlock()).toEqual(outcome(1, /refused: cases: \d+ open: position_mismatch of BTC-PERPETUAL/));
  expect(await unlock('--force', '--reason', 'wrong')).toMatchObject({ code: 0 });
  // The keeper of the lock looks once a second: on a fast machine the commands are done before.
  await until(async () => (await refusal())[0] === 'STATE');
  await told(({ kind, data }) => kind === 'case' && data['status'] === 'locked' && data['case_id'] !== locked!.caseId);
  await until(async () => (await state()) === 'LOCKED');

  // Mended: trading goes on.
  correct(-50);
  expect(await close((await cases())[0]!.caseId)).toMatchObject({ code: 0 });
  expect(await unlock('--reason', 'evened out')).toEqual(outcome(0, 'deribit is HEALTHY; the fleet is HEALTHY'));
  await ready(stage, next);
  await stage.answer(await stage.signal({ order_type: 'market' }), ({ state: now }) => now === 'FILLED');
  await until(async () => (await position()) === theirs());
  expect(theirs()).toBe(40);
  expect(await cases()).toEqual([]);
}, 400_000);
