// The governor moves states by the data, against servers of its own; and does not wait for long after a failure.
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MEMORY_LADDER } from '../../bus/memory.ts';
import { changeState } from '../../bus/state.ts';
import { systemStateKey, systemStateMetaKey, subscriptionsKey, tickerKey } from '../../contracts/index.ts';
import { openStage, runInProcess, until, type RunningReceiver, type Stage } from '../../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { TIMES, start as govern } from './govern.ts';
import { start as bootstrap } from './main.ts';

let stage: Stage;
let database: FreshDatabase;
let client: pg.Client;
let governors: RunningReceiver[] = [];

beforeEach(async () => {
  database = await freshDatabase('reconcile', { migrated: true });
  stage = await openStage({ DATABASE_URL: database.url, UNLOCK_POLICY: 'auto', MARKETS: 'deribit' }, { rate: 0.001 });
  client = new pg.Client(database.url);
  await client.connect();
});
afterEach(async () => {
  await Promise.all(governors.map((one) => one.stop()));
  governors = [];
  await client.end();
  await stage.close();
  await database.drop();
});

async function governor(times: Partial<typeof TIMES> = {}, env: Record<string, string> = {}): Promise<RunningReceiver> {
  const all = { checksMs: 50, graceMs: 150, ...times };
  const one = await runInProcess('governor', (ctx) => govern(ctx, all), { ...stage.env, INSTANCE_ID: `${governors.length + 1}`, ...env });
  governors.push(one);
  return one;
}
const boot = async (env: Record<string, string> = {}): Promise<void> => (await runInProcess('janitor', bootstrap, { ...stage.env, ...env })).stop();

const redis = (): Stage['published']['redis'] => stage.published.redis;
const state = (): Promise<string | null> => redis().get(systemStateKey('deribit'));
const reason = (): Promise<string | null> => redis().hget(systemStateMetaKey('deribit'), 'reason');
const becomes = (wanted: string): Promise<void> => until(async () => (await state()) === wanted);

it('an exchange is healthy as long as its gaps heal, and again once they did', async () => {
  await boot();
  await governor();
  expect(await state()).toBe('HEALTHY');
  await client.query(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
     SELECT instrument_id, 5, 9, 'killed', now() - interval '1 hour', 5 FROM instruments WHERE symbol = 'BTC-PERPETUAL'`);
  await becomes('RECONCILING');
  expect(await reason()).toContain('gaps: 0 being healed, 1 open for more than 10 minutes');
  await client.query(`UPDATE data_gaps SET status = 'closed', closed_at = now()`);
  await becomes('HEALTHY');
  const last = async (): Promise<string[]> =>
    (await client.query<{ line: string }>(`SELECT from_state || ' ' || to_state || ' by ' || by AS line FROM state_log ORDER BY ver`)).rows
      .map(({ line }) => line).slice(-2);
  // The log follows the state by a moment.
  await until(async () => (await last())[1] === 'RECONCILING HEALTHY by governor');
  expect(await last()).toEqual(['HEALTHY RECONCILING by governor', 'RECONCILING HEALTHY by governor']);
});

it('a feed that is lost for longer than the grace costs the health; a bootstrap waits for it, too', async () => {
  await boot();
  await redis().sadd(subscriptionsKey('deribit'), 'ticker:BTC-PERPETUAL');
  const receive = (ageS: number): Promise<number> =>
    redis().hset(tickerKey('deribit', 'BTC-PERPETUAL'), 'received_ts', String((Date.now() - ageS * 1_000) * 1_000));
  await receive(0);
  await Promise.all([governor(), governor()]);
  expect(await state()).toBe('HEALTHY');
  await receive(90);
  await becomes('RECONCILING');
  expect(await reason()).toMatch(/^feed deribit: last message 9\d\.\d s ago$/);
  await receive(0);
  await becomes('HEALTHY');
  await Promise.all(governors.map((one) => one.stop()));
  await receive(90);
  await boot();
  expect(await state()).toBe('RECONCILING');
  await receive(0);
  await governor();
  await becomes('HEALTHY');
});

it('under UNLOCK_POLICY=manual an operator looks after the checks', async () => {
  await boot();
  await changeState(redis(), { exchange: 'deribit', expected: 'HEALTHY', to: 'RECONCILING', epoch: 9, atMicros: 1, by: 'test', reason: 'test' }, ['deribit']);
  await governor({}, { UNLOCK_POLICY: 'manual' });
  await becomes('LOCKED');
  expect(await reason()).toBe('data checks passed; UNLOCK_POLICY=manual: waiting for npm run system-unlock');
});

it('what the memory ladder has locked is as healthy as before once the checks pass, whatever the policy', async () => {
  await boot();
  await changeState(redis(), { exchange: 'deribit', expected: '*', to: 'RECONCILING', epoch: 9, atMicros: 1, by: MEMORY_LADDER, reason: 'test' }, ['deribit']);
  await governor({}, { UNLOCK_POLICY: 'manual' });
  await becomes('HEALTHY');
});

it('an audit that nobody does any more, and a lock that a dead bootstrap held, end where they must', async () => {
  await boot();
  const move = (expected: 'HEALTHY' | 'RECONCILING' | '*', to: 'AUDITING' | 'RECONCILING' | 'BOOTSTRAPPING', by: string): Promise<unknown> =>
    changeState(redis(), { exchange: 'deribit', expected, to, epoch: 9, atMicros: 1, by, reason: 'odd prices' }, ['deribit']);
  await move('HEALTHY', 'AUDITING', 'governor 7');
  const one = await governor();
  await becomes('HEALTHY');
  await one.stop();
  await move('*', 'BOOTSTRAPPING', 'janitor (lock kept)');
  await move('*', 'RECONCILING', 'janitor (lock kept)');
  await governor();
  await becomes('LOCKED');
  expect(await reason()).toBe('lock kept: odd prices');
});

it('instruments that could not be read are read again soon, not at the next time', async () => {
  await boot();
  stage.simulator.inject({ kind: 'rest_status', market_id: 'deribit', mode: '418', count: 1, path: 'get_instruments' });
  const { health } = await governor({ resyncMs: 6_000 });
  const part = (): { ok: boolean } | undefined => health.report()['instruments'];
  await until(() => part()?.ok === false);
  await until(() => part()?.ok === true, 4_000);
});
