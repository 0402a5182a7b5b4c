// The whole private side in virtual time, as a checker of thousands of runs drives it.
import { describe, expect, it } from 'vitest';
import { Prng } from '../../prng.ts';
import { RpcError } from '../rpc.ts';
import { VirtualWorld } from './virtual.ts';

const START = Date.UTC(2026, 10, 24, 12);
const PERP = 'BTC-PERPETUAL';

/** A client that sends, edits and cancels at random under random faults, and says what it heard. */
function run(seed: number): { world: VirtualWorld; heard: string[]; told: string[] } {
  const world = new VirtualWorld({ seed, startMs: START, symbols: [PERP] });
  const random = new Prng(seed);
  const heard: string[] = [];
  const told: string[] = [];
  let conn = world.connect();
  const request = (method: string, params: Record<string, unknown>): void =>
    world.request(conn, method, params, (outcome) => {
      heard.push(`${world.nowMs} ${method} ${outcome instanceof RpcError ? outcome.code : String(outcome)}`);
    });
  const pass = (ms: number): void => {
    for (const change of world.pass(ms)) told.push(...change.fills.map((fill) => fill.tradeId));
  };
  const faults = ['response_lost', 'request_lost', 'request_late', 'response_late', 'late_fill', 'duplicate_fill', 'stale_orders', 'locked'] as const;
  for (let i = 0; i < 60; i++) {
    const r = random.u32();
    if (r % 5 === 0) world.faults.add({ kind: faults[(r >>> 8) % faults.length] ?? 'locked', count: 1, delay_ms: r % 900 });
    const { bid, ask } = world.markets.get(PERP)!;
    const price = (r % 3 === 0 ? ask : bid) / 10;
    if (r % 7 === 0) request('private/cancel_all', {});
    else {
      const order = { instrument_name: PERP, amount: 10 + (r % 50) * 10, price, label: `l${i}`, valid_until: world.nowMs + 500 };
      request(r % 2 === 0 ? 'private/buy' : 'private/sell', order);
    }
    if (r % 23 === 0) {
      world.disconnect(conn);
      conn = world.connect();
    }
    pass(100 + (r % 200));
  }
  // Nothing is later than 900 ms.
  pass(1_000);
  return { world, heard, told };
}

describe('virtual time', () => {
  it('gives the same ledger and the same answers for the same seed, and others for another', () => {
    const [first, again, other] = [run(5), run(5), run(6)];
    expect(first.world.ledger.length).toBeGreaterThan(50);
    expect(again.world.ledger).toEqual(first.world.ledger);
    expect(again.heard).toEqual(first.heard);
    expect(again.told).toEqual(first.told);
    expect(other.world.ledger).not.toEqual(first.world.ledger);
  });

  it('holds its books in every run: fills in the ledger are the position, and each is told at least once', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { world, told } = run(seed);
      const fills = world.ledger.filter((entry) => entry.k === 'fill');
      const size = fills.reduce((sum, fill) => sum + (fill['side'] === 'buy' ? 1 : -1) * Number(fill['amount']), 0);
      expect(Number(world.engine.account.position(world.source.contract(PERP)!).amount / 10n ** 18n)).toBe(size);
      expect(new Set(told)).toEqual(new Set(fills.map((fill) => fill['trade_id'])));
      const requests = world.ledger.filter((entry) => entry.k === 'order_request').length;
      expect(world.ledger.filter((entry) => entry.k === 'order_result')).toHaveLength(requests);
    }
  });

  it('cancels on a disconnect only what the connection left open', () => {
    const world = new VirtualWorld({ seed: 1, startMs: START, symbols: [PERP] });
    const [a, b] = [world.connect(), world.connect()];
    const low = Math.round(world.markets.get(PERP)!.bid / 10) - 500;
    for (const conn of [a, b]) {
      world.request(conn, 'private/enable_cancel_on_disconnect', {}, (outcome) => expect(outcome).toBe('"ok"'));
      const order = { instrument_name: PERP, amount: 10, price: low, label: `of ${conn}` };
      world.request(conn, 'private/buy', order, (outcome) => expect(outcome).toContain('"open"'));
    }
    world.disconnect(a);
    expect(world.engine.orders.open().map((order) => order.label)).toEqual([`of ${b}`]);
    world.request(a, 'private/get_positions', {}, (outcome) => expect((outcome as RpcError).code).toBe(13009));
  });
});
