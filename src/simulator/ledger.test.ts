// The ledger is the truth: on disk before anybody can see what it tells.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openLedger } from './ledger.ts';
import { answerTo, rpc, startBench, type Bench } from './test_client.ts';

/** While `held` is set, fdatasync does not return. */
const disk = vi.hoisted(() => ({ held: null as (() => void)[] | null, syncs: 0 }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return {
    ...fs,
    fdatasync: (fd: number, done: (error: Error | null) => void) => {
      disk.syncs++;
      if (disk.held === null) fs.fdatasync(fd, done);
      else disk.held.push(() => fs.fdatasync(fd, done));
    },
  };
});

let bench: Bench | null = null;
const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
afterEach(async () => {
  disk.held?.forEach((go) => go());
  disk.held = null;
  await bench?.close();
  bench = null;
});
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

describe('the ledger', () => {
  it('has a trade on disk, synced, before the first byte of its frame leaves', async () => {
    const path = join(folder, 'order.ndjson');
    bench = await startBench({ ledgerPath: path, rate: 2_000 });
    const client = await bench.connect('/binance_spot/stream?streams=btcusdt@trade');
    bench.run(50);
    await client.frame(/@trade/);
    disk.held = [];
    bench.run(200);
    await vi.waitUntil(() => (disk.held?.length ?? 0) > 0);
    await client.barrier();
    const before = client.frames.length;
    bench.run(200);
    await client.barrier();
    expect(client.frames.length).toBe(before);
    // The line is written (not yet synced) while its frame waits.
    const written = readFileSync(path, 'utf8');
    const held = disk.held;
    disk.held = null;
    held.forEach((go) => go());
    await client.until((c) => c.frames.length > before);
    const ids = client.texts.slice(before).map((text) => /"t":(\d+)/.exec(text)?.[1]);
    expect(written).toContain(`"trade_id":"${ids[0]}"`);
    expect(disk.syncs).toBeGreaterThan(1);
  });

  it('tells of every frame exactly what was sent', async () => {
    const path = join(folder, 'equal.ndjson');
    bench = await startBench({ ledgerPath: path, rate: 3_000 });
    const spot = await bench.connect('/binance_spot/ws/btcusdt@trade');
    const usdm = await bench.connect('/binance_usdm/market/ws/ethusdt@aggTrade');
    const deribit = await bench.connect('/deribit/ws/api/v2');
    deribit.send(rpc(1, 'public/subscribe', { channels: ['trades.BTC-PERPETUAL.100ms'] }));
    await answerTo(deribit, 1);
    bench.run(500);
    // The last trades of a 100 ms batch go out once nothing new is made.
    bench.simulator.setRate(0);
    bench.run(100);
    await Promise.all([spot.barrier(), usdm.barrier(), deribit.barrier()]);
    await bench.simulator.ledger.commit();
    const count = [...bench.simulator.ledger.entries()].filter((entry) => entry.k === 'trade' && entry.sent === true).length;
    await vi.waitUntil(() => received().length === count);
    function received(): unknown[] {
      const trade = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
      return [
        ...spot.texts
          .map(trade)
          .map((t) => ['binance_spot', String(t['t']), t['t'], t['t'], t['p'], t['q'], t['m'] === true ? 'sell' : 'buy', t['T']]),
        ...usdm.texts
          .map(trade)
          .map((t) => ['binance_usdm', String(t['a']), t['f'], t['l'], t['p'], t['q'], t['m'] === true ? 'sell' : 'buy', t['T']]),
        ...deribit.texts
          .filter((text) => text.includes('"channel":"trades'))
          .flatMap((text) => (JSON.parse(text) as { params: { data: Record<string, unknown>[] } }).params.data)
          .map((t) => ['deribit', t['trade_id'], t['trade_seq'], t['trade_seq'], t['price'], t['amount'], t['direction'], t['timestamp']]),
      ];
    }
    const numeric = (row: unknown[]): unknown[] => [...row.slice(0, 4), Number(row[4]), Number(row[5]), ...row.slice(6)];
    const told = [...bench.simulator.ledger.entries()]
      .filter((entry) => entry.k === 'trade' && entry.sent === true)
      .map((e) => [e['market_id'], e['trade_id'], e.seq, e.seq_last, e['price'], e['amount'], e['side'], Math.floor(Number(e['ts']) / 1000)]);
    const sorted = (rows: unknown[][]): unknown[] =>
      rows
        .map(numeric)
        .map((row) => JSON.stringify(row))
        .sort();
    expect(sorted(received() as unknown[][])).toEqual(sorted(told));
    expect(told.length).toBeGreaterThan(300);
  });

  it('has plain decimals and whole lines, readable from any offset', async () => {
    bench = await startBench({ rate: 2_000 });
    bench.run(300);
    const first = await bench.get('/control/ledger');
    const next = Number(first.headers.get('x-ledger-next'));
    expect(first.body.length).toBe(next);
    for (const line of first.body.trimEnd().split('\n')) {
      const entry = JSON.parse(line) as Record<string, string>;
      if (entry['k'] === 'trade') expect(`${entry['price']} ${entry['amount']}`).toMatch(/^-?\d+(\.\d+)? \d+(\.\d+)?$/);
    }
    bench.run(300);
    const second = await bench.get(`/control/ledger?since=${next}`);
    expect(second.body).toMatch(/^\{"k":/);
    expect((await bench.get('/control/ledger')).body).toBe(first.body + second.body);
  });

  it('keeps text that is not ASCII', async () => {
    const path = join(folder, 'text.ndjson');
    const ledger = openLedger(path);
    ledger.note({ k: 'fault', note: 'ü€\u{1f600}' });
    await ledger.close();
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ k: 'fault', note: 'ü€\u{1f600}' });
  });

  it('refuses a path that cannot be written', () => {
    expect(() => openLedger('/nowhere/at/all.ndjson')).toThrow(/ENOENT/);
  });
});
