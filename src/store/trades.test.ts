import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Trade } from '../contracts/index.ts';
import { freshDatabase, type FreshDatabase } from '../testing/servers.ts';
import { createPool, transaction, type Pool } from './connect.ts';
import { readCoverage } from './coverage.ts';
import { ensureDayPartitions, loadPartitionDays } from './partitions.ts';
import { planTrades } from './trade_plan.ts';
import type { TradeRow } from './trade_rows.ts';
import { TradeTable } from './trade_table.ts';
import { flyTrades, storeTrades } from './trades.ts';

let database: FreshDatabase;
let pool: Pool;
let days: Set<number>;

/** 2026-11-23, 2026-11-24 … */
const DAY = 20_780;
const START = DAY * 86_400_000_000;

beforeAll(async () => {
  database = await freshDatabase('trades', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  await ensureDayPartitions(pool, 'public_trades', DAY - 1, DAY + 1);
  days = await loadPartitionDays(pool, 'public_trades');
});
afterEach(async () => {
  await pool.query('TRUNCATE public_trades, trade_coverage');
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

function trade(seq: number | null, over: Partial<Trade> & { instrument?: number } = {}): TradeRow {
  const { instrument = 1, ...fields } = over;
  return {
    instrumentId: instrument,
    message: {
      v: 1, type: 'trade', market_id: 'm', symbol: 'S', exchange_ts: START + 1000 + (seq ?? 0), received_ts: START + 5000, trade_id: `t${seq ?? 'x'}`, seq,
      price: '100.50', amount: '1', side: 'buy', ...fields,
    },
  };
}

const run = (from: number, to: number, over: Partial<Trade> = {}): TradeRow => trade(from, { seq_last: to, ...over });

interface Outcome {
  stored: number;
  duplicates: number;
  conflicts: { row: TradeRow | undefined; error: string }[];
}

async function store(rows: readonly TradeRow[], careful = false): Promise<Outcome> {
  const plan = planTrades(TradeTable.of(rows));
  const { stored, duplicates, conflicts } = await transaction(pool, (client) => storeTrades(client, plan, { partitionDays: days, careful }));
  return { stored, duplicates, conflicts: conflicts.map(({ row, error }) => ({ row: rows[row], error })) };
}

async function storedSeqs(): Promise<string[]> {
  const { rows } = await pool.query<{ k: string }>(
    `SELECT instrument_id || ':' || seq || coalesce('-' || seq_last, '') AS k FROM public_trades ORDER BY instrument_id, seq, ts`,
  );
  return rows.map((row) => row.k);
}

describe('storing trades', () => {
  it('stores every field', async () => {
    const full = trade(7, { seq_last: 9, mark_price: '1.10', index_price: '-2', iv: '55.5', liquidation: 'maker', block_trade_id: 'B', combo_id: 'C' });
    expect(await store([full, trade(3)])).toEqual({ stored: 2, duplicates: 0, conflicts: [] });
    const { rows } = await pool.query<Record<string, unknown>>(
      'SELECT *, (extract(epoch FROM ts)*1000000)::int8 AS us, (extract(epoch FROM received_at)*1000000)::int8 AS rus FROM public_trades WHERE seq = 7');
    expect(rows[0]).toMatchObject({
      instrument_id: 1, seq: '7', seq_last: '9', us: String(START + 1007), rus: String(START + 5000), side: 'buy', trade_id: 't7', price: '100.50', amount: '1',
      mark_price: '1.10', index_price: '-2', iv: '55.5', liquidation: 'maker', block_trade_id: 'B', combo_id: 'C',
    });
    expect(await readCoverage(pool, 1, DAY)).toEqual([[3, 3], [7, 9]]);
  });

  it('counts the same again as duplicates, alone, inside a batch and spelled otherwise', async () => {
    await store([trade(1), trade(2)]);
    const again = [trade(2, { price: '100.5' }), trade(3), trade(1), trade(3), trade(4, { amount: '1.0' }), trade(4)];
    expect(await store(again)).toEqual({ stored: 2, duplicates: 4, conflicts: [] });
    expect(await storedSeqs()).toEqual(['1:1', '1:2', '1:3', '1:4']);
  });

  it.each<[string, Partial<Trade>]>([
    ['price', { price: '100.51' }], ['amount', { amount: '2' }], ['side', { side: 'sell' }], ['trade_id', { trade_id: 'other' }],
    ['exchange_ts', { exchange_ts: START + 9 }], ['seq_last', { seq_last: 8 }],
  ])('calls the same seq with another %s a conflict, and overwrites nothing', async (field, change) => {
    await store([trade(5)]);
    for (const rows of [[trade(5, change)], [trade(11), trade(5, change), trade(12)]]) {
      const { conflicts } = await store(rows);
      expect(conflicts).toHaveLength(1);
    }
    const { conflicts } = await store([trade(5, change)]);
    expect(conflicts[0]?.error).toMatch(new RegExp(`^${field}: stored .+, got .+instrument 1, seq 5`));
    const twice = [trade(20), trade(20, { ...change, ...(field === 'seq_last' ? { seq_last: 22 } : {}) })];
    expect((await store(twice)).conflicts.map((c) => c.row)).toEqual([twice[1]]);
    expect(await storedSeqs()).toHaveLength(4);
    expect((await pool.query('SELECT price, amount, side FROM public_trades WHERE seq = 5')).rows).toEqual([{ price: '100.50', amount: '1', side: 'buy' }]);
    expect((await readCoverage(pool, 1, DAY)).slice(0, 2)).toEqual([[5, 5], [11, 12]]);
  });

  it('does not store a trade twice when its time moves across midnight', async () => {
    await store([trade(5)]);
    const moved = trade(5, { exchange_ts: START - 1 });
    const { stored, conflicts } = await store([moved, trade(4, { exchange_ts: START - 2 })]);
    expect({ stored, conflicts: conflicts.map((c) => c.row) }).toEqual({ stored: 1, conflicts: [moved] });
    expect(await readCoverage(pool, 1, DAY - 1)).toEqual([[4, 4]]);
    const both = [trade(9, { exchange_ts: START + 1 }), trade(9, { exchange_ts: START - 1 })];
    expect((await store(both)).conflicts.map((c) => c.row)).toEqual([both[1]]);
  });

  it('does not store a trade twice when its time moves by days, and claims nothing for it', async () => {
    await store([trade(5), run(10, 14), trade(30)]);
    const far = (days: number): Partial<Trade> => ({ exchange_ts: START + days * 86_400_000_000 });
    for (const days of [-20, -2, 3, 400]) {
      const moved = [trade(5, far(days)), run(10, 14, far(days)), run(12, 18, far(days))];
      const { stored, duplicates, conflicts } = await store([moved[0]!, trade(100 + days, far(days)), moved[1]!]);
      expect({ stored, duplicates, rows: conflicts.map((c) => c.row) }).toEqual({ stored: 1, duplicates: 0, rows: [moved[0], moved[1]] });
      expect(conflicts[0]?.error).toMatch(/^exchange_ts: stored \d+, got \d+ \(instrument 1, seq 5\)/);
      expect((await store([moved[2]!])).conflicts[0]?.error).toMatch(/^seq: 12..18 overlaps stored trades of another run/);
      expect(await readCoverage(pool, 1, DAY + days)).toEqual([[100 + days, 100 + days]]);
    }
    // The first one told stays, and what lies between is free on any day.
    expect(await store([trade(5), run(20, 24, far(3)), trade(25, { instrument: 2, ...far(3) })])).toEqual({ stored: 2, duplicates: 1, conflicts: [] });
  });

  it('refuses a run that overlaps others without being one of them, and claims nothing for it', async () => {
    await store([run(10, 14), run(20, 24)]);
    const bridging = run(12, 29);
    const inner = trade(22);
    const result = await store([bridging, inner, run(15, 19), run(31, 33)]);
    expect(result).toMatchObject({ stored: 2, duplicates: 0 });
    expect(result.conflicts.map((c) => c.row)).toEqual([bridging, inner]);
    expect(await readCoverage(pool, 1, DAY)).toEqual([[10, 24], [31, 33]]);
  });

  it('lets neighbours of a refused run in the same batch through', async () => {
    await store([trade(100)]);
    const wide = run(50, 200);
    const good = [run(60, 69), trade(150), trade(60, { seq_last: 69 })];
    const result = await store([wide, ...good]);
    expect(result.conflicts.map((c) => c.row)).toEqual([wide]);
    expect(result).toMatchObject({ stored: 2, duplicates: 1 });
    expect(await storedSeqs()).toEqual(['1:60-69', '1:100', '1:150']);
    expect(await readCoverage(pool, 1, DAY)).toEqual([[60, 69], [100, 100], [150, 150]]);
  });

  it('finds rows that are stored but not covered, compares them and repairs the coverage', async () => {
    await store([trade(1), trade(2), trade(3)]);
    await pool.query('TRUNCATE trade_coverage');
    await expect(store([trade(2), trade(4)])).rejects.toMatchObject({ code: '23505' });
    const result = await store([trade(2), trade(3, { price: '9' }), trade(4)], true);
    expect(result).toMatchObject({ stored: 1, duplicates: 1 });
    expect(result.conflicts[0]?.error).toMatch(/^price/);
    expect(await readCoverage(pool, 1, DAY)).toEqual([[2, 4]]);
  });

  it('keeps trades without a sequence by trade id', async () => {
    const rows = [trade(null, { trade_id: 'b' }), trade(null, { trade_id: 'a' }), trade(null, { trade_id: 'b' })];
    expect(await store(rows)).toMatchObject({ stored: 2, duplicates: 1 });
    expect(await store([...rows, trade(1)])).toMatchObject({ stored: 1, duplicates: 3, conflicts: [] });
    const moved = trade(null, { trade_id: 'a', exchange_ts: START + 77 });
    expect((await store([moved])).conflicts[0]?.error).toMatch(/^exchange_ts/);
  });

  it('keeps a row of a day without a partition, and moves it when the day is made', async () => {
    const later = trade(1, { exchange_ts: START + 5 * 86_400_000_000 });
    expect(await store([later, trade(2)])).toMatchObject({ stored: 2 });
    expect((await pool.query('SELECT count(*)::int AS n FROM public_trades_default')).rows).toEqual([{ n: 1 }]);
    expect(await ensureDayPartitions(pool, 'public_trades', DAY + 4, DAY + 6)).toBe(3);
    expect((await pool.query('SELECT count(*)::int AS n FROM public_trades_default')).rows).toEqual([{ n: 0 }]);
    expect(await storedSeqs()).toEqual(['1:1', '1:2']);
    expect(await store([later])).toMatchObject({ stored: 0, duplicates: 1 });
  });
});

describe('in one flight', () => {
  const fly = (rows: readonly TradeRow[], on = pool): ReturnType<typeof flyTrades> => flyTrades(on, planTrades(TradeTable.of(rows)), { partitionDays: days });
  const some = (from: number, to: number): TradeRow[] =>
    Array.from({ length: to - from }, (_t, i) => trade(Math.floor((from + i) / 3), { instrument: ((from + i) % 3) + 1 }));

  it('stores what is new, also into the default partition', async () => {
    expect(await fly(some(0, 6000))).toEqual({ stored: 6000, duplicates: 0, conflicts: [], committed: true });
    expect(await fly([trade(9000, { exchange_ts: START + 9 * 86_400_000_000 })])).toMatchObject({ stored: 1 });
    expect(await storedSeqs()).toHaveLength(6001);
    for (const instrument of [1, 2, 3]) expect(await readCoverage(pool, instrument, DAY)).toEqual([[0, 1999]]);
  });

  it('stores nothing, and leaves the connection well, when any of it was stored before', async () => {
    const single = createPool(database.url, { name: 'test', log: { warn: () => undefined }, max: 1 });
    try {
      await fly(some(0, 3000), single);
      expect(await fly(some(2999, 9000), single)).toBeNull();
      expect(await storedSeqs()).toHaveLength(3000);
      // Stored under another day, too.
      expect(await fly([trade(5, { exchange_ts: START - 5 })], single)).toBeNull();
      expect(await fly([trade(5, { exchange_ts: START + 9 * 86_400_000_000 })], single)).toBeNull();
      expect(await fly(some(3000, 9000), single)).toMatchObject({ stored: 6000 });
      expect(single.totalCount).toBe(1);
    } finally {
      await single.end();
    }
  });

  it('rejects with the error of the rows, nothing stored, and leaves the connection well', async () => {
    const single = createPool(database.url, { name: 'test', log: { warn: () => undefined }, max: 1 });
    try {
      await fly(some(0, 3000), single);
      await single.query('TRUNCATE trade_coverage');
      await expect(fly(some(1500, 9000), single)).rejects.toMatchObject({ code: '23505' });
      expect(await storedSeqs()).toHaveLength(3000);
      expect(await readCoverage(single, 1, DAY)).toEqual([]);
      expect(await fly(some(3000, 4000), single)).toMatchObject({ stored: 1000 });
      expect(single.totalCount).toBe(1);
    } finally {
      await single.end();
    }
  });

  it('is not for rows that need a look', async () => {
    expect(await fly([trade(1), trade(1)])).toBeNull();
    expect(await fly([trade(1), trade(null)])).toBeNull();
    expect(await fly([trade(1), trade(2, { exchange_ts: START - 1 })])).toBeNull();
    expect(await storedSeqs()).toEqual([]);
  });
});

describe('against a model', () => {
  const step = fc.record({
    instrument: fc.integer({ min: 1, max: 3 }),
    seq: fc.integer({ min: 1, max: 40 }),
    length: fc.constantFrom(1, 1, 1, 2, 5),
    dayShift: fc.constantFrom(0, 0, 0, 0, 1, 30),
    price: fc.constantFrom('1', '1.0', '2'),
  });

  it('stores each key once, covers exactly what is stored, and accounts for every row', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 25 }), { minLength: 1, maxLength: 6 }), async (batches) => {
        await pool.query('TRUNCATE public_trades, trade_coverage');
        // First come, first stored: a row is new when its run meets no stored run of the instrument.
        const model = new Map<number, { from: number; to: number; shape: string }[]>();
        for (const batch of batches) {
          const rows = batch.map(({ instrument, seq, length, dayShift, price }) => trade(seq, {
            instrument, price, trade_id: `t${seq}`, exchange_ts: START + dayShift * 86_400_000_000 + seq,
            ...(length > 1 ? { seq_last: seq + length - 1 } : {}),
          }));
          const expected = { stored: 0, duplicates: 0, conflicts: 0 };
          for (const { instrument, seq, length, dayShift, price } of batch) {
            const runs = model.get(instrument) ?? [];
            model.set(instrument, runs);
            const shape = `${seq}+${length}@${dayShift}=${Number(price)}`;
            const met = runs.filter((r) => r.from <= seq + length - 1 && r.to >= seq);
            if (met.length === 0) {
              runs.push({ from: seq, to: seq + length - 1, shape });
              expected.stored++;
            } else if (met.some((r) => r.shape === shape)) expected.duplicates++;
            else expected.conflicts++;
          }
          const { stored, duplicates, conflicts } = await store(rows);
          // Inside one batch "first" may be decided against the database first: compare what must hold in any order.
          expect(stored + duplicates + conflicts.length).toBe(rows.length);
          // Rows of one batch that contradict each other: which of them is first is not promised, and the model follows what was stored.
          if (contradictsItself(batch)) await follow(model);
          else expect({ stored, duplicates, conflicts: conflicts.length }).toEqual(expected);
        }
        await expectCoverageIsExact();
      }),
      { numRuns: 60 },
    );
  });

  interface Step { instrument: number; seq: number; length: number; dayShift: number; price: string }

  const contradictsItself = (batch: readonly Step[]): boolean =>
    batch.some((a, i) => batch.slice(i + 1).some((b) =>
      a.instrument === b.instrument && a.seq <= b.seq + b.length - 1 && b.seq <= a.seq + a.length - 1
      && !(a.seq === b.seq && a.length === b.length && a.dayShift === b.dayShift && Number(a.price) === Number(b.price))));

  async function follow(model: Map<number, { from: number; to: number; shape: string }[]>): Promise<void> {
    const { rows } = await pool.query<{ instrument: number; from: number; to: number; day: string; price: number }>(
      `SELECT instrument_id AS instrument, seq::int AS from, coalesce(seq_last, seq)::int AS to, price::float AS price,
         (extract(epoch FROM ts) * 1000000)::int8 / 86400000000 - $1::int8 / 86400000000 AS day FROM public_trades`, [START]);
    model.clear();
    for (const { instrument, from, to, day, price } of rows) {
      model.set(instrument, [...(model.get(instrument) ?? []), { from, to, shape: `${from}+${to - from + 1}@${Number(day)}=${price}` }]);
    }
  }

  async function expectCoverageIsExact(): Promise<void> {
    const { rows } = await pool.query(
      `WITH stored AS (
         SELECT instrument_id, (ts AT TIME ZONE 'UTC')::date AS day,
           range_agg(int8range(seq, coalesce(seq_last, seq), '[]')) AS seqs, sum(coalesce(seq_last, seq) - seq + 1) AS n
         FROM public_trades GROUP BY 1, 2)
       SELECT coalesce(s.instrument_id, c.instrument_id) AS instrument_id, s.seqs::text AS stored, c.seqs::text AS covered
       FROM stored s FULL JOIN trade_coverage c USING (instrument_id, day)
       WHERE coalesce(s.seqs, '{}') <> coalesce(c.seqs, '{}')
         OR s.n <> (SELECT sum(upper(r) - lower(r)) FROM unnest(s.seqs) AS r)`,
    );
    expect(rows).toEqual([]);
  }
});

describe('two writers at once', () => {
  it('store every trade once', async () => {
    const rows = Array.from({ length: 400 }, (_value, n) => trade(Math.floor(n / 4) + 1, { instrument: (n % 4) + 1 }));
    const outcomes = await Promise.all(Array.from({ length: 6 }, (_value, n) => store(n % 2 === 0 ? rows : rows.toReversed())));
    expect(outcomes.reduce((sum, o) => sum + o.stored, 0)).toBe(400);
    expect(outcomes.reduce((sum, o) => sum + o.duplicates, 0)).toBe(2000);
    expect(outcomes.flatMap((o) => o.conflicts)).toEqual([]);
  });

  it('store a trade that each of them was told of another day once', async () => {
    const rows = (days: number): TradeRow[] => Array.from({ length: 300 }, (_value, n) =>
      trade(Math.floor(n / 3) + 1, { instrument: (n % 3) + 1, exchange_ts: START + days * 86_400_000_000 + n }));
    const outcomes = await Promise.all([0, 1, 5, 0, 30].map((days) => store(rows(days))));
    expect(outcomes.reduce((sum, o) => sum + o.stored, 0)).toBe(300);
    expect(outcomes.reduce((sum, o) => sum + o.stored + o.duplicates + o.conflicts.length, 0)).toBe(1500);
    expect(await storedSeqs()).toHaveLength(300);
  });
});

describe('the extent of an instrument', () => {
  const holes = async (): Promise<number> => {
    const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM trade_extent, unnest(seqs) WHERE instrument_id = 1');
    return rows[0]?.n ?? 0;
  };

  it('stays small however many holes there are, and hides none of them', async () => {
    for (let batch = 0; batch < 20; batch++) {
      const rows = Array.from({ length: 50 }, (_value, n) => trade(1 + 10 * (batch * 50 + n)));
      expect(await store(rows)).toMatchObject({ stored: 50, conflicts: [] });
    }
    expect(await holes()).toBeLessThan(200);
    // One far off keeps what lies before it free.
    await store([trade(1_000_000)]);
    const healed = Array.from({ length: 900 }, (_value, n) => trade(5 + 10 * n));
    expect(await store(healed)).toEqual({ stored: 900, duplicates: 0, conflicts: [] });
    expect(await store([...healed, trade(20_000)])).toEqual({ stored: 1, duplicates: 900, conflicts: [] });
    expect(await flyTrades(pool, planTrades(TradeTable.of([trade(30_000)])), { partitionDays: days })).toMatchObject({ stored: 1 });
  });

  it('knows what was stored before there was one', async () => {
    await store([trade(5), trade(7, { exchange_ts: START + 86_400_000_000 }), trade(5, { instrument: 2 })]);
    await pool.query('UPDATE trade_coverage SET seqs = \'{}\' WHERE instrument_id = 2');
    const [up = '', down = ''] = readFileSync(join(import.meta.dirname, 'migrations/0010_trade_extent.sql'), 'utf8').split('-- Down Migration');
    await pool.query(down);
    await pool.query(up);
    expect((await pool.query('SELECT * FROM trade_extent')).rows).toEqual([{ instrument_id: 1, seqs: '{[5,6),[7,8)}' }]);
    expect((await store([trade(7, { exchange_ts: START + 9 * 86_400_000_000 })])).conflicts[0]?.error).toMatch(/^exchange_ts/);
  });

  it('is emptied with the coverage', async () => {
    await store([trade(1)]);
    await pool.query('TRUNCATE public_trades, trade_coverage');
    expect(await holes()).toBe(0);
  });
});
