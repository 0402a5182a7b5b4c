// Every fault does what it says, ends when it says, and is in the ledger.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FaultRequest } from './faults.ts';
import { GARBAGE_MODES } from './garbage.ts';
import type { LedgerEntry } from './ledger.ts';
import { answerTo, rpc, startBench, type Bench, type Client } from './test_client.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await startBench({ rate: 2_000 });
});
afterEach(() => bench.close());

const TRADES = '/binance_spot/ws/btcusdt@trade';
const spot = { market_id: 'binance_spot', symbol: 'BTCUSDT' };
const fault = (request: FaultRequest): void => void bench.simulator.inject(request);
const ids = (client: Client): number[] => client.texts.flatMap((text) => {
  const id = /"e":"trade".*"t":(\d+),/.exec(text)?.[1];
  return id === undefined ? [] : [Number(id)];
});
const ledger = (k: string, symbol?: string): LedgerEntry[] =>
  [...bench.simulator.ledger.entries()].filter((entry) => entry.k === k && (symbol === undefined || entry['symbol'] === symbol));
const spotTrades = (): LedgerEntry[] => ledger('trade', 'BTCUSDT').filter((entry) => entry['market_id'] === 'binance_spot');
const contiguous = (numbers: readonly number[]): boolean => numbers.every((n, i) => i === 0 || n === (numbers[i - 1] ?? 0) + 1);

/** Runs and waits until everything written has arrived. */
async function run(client: Client, ms: number): Promise<void> {
  bench.run(ms);
  await client.frame(/./);
  await client.barrier();
}

describe('data faults', () => {
  it('gap: withholds so many trades and says so', async () => {
    const client = await bench.connect(TRADES);
    await run(client, 100);
    fault({ kind: 'gap', ...spot, count: 7 });
    await run(client, 300);
    const got = ids(client);
    const held = spotTrades().filter((entry) => entry['why'] === 'gap');
    expect(held).toHaveLength(7);
    expect(held.every((entry) => entry.sent === false)).toBe(true);
    const missing = (got.at(-1) ?? 0) - (got[0] ?? 0) + 1 - got.length;
    expect(missing).toBe(7);
    expect(held.map((entry) => entry.seq).some((seq) => got.includes(seq ?? 0))).toBe(false);
    // REST heals it.
    const page = JSON.parse((await bench.get(`/binance_spot/api/v3/historicalTrades?symbol=BTCUSDT&fromId=${held[0]?.seq}&limit=7`)).body) as { id: number }[];
    expect(page.map((row) => row.id)).toEqual(held.map((entry) => entry.seq));
  });

  it('duplicate, reorder, conflict: twice, late, and contradicted; the ledger keeps the truth', async () => {
    const client = await bench.connect(TRADES);
    await run(client, 100);
    fault({ kind: 'duplicate', ...spot, count: 4 });
    await run(client, 200);
    const twice = ids(client);
    expect(twice.length - new Set(twice).size).toBe(4);
    client.frames.length = 0;
    fault({ kind: 'reorder', ...spot, count: 10, factor: 5 });
    await run(client, 200);
    const late = ids(client);
    expect(contiguous(late)).toBe(false);
    expect(contiguous([...late].sort((a, b) => a - b))).toBe(true);
    client.frames.length = 0;
    fault({ kind: 'conflict', ...spot, count: 1 });
    await run(client, 200);
    const [conflict] = ledger('conflict');
    const prices = client.texts.filter((text) => text.includes(`"t":${String(conflict?.['trade_id'])},`)).map((text) => /"p":"([^"]+)"/.exec(text)?.[1]);
    expect(prices).toHaveLength(2);
    expect(prices[1]).toBe(conflict?.['price']);
    expect(spotTrades().find((entry) => entry['trade_id'] === conflict?.['trade_id'])?.['price']).toBe(prices[0]);
  });

  it('silence: one symbol says nothing while pings are answered; then it goes on', async () => {
    const client = await bench.connect('/binance_spot/stream?streams=btcusdt@trade/btcusdt@bookTicker/btcusdt@kline_1m/ethusdt@trade');
    await run(client, 100);
    fault({ kind: 'silence', ...spot, duration_ms: 1_000 });
    client.frames.length = 0;
    await run(client, 900);
    expect(client.texts.every((text) => text.includes('ethusdt'))).toBe(true);
    expect(spotTrades().filter((entry) => entry['why'] === 'silence').length).toBeGreaterThan(10);
    await run(client, 300);
    expect(client.texts.some((text) => text.includes('btcusdt@trade'))).toBe(true);
  });

  it('burst: many times the rate', async () => {
    const client = await bench.connect(TRADES);
    await run(client, 1_000);
    const calm = ids(client).length;
    fault({ kind: 'burst', ...spot, factor: 20, duration_ms: 1_000 });
    await run(client, 1_000);
    expect(ids(client).length - calm).toBeGreaterThan(calm * 10);
  });

  it.each(GARBAGE_MODES.map((mode) => [mode]))('garbage %s: an unreadable frame among good ones', async (mode) => {
    const client = await bench.connect(TRADES);
    await run(client, 100);
    const before = client.frames.length;
    fault({ kind: 'garbage', ...spot, mode, count: 2, duration_ms: 500 });
    bench.run(300);
    if (mode === 'bad_utf8') {
      expect((await client.end()).code).toBe(1006);
      return;
    }
    await client.barrier();
    const poison = ledger('poison');
    expect(poison.map((entry) => [entry['mode'], entry['conn']])).toEqual([[mode, 1], [mode, 1]]);
    const odd = client.frames.slice(before).filter((frame) => !/"e":"trade","E":\d{13}/.test(frame.text) || frame.binary);
    expect(odd).toHaveLength(2);
    expect(odd.every((frame) => frame.binary === (mode === 'binary'))).toBe(true);
    expect(contiguous(ids(client).filter((id) => id > 1))).toBe(true);
  });
});

describe('session faults', () => {
  it.each([[undefined, 1000], ['24h', 1001], ['terminate', 1006]] as const)('cut %s closes with %i', async (mode, code) => {
    const client = await bench.connect(TRADES);
    const other = await bench.connect('/binance_usdm/market/ws/btcusdt@aggTrade');
    fault({ kind: 'cut', market_id: 'binance_spot', ...(mode === undefined ? {} : { mode }) });
    expect((await client.end()).code).toBe(code);
    await run(other, 50);
    expect(other.closed).toBeNull();
  });

  it('shutdown: the event first, then the close', async () => {
    const client = await bench.connect('/binance_spot/stream?streams=btcusdt@trade');
    fault({ kind: 'cut', market_id: 'binance_spot', mode: 'shutdown', delay_ms: 1 });
    expect((await client.end()).code).toBe(1001);
    expect(JSON.parse(client.texts.at(-1) ?? '')).toMatchObject({ stream: '!serverShutdown', data: { e: 'serverShutdown' } });
  });

  it('half_open: the socket stays, nothing comes, nothing is answered', async () => {
    const dead = await bench.connect(TRADES);
    await run(dead, 100);
    fault({ kind: 'half_open', market_id: 'binance_spot' });
    const alive = await bench.connect(TRADES);
    const before = dead.frames.length;
    let pong = false;
    dead.socket.on('pong', () => (pong = true));
    dead.socket.ping();
    dead.send({ method: 'LIST_SUBSCRIPTIONS', id: 1 });
    await run(alive, 300);
    expect([dead.frames.length, pong, dead.closed]).toEqual([before, false, null]);
    expect(ids(alive).length).toBeGreaterThan(5);
  });

  it('half_open readers do not count: their trades were not sent', async () => {
    const dead = await bench.connect(TRADES);
    await run(dead, 50);
    fault({ kind: 'half_open' });
    const from = spotTrades().length;
    bench.run(500);
    expect(spotTrades().slice(from).some((entry) => entry.sent === true)).toBe(false);
  });

  it('reject_subscription and ack_never, on both dialects', async () => {
    const client = await bench.connect('/binance_spot/ws');
    fault({ kind: 'reject_subscription', ...spot, count: 1 });
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 1 });
    expect(JSON.parse(await client.frame(/"id":1/))).toMatchObject({ code: 2 });
    fault({ kind: 'ack_never', ...spot, count: 1 });
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 2 });
    client.send({ method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 3 });
    expect(JSON.parse(await client.frame(/"id":3/))).toEqual({ result: null, id: 3 });
    expect(client.texts.some((text) => text.includes('"id":2'))).toBe(false);
    const rpcClient = await bench.connect('/deribit/ws/api/v2');
    fault({ kind: 'reject_subscription', market_id: 'deribit', channel: 'ticker.' });
    rpcClient.send(rpc(1, 'public/subscribe', { channels: ['ticker.BTC-PERPETUAL.100ms', 'trades.BTC-PERPETUAL.100ms'] }));
    expect((await answerTo(rpcClient, 1)).result).toEqual(['trades.BTC-PERPETUAL.100ms']);
  });

  it('refuse_connect: no handshake while it lasts', async () => {
    fault({ kind: 'refuse_connect', market_id: 'binance_spot', count: 2 });
    await expect(bench.connect(TRADES)).rejects.toThrow('503');
    await expect(bench.connect(TRADES)).rejects.toThrow('503');
    await bench.connect(TRADES);
  });
});

describe('REST faults', () => {
  const spotTime = '/binance_spot/api/v3/time';
  it.each([
    ['429', 429, /-1003/], ['418', 418, /banned until/], ['500', 500, /-1000/], ['html', 502, /<html>/], ['empty', 200, /^$/], ['error200', 200, /-1000/],
  ])('%s answers %i', async (mode, status, body) => {
    fault({ kind: 'rest_status', market_id: 'binance_spot', mode, count: 1 });
    const answer = await bench.get(spotTime);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(body);
    if (status === 429 || status === 418) expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await bench.get(spotTime)).status).toBe(200);
    expect(ledger('rest_fault')).toHaveLength(1);
  });

  it('truncated breaks off, hang never answers, path narrows', async () => {
    fault({ kind: 'rest_status', market_id: 'binance_spot', mode: 'truncated', count: 1 });
    await expect(bench.get(spotTime)).rejects.toThrow();
    fault({ kind: 'rest_status', market_id: 'binance_spot', mode: 'hang', count: 1 });
    const abort = new AbortController();
    const hanging = fetch(bench.simulator.url + spotTime, { signal: abort.signal });
    const other = await bench.get('/binance_usdm/fapi/v1/time');
    expect(other.status).toBe(200);
    abort.abort();
    await expect(hanging).rejects.toThrow();
    bench.simulator.heal();
    fault({ kind: 'rest_status', market_id: 'deribit', mode: '429', path: 'get_last_trades' });
    expect((await bench.get('/deribit/api/v2/public/get_time')).status).toBe(200);
    const limited = await bench.get('/deribit/api/v2/public/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL');
    expect([limited.status, JSON.parse(limited.body)]).toMatchObject([429, { error: { code: 10028 } }]);
  });
});

describe('the control port', () => {
  it('injects, shows and heals', async () => {
    const made = JSON.parse((await bench.post('/control/faults', { kind: 'silence', market_id: 'deribit', duration_ms: 50 })).body) as { id: number };
    expect(JSON.parse((await bench.get('/control/state')).body)).toMatchObject({ seed: 11, faults: [{ id: made.id, kind: 'silence' }] });
    bench.run(60);
    expect(JSON.parse((await bench.get('/control/state')).body)).toMatchObject({ faults: [] });
    await bench.post('/control/faults', { kind: 'silence' });
    await fetch(`${bench.simulator.url}/control/faults`, { method: 'DELETE' });
    expect(JSON.parse((await bench.get('/control/state')).body)).toMatchObject({ faults: [] });
    expect(ledger('fault')).toHaveLength(2);
    expect(ledger('heal')).toHaveLength(1);
  });

  it('skews the clock and sets the rate', async () => {
    await bench.post('/control/clock', { offset_ms: 90_000 });
    const { serverTime } = JSON.parse((await bench.get('/binance_spot/api/v3/time')).body) as { serverTime: number };
    expect(serverTime).toBe(bench.clock.nowMicros() / 1000 + 90_000);
    await bench.post('/control/rate', { rate: 0 });
    const from = spotTrades().length;
    bench.run(500);
    expect(spotTrades().length).toBe(from);
  });

  it.each([
    ['/control/faults', { kind: 'nonsense' }, /kind/], ['/control/faults', { kind: 'gap', market_id: 'x' }, /market_id/],
    ['/control/faults', { kind: 'gap', count: '3' }, /count/], ['/control/faults', { kind: 'gap', surprise: 1 }, /surprise/],
    ['/control/clock', {}, /offset_ms/], ['/control/rate', { rate: -1 }, /rate/], ['/control/announce', {}, /market_id/], ['/control/faults', [], /body/],
    ['/control/faults', { kind: 'nonsense' }, /^{"error":"kind: \\"nonsense\\" is not one of silence, .*conflict/],
    ['/control/faults', { kind: 'gap', market_id: 'kraken' }, /market_id: \\"kraken\\" is not one of deribit, binance_spot, binance_usdm/],
    ['/control/faults', { kind: 'cut', mode: 'gently' }, /mode: \\"gently\\" is not one of close, terminate, 24h, shutdown/],
    ['/control/faults', { kind: 'garbage', mode: 'rubbish' }, /mode: \\"rubbish\\" is not one of not_json, .*huge/],
    ['/control/faults', { kind: 'rest_status', mode: '42' }, /mode: \\"42\\" is not one of html, .*hang, a status from 400 to 599/],
    ['/control/faults', { kind: 'refuse_connect', mode: '200' }, /mode: \\"200\\" is not one of a status/],
    ['/control/faults', { kind: 'gap', mode: 'wide' }, /mode: \\"wide\\", but gap has none/],
    ['/control/faults', { kind: 'gap', symbol: 'BTCUSD' }, /symbol: \\"BTCUSD\\" is not listed on any market/],
    ['/control/faults', { kind: 'gap', market_id: 'deribit', symbol: 'BTCUSDT' }, /symbol: \\"BTCUSDT\\" is not listed on deribit/],
  ])('refuses %s %j by name', async (path, body, pattern) => {
    const answer = await bench.post(path, body);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatch(pattern);
    expect(ledger('fault')).toEqual([]);
  });

  it('refuses to heal what has no number, and takes a symbol in any case', async () => {
    const odd = await fetch(`${bench.simulator.url}/control/faults?id=all`, { method: 'DELETE' });
    expect([odd.status, await odd.text()]).toEqual([400, '{"error":"id: \\"all\\" is not the number of a fault"}\n']);
    expect((await bench.post('/control/faults', { kind: 'gap', market_id: 'binance_spot', symbol: 'btcusdt' })).status).toBe(200);
  });
});

describe('the seeded schedule', () => {
  it('breaks the same things of the same seed', async () => {
    const { FaultSchedule } = await import('./schedule.ts');
    const venues = [{ marketId: 'a' }, { marketId: 'b' }] as never;
    const plan = (seed: number): FaultRequest[] => {
      const schedule = new FaultSchedule({} as never, venues, seed);
      return Array.from({ length: 50 }, () => schedule.next());
    };
    expect(plan(1)).toEqual(plan(1));
    expect(plan(1)).not.toEqual(plan(2));
    expect(new Set(plan(1).map((request) => request.kind)).size).toBeGreaterThan(7);
  });
});
