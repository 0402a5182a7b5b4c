// The private side on its wire: tokens, orders, queries, user channels, cancel on disconnect, limits.
import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerTo, rpc, startBench, type Bench, type Client } from '../../test_client.ts';

const WS = '/deribit/ws/api/v2';
const PERP = 'BTC-PERPETUAL';

interface Order { order_id: string; order_state: string; price: number; amount: number; filled_amount: number; label: string; cancel_reason?: string }
interface Trade { trade_id: string; trade_seq: number; order_id: string; price: number; amount: number; fee: number; liquidity: string; label?: string }
interface Placed { order: Order; trades: Trade[] }
interface Auth { access_token: string; refresh_token: string; expires_in: number; scope: string; sid?: string }

let bench: Bench;
let client: Client;
let nextId = 1;
beforeEach(async () => {
  bench = await startBench({ limits: true });
  client = await bench.connect(WS);
});
afterEach(() => bench.close());

async function on(socket: Client, method: string, params: object = {}): Promise<{ result: unknown; code: number }> {
  const id = nextId++;
  socket.send(rpc(id, method, params));
  const answer = await answerTo(socket, id);
  return { result: answer.result, code: answer.error?.code ?? 0 };
}
const call = (method: string, params: object = {}): ReturnType<typeof on> => on(client, method, params);
/** The result of a call that must succeed. */
async function get<T = unknown>(method: string, params: object = {}): Promise<T> {
  const { result, code } = await call(method, params);
  expect(code, method).toBe(0);
  return result as T;
}
const credentials = { grant_type: 'client_credentials', client_id: 'sim', client_secret: 'sim-secret' };
const login = async (socket = client, more: object = {}): Promise<Auth> => (await on(socket, 'public/auth', { ...credentials, ...more })).result as Auth;
const quote = (): Promise<{ best_bid_price: number; best_ask_price: number; min_price: number; max_price: number }> =>
  get('public/ticker', { instrument_name: PERP });
const rest = async (path: string, headers: Record<string, string> = {}): Promise<{ status: number; result: unknown; code: number }> => {
  const { status, body } = await bench.get(`/deribit/api/v2/${path}`, headers);
  const json = JSON.parse(body) as { result?: unknown; error?: { code: number } };
  return { status, result: json.result, code: json.error?.code ?? 0 };
};
const notices = (channel: string, socket = client): unknown[] =>
  socket.texts
    .filter((text) => text.includes(`"channel":"${channel}"`))
    .map((text) => (JSON.parse(text) as { params: { data: unknown } }).params.data);
const ledger = (k: string): Record<string, unknown>[] => [...bench.simulator.ledger.entries()].filter((entry) => entry.k === k);
/** A buy far below the market, which rests. */
const rest10 = async (label: string, socket = client): Promise<Order> => {
  const { min_price: price } = await quote();
  const { result, code } = await on(socket, 'private/buy', { instrument_name: PERP, amount: 10, price, label });
  expect(code).toBe(0);
  return (result as Placed).order;
};

describe('authentication', () => {
  it('gives tokens for credentials, signatures and refresh tokens', async () => {
    const first = await login();
    expect(first).toMatchObject({ expires_in: 900, scope: 'connection mainaccount account:read_write trade:read_write wallet:none', token_type: 'bearer' });
    const timestamp = bench.clock.nowMicros() / 1000;
    const sign = (secret: string, at: number): object => ({
      grant_type: 'client_signature', client_id: 'sim', timestamp: at, nonce: 'n', data: 'd',
      signature: createHmac('sha256', secret).update(`${at}\nn\nd`).digest('hex'),
    });
    expect((await call('public/auth', sign('sim-secret', timestamp))).code).toBe(0);
    expect((await call('public/auth', sign('other', timestamp))).code).toBe(13009);
    expect((await call('public/auth', sign('sim-secret', timestamp - 61_000))).code).toBe(13009);
    // The signature's token has voided the first one.
    expect((await call('public/auth', { grant_type: 'refresh_token', refresh_token: first.refresh_token })).code).toBe(13009);
    const second = await login();
    const third = await get<Auth>('public/auth', { grant_type: 'refresh_token', refresh_token: second.refresh_token });
    expect(third.access_token).not.toBe(second.access_token);
    expect((await call('private/get_positions', { access_token: second.access_token })).code).toBe(13009);
    expect((await call('private/get_positions', { access_token: third.access_token })).code).toBe(0);
    expect((await call('public/auth', { ...credentials, client_secret: 'wrong' })).code).toBe(13004);
  });

  it('binds connection tokens to their connection; session tokens survive it', async () => {
    const { access_token: bound } = await login();
    const other = await bench.connect(WS);
    expect((await on(other, 'private/get_positions', { access_token: bound })).code).toBe(13009);
    expect((await rest(`private/get_positions?currency=BTC&access_token=${bound}`)).code).toBe(13009);
    const { access_token: free, sid } = await login(client, { scope: 'session:desk trade:read' });
    expect(sid).toBe('desk');
    client.socket.close();
    await client.end();
    expect((await on(other, 'private/get_positions', { access_token: free })).code).toBe(0);
    expect((await on(other, 'private/buy', { access_token: free, instrument_name: PERP, amount: 10, type: 'market' })).code).toBe(13403);
  });

  it('ends tokens when their time is over', async () => {
    const { expires_in } = await login(client, { scope: 'expires:60' });
    expect(expires_in).toBe(60);
    expect((await call('private/get_positions')).code).toBe(0);
    bench.run(60_000);
    expect((await call('private/get_positions')).code).toBe(13009);
    await login();
    expect(bench.simulator.operate({ market_id: 'deribit', action: 'expire_tokens' })).toEqual({ expired: 1 });
    expect((await call('private/get_positions')).code).toBe(13009);
  });

  it('knows keys that may move money, and keys that may not trade', async () => {
    const wallet = await login(client, { client_id: 'sim-wallet', client_secret: 'sim-wallet-secret' });
    expect(wallet.scope).toContain('wallet:read_write');
    const cut = await login(client, { client_id: 'sim-read', client_secret: 'sim-read-secret', scope: 'trade:read_write wallet:read_write' });
    expect(cut.scope).toContain('trade:read wallet:none');
    expect((await call('private/cancel_all')).code).toBe(13403);
    expect((await call('private/get_open_orders')).code).toBe(0);
  });

  it('takes bearer tokens, basic credentials and signed requests over HTTP', async () => {
    const { result } = await rest('public/auth?grant_type=client_credentials&client_id=sim&client_secret=sim-secret');
    const path = 'private/get_open_orders_by_currency?currency=BTC';
    expect(await rest(path)).toMatchObject({ status: 401, code: 13009 });
    expect(await rest(path, { authorization: `Bearer ${(result as Auth).access_token}` })).toMatchObject({ status: 200, result: [] });
    expect(await rest(path, { authorization: `Basic ${Buffer.from('sim:sim-secret').toString('base64')}` })).toMatchObject({ status: 200 });
    expect(await rest(path, { authorization: `Basic ${Buffer.from('sim:no').toString('base64')}` })).toMatchObject({ status: 401 });
    const ts = bench.clock.nowMicros() / 1000;
    const sig = createHmac('sha256', 'sim-secret').update(`${ts}\nabc\nGET\n/api/v2/${path}\n\n`).digest('hex');
    expect(await rest(path, { authorization: `deri-hmac-sha256 id=sim,ts=${ts},nonce=abc,sig=${sig}` })).toMatchObject({ status: 200 });
    expect(await rest(`${path}&kind=any`, { authorization: `deri-hmac-sha256 id=sim,ts=${ts},nonce=abc,sig=${sig}` })).toMatchObject({ status: 401 });
    const secrets = ledger('rest').map((entry) => JSON.stringify(entry)).join();
    expect(secrets).not.toMatch(/sim-secret|access_token/);
  });
});

describe('orders', () => {
  beforeEach(() => login());

  it('trade at once, in public and in private alike', async () => {
    await get('private/subscribe', { channels: [`trades.${PERP}.raw`, `user.trades.${PERP}.raw`] });
    const { order, trades } = await get<Placed>('private/buy', { instrument_name: PERP, amount: 20, type: 'market', label: 'mine' });
    expect(order).toMatchObject({ order_state: 'filled', price: 'market_price', filled_amount: 20, label: 'mine', time_in_force: 'good_til_cancelled' });
    expect(trades[0]).toMatchObject({ liquidity: 'T', fee_currency: 'BTC', label: 'mine', matching_id: null, order_id: order.order_id });
    bench.run(100);
    await client.barrier();
    expect(notices(`user.trades.${PERP}.raw`)).toEqual([trades]);
    const heard = notices(`trades.${PERP}.raw`).flat() as Trade[];
    expect(heard.find((trade) => trade.trade_id === trades[0]?.trade_id)).toMatchObject({ amount: 20, price: trades[0]?.price, direction: 'buy' });
    expect(await get(`private/get_user_trades_by_order`, { order_id: order.order_id })).toEqual(trades);
    expect(ledger('fill')).toMatchObject([{ label: 'mine', trade_id: trades[0]?.trade_id, amount: '20.0', side: 'buy' }]);
    expect(ledger('order_request')).toMatchObject([{ method: 'private/buy', label: 'mine', params: { amount: 20 } }]);
    expect(ledger('order_result')).toMatchObject([{ code: 0 }]);
    expect(await get('private/get_position', { instrument_name: PERP })).toMatchObject({ size: 20, direction: 'buy', average_price: trades[0]?.price });
  });

  it('are found, edited and cancelled by id and by label', async () => {
    const first = await rest10('a');
    await rest10('b');
    await rest10('b');
    expect(await get('private/get_open_orders_by_label', { currency: 'BTC', label: 'a' })).toEqual([first]);
    expect(await get('private/get_order_state', { order_id: first.order_id })).toEqual(first);
    expect(await get<Order[]>('private/get_order_state_by_label', { currency: 'BTC', label: 'b' })).toHaveLength(2);
    const edited = await get<Placed>('private/edit', { order_id: first.order_id, amount: 30, price: first.price + 1 });
    expect(edited).toMatchObject({ order: { amount: 30, price: first.price + 1, replaced: true }, trades: [] });
    expect((await get<Placed>('private/edit_by_label', { instrument_name: PERP, label: 'a', amount: 40 })).order.amount).toBe(40);
    expect((await call('private/edit_by_label', { instrument_name: PERP, label: 'b', amount: 40 })).code).toBe(13032);
    expect((await call('private/edit_by_label', { instrument_name: PERP, label: 'c', amount: 40 })).code).toBe(10004);
    expect(await get('private/cancel', { order_id: first.order_id })).toMatchObject({ order_state: 'cancelled', cancel_reason: 'user_request' });
    expect((await call('private/cancel', { order_id: first.order_id })).code).toBe(11044);
    expect((await call('private/cancel', { order_id: '1' })).code).toBe(10004);
    expect(await get('private/cancel_by_label', { label: 'b' })).toBe(2);
    expect(await get('private/get_open_orders')).toEqual([]);
  });

  it.each([
    ['private/cancel_all', {}],
    ['private/cancel_all_by_currency', { currency: 'BTC' }],
    ['private/cancel_all_by_currency_pair', { currency_pair: 'btc_usd' }],
    ['private/cancel_all_by_instrument', { instrument_name: PERP, type: 'limit' }],
    ['private/cancel_all_by_kind_or_type', { currency: 'any', kind: 'future' }],
  ])('are cancelled together by %s', async (method, params) => {
    await rest10('x');
    expect(await get(method, { ...params, ...(method.endsWith('all') ? {} : { kind: 'future' }) })).toBe(1);
    await rest10('y');
    expect(await get(method, { ...params, detailed: true })).toMatchObject([{ currency: 'BTC', result: [{ label: 'y', order_state: 'cancelled' }] }]);
    expect(await get(method, params)).toBe(0);
  });

  it('are refused with the codes of the exchange', async () => {
    const { best_bid_price: bid, max_price: max } = await quote();
    const buy = async (params: object): Promise<number> => (await call('private/buy', { instrument_name: PERP, amount: 10, price: bid, ...params })).code;
    expect(await buy({ price: max + 0.5 })).toBe(10007);
    expect(await buy({ price: bid + 0.1 })).toBe(10043);
    expect(await buy({ amount: 11 })).toBe(10021);
    expect(await buy({ amount: 10 + 1e-14 })).toBe(10021);
    expect(await buy({ amount: '10.0000000000000000001' })).toBe(10021);
    expect(await buy({ price: `${Math.floor(bid)}.0000000000000000001` })).toBe(10026);
    expect(await buy({ amount: 'ten' })).toBe(-32602);
    expect(await buy({ type: 'stop_limit' })).toBe(-32602);
    expect(await buy({ instrument_name: 'X' })).toBe(13020);
    expect(await buy({ valid_until: bench.clock.nowMicros() / 1000 - 1 })).toBe(13888);
    expect((await call('private/close_position', { instrument_name: PERP, type: 'market' })).code).toBe(11030);
    expect((await call('private/get_order_state', {})).code).toBe(-32602);
    expect((await call('private/move_positions', {})).code).toBe(13025);
    expect(ledger('order_result').map((entry) => entry['code'])).toEqual([10007, 10043, 10021, 10021, 10021, 10026, -32602, -32602, 13020, 13888, 11030]);
  });

  it('are in the history by time: recent ones for half an hour, then archived', async () => {
    bench.simulator.setRate(0);
    const { order } = await get<Placed>('private/buy', { instrument_name: PERP, amount: 10, type: 'market' });
    const unfilled = await rest10('u');
    await get('private/cancel', { order_id: unfilled.order_id });
    const history = (params: object): Promise<Order[]> => get('private/get_order_history_by_currency', { currency: 'BTC', ...params });
    expect((await history({})).map((row) => row.order_id)).toEqual([order.order_id]);
    expect((await history({ include_unfilled: true })).map((row) => row.order_id)).toEqual([unfilled.order_id, order.order_id]);
    expect(await get('private/get_order_history_by_instrument', { instrument_name: PERP, include_unfilled: true, count: 1, with_continuation: true }))
      .toMatchObject({ orders: [{ order_id: unfilled.order_id }], continuation: '1' });
    bench.clock.move(31 * 60_000);
    client = await bench.connect(WS);
    await login();
    expect(await history({ include_unfilled: true })).toEqual([]);
    expect(await history({ historical: true })).toHaveLength(1);
    expect((await call('private/get_order_state', { order_id: order.order_id })).code).toBe(10004);
    expect(await get('private/get_order_state_by_label', { currency: 'BTC', label: 'u' })).toEqual([]);
    const trades = (params: object): Promise<{ trades: Trade[]; has_more: boolean }> =>
      get('private/get_user_trades_by_instrument', { instrument_name: PERP, ...params });
    expect((await trades({})).trades).toHaveLength(1);
    expect((await trades({ historical: true })).trades).toHaveLength(0);
    bench.clock.move(24 * 3_600_000);
    client = await bench.connect(WS);
    await login();
    expect([(await trades({})).trades.length, (await trades({ historical: true })).trades.length]).toEqual([0, 1]);
  });

  it('are paged by trade_seq and time without a hole', async () => {
    for (let i = 0; i < 5; i++) await get('private/buy', { instrument_name: PERP, amount: 10, type: 'market' });
    const all = await get<{ trades: Trade[]; has_more: boolean }>('private/get_user_trades_by_currency', { currency: 'BTC', count: 100, sorting: 'asc' });
    expect(all.has_more).toBe(false);
    const seqs = all.trades.map((trade) => trade.trade_seq);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    const part = await get<typeof all>('private/get_user_trades_by_instrument', { instrument_name: PERP, start_seq: seqs[2], count: 2, sorting: 'asc' });
    expect([part.trades.map((trade) => trade.trade_seq), part.has_more]).toEqual([seqs.slice(2, 4), seqs.length > 4]);
    const start = bench.clock.nowMicros() / 1000 - 1;
    const timed = await get<typeof all>('private/get_user_trades_by_currency_and_time', { currency: 'BTC', start_timestamp: start, count: 100 });
    expect(timed.trades).toHaveLength(seqs.length);
  });
});

describe('money', () => {
  beforeEach(() => login());

  it('is told by summary, positions and the log, which agree', async () => {
    await get('private/sell', { instrument_name: PERP, amount: 100, type: 'market' });
    await get('private/buy', { instrument_name: PERP, amount: 150, type: 'market' });
    const log = await get<{ logs: { id: number; side: string; change: number; balance: number; trade_id?: string }[]; continuation: number | null }>(
      'private/get_transaction_log', { currency: 'BTC', start_timestamp: 0, end_timestamp: 9e12, count: 2 },
    );
    expect(log.logs.map((row) => row.side)).toEqual(['open buy', 'close buy']);
    expect(log.logs[0]?.trade_id).toBe(log.logs[1]?.trade_id);
    const rest = await get<typeof log>('private/get_transaction_log', {
      currency: 'BTC', start_timestamp: 0, end_timestamp: 9e12, continuation: log.continuation,
    });
    expect([rest.logs.map((row) => row.side), rest.continuation]).toEqual([['open sell', '-'], null]);
    const summary = await get<Record<string, number>>('private/get_account_summary', { currency: 'BTC', extended: true });
    expect(summary).toMatchObject({ currency: 'BTC', balance: log.logs[0]?.balance, margin_model: 'segregated_sm', username: 'sim' });
    expect(summary['equity']).toBeCloseTo((summary['balance'] ?? 0) + (summary['session_upl'] ?? 0) + (summary['session_rpl'] ?? 0), 8);
    const all = await get<{ summaries: { currency: string }[] }>('private/get_account_summaries');
    expect(all.summaries.map((row) => row.currency)).toContain('USDC');
    expect(await get('private/get_positions', { currency: 'BTC', kind: 'future' })).toMatchObject([{ instrument_name: PERP, size: 50, kind: 'future' }]);
    expect((await call('private/get_account_summary', { currency: 'DOGE' })).code).toBe(-32602);
  });

  it('shows what nobody ordered through the API', async () => {
    const operate = (message: object): unknown => bench.simulator.operate({ market_id: 'deribit', ...message });
    expect(operate({ action: 'order', side: 'buy', symbol: PERP, amount: 30, type: 'market' })).toMatchObject({ order: { web: true, api: false, label: '' } });
    expect(operate({ action: 'position', symbol: PERP, amount: -10 })).toEqual({ position: '20.0' });
    expect(await get('private/get_position', { instrument_name: PERP })).toMatchObject({ size: 20 });
    expect(operate({ action: 'deposit', currency: 'BTC', amount: 1 })).toMatchObject({});
    expect(() => operate({ action: 'fly' })).toThrow('action: "fly" is not one of order');
    expect(() => operate({ action: 'position', symbol: PERP })).toThrow('amount: expected a number');
    const { status, body } = await bench.post('/control/account', { market_id: 'deribit', action: 'order', symbol: PERP, side: 'up', amount: 1 });
    expect([status, body]).toEqual([400, expect.stringContaining('side: \\"up\\" is not one of buy, sell')]);
    expect(bench.simulator.state()).toMatchObject({ markets: { deribit: { account: { positions: [{ symbol: PERP, amount: '20.0' }] } } } });
  });
});

describe('user channels', () => {
  it('need a login and private/subscribe', async () => {
    const channels = ['user.orders.any.any.raw', `user.portfolio.btc`];
    await login();
    expect(await get('public/subscribe', { channels })).toEqual([]);
    const asked = [...channels, 'user.orders.NOPE.raw', `user.trades.${PERP}.7ms`, 'user.lock'];
    expect(await get('private/subscribe', { channels: asked })).toEqual([...channels, 'user.lock']);
  });

  it('tell orders, trades, changes and the portfolio after the answer, raw and in batches', async () => {
    await login();
    await get('private/subscribe', {
      channels: ['user.orders.future.BTC.raw', `user.orders.${PERP}.100ms`, `user.changes.${PERP}.raw`, 'user.trades.any.any.100ms', 'user.portfolio.BTC'],
    });
    const { order, trades } = await get<Placed>('private/buy', { instrument_name: PERP, amount: 10, type: 'market' });
    bench.run(200);
    await client.barrier();
    expect(notices('user.orders.future.BTC.raw')).toEqual([order]);
    expect(notices(`user.orders.${PERP}.100ms`)).toEqual([[order]]);
    expect(notices('user.trades.any.any.100ms')).toEqual([trades]);
    expect(notices(`user.changes.${PERP}.raw`)).toMatchObject([{ instrument_name: PERP, orders: [order], trades, positions: [{ size: 10 }] }]);
    expect(notices('user.portfolio.BTC')).toMatchObject([{ currency: 'BTC' }]);
    const at = (pattern: RegExp): number => client.texts.findIndex((text) => pattern.test(text));
    expect(at(/"trades":\[\{"trade_id"/)).toBeLessThan(at(/"channel":"user\.orders\.future/));
  });
});

describe('cancel on disconnect', () => {
  const left = async (): Promise<string[]> => {
    const other = await bench.connect(WS);
    await login(other);
    return ((await on(other, 'private/get_open_orders')).result as Order[]).map((order) => order.label);
  };

  it('takes the orders of the connection, and no others', async () => {
    await login();
    const other = await bench.connect(WS);
    await login(other);
    await rest10('other', other);
    expect(await get('private/get_cancel_on_disconnect')).toEqual({ scope: 'connection', enabled: false });
    await get('private/enable_cancel_on_disconnect');
    expect(await get('private/get_cancel_on_disconnect')).toEqual({ scope: 'connection', enabled: true });
    await rest10('mine');
    client.socket.terminate();
    await client.end();
    expect(await left()).toEqual(['other']);
    expect(ledger('order').at(-1)).toMatchObject({ label: 'mine', state: 'cancelled', cancel_reason: 'cancel_on_disconnect' });
  });

  it('does not fire on logout, which gets no answer', async () => {
    await login();
    await get('private/enable_cancel_on_disconnect', { scope: 'account' });
    await rest10('kept');
    const before = client.texts.length;
    client.send(rpc(9_999, 'private/logout'));
    expect((await client.end()).code).toBe(1000);
    expect(client.texts).toHaveLength(before);
    expect(await left()).toEqual(['kept']);
  });

  it('fires late when a connection is only half dead', async () => {
    await login();
    await get('private/enable_cancel_on_disconnect');
    await get('public/set_heartbeat', { interval: 10 });
    await rest10('mine');
    bench.simulator.inject({ kind: 'half_open', market_id: 'deribit' });
    expect(await left()).toEqual(['mine']);
    bench.run(20_000);
    expect(await left()).toEqual([]);
  });

  it('is of a WebSocket only', async () => {
    const authorization = `Basic ${Buffer.from('sim:sim-secret').toString('base64')}`;
    expect((await rest('private/enable_cancel_on_disconnect', { authorization })).code).toBe(10030);
  });
});

it('ends the session when orders come faster than the account may', async () => {
  await login();
  for (let i = 0; i < 20; i++) expect((await call('private/cancel_all')).code).toBe(0);
  const { id } = bench.simulator.inject({ kind: 'soft_limits', market_id: 'deribit' });
  expect((await call('private/cancel_all')).code).toBe(10028);
  bench.simulator.heal(id);
  expect((await call('private/cancel_all')).code).toBe(10028);
  expect((await client.end()).code).toBe(1008);
  client = await bench.connect(WS);
  await login();
  bench.run(200);
  expect((await call('private/cancel_all')).code).toBe(0);
});
