// SIGTERM while a server neither answers nor goes away: every service leaves in an orderly way, and nothing is lost by it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { migrateUp } from '../store/migrate.ts';
import { freeze } from '../testing/freeze.ts';
import { account, openStage, until, type Stage } from '../testing/receiver.ts';
import { ownPostgres, redisServerInstalled } from '../testing/servers.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const MARKET = 'deribit';
/** What the design allows; a supervisor kills then. */
const KILL_AFTER_MS = 10_000;

async function openFleet(): Promise<{ stage: Stage; database: { pid: number; url: string }; client: pg.Client; redisPid: number }> {
  const database = await ownPostgres();
  closers.push(() => database.remove());
  await migrateUp(database.url);
  const client = new pg.Client(database.url);
  client.on('error', () => undefined);
  await client.connect();
  closers.push(() => client.end());
  const stage = await openStage({ MARKETS: MARKET, CHANNELS: 'trade,ticker', DATABASE_URL: database.url }, { rate: 300 });
  closers.push(() => stage.close());
  return { stage, database, client, redisPid: stage.redis.server?.pid ?? 0 };
}

interface Running {
  readonly service: string;
  readonly child: ChildProcess;
}

function run(service: string, env: Record<string, string>): Running {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'start.ts'), service], {
    env: { ...process.env, ...env, LOG_LEVEL: process.env['TEST_LOG'] ?? 'fatal' },
    stdio: 'inherit',
  });
  closers.push(() => child.kill('SIGKILL'));
  return { service, child };
}

/** SIGTERM to all, and how each ended: `service 0` is what is wanted. */
async function terminate(...services: Running[]): Promise<string[]> {
  return Promise.all(services.map(async ({ service, child }) => {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    const [code, signal] = (await exit) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    return `${service} ${code ?? signal}`;
  }));
}

const rows = async (client: pg.Client): Promise<number> =>
  Number((await client.query<{ n: string }>('SELECT count(*) AS n FROM public_trades')).rows[0]?.n);

/** A distributor that nothing hinders stores the rest: exactly what is in the stream. */
async function expectAllStored(stage: Stage, client: pg.Client): Promise<void> {
  const last = run('distributor', stage.env);
  await until(async () => (await rows(client)) === (await stage.published.count(MARKET)), 40_000);
  expect(await terminate(last)).toEqual(['distributor 0']);
  const numbers = await client.query('SELECT instrument_id, seq FROM public_trades GROUP BY 1, 2 HAVING count(*) > 1');
  expect(numbers.rows).toEqual([]);
}

describe.skipIf(process.platform !== 'linux' || !redisServerInstalled())('SIGTERM beside a frozen server', () => {
  it('ends the receiver, and the next one accounts for every trade', async () => {
    const stage = await openStage({ MARKETS: MARKET, CHANNELS: 'trade,ticker' }, { rate: 300 });
    closers.push(() => stage.close());
    const receiver = run('receiver', stage.env);
    await until(async () => (await stage.published.count(MARKET)) > 300);
    const thaw = freeze(stage.redis.server?.pid ?? 0);
    closers.push(thaw);
    expect(await terminate(receiver)).toEqual(['receiver 0']);
    thaw();
    const before = await stage.published.count(MARKET);
    await stage.receive();
    await until(async () => (await stage.published.count(MARKET)) > before + 300);
    await until(async () => (await account(stage.published, stage.simulator, MARKET)).unaccounted.length === 0);
  });

  it.each(['redis', 'postgres'])('ends what works with both, and what %s was doing is done again', async (frozen) => {
    const { stage, database, client, redisPid } = await openFleet();
    const receiver = await stage.receive();
    const fleet = ['distributor', 'governor', 'backfill', 'maintenance'].map((service) => run(service, stage.env));
    await until(async () => (await rows(client)) > 300, 40_000);
    const thaw = freeze(frozen === 'redis' ? redisPid : database.pid);
    closers.push(thaw);
    expect(await terminate(...fleet)).toEqual(fleet.map(({ service }) => `${service} 0`));
    thaw();
    const before = await stage.published.count(MARKET);
    await until(async () => (await stage.published.count(MARKET)) > before + 300);
    await receiver.stop();
    expect(await account(stage.published, stage.simulator, MARKET)).toMatchObject({ unaccounted: [], missing: 0 });
    await expectAllStored(stage, client);
  });
});
