// The executor as a process, against the simulator over sockets, with a real PostgreSQL and Redis.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openTradingStage, PATIENCE_MS, PERP, ready, runScript, stageRisk, type TradingStage, type TradingStageOptions } from '../../testing/trading.ts';
import { until as untilWithin } from '../../testing/receiver.ts';

const until = (condition: () => boolean | Promise<boolean>): Promise<void> => untilWithin(condition, PATIENCE_MS);

let stage: TradingStage;
const open = async (name: string, options: TradingStageOptions = {}): Promise<TradingStage> => (stage = await openTradingStage(name, options));
afterEach(() => stage.close());

const states = async (signalId: string): Promise<string[]> => (
  await stage.db.query<{ e: string }>(
    `SELECT to_state AS e FROM order_events JOIN orders USING (order_id) WHERE signal_id = $1 ORDER BY order_events.version`, [signalId])
).rows.map((row) => row.e);

describe('a signal', () => {
  it('becomes one order, its fills, and a position that equals the exchange\'s', async () => {
    await open('executor_thin');
    await stage.trading();
    const before = stage.requests().length;
    const id = await stage.signal({ order_type: 'market', amount: '40' });
    const filled = await stage.answer(id, ({ state }) => state === 'FILLED');
    expect(filled).toMatchObject({ kind: 'order', market_id: 'deribit', symbol: PERP, data: { amount: '40', filled_amount: '40', strategy: 'manual' } });
    expect(stage.requests().filter((label) => label === filled.label)).toHaveLength(1);
    expect(stage.requests()).toHaveLength(before + 1);
    expect((await states(id)).slice(0, 2)).toEqual(['PENDING', 'SENDING']);
    const { rows } = await stage.db.query<{ amount: string }>('SELECT amount FROM positions WHERE symbol = $1', [PERP]);
    expect(rows.map((row) => Number(row.amount))).toEqual(stage.account().positions.map((position) => Number(position.amount)));
    expect((await stage.updates()).some((update) => update.kind === 'fill')).toBe(true);
    // The same signal again is answered, and not sent.
    await stage.signal({ signal_id: id, order_type: 'market', amount: '40' });
    expect(await stage.answer(id, ({ kind }) => kind === 'refusal')).toMatchObject({ code: 'DUPLICATE_SIGNAL' });
    expect(stage.requests()).toHaveLength(before + 1);
    await until(async () => ((await stage.commands.xpending('stream:signals', 'executor')) as [number])[0] === 0);
  }, 180_000);

  it('of a linear instrument is kept in the books of its settlement currency', async () => {
    const linear = 'ETH_USDC-PERPETUAL';
    const risk = stageRisk({ limits: { [linear]: [1, 5000, 10] }, account: { max_daily_loss: { BTC: '5', USDC: 100_000 } } });
    await open('executor_linear', { risk });
    await stage.receive({ DERIBIT_SYMBOLS: linear });
    await stage.trading();
    for (const [side, amount] of [['buy', '0.3'], ['sell', '0.5'], ['buy', '0.052']] as const) {
      await stage.answer(await stage.signal({ symbol: linear, order_type: 'market', side, amount }), ({ state }) => state === 'FILLED');
    }
    const { rows } = await stage.db.query<{ amount: string; settle: string; realised: string; fees: string }>(
      'SELECT amount, settle, realised, fees FROM positions WHERE symbol = $1', [linear]);
    const [theirs] = stage.account().positions.filter(({ symbol }) => symbol === linear);
    expect(rows.map(({ amount, settle }) => [Number(amount), settle])).toEqual([[-0.148, 'USDC']]);
    expect(Number(theirs?.amount)).toBe(-0.148);
    expect(Number(rows[0]!.fees)).toBeGreaterThan(0);
  }, 180_000);
});

describe('an order whose answer is lost', () => {
  it('is unknown, then found by its label, and never sent again', async () => {
    await open('executor_lost');
    await stage.trading();
    stage.simulator.inject({ kind: 'response_lost', market_id: 'deribit', channel: 'private/buy', count: 1 });
    const id = await stage.signal({ price: await stage.restingPrice() });
    const unknown = await stage.answer(id, ({ state }) => state === 'UNKNOWN');
    expect(await stage.answer(id, ({ state }) => state === 'OPEN')).toMatchObject({ label: unknown.label });
    expect(stage.requests().filter((label) => label === unknown.label)).toHaveLength(1);
    expect(stage.account().open_orders.map(({ label }) => label)).toEqual([unknown.label]);
    // A cancellation by its label ends it.
    await stage.signal({ cancel_label: unknown.label! });
    await until(() => stage.account().open_orders.length === 0);
    await stage.answer(id, ({ state }) => state === 'CANCELLED');
  }, 180_000);

  it('is dealt with by the next executor when this one is killed, and none is sent twice', async () => {
    await open('executor_killed');
    const { executor } = await stage.trading();
    const before = stage.requests().length;
    stage.simulator.inject({ kind: 'response_late', market_id: 'deribit', channel: 'private/buy', delay_ms: 4_000 });
    stage.simulator.inject({ kind: 'request_lost', market_id: 'deribit', channel: 'private/buy', probability: 0.2 });
    const ids = await Promise.all(Array.from({ length: 20 }, async () => stage.signal({ price: await stage.restingPrice(), valid_for_ms: 60_000 })));
    await until(() => stage.requests().length >= before + 5);
    await executor.stop('SIGKILL');
    stage.simulator.heal();
    stage.run('executor');
    // Each signal has come to an order or, where it came to the next executor too late, to a refusal; no order is in doubt.
    await until(async () => {
      const { rows } = await stage.db.query<{ state: string | null; code: string | null }>(
        `SELECT o.state, r.code FROM unnest($1::text[]) AS s(id) LEFT JOIN orders o ON o.signal_id = s.id
         LEFT JOIN LATERAL (SELECT code FROM risk_refusals WHERE signal_id = s.id LIMIT 1) AS r ON true`, [ids]);
      return rows.every(({ state, code }) => (state === null ? code !== null : state !== 'SENDING' && state !== 'UNKNOWN'));
    });
    const sent = stage.requests().filter((label) => label !== null);
    expect(new Set(sent).size).toBe(sent.length);
    // On a slow machine the guard was faster than the next executor: what it cancelled is known after the next round.
    const ours = async (): Promise<{ label: string; state: string }[]> =>
      (await stage.db.query<{ label: string; state: string }>('SELECT label, state FROM orders WHERE signal_id = ANY($1) ORDER BY label', [ids])).rows;
    await until(async () => {
      const open_ = (await ours()).filter(({ state }) => state === 'OPEN').map(({ label }) => label);
      return stage.account().open_orders.map(({ label }) => label).sort().join() === open_.join();
    });
    expect((await ours()).filter(({ state }) => !['OPEN', 'ABANDONED', 'CANCELLED'].includes(state))).toEqual([]);
    await until(async () => ((await stage.commands.xpending('stream:signals', 'executor')) as [number])[0] === 0);
  }, 180_000);
});

describe('the end of everything', () => {
  it('a kill switch by file cancels all while Redis and PostgreSQL are away, and outlives the process', async () => {
    await open('executor_kill');
    const { executor } = await stage.trading();
    for (let n = 0; n < 3; n++) await stage.answer(await stage.signal({ price: await stage.restingPrice() }), ({ state }) => state === 'OPEN');
    await stage.redis.server!.kill();
    writeFileSync(stage.killFile, 'test\n');
    await until(() => stage.account().open_orders.length === 0);
    await stage.redis.server!.restart();
    await stage.state('HEALTHY');
    const before = stage.requests().length;
    const refused = async (): Promise<string | undefined> => (await stage.answer(await stage.signal({ order_type: 'market' }))).code;
    expect(await refused()).toBe('KILL_SWITCH');
    await executor.stop();
    const next = stage.run('executor');
    await until(() => next.log().includes('"leading"'));
    expect(await refused()).toBe('KILL_SWITCH');
    expect(stage.requests()).toHaveLength(before);
    // The flag says it to those who do not see the file.
    const flag = async (): Promise<unknown> =>
      (await stage.db.query<{ value: string }>(`SELECT value FROM trading_flags WHERE name = 'kill_switch'`)).rows[0]?.value;
    await until(async () => (await flag()) === 'on');
    const off = await runScript('kill-switch', ['off', '--reason', 'looked at it'], stage.env);
    expect(off).toMatchObject({ code: 0 });
    await ready(stage, next);
    // By SIGUSR2 it is the same.
    next.child.kill('SIGUSR2');
    await until(() => existsSync(stage.killFile));
    expect(await refused()).toBe('KILL_SWITCH');
  }, 180_000);

  it('a guard cancels our orders when the executor is dead, and leaves those of others', async () => {
    await open('executor_guard');
    const { executor, guard } = await stage.trading();
    for (let n = 0; n < 3; n++) await stage.answer(await stage.signal({ price: await stage.restingPrice() }), ({ state }) => state === 'OPEN');
    const price = Number(await stage.restingPrice());
    stage.simulator.operate({ market_id: 'deribit', action: 'order', symbol: PERP, side: 'buy', amount: 10, price, label: 'by-hand' });
    const killedAt = performance.now();
    await executor.stop('SIGKILL');
    await until(() => stage.account().open_orders.length === 1);
    expect(performance.now() - killedAt).toBeLessThan(16_000);
    expect(stage.account().open_orders.map(({ label }) => label)).toEqual(['by-hand']);
    await until(() => guard.log().includes('heartbeat lapsed'));
  }, 180_000);

  it('without a guard nothing is sent', async () => {
    await open('executor_unguarded');
    await stage.state('HEALTHY');
    const executor = stage.run('executor');
    await until(() => executor.log().includes('"reconciled"'));
    await until(async () => {
      const { code } = await stage.answer(await stage.signal({ price: await stage.restingPrice() }));
      return code === 'NO_GUARD';
    });
    expect(stage.requests()).toEqual([]);
  }, 180_000);
});

describe('who may trade', () => {
  it('is one at a time: a standby takes over, pending signals included', async () => {
    await open('executor_standby');
    const { executor } = await stage.trading();
    const standby = stage.run('executor');
    await until(() => standby.log().includes('standby'));
    await executor.stop('SIGKILL');
    await ready(stage, standby);
    expect(standby.log()).toContain('"leading"');
  }, 180_000);

  it('is nobody with a key that may move money, one that lies open, or another address: it observes, and answers', async () => {
    await open('executor_observe');
    await stage.state('HEALTHY');
    const secret = join(stage.folder, 'secret');
    writeFileSync(secret, 'sim-secret', { mode: 0o644 });
    const cases: [Record<string, string>, RegExp][] = [
      [{ DERIBIT_CLIENT_ID: 'sim-wallet', DERIBIT_CLIENT_SECRET: 'sim-wallet-secret' }, /scope of the wallet/],
      [{ DERIBIT_CLIENT_ID: 'sim-read', DERIBIT_CLIENT_SECRET: 'sim-read-secret' }, /may not trade/],
      [{ DERIBIT_CLIENT_ID: '' }, /only observing: DERIBIT_CLIENT_ID is not set/],
      [{ DERIBIT_CLIENT_SECRET: '', DERIBIT_CLIENT_SECRET_FILE: join(stage.folder, 'nowhere') }, /DERIBIT_CLIENT_SECRET_FILE: cannot read .*: ENOENT/],
      [{ DERIBIT_CLIENT_SECRET: 'wrong' }, /login refused: 13004 invalid_credentials/],
      [{ DERIBIT_CLIENT_SECRET: '', DERIBIT_CLIENT_SECRET_FILE: secret }, /has mode 0644, it must be 0400 or 0600/],
      [{ EXECUTOR_MODE: 'live' }, /live trades at www.deribit.com alone, not at 127.0.0.1/],
      [{ SIGNAL_KEY_FILE: secret }, /SIGNAL_KEY_FILE: .* has mode 0644/],
    ];
    for (const [more, why] of cases) {
      const executor = stage.run('executor', more);
      await until(() => executor.log().includes('"leading"'));
      expect(executor.log()).toMatch(why);
      expect(executor.log()).not.toMatch(/sim-secret|sim-wallet-secret|sim-read-secret/);
      const before = (await stage.updates()).length;
      await stage.signal({ order_type: 'market' });
      await until(async () => (await stage.updates()).length > before);
      expect((await stage.updates()).at(-1)?.code).toBe('SIGNAL_KEY_FILE' in more ? 'UNAUTHENTICATED' : 'OBSERVE');
      expect(await executor.stop()).toBe(0);
    }
    expect(stage.requests()).toEqual([]);
    // The rest of the fleet does not notice: prices go on.
    const at = await stage.commands.hget(`ticker:deribit:${PERP}`, 'received_ts');
    await until(async () => (await stage.commands.hget(`ticker:deribit:${PERP}`, 'received_ts')) !== at);
  }, 180_000);
});

describe('what is no signal', () => {
  it('is answered, acknowledged and does not come again', async () => {
    await open('executor_poison');
    await stage.trading();
    const before = (await stage.updates()).length;
    const bad = ['', '{', 'null', '{"v":1}', '\u0000', '{"signal_id":"\\u0000"}', 'x'.repeat(100_000)];
    for (const payload of bad) await stage.commands.xadd('stream:signals', '*', 'payload', payload);
    await stage.commands.xadd('stream:signals', '*', 'other', 'x');
    await until(async () => (await stage.updates()).length >= before + bad.length + 1);
    expect((await stage.updates()).slice(before).map(({ code }) => code)).toEqual(Array.from({ length: bad.length + 1 }, () => 'MALFORMED'));
    await until(async () => ((await stage.commands.xpending('stream:signals', 'executor')) as [number])[0] === 0);
    await stage.answer(await stage.signal({ order_type: 'market' }), ({ state }) => state === 'FILLED');
  }, 180_000);
});
