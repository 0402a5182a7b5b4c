// The checker itself: a run that lost, changed, invented or doubled a trade must not pass.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createPool, type Pool } from '../../store/connect.ts';
import { freshDatabase, type FreshDatabase } from '../../testing/servers.ts';
import { canonicalDecimal, owedTrades, readLedger } from './ledger.ts';
import { checkTrades } from './verdict.ts';

const TS = 1_790_000_000_000_000;
let database: FreshDatabase;
let pool: Pool;
const folder = mkdtempSync(join(tmpdir(), 'tapekeeper-test-ledger-'));
const ledgerFile = join(folder, 'ledger.ndjson');

beforeAll(async () => {
  database = await freshDatabase('verdict', { migrated: true });
  pool = createPool(database.url, { name: 'test', log: { warn: () => undefined } });
  await pool.query(`INSERT INTO instruments (market_id, symbol, exchange, status) VALUES ('m', 'A', 'm', 'open')`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  await pool.query('DELETE FROM public_trades; DELETE FROM data_gaps');
});

const line = (seq: number, over: Record<string, unknown> = {}): string => `${JSON.stringify({ k: 'trade', market_id: 'm', symbol: 'A',
  trade_id: `t${seq}`, seq, seq_last: seq, price: '85500.50', amount: '10', side: 'buy', ts: TS + seq, sent: true, ...over })}\n`;

async function store(seq: number, over: { price?: string; id?: string; side?: string } = {}): Promise<void> {
  await pool.query(
    `INSERT INTO public_trades (instrument_id, seq, ts, received_at, side, trade_id, price, amount)
     SELECT instrument_id, $1::int8, timestamptz 'epoch' + $2::int8 * interval '1 microsecond', now(), $3, $4, $5, 10 FROM instruments`,
    [seq, TS + seq, over.side ?? 'buy', over.id ?? `t${seq}`, over.price ?? '85500.5']);
}

async function failed(...lines: string[]): Promise<string[]> {
  writeFileSync(ledgerFile, lines.join(''));
  return (await checkTrades(pool, ledgerFile)).filter(({ ok }) => !ok).map(({ name }) => name);
}

it('passes when everything that was owed is there, or known to be missing', async () => {
  await store(1);
  await store(4);
  await pool.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at) SELECT instrument_id, 2, 3, 'x', now() FROM instruments`);
  // Before the first and after the last one sent nobody listened.
  expect(await failed(line(0, { sent: false }), line(1), line(2), line(3, { sent: false }), line(4), line(5, { sent: false }))).toEqual([]);
});

it('fails when nothing was owed: nothing was tried then', async () => {
  expect(await failed(line(0, { sent: false }))).toEqual(['no_loss']);
});

it('fails on a trade that is nowhere', async () => {
  await store(1);
  await store(3);
  expect(await failed(line(1), line(2), line(3))).toEqual(['no_loss']);
});

it('fails when a gap was closed and its trades are not there', async () => {
  await store(1);
  await store(3);
  await pool.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at, status) SELECT instrument_id, 2, 2, 'x', now(), 'closed'
    FROM instruments`);
  expect(await failed(line(1), line(2), line(3))).toEqual(['no_loss']);
});

it('fails on an aggregate of which a gap covers only a part', async () => {
  await store(1);
  await store(9);
  await pool.query(`INSERT INTO data_gaps (instrument_id, from_seq, to_seq, reason, detected_at) SELECT instrument_id, 2, 7, 'x', now() FROM instruments`);
  expect(await failed(line(1), line(2, { seq_last: 8 }), line(9))).toEqual(['no_loss']);
});

it('fails on another value, side, or a trade that never was', async () => {
  await store(1, { price: '85500.51' });
  await store(2, { side: 'sell' });
  await store(3);
  expect(await failed(line(1), line(2))).toEqual(['values_equal', 'nothing_invented']);
});

it('compares numbers, not their padding', () => {
  expect(['1.50', '01.5', '1.5', '-0.0', '0', '100', '-2.10'].map(canonicalDecimal)).toEqual(['1.5', '1.5', '1.5', '0', '0', '100', '-2.1']);
});

it('ignores a half-written last line', async () => {
  writeFileSync(ledgerFile, line(1) + line(2).slice(0, 40));
  const symbol = (await readLedger(ledgerFile)).get('m A');
  expect(symbol === undefined ? [] : owedTrades(symbol).map(({ seq }) => seq)).toEqual([1]);
});
