// The two stream venues on their wire: subscriptions, errors, limits, streams, REST.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startBench, type Bench, type Client } from '../test_client.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await startBench();
});
afterEach(() => bench.close());

const SPOT = '/binance_spot';
const USDM = '/binance_usdm';
const parse = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;
const data = (client: Client): Record<string, unknown>[] => client.texts.map(parse).filter((message) => !('id' in message) && !('code' in message));

async function ask(client: Client, request: object): Promise<Record<string, unknown>> {
  const before = client.frames.length;
  client.send(request);
  return parse(await client.frame(/"(result|code)"/, before));
}

describe('requests', () => {
  it('subscribes, lists, switches the wrapper and unsubscribes', async () => {
    const client = await bench.connect(`${SPOT}/ws`);
    expect(await ask(client, { method: 'SUBSCRIBE', params: ['btcusdt@trade', 'nosuch@trade'], id: 1 })).toEqual({ result: null, id: 1 });
    bench.run(50);
    expect(parse(await client.frame(/"e":"trade"/))['s']).toBe('BTCUSDT');
    expect(await ask(client, { method: 'LIST_SUBSCRIPTIONS', id: 'a1' })).toEqual({ result: ['btcusdt@trade', 'nosuch@trade'], id: 'a1' });
    expect(await ask(client, { method: 'SET_PROPERTY', params: ['combined', true], id: 2 })).toEqual({ result: null, id: 2 });
    expect(await ask(client, { method: 'GET_PROPERTY', params: ['combined'], id: 3 })).toEqual({ result: true, id: 3 });
    const before = client.frames.length;
    bench.run(50);
    expect(parse(await client.frame(/@trade/, before))).toMatchObject({ stream: 'btcusdt@trade', data: { e: 'trade' } });
    bench.run(1_000);
    expect(await ask(client, { method: 'UNSUBSCRIBE', params: ['btcusdt@trade'], id: 4 })).toEqual({ result: null, id: 4 });
    const after = client.frames.length;
    bench.run(500);
    await client.barrier();
    expect(client.frames.length).toBe(after);
  });

  it.each([
    ['{', 3],
    [{ method: 'NOPE', id: 1 }, 2],
    [{ method: 'SUBSCRIBE', params: 'btcusdt@trade', id: 1 }, 2],
    [{ method: 'SUBSCRIBE', params: [1], id: 1 }, 2],
    [{ method: 'GET_PROPERTY', params: ['nope'], id: 1 }, 0],
    [{ method: 'SET_PROPERTY', params: ['combined', 'yes'], id: 1 }, 1],
    [{ method: 'SUBSCRIBE', params: [], id: { a: 1 } }, 2],
    [{ method: 'SUBSCRIBE', params: [], id: 'x'.repeat(37) }, 2],
  ])('answers %j with the flat error %i', async (request, code) => {
    const client = await bench.connect(`${SPOT}/ws`);
    client.send(request);
    const answer = parse(await client.frame(/"code"/));
    expect([answer['code'], typeof answer['msg']]).toEqual([code, 'string']);
  });

  it('hears nothing by a name that does not exist, and times in microseconds when asked', async () => {
    const client = await bench.connect(`${SPOT}/stream?timeUnit=MICROSECOND&streams=BTCUSDT@trade/btcusdt@nonsense/nope@trade/ethusdt@trade`);
    bench.run(300);
    await client.frame(/ethusdt@trade/);
    await client.barrier();
    const trades = client.texts.map((text) => parse(text) as { stream: string; data: { T: number } });
    expect(new Set(trades.map((trade) => trade.stream))).toEqual(new Set(['ethusdt@trade']));
    expect(trades.every((trade) => String(trade.data.T).length === 16)).toBe(true);
  });
});

describe('limits and life', () => {
  it.each([
    [SPOT, 5],
    [`${USDM}/market`, 10],
  ] as const)('cuts a client of %s that sends more than %i messages in a second', async (base, most) => {
    const client = await bench.connect(`${base}/ws`);
    for (let id = 1; id <= most; id++) client.send({ method: 'LIST_SUBSCRIPTIONS', id });
    await client.until((c) => c.frames.length === most);
    bench.run(1_000);
    await client.barrier();
    for (let id = 1; id <= most; id++) client.send({ method: 'LIST_SUBSCRIPTIONS', id });
    expect((await client.end()).code).toBe(1008);
  });

  it('takes 200 streams on USD-M and 1024 on spot', async () => {
    const names = (count: number): string[] => Array.from({ length: count }, (_name, i) => `s${i}usdt@trade`);
    const usdm = await bench.connect(`${USDM}/public/ws`);
    expect(await ask(usdm, { method: 'SUBSCRIBE', params: names(201), id: 1 })).toMatchObject({ code: 2, id: 1 });
    expect(await ask(usdm, { method: 'SUBSCRIBE', params: names(200), id: 2 })).toEqual({ result: null, id: 2 });
    const spot = await bench.connect(`${SPOT}/ws`);
    expect(await ask(spot, { method: 'SUBSCRIBE', params: names(1024), id: 1 })).toEqual({ result: null, id: 1 });
    expect(await ask(spot, { method: 'SUBSCRIBE', params: ['btcusdt@trade'], id: 2 })).toMatchObject({ code: 2 });
  });

  it('pings every 20 s and cuts who does not pong, whatever pongs it sends unasked', async () => {
    bench.simulator.setRate(0);
    const good = await bench.connect(`${SPOT}/ws`);
    const bad = await bench.connect(`${SPOT}/ws`, { autoPong: false });
    for (let second = 0; second < 81; second += 3) {
      bench.run(3_000);
      if (!bad.closed) bad.socket.pong('unasked');
      await good.barrier();
    }
    expect((await bad.end()).code).toBe(1006);
    expect(good.closed).toBeNull();
  });

  it('ends a session after 24 hours', async () => {
    await bench.close();
    bench = await startBench({ timing: { sessionMs: 5_000 } });
    const client = await bench.connect(`${SPOT}/ws`);
    bench.run(4_000);
    await client.barrier();
    expect(client.closed).toBeNull();
    bench.run(1_100);
    expect((await client.end()).code).toBe(1001);
  });

  it('has no such path and, after 300 attempts in five minutes, no socket', async () => {
    await expect(bench.connect(`${SPOT}/nope`)).rejects.toThrow('404');
    await expect(bench.connect(`${SPOT}/market/ws`)).rejects.toThrow('404');
    for (let i = 0; i < 300; i++) (await bench.connect(`${SPOT}/ws`)).socket.terminate();
    await expect(bench.connect(`${SPOT}/ws`)).rejects.toThrow('429');
  });
});

describe('streams', () => {
  it('splits the USD-M host: /public, /market, and a root that withholds klines', async () => {
    const all = 'btcusdt@aggTrade/btcusdt@trade/btcusdt@bookTicker/btcusdt@kline_1m/btcusdt@markPrice@1s/btcusdt@depth@100ms';
    const heard = async (path: string): Promise<string[]> => {
      const client = await bench.connect(`${USDM}${path}?streams=${all}`);
      bench.run(1_200);
      await client.frame(/stream/);
      await client.barrier();
      return [...new Set(client.texts.map((text) => String(parse(text)['stream']).split('@')[1] ?? ''))].sort();
    };
    expect(await heard('/public/stream')).toEqual(['bookTicker', 'depth', 'trade']);
    expect(await heard('/market/stream')).toEqual(['aggTrade', 'kline_1m', 'markPrice']);
    expect(await heard('/stream')).toEqual(['aggTrade', 'bookTicker', 'depth', 'markPrice', 'trade']);
    const secret = await bench.connect(`${USDM}/private/stream?streams=${all}`);
    bench.run(500);
    await secret.barrier();
    expect(secret.frames).toEqual([]);
  });

  it('numbers raw trades and aggregates without a hole', async () => {
    bench.simulator.setRate(3_000);
    const spot = await bench.connect(`${SPOT}/stream?streams=btcusdt@trade/btcusdt@aggTrade`);
    const usdm = await bench.connect(`${USDM}/market/ws/btcusdt@aggTrade`);
    bench.run(1_000);
    await Promise.all([spot.frame(/trade/), usdm.frame(/aggTrade/)]);
    await Promise.all([spot.barrier(), usdm.barrier()]);
    const of = (stream: string): Record<string, number>[] =>
      spot.texts
        .map(parse)
        .filter((m) => m['stream'] === stream)
        .map((m) => m['data'] as Record<string, number>);
    const ids = of('btcusdt@trade').map((trade) => trade['t'] ?? 0);
    expect(ids).toEqual(ids.map((_id, i) => (ids[0] ?? 0) + i));
    for (const runs of [of('btcusdt@aggTrade'), usdm.texts.map((text) => parse(text) as Record<string, number>)]) {
      expect(runs.some((run) => (run['l'] ?? 0) > (run['f'] ?? 0))).toBe(true);
      for (const [i, run] of runs.entries()) {
        if (i > 0) expect([run['f'], run['a']]).toEqual([(runs[i - 1]?.['l'] ?? 0) + 1, (runs[i - 1]?.['a'] ?? 0) + 1]);
      }
    }
    expect(
      of('btcusdt@aggTrade')
        .map((run) => run['l'])
        .at(-1),
    ).toBe(ids.at(-1));
  });

  it('closes each candle once, with the figures of its trades', async () => {
    const client = await bench.connect(`${SPOT}/stream?streams=btcusdt@kline_1m/btcusdt@trade`);
    // In parts: a client that cannot answer pings for a minute is cut.
    for (let part = 0; part < 5; part++) {
      bench.run(19_000);
      await client.barrier();
    }
    await client.until((c) => c.texts.filter((text) => text.includes('"x":true')).length >= 2);
    const bars = client.texts
      .map(parse)
      .filter((m) => String(m['stream']).includes('kline'))
      .map((m) => (m['data'] as { k: Record<string, unknown> }).k);
    const closed = bars.filter((k) => k['x'] === true);
    expect(closed.map((k) => k['t'])).toEqual([...new Set(closed.map((k) => k['t']))]);
    const bar = closed[1] ?? {};
    const inside = client.texts
      .map(parse)
      .filter((m) => m['stream'] === 'btcusdt@trade')
      .map((m) => m['data'] as Record<string, number & string>)
      .filter((trade) => Number(trade['T']) >= Number(bar['t']) && Number(trade['T']) <= Number(bar['T']));
    expect(bar['n']).toBe(inside.length);
    expect([bar['f'], bar['L']]).toEqual([inside[0]?.['t'], inside.at(-1)?.['t']]);
    expect(Number(bar['v'])).toBeCloseTo(
      inside.reduce((sum, trade) => sum + Number(trade['q']), 0),
      5,
    );
    const order = bars.map((k) => `${String(k['t'])} ${k['x'] === true ? 1 : 0}`);
    expect(order).toEqual([...order].sort());
  });

  it.each([
    [SPOT, '/stream', '/api/v3'],
    [USDM, '/public/stream', '/fapi/v1'],
  ] as const)('chains depth on %s so that a REST snapshot and deltas agree', async (base, path, api) => {
    interface Depth {
      U: number;
      u: number;
      pu?: number;
      b: [string, string][];
      a: [string, string][];
    }
    const client = await bench.connect(`${base}${path}?streams=btcusdt@depth@100ms`);
    bench.run(1_000);
    const snapshot = JSON.parse((await bench.get(`${base}${api}/depth?symbol=BTCUSDT&limit=100`)).body) as {
      lastUpdateId: number;
      bids: [string, string][];
      asks: [string, string][];
    };
    bench.run(2_000);
    const end = JSON.parse((await bench.get(`${base}${api}/depth?symbol=BTCUSDT&limit=100`)).body) as typeof snapshot;
    await client.until((c) => c.frames.length > 10);
    await client.barrier();
    const deltas = client.texts.map((text) => (parse(text) as unknown as { data: Depth }).data);
    const levels = new Map([...snapshot.bids.map(([p, q]) => [`b${p}`, q] as const), ...snapshot.asks.map(([p, q]) => [`a${p}`, q] as const)]);
    let last = 0;
    for (const delta of deltas) {
      if (last !== 0) expect(delta.U).toBe(last + 1);
      if (last !== 0 && base === USDM) expect(delta.pu).toBe(last);
      last = delta.u;
      if (delta.u <= snapshot.lastUpdateId) continue;
      for (const [p, q] of delta.b)
        if (Number(q) === 0) levels.delete(`b${p}`);
        else levels.set(`b${p}`, q);
      for (const [p, q] of delta.a)
        if (Number(q) === 0) levels.delete(`a${p}`);
        else levels.set(`a${p}`, q);
    }
    if (last !== end.lastUpdateId) return expect(last).toBeLessThan(end.lastUpdateId);
    expect(Object.fromEntries(levels)).toEqual(
      Object.fromEntries([...end.bids.map(([p, q]) => [`b${p}`, q]), ...end.asks.map(([p, q]) => [`a${p}`, q])]),
    );
  });

  it('says bookTicker without a type on spot and with one on USD-M', async () => {
    const spot = await bench.connect(`${SPOT}/ws/btcusdt@bookTicker`);
    const usdm = await bench.connect(`${USDM}/public/ws/btcusdt@bookTicker`);
    bench.run(100);
    expect(Object.keys(parse(await spot.frame(/"u"/)))).toEqual(['u', 's', 'b', 'B', 'a', 'A']);
    expect(parse(await usdm.frame(/"u"/))).toMatchObject({ e: 'bookTicker', st: 1, ps: 'BTCUSDT' });
    expect(data(spot).length).toBeGreaterThan(0);
  });
});

describe('REST', () => {
  it.each([
    [`${SPOT}/api/v3/trades?symbol=NOPE`, 400, -1121],
    [`${SPOT}/api/v3/trades`, 400, -1102],
    [`${SPOT}/api/v3/trades?symbol=btc!`, 400, -1100],
    [`${SPOT}/api/v3/klines?symbol=BTCUSDT&interval=7m`, 400, -1120],
    [`${SPOT}/api/v3/trades?symbol=BTCUSDT&limit=x`, 400, -1100],
    [`${USDM}/fapi/v1/klines?symbol=BTCUSDT&interval=1s`, 400, -1120],
    [`${SPOT}/api/v3/account`, 401, -2014],
  ])('%s is refused with %i and %i', async (path, status, code) => {
    const answer = await bench.get(path);
    expect([answer.status, parse(answer.body)['code']]).toEqual([status, code]);
  });

  it('counts weight, refuses with 429 and bans with 418', async () => {
    const first = await bench.get(`${USDM}/fapi/v1/aggTrades?symbol=BTCUSDT`);
    expect(first.headers.get('x-mbx-used-weight-1m')).toBe('20');
    for (let i = 0; i < 119; i++) await bench.get(`${USDM}/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1`);
    const refused = await bench.get(`${USDM}/fapi/v1/time`);
    expect([refused.status, parse(refused.body)['code'], refused.headers.get('retry-after')]).toEqual([429, -1003, '30']);
    for (let i = 0; i < 20; i++) await bench.get(`${USDM}/fapi/v1/time`);
    const banned = await bench.get(`${USDM}/fapi/v1/time`);
    expect([banned.status, banned.headers.get('retry-after')]).toEqual([418, '120']);
    expect((await bench.get(`${SPOT}/api/v3/time`)).status).toBe(200);
    bench.simulator.setRate(0);
    for (let i = 0; i < 13; i++) bench.run(10_000);
    expect((await bench.get(`${USDM}/fapi/v1/time`)).status).toBe(200);
  });

  it('pages raw trades and aggregates by id, to the end', async () => {
    bench.simulator.setRate(5_000);
    bench.run(3_000);
    for (const [path, id] of [
      [`${SPOT}/api/v3/historicalTrades?symbol=BTCUSDT&limit=100`, 'id'],
      [`${USDM}/fapi/v1/aggTrades?symbol=BTCUSDT&limit=100`, 'a'],
    ] as const) {
      const rows: Record<string, number>[] = [];
      for (let from = 1; ;) {
        const page = JSON.parse((await bench.get(`${path}&fromId=${from}`)).body) as Record<string, number>[];
        rows.push(...page);
        if (page.length < 100) break;
        from = (page.at(-1)?.[id] ?? 0) + 1;
      }
      expect(rows.length).toBeGreaterThan(250);
      const ids = rows.map((row) => row[id] ?? 0);
      expect(ids).toEqual(ids.map((_id, i) => (ids[0] ?? 0) + i));
      if (id === 'a') rows.forEach((row, i) => expect(i === 0 || row['f'] === (rows[i - 1]?.['l'] ?? 0) + 1).toBe(true));
    }
  });

  it('bounds klines by startTime and endTime, oldest first', async () => {
    const now = bench.clock.nowMicros() / 1000;
    const open = Math.floor(now / 60_000) * 60_000;
    const opens = async (query: string): Promise<number[]> =>
      (JSON.parse((await bench.get(`${SPOT}/api/v3/klines?symbol=BTCUSDT&interval=1m&${query}`)).body) as number[][]).map((row) => row[0] ?? 0);
    expect(await opens('limit=3')).toEqual([open - 120_000, open - 60_000, open]);
    expect(await opens(`startTime=${open - 300_000}&limit=2`)).toEqual([open - 300_000, open - 240_000]);
    expect(await opens(`endTime=${open - 300_000}&limit=2`)).toEqual([open - 360_000, open - 300_000]);
    expect(await opens(`startTime=${open - 300_001}&endTime=${open - 180_001}`)).toEqual([open - 300_000, open - 240_000]);
    expect(await opens(`startTime=${open + 60_000}`)).toEqual([]);
  });
});
