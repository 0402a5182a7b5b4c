// The kill switch while servers are gone: PostgreSQL stopped or frozen, Redis frozen, both at once; by file and by signal.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { migrateUp } from '../../store/migrate.ts';
import { freeze } from '../../testing/freeze.ts';
import { until as untilWithin } from '../../testing/receiver.ts';
import { ownPostgres, redisServerInstalled } from '../../testing/servers.ts';
import { openTradingStage, PATIENCE_MS, ready, runScript, type Running, type TradingStage } from '../../testing/trading.ts';
import type { LocalPostgres } from '../../scripts/local/postgres.ts';

const until = (condition: () => boolean | Promise<boolean>, ms = PATIENCE_MS): Promise<void> => untilWithin(condition, ms);
/** From the switch to the exchange's books, on a busy machine: nothing of it waits for a server that is gone. */
const AT_ONCE_MS = 5_000;
const SAYS = 'KILL SWITCH: nothing is sent any more, everything is cancelled';
const DONE = 'kill switch: the exchange shows no open order';

let stage: TradingStage;
let postgres: LocalPostgres;
let thaw: (() => void)[] = [];
afterEach(async () => {
  for (const one of thaw) one();
  thaw = [];
  await stage.close();
});

/** Trades on a PostgreSQL of its own, with three orders of its own and one made by hand at the exchange. */
async function resting(name: string): Promise<{ executor: Running; guard: Running }> {
  postgres = await ownPostgres({ database: 'tapekeeper' });
  await migrateUp(postgres.url);
  stage = await openTradingStage(name, { database: { url: postgres.url, drop: () => postgres.remove() } });
  const running = await stage.trading();
  for (let n = 0; n < 3; n++) await stage.answer(await stage.signal({ price: await stage.restingPrice() }), ({ state }) => state === 'OPEN');
  const price = Number(await stage.restingPrice());
  stage.simulator.operate({ market_id: 'deribit', action: 'order', symbol: 'BTC-PERPETUAL', side: 'buy', amount: 10, price });
  expect(stage.account().open_orders).toHaveLength(4);
  return running;
}

const bySignal = (executor: Running): void => void executor.child.kill('SIGUSR2');
const byFile = (): void => writeFileSync(stage.killFile, 'by file\n');
const freezing = (pid: number): void => void thaw.push(freeze(pid));

/** What the database holds; asked anew each time: its server comes and goes. */
async function flag(): Promise<string | undefined> {
  const client = new pg.Client(stage.databaseUrl);
  await client.connect();
  const { rows } = await client.query<{ value: string }>(`SELECT value FROM trading_flags WHERE name = 'kill_switch'`);
  await client.end();
  return rows[0]?.value;
}

async function killed(executor: Running, pull: (executor: Running) => void): Promise<void> {
  const sent = stage.requests().length;
  pull(executor);
  await until(() => stage.account().open_orders.length === 0, AT_ONCE_MS);
  await until(() => executor.log().includes(SAYS) && executor.log().includes(DONE));
  expect(existsSync(stage.killFile)).toBe(true);
  expect(stage.requests()).toHaveLength(sent);
}

describe.skipIf(!redisServerInstalled())('the kill switch', () => {
  it.each([
    ['PostgreSQL stopped', 'by file', byFile, () => postgres.stop('immediate')],
    ['PostgreSQL frozen', 'by signal', bySignal, () => freezing(postgres.pid)],
    ['Redis frozen', 'by signal', bySignal, () => freezing(stage.redis.server!.pid)],
    ['Redis dead and PostgreSQL frozen', 'by file', byFile, async () => {
      freezing(postgres.pid);
      await stage.redis.server!.kill();
    }],
  ] as const)('with %s, %s, cancels everything at once and says so', async (_what, _how, pull, breaks) => {
    const { executor } = await resting('kill_down');
    await breaks();
    await killed(executor, pull);
    expect(executor.child.exitCode).toBeNull();
  }, 180_000);

  it('by signal outlives the executor while PostgreSQL is down: the next one cancels what it finds, says so, and sends nothing', async () => {
    const { executor } = await resting('kill_restart');
    await postgres.stop('immediate');
    await killed(executor, bySignal);
    expect(readFileSync(stage.killFile, 'utf8')).toBe('SIGUSR2\n');
    await executor.stop('SIGKILL');
    const price = Number(await stage.restingPrice());
    stage.simulator.operate({ market_id: 'deribit', action: 'order', symbol: 'BTC-PERPETUAL', side: 'buy', amount: 10, price });
    const next = stage.run('executor');
    await until(() => stage.account().open_orders.length === 0);
    await until(() => next.log().includes(SAYS) && next.log().includes(DONE));
    // The command says what it could not reach, and what holds.
    expect((await runScript('kill-switch', ['status'], stage.env)).out).toContain('the kill switch is ON');
    const sent = stage.requests().length;
    await postgres.restart();
    await until(() => next.log().includes('"leading"'));
    await until(async () => (await flag()) === 'on');
    await stage.state('HEALTHY');
    await until(async () => (await stage.answer(await stage.signal({ order_type: 'market' }))).code === 'KILL_SWITCH');
    expect(stage.requests()).toHaveLength(sent);
    // Without its file the flag alone holds it, for those who do not see the file, too.
    rmSync(stage.killFile);
    expect((await stage.answer(await stage.signal({ order_type: 'market' }))).code).toBe('KILL_SWITCH');
    expect(await runScript('kill-switch', ['off', '--reason', 'looked at it'], stage.env)).toMatchObject({ code: 0 });
    await ready(stage, next);
  }, 180_000);
});
