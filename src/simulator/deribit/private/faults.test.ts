// What can go wrong between an order and its owner: each fault on its wire.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FaultRequest } from '../../faults.ts';
import { answerTo, rpc, startBench, type Bench, type Client } from '../../test_client.ts';

const WS = '/deribit/ws/api/v2';
const PERP = 'BTC-PERPETUAL';

interface Order { order_id: string; order_state: string; label: string; filled_amount: number }
type Answer = Awaited<ReturnType<typeof answerTo>>;

let bench: Bench;
let client: Client;
let nextId = 1;
beforeEach(async () => {
  bench = await startBench({ limits: false });
  client = await bench.connect(WS);
  await call('public/auth', { grant_type: 'client_credentials', client_id: 'sim', client_secret: 'sim-secret' });
});
afterEach(() => bench.close());

const send = (method: string, params: object = {}): number => {
  client.send(rpc(nextId, method, params));
  return nextId++;
};
const call = (method: string, params: object = {}): Promise<Answer> => answerTo(client, send(method, params));
const market = { instrument_name: PERP, amount: 10, type: 'market' };
const inject = (fault: FaultRequest): unknown => bench.simulator.inject({ market_id: 'deribit', ...fault });
const answered = (id: number): boolean => client.texts.some((text) => text.startsWith(`{"jsonrpc":"2.0","id":${id},`));
const labelled = async (label: string): Promise<Order[]> =>
  (await call('private/get_order_state_by_label', { currency: 'BTC', label })).result as Order[];
const noticesOf = (channel: string): string[] => client.texts.filter((text) => text.includes(`"channel":"${channel}"`));
const requests = (): unknown[] => [...bench.simulator.ledger.entries()].filter((entry) => entry.k === 'order_request').map((entry) => entry['label']);
const now = (): number => bench.clock.nowMicros() / 1000;

describe('lost and late', () => {
  it('loses an answer after the order was accepted', async () => {
    inject({ kind: 'response_lost', channel: 'private/buy', count: 1 });
    const id = send('private/buy', { ...market, label: 'once' });
    expect(await labelled('once')).toMatchObject([{ order_state: 'filled' }]);
    expect(answered(id)).toBe(false);
    expect((await call('private/buy', { ...market, label: 'next' })).result).toBeDefined();
  });

  it('loses a request: there is no order', async () => {
    inject({ kind: 'request_lost', channel: 'private/buy', count: 1 });
    const id = send('private/buy', { ...market, label: 'never' });
    expect(await labelled('never')).toEqual([]);
    expect([answered(id), requests()]).toEqual([false, []]);
  });

  it('ends the connection of an HTTP request whose answer is lost', async () => {
    inject({ kind: 'response_lost', channel: 'private/buy', count: 1 });
    const authorization = `Basic ${Buffer.from('sim:sim-secret').toString('base64')}`;
    const path = `/deribit/api/v2/private/buy?instrument_name=${PERP}&amount=10&type=market&label=http`;
    await expect(bench.get(path, { authorization })).rejects.toThrow('fetch failed');
    expect(await labelled('http')).toHaveLength(1);
  });

  it('answers late, out of order with what came after', async () => {
    inject({ kind: 'response_late', channel: 'private/buy', count: 1, delay_ms: 500 });
    const id = send('private/buy', { ...market, label: 'slow' });
    expect(await labelled('slow')).toHaveLength(1);
    expect(answered(id)).toBe(false);
    bench.run(500);
    expect((await answerTo(client, id)).result).toMatchObject({ order: { label: 'slow' } });
  });

  it('brings a request late, which valid_until then refuses', async () => {
    inject({ kind: 'request_late', channel: 'private/buy', count: 2, delay_ms: 500 });
    const dead = send('private/buy', { ...market, label: 'dead', valid_until: now() + 400 });
    const live = send('private/buy', { ...market, label: 'live', valid_until: now() + 600 });
    expect([await labelled('dead'), await labelled('live')]).toEqual([[], []]);
    bench.run(500);
    expect((await answerTo(client, dead)).error?.code).toBe(13888);
    expect((await answerTo(client, live)).result).toBeDefined();
    expect([await labelled('dead'), (await labelled('live')).length]).toEqual([[], 1]);
  });

  it('ends what is still queued on a cancel_all', async () => {
    inject({ kind: 'request_late', channel: 'private/buy', count: 1, delay_ms: 500 });
    const id = send('private/buy', { ...market, label: 'queued' });
    await call('private/cancel_all');
    expect((await answerTo(client, id)).error?.code).toBe(13666);
    bench.run(600);
    expect(await labelled('queued')).toEqual([]);
  });
});

describe('notices', () => {
  const TRADES = `user.trades.${PERP}.raw`;
  const ORDERS = `user.orders.${PERP}.raw`;
  beforeEach(() => call('private/subscribe', { channels: [TRADES, ORDERS] }));

  it('of a fill come before the answer', async () => {
    inject({ kind: 'fill_before_ack', count: 1 });
    const id = send('private/buy', market);
    await answerTo(client, id);
    const at = (text: string): number => client.texts.findIndex((frame) => frame.includes(text));
    expect(at(`"channel":"${TRADES}"`)).toBeLessThan(at(`"id":${id},`));
  });

  it('of a fill come twice', async () => {
    inject({ kind: 'duplicate_fill', count: 1 });
    await call('private/buy', market);
    await client.barrier();
    expect(noticesOf(TRADES)).toHaveLength(2);
    expect(new Set(noticesOf(TRADES)).size).toBe(1);
  });

  it('of a fill come late, and queries do not show it sooner', async () => {
    inject({ kind: 'late_fill', count: 1, delay_ms: 700 });
    await call('private/buy', market);
    await client.barrier();
    const trades = async (): Promise<unknown[]> =>
      ((await call('private/get_user_trades_by_instrument', { instrument_name: PERP })).result as { trades: unknown[] }).trades;
    expect([noticesOf(ORDERS).length, noticesOf(TRADES).length, (await trades()).length]).toEqual([1, 0, 0]);
    bench.run(700);
    await client.barrier();
    expect([noticesOf(ORDERS).length, noticesOf(TRADES).length, (await trades()).length]).toEqual([1, 1, 1]);
  });
});

describe('stale and closed', () => {
  it('tells open orders as they were', async () => {
    inject({ kind: 'stale_orders', delay_ms: 1_000 });
    const ticker = (await call('public/ticker', { instrument_name: PERP })).result as { min_price: number };
    await call('private/buy', { instrument_name: PERP, amount: 10, price: ticker.min_price, label: 'rests' });
    const open = async (): Promise<string[]> => ((await call('private/get_open_orders')).result as Order[]).map((order) => order.label);
    expect(await open()).toEqual([]);
    bench.run(1_000);
    expect(await open()).toEqual(['rests']);
    await call('private/cancel_by_label', { label: 'rests' });
    expect(await open()).toEqual(['rests']);
    expect(await labelled('rests')).toMatchObject([{ order_state: 'cancelled' }]);
    bench.run(1_000);
    expect(await open()).toEqual([]);
  });

  it('looks orders up as they were', async () => {
    inject({ kind: 'stale_states', delay_ms: 1_000, count: 2 });
    const { result } = await call('private/buy', { ...market, label: 'new' });
    const { order_id } = (result as { order: Order }).order;
    expect(await labelled('new')).toEqual([]);
    expect((await call('private/get_order_state', { order_id })).error?.code).toBe(10004);
    expect(await labelled('new')).toHaveLength(1);
  });

  it('knows nothing of an order that is to be cancelled, and keeps it', async () => {
    const ticker = (await call('public/ticker', { instrument_name: PERP })).result as { min_price: number };
    const { result } = await call('private/buy', { instrument_name: PERP, amount: 10, price: ticker.min_price, label: 'ghost' });
    const { order_id } = (result as { order: Order }).order;
    inject({ kind: 'cancel_unknown', count: 1 });
    expect((await call('private/cancel', { order_id })).error?.code).toBe(10004);
    expect(await labelled('ghost')).toMatchObject([{ order_state: 'open' }]);
    expect((await call('private/cancel', { order_id })).result).toMatchObject({ order_state: 'cancelled' });
  });

  it('takes only cancels while the platform is locked', async () => {
    inject({ kind: 'locked', duration_ms: 1_000 });
    expect((await call('public/status')).result).toMatchObject({ locked: 'true' });
    expect((await call('private/buy', market)).error?.code).toBe(10019);
    expect((await call('private/cancel_all')).result).toBe(0);
    bench.run(1_000);
    expect((await call('private/buy', market)).result).toBeDefined();
    bench.simulator.announce({ market_id: 'deribit', data: { price_index: 'btc_usd', locked: true } });
    expect((await call('private/buy', market)).error?.code).toBe(10019);
    expect((await call('private/buy', { ...market, instrument_name: 'ETH-PERPETUAL' })).result).toBeDefined();
  });

  it('answers 11051 to everything but its status during maintenance', async () => {
    inject({ kind: 'maintenance', duration_ms: 1_000 });
    for (const method of ['private/buy', 'private/get_positions', 'public/auth', 'public/ticker']) expect((await call(method, market)).error?.code).toBe(11051);
    expect((await call('public/status')).result).toBeDefined();
    bench.run(1_000);
    expect((await call('private/get_positions')).result).toBeDefined();
  });
});
