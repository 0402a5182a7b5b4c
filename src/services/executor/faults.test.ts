// Faults that a whole executor must meet, beyond those of executor.test.ts: docs/executor.md, "Faults and what proves them".
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { until as untilWithin } from '../../testing/receiver.ts';
import { openTradingStage, PATIENCE_MS, ready, stageRisk, type TradingStage } from '../../testing/trading.ts';

const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);

let stage: TradingStage;
afterEach(() => stage.close());

interface Row {
  state: string;
  code: string | null;
  cancel_state: string | null;
  label: string;
}
const orders = async (ids: readonly string[]): Promise<Row[]> =>
  (await stage.db.query<Row>('SELECT state, code, cancel_state, label FROM orders WHERE signal_id = ANY($1) ORDER BY order_id', [ids])).rows;
const refusals = async (code: string): Promise<number> =>
  Number((await stage.db.query<{ n: string }>('SELECT count(*) AS n FROM risk_refusals WHERE code = $1', [code])).rows[0]!.n);
const answered = async (ids: readonly string[]): Promise<boolean> => {
  const told = new Set((await stage.updates()).map(({ signal_id: id }) => id));
  return ids.every((id) => told.has(id));
};

it('a cancellation whose answer is lost is not taken for one: the order is asked for until it is proven gone', async () => {
  stage = await openTradingStage('fault_cancel');
  await stage.trading();
  const ids = [await stage.signal({ price: await stage.restingPrice() }), await stage.signal({ price: await stage.restingPrice() })];
  const [lost, never] = await Promise.all(ids.map((id) => stage.answer(id, ({ state }) => state === 'OPEN')));
  // The one is obeyed and not answered, the other never arrives.
  stage.simulator.inject({ kind: 'response_lost', market_id: 'deribit', channel: 'private/cancel', count: 1 });
  await stage.signal({ cancel_label: lost!.label! });
  await until(async () => (await orders(ids))[0]!.cancel_state === 'UNKNOWN' || (await orders(ids))[0]!.state === 'CANCELLED');
  stage.simulator.inject({ kind: 'request_lost', market_id: 'deribit', channel: 'private/cancel', count: 1 });
  await stage.signal({ cancel_label: never!.label! });
  await until(async () => (await orders(ids)).every(({ state, cancel_state: wish }) => state === 'CANCELLED' && wish === null));
  expect(stage.account().open_orders).toEqual([]);
}, 180_000);

it('a strategy that runs wild is held by the rates: what is above them is refused, counted, and never sent', async () => {
  stage = await openTradingStage('fault_runaway', {
    risk: stageRisk({ account: { max_orders_per_second: 3, max_orders_per_minute: 12 } }),
  });
  await stage.trading();
  const before = stage.requests().length;
  const price = await stage.restingPrice();
  const ids = await Promise.all(Array.from({ length: 500 }, () => stage.signal({ price, valid_for_ms: 60_000 })));
  await until(() => answered(ids));
  const sent = stage.requests().length - before;
  expect(sent).toBeGreaterThan(0);
  // The limit of the minute, of which the start has used some to see that it trades.
  expect(sent).toBeLessThanOrEqual(12);
  expect((await orders(ids)).length).toBe(sent);
  expect(await refusals('RATE')).toBeGreaterThanOrEqual(500 - sent);
}, 180_000);

it('a strategy that goes on running wild pulls the kill switch, which a restart does not forget', async () => {
  const risk = stageRisk({ account: { max_orders_per_second: 3 }, more: { runaway: { refused: 100, window_ms: 1000 } } });
  stage = await openTradingStage('fault_wild', { risk });
  await stage.trading();
  const price = await stage.restingPrice();
  const ids = await Promise.all(Array.from({ length: 300 }, () => stage.signal({ price, valid_for_ms: 60_000 })));
  await until(() => answered(ids));
  expect(readFileSync(stage.killFile, 'utf8')).toMatch(/^manual runs wild: 100 of its orders refused in 1000 ms/);
  await until(() => stage.account().open_orders.length === 0);
  const { code } = await stage.answer(await stage.signal({ price, strategy: 'other' }));
  expect(code).toBe('KILL_SWITCH');
  expect(await refusals('RATE')).toBeGreaterThanOrEqual(100);
}, 180_000);

it('the kill switch in a burst: nothing is sent any more, what is on the wire is resolved and cancelled', async () => {
  stage = await openTradingStage('fault_burst');
  await stage.trading();
  stage.simulator.inject({ kind: 'response_late', market_id: 'deribit', channel: 'private/buy', delay_ms: 1_500 });
  const price = await stage.restingPrice();
  const burst = async (): Promise<string[]> => Promise.all(Array.from({ length: 60 }, () => stage.signal({ price, valid_for_ms: 60_000 })));
  const ids = await burst();
  await until(async () => (await orders(ids)).some(({ state }) => state === 'SENDING'));
  writeFileSync(stage.killFile, 'stop\n');
  ids.push(...await burst());
  await until(() => answered(ids));
  await until(async () => (await orders(ids)).every(({ state }) => ['CANCELLED', 'REJECTED', 'ABANDONED'].includes(state)));
  // What the switch caught between its intent and the wire says so.
  const rows = await orders(ids);
  const sent = rows.filter(({ code }) => code !== 'NOT_SENT').map(({ label }) => label);
  expect(stage.requests().filter((label) => rows.some((row) => row.label === label)).sort()).toEqual(sent.sort());
  expect(rows.length + await refusals('KILL_SWITCH')).toBeGreaterThanOrEqual(ids.length);
  expect(stage.account().open_orders).toEqual([]);
}, 180_000);

it('a clock that is off lets nothing out', async () => {
  stage = await openTradingStage('fault_clock', { risk: stageRisk({ more: { max_clock_offset_ms: 500 } }) });
  await stage.state('HEALTHY');
  stage.run('guard');
  const refused = async (): Promise<string | undefined> => (await stage.answer(await stage.signal({ price: await stage.restingPrice() }))).code;
  for (const [offMs, code] of [[3_000, 'CLOCK'], [-3_000, 'CLOCK'], [3_600_000, 'STALE_SIGNAL'], [-3_600_000, 'STALE_SIGNAL']] as const) {
    const skew = join(stage.folder, `skew${offMs}.mjs`);
    writeFileSync(skew, `const now = Date.now.bind(Date); Date.now = () => now() + ${offMs};`);
    const executor = stage.run('executor', { NODE_OPTIONS: `--import ${skew}` });
    await until(() => executor.log().includes('"reconciled"'));
    await until(async () => (await refused()) === code);
    await executor.stop('SIGKILL');
  }
  expect(stage.requests()).toEqual([]);
  // With the right time it trades.
  await ready(stage, stage.run('executor'));
}, 300_000);
