// The operator's two commands as processes, against servers of their own.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { changeState } from '../../bus/state.ts';
import { freshDatabase, freshRedis, type FreshDatabase, type FreshRedis } from '../../testing/servers.ts';

let database: FreshDatabase;
let server: FreshRedis;
let redis: Redis;
let client: pg.Client;

beforeEach(async () => {
  [database, server] = await Promise.all([freshDatabase('operator', { migrated: true }), freshRedis()]);
  redis = new Redis(server.url);
  client = new pg.Client(database.url);
  await client.connect();
  await client.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('deribit', 'BTC-PERPETUAL', 'deribit', 'open')`);
  await redis.xgroup('CREATE', 'stream:market_data', 'distributor', '0', 'MKSTREAM');
  for (const to of ['BOOTSTRAPPING', 'LOCKED'] as const) {
    await changeState(redis, { exchange: 'deribit', expected: '*', to, epoch: 1, atMicros: 1, by: 'janitor', reason: 'test' }, ['deribit']);
  }
});
afterEach(async () => {
  redis.disconnect();
  await client.end();
  await Promise.all([database.drop(), server.drop()]);
});

function run(...args: string[]): { code: number | null; text: string } {
  const env = { PATH: process.env['PATH'] ?? '', DATABASE_URL: database.url, REDIS_URL: server.url, MARKETS: 'deribit' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, '../system-state.ts'), ...args], { env, encoding: 'utf8' });
  return { code: status, text: stdout + stderr };
}
const states = (): Promise<(string | null)[]> => redis.mget('system:state:deribit', 'system:state:simple');
const recorded = async (): Promise<string[]> =>
  (await client.query<{ line: string }>(`SELECT action || ' ' || target || ': ' || reason AS line FROM operator_actions ORDER BY action_id`))
    .rows.map((row) => row.line);

it('unlocks when the data is good, and locks; both are on record', async () => {
  const unlocked = run('unlock', 'deribit');
  expect(unlocked).toMatchObject({ code: 0, text: expect.stringContaining('deribit is HEALTHY; the fleet is HEALTHY') as string });
  expect(unlocked.text).toMatch(/ok {4}schema +at head/);
  expect(await states()).toEqual(['HEALTHY', 'HEALTHY']);
  expect(run('unlock', 'deribit')).toMatchObject({ code: 0, text: expect.stringContaining('nothing to unlock') as string });
  expect(run('lock', 'deribit', '--reason', 'odd prices').code).toBe(0);
  expect(await states()).toEqual(['LOCKED', 'LOCKED']);
  expect(await recorded()).toEqual(['system-unlock deribit: data checked', 'system-lock deribit: odd prices']);
  const { rows } = await client.query<{ line: string }>(`SELECT ver || ' ' || from_state || ' ' || to_state AS line FROM state_log ORDER BY ver`);
  expect(rows.map((row) => row.line)).toEqual(['3 LOCKED HEALTHY', '4 HEALTHY LOCKED']);
});

it('refuses with the reason when the data is bad, and obeys --force with a reason', async () => {
  await client.query(
    `INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, expected)
     SELECT instrument_id, 5, 9, 'killed', now() - interval '1 hour', 5 FROM instruments`);
  const refused = run('unlock', 'deribit');
  expect(refused).toMatchObject({ code: 1, text: expect.stringContaining('refused: gaps: 0 being healed, 1 open for more than 10 minutes') as string });
  expect(await states()).toEqual(['LOCKED', 'LOCKED']);
  expect(run('unlock', 'deribit', '--force')).toMatchObject({ code: 2, text: expect.stringContaining('--force needs a --reason') as string });
  expect(run('unlock', 'deribit', '--force', '--reason', 'looked at it').code).toBe(0);
  expect(await states()).toEqual(['HEALTHY', 'HEALTHY']);
  expect(await recorded()).toEqual(['system-unlock deribit: looked at it']);
});

it('names what is wrong with a call, and with a state that cannot be unlocked', async () => {
  expect(run('unlock')).toMatchObject({ code: 2, text: expect.stringContaining('which exchange?') as string });
  expect(run('unlock', 'krakn')).toMatchObject({ code: 2, text: expect.stringContaining('exchange: "krakn" is not one of deribit') as string });
  expect(run('lock', 'deribit', 'now')).toMatchObject({ code: 2, text: expect.stringContaining('unexpected argument "now"') as string });
  expect(run('lock', 'deribit', '--force').code).toBe(2);
  await redis.flushall();
  expect(run('unlock', 'deribit')).toMatchObject({ code: 1, text: expect.stringContaining('run a bootstrap first') as string });
});
