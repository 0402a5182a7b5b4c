// A day runs again: what a receiver captured, the simulator serves as the exchange, and the same trades arrive.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { start as startDistributor } from '../services/distributor/main.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { openStage, runInProcess, until, type Stage } from '../testing/receiver.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';

const SYMBOLS = {
  MARKETS: 'deribit,binance_spot,binance_usdm',
  DERIBIT_SYMBOLS: 'BTC-PERPETUAL,ETH_USDC-PERPETUAL',
  BINANCE_SPOT_SYMBOLS: 'BTCUSDT,ETHUSDT',
  BINANCE_USDM_SYMBOLS: 'BTCUSDT,ETHUSDT',
  CHANNELS: 'trade',
};
const TRADES = `SELECT i.market_id, i.symbol, t.trade_id, t.seq, t.seq_last, trim_scale(t.price)::text AS price,
    trim_scale(t.amount)::text AS amount, t.side, t.ts
  FROM public_trades t JOIN instruments i USING (instrument_id) ORDER BY 1, 2, 4`;

const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-replay-'));
let database: FreshDatabase;
let pool: Pool;
let recorded: Record<string, unknown>[];

const poolOf = (url: string): Pool => createPool(url, { name: 'test', log: { warn: () => undefined } });
const count = async (of: Pool): Promise<number> =>
  Number((await of.query<{ n: string }>('SELECT count(*) AS n FROM public_trades')).rows[0]?.n);

const nameOf = (trade: object): string => {
  const { market_id, symbol, trade_id } = trade as Record<string, unknown>;
  return [market_id, symbol, trade_id].map(String).join(' ');
};

/** Runs a stage into a database until `done`, then stops all of it, everything received stored. */
async function record(stage: Stage, url: string, env: Record<string, string>, done: () => Promise<boolean>): Promise<void> {
  const distributor = await runInProcess('distributor', startDistributor, { ...stage.env, DATABASE_URL: url, INSTANCE_ID: 'd' });
  try {
    const receiver = await stage.receive(env);
    await until(done, 60_000);
    await receiver.stop();
    const target = poolOf(url);
    const published = new Set((await stage.published.trades()).map(nameOf));
    await until(async () => (await count(target)) >= published.size);
    await target.end();
  } finally {
    await distributor.stop();
  }
}

beforeAll(async () => {
  database = await freshDatabase('replay', { migrated: true });
  pool = poolOf(database.url);
  const stage = await openStage(SYMBOLS, { rate: 400 });
  try {
    await record(stage, database.url, { CAPTURE_DIR: folder }, async () => {
      const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM public_trades GROUP BY instrument_id');
      return rows.length === 6 && rows.every(({ n }) => n > 50);
    });
  } finally {
    await stage.close();
  }
  recorded = (await pool.query<Record<string, unknown>>(TRADES)).rows;
}, 120_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await pool.end();
  await database.drop();
});

describe('a captured day, replayed by the simulator', () => {
  it('brings the same trades into a fresh database', async () => {
    const fresh = await freshDatabase('replayed', { migrated: true });
    const target = poolOf(fresh.url);
    const stage = await openStage(SYMBOLS, { replayDir: folder, speed: 10, rate: 0, history: 0 });
    try {
      await record(stage, fresh.url, {}, async () => (await count(target)) >= recorded.length);
      expect((await target.query(TRADES)).rows).toEqual(recorded);
      // The simulator knows the truth of the replay as it knows its own.
      await stage.simulator.ledger.commit();
      const told = [...stage.simulator.ledger.entries()].filter(({ k }) => k === 'trade').map(nameOf);
      expect(told.sort()).toEqual(recorded.map(nameOf).sort());
      expect(await stage.published.events('feed.gap')).toEqual([]);
    } finally {
      await stage.close();
      await target.end();
      await fresh.drop();
    }
  }, 120_000);

  it('fills what was dropped the first time into the database that lacks it, and changes nothing else', async () => {
    // As if a normaliser had not understood every fifth trade of one market, and nothing at all of an instrument.
    await pool.query(`DELETE FROM public_trades t USING instruments i WHERE i.instrument_id = t.instrument_id
      AND ((i.market_id = 'deribit' AND t.seq % 5 = 0) OR (i.market_id = 'binance_spot' AND i.symbol = 'ETHUSDT'))`);
    await pool.query(`UPDATE trade_coverage c SET seqs = coalesce((SELECT range_agg(int8range(t.seq, coalesce(t.seq_last, t.seq), '[]'))
      FROM public_trades t WHERE t.instrument_id = c.instrument_id AND t.ts >= c.day AND t.ts < c.day + 1), '{}')`);
    const { rows: kept } = await pool.query('SELECT instrument_id, trade_id, received_at FROM public_trades ORDER BY 1, 2');
    expect(kept.length).toBeLessThan(recorded.length);
    const stage = await openStage(SYMBOLS, { replayDir: folder, speed: 10, rate: 0, history: 0 });
    try {
      await record(stage, database.url, {}, async () => (await count(pool)) >= recorded.length);
      expect((await pool.query(TRADES)).rows).toEqual(recorded);
      const { rows: after } = await pool.query('SELECT instrument_id, trade_id, received_at FROM public_trades ORDER BY 1, 2');
      expect(after).toEqual(expect.arrayContaining(kept));
      const { rows: [complete] } = await pool.query<{ missing: number }>('SELECT sum(missing)::int AS missing FROM v_completeness');
      expect(complete).toEqual({ missing: 0 });
    } finally {
      await stage.close();
    }
  }, 120_000);
});
