// The error policy against a real PostgreSQL: who is blamed, who waits, and that nothing healthy is lost on the way.
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StreamEntry } from '../../bus/consumer.ts';
import { createMetrics } from '../../runtime/metrics.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { ensureDayPartitions, loadPartitionDays } from '../../store/partitions.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { batchOf } from './batch.ts';
import { InstrumentIds } from './instruments.ts';
import { distributorMetrics } from './metrics.ts';
import { BatchWriter } from './writer.ts';

const NOW = 1_795_000_000_000_000;
const DAY = Math.floor(NOW / 86_400_000_000);
const quiet = { warn: () => undefined, info: () => undefined };

let database: FreshDatabase;
let pool: Pool;
let outages: (string | null)[];
let days: ReadonlySet<number>;
let refreshed: number;

beforeEach(async () => {
  database = await freshDatabase('writer', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: quiet });
  outages = [];
  refreshed = 0;
  await ensureDayPartitions(pool, 'public_trades', DAY, DAY);
  days = await loadPartitionDays(pool, 'public_trades');
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const trade = (seq: number, more: object = {}): string => JSON.stringify({
  v: 1, type: 'trade', market_id: 'm1', symbol: 'S', exchange_ts: NOW + seq, received_ts: NOW,
  trade_id: `t${seq}`, seq, price: '1.5', amount: '2', side: 'buy', ...more,
});
const gap = (from: number, reason: string): string => JSON.stringify({
  v: 1, type: 'feed_status', market_id: 'm1', symbol: 'S', exchange_ts: NOW, received_ts: NOW, status: 'gap', from_seq: from, to_seq: from, reason,
});

function writerOn(target: Pool): { store: (payloads: string[], signal?: AbortSignal) => Promise<string[]> } {
  const context = { instruments: new InstrumentIds({ exchangeOf: () => 'x', onStub: () => undefined }), sampler: { wants: () => true }, nowMicros: () => NOW };
  const writer = new BatchWriter({
    pool: target, context, metrics: distributorMetrics(createMetrics('test')), log: quiet, random: () => 0, partitionDays: () => days,
    onOutage: (reason) => outages.push(reason?.message ?? null),
    refreshPartitions: async () => {
      refreshed++;
      days = await loadPartitionDays(pool, 'public_trades');
    },
  });
  return {
    async store(payloads, signal = new AbortController().signal) {
      const batch = batchOf(payloads.map((payload, n) => StreamEntry.of(`1-${n}`, payload)), context);
      const letters = await writer.store(await writer.makeReady(batch, signal), signal);
      return letters.map((letter) => `${letter.sourceId} ${letter.errorClass} ${letter.error}`);
    },
  };
}

const stored = async (): Promise<number[]> =>
  (await pool.query<{ seq: string }>('SELECT seq FROM public_trades ORDER BY seq')).rows.map((row) => Number(row.seq));

/** A pool whose clients fail as told, the rest being real. */
function failing(onQuery: (text: string) => Error | null): Pool {
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const wrapped = (...args: unknown[]): unknown => {
      const text = typeof args[0] === 'string' ? args[0] : String((args[0] as { text?: string }).text);
      const error = onQuery(text);
      // Afterwards: the server did its work, and only the answer is lost.
      return error === null ? query(...args) : Promise.resolve(query(...args)).then(() => Promise.reject(error));
    };
    return new Proxy(client, { get: (real, key) => key === 'query' ? wrapped : Reflect.get(real, key) as unknown });
  };
  const query = (text: string, values?: unknown[]): Promise<unknown> => {
    const error = onQuery(text);
    return error === null ? pool.query(text, values) : Promise.reject(error);
  };
  return new Proxy(pool, { get: (real, key) => key === 'connect' ? connect : key === 'query' ? query : Reflect.get(real, key) as unknown });
}

describe('bad data', () => {
  it('is bisected to the very rows; all their neighbours are stored', async () => {
    await pool.query(`CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.trade_id IN ('t13', 't77') THEN RAISE EXCEPTION 'boom %', NEW.trade_id USING ERRCODE = '22003'; END IF; RETURN NEW; END $$`);
    await pool.query('CREATE TRIGGER boom BEFORE INSERT ON public_trades FOR EACH ROW EXECUTE FUNCTION boom()');
    const letters = await writerOn(pool).store(Array.from({ length: 100 }, (_t, n) => trade(n)));
    expect(letters).toEqual(['1-13 database boom t13 (SQLSTATE 22003)', '1-77 database boom t77 (SQLSTATE 22003)']);
    expect(await stored()).toEqual(Array.from({ length: 100 }, (_t, n) => n).filter((n) => n !== 13 && n !== 77));
    expect(outages).toEqual([]);
    const { rows } = await pool.query<{ seqs: string }>('SELECT seqs::text FROM trade_coverage');
    expect(rows).toEqual([{ seqs: '{[0,13),[14,77),[78,100)}' }]);
  });

  it('of another table does not keep trades away', async () => {
    const letters = await writerOn(pool).store([trade(1), gap(2, 'a\0b'), gap(3, 'well'), trade(4)]);
    expect(letters).toEqual([expect.stringMatching(/^1-1 database invalid byte sequence .*\(SQLSTATE 22021\)$/)]);
    expect(await stored()).toEqual([1, 4]);
    expect((await pool.query('SELECT from_seq FROM data_gaps')).rows).toEqual([{ from_seq: '3' }]);
  });

  it('is not what rows are that were stored without being covered', async () => {
    await writerOn(pool).store([trade(1), trade(2)]);
    await pool.query('TRUNCATE trade_coverage');
    const letters = await writerOn(pool).store([trade(1), trade(2, { price: '9' }), trade(3)]);
    expect(letters).toEqual([expect.stringMatching(/^1-1 conflict price: stored 1.5, got 9/)]);
    expect((await pool.query('SELECT seqs::text FROM trade_coverage')).rows).toEqual([{ seqs: '{[1,4)}' }]);
  });
});

describe('infrastructure', () => {
  it('is waited for: an answer to COMMIT that is lost stores nothing twice and blames nobody', async () => {
    let lost = 0;
    const target = failing((text) => (text === 'COMMIT' && lost++ < 2 ? Object.assign(new Error('Connection terminated'), { code: 'ECONNRESET' }) : null));
    // Two days, so that COMMIT travels alone.
    const payloads = [trade(1), trade(2, { exchange_ts: NOW + 86_400_000_000 })];
    expect(await writerOn(target).store(payloads)).toEqual([]);
    expect(lost).toBe(3);
    expect(await stored()).toEqual([1, 2]);
    expect(outages).toEqual(['Connection terminated', 'Connection terminated', null]);
  });

  it('is waited for while a lock is held, and given back when we leave', async () => {
    const holder = new pg.Client(database.url);
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE trade_coverage IN ACCESS EXCLUSIVE MODE');
    const stop = new AbortController();
    const leaving = writerOn(pool).store([trade(1)], stop.signal);
    await expect.poll(() => outages.length, { timeout: 15_000 }).toBeGreaterThan(0);
    expect(outages[0]).toMatch(/lock timeout/);
    stop.abort();
    await expect(leaving).rejects.toMatchObject({ name: 'AbortError' });
    await holder.query('ROLLBACK');
    await holder.end();
    expect(await stored()).toEqual([]);
  }, 30_000);

  it('is a partition that was dropped under us: rows go where they can', async () => {
    await pool.query(`DROP TABLE public_trades_p${new Date(NOW / 1000).toISOString().slice(0, 10).replaceAll('-', '')}`);
    expect(await writerOn(pool).store([trade(1), trade(2)])).toEqual([]);
    expect(await stored()).toEqual([1, 2]);
    expect(refreshed).toBe(1);
  });
});

describe('an error that nobody knows', () => {
  it('is tried again, then isolated to its row', async () => {
    let calls = 0;
    const target = failing((text) => (text.includes('INSERT INTO data_gaps') && ++calls > 0 ? new Error('surprise') : null));
    const letters = await writerOn(target).store([trade(1), gap(5, 'x'), trade(2)]);
    expect(letters).toEqual(['1-1 poison surprise']);
    expect(await stored()).toEqual([1, 2]);
    expect(calls).toBeGreaterThanOrEqual(6);
  });

  it('is the infrastructure when the database does not answer', async () => {
    let pings = 0;
    const target = failing((text) => {
      if (text.includes('server_version_num') && ++pings <= 3) return Object.assign(new Error('no route'), { code: 'ECONNREFUSED' });
      return text.startsWith('BEGIN') && pings < 3 ? new Error('surprise') : null;
    });
    // Two days, so that statements travel one by one.
    expect(await writerOn(target).store([trade(1), trade(2, { exchange_ts: NOW + 86_400_000_000 })])).toEqual([]);
    expect(await stored()).toEqual([1, 2]);
    expect(outages).toEqual(['surprise', 'surprise', 'no route', 'no route', 'no route', null]);
  });
});
