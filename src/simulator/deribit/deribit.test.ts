// The JSON-RPC venue on its wire: answers, errors, limits, channels.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerTo, rpc, startBench, type Bench, type Client } from '../test_client.ts';

let bench: Bench;
let client: Client;
const WS = '/deribit/ws/api/v2';

beforeEach(async () => {
  bench = await startBench({ limits: true });
  client = await bench.connect(WS);
});
afterEach(() => bench.close());

async function call(method: string, params: object = {}, id = 1): Promise<Awaited<ReturnType<typeof answerTo>>> {
  client.send(rpc(id, method, params));
  return answerTo(client, id);
}
const subscribe = (...channels: string[]): ReturnType<typeof call> => call('public/subscribe', { channels }, 900);
const rest = async (path: string): Promise<{ status: number; json: { result?: unknown; error?: { code: number } } }> => {
  const { status, body } = await bench.get(`/deribit/api/v2/${path}`);
  return { status, json: JSON.parse(body) as { result?: unknown; error?: { code: number } } };
};

interface Trade {
  trade_seq: number;
  trade_id: string;
  instrument_name: string;
  price: number;
  amount: number;
  combo_id?: string;
  legs?: Trade[];
}
const notices = (channel: string): { text: string; data: unknown }[] =>
  client.texts
    .filter((text) => text.includes(`"channel":"${channel}"`))
    .map((text) => ({ text, data: (JSON.parse(text) as { params: { data: unknown } }).params.data }));

describe('envelope and errors', () => {
  it('wraps results with microsecond times', async () => {
    const answer = await call('public/test');
    expect(answer).toMatchObject({ jsonrpc: '2.0', id: 1, result: { version: '1.2.26' }, testnet: false });
    expect(Number(answer['usOut']) - Number(answer['usIn'])).toBe(answer['usDiff']);
  });

  it.each([
    ['public/nothing', {}, -32601],
    ['public/test', { expected_result: 'exception' }, 11094],
    ['public/ticker', {}, -32602],
    ['public/ticker', { instrument_name: 'BTC-NOPE' }, 13020],
    ['public/set_heartbeat', { interval: 9 }, -32602],
    ['public/get_last_trades_by_instrument', { instrument_name: 'BTC-PERPETUAL', count: 1001 }, -32602],
    ['public/get_tradingview_chart_data', { instrument_name: 'BTC-PERPETUAL', resolution: '7', start_timestamp: 1, end_timestamp: 2 }, -32602],
    ['private/buy', { instrument_name: 'BTC-PERPETUAL', amount: 10 }, 13009],
    ['private/subscribe', { channels: [] }, 13009],
    ['public/auth', { grant_type: 'client_credentials', client_id: 'x', client_secret: 'y' }, 13004],
    ['public/subscribe', { channels: ['trades.BTC-PERPETUAL.raw'] }, 13778],
    ['public/subscribe', { channels: Array.from({ length: 501 }, () => 'x') }, -32602],
  ])('answers %s %j with %i', async (method, params, code) => {
    expect((await call(method, params)).error?.code).toBe(code);
  });

  it('refuses what is no request', async () => {
    client.send('{');
    expect(await client.frame(/"code":-32700/)).toContain('Parse error');
    client.send('[]');
    expect(await client.frame(/"code":-32600/)).toContain('Invalid Request');
    client.send(JSON.stringify({ jsonrpc: '2.0', method: 'public/test' }));
    expect(await client.frame(/missing id/)).toContain('-32600');
    client.send(rpc(3, 'public/test', { pad: 'x'.repeat(33_000) }));
    expect(await client.frame(/request entity too large/)).toContain('-32600');
  });

  it('says the same over HTTP, with status 400 for errors', async () => {
    expect((await rest('public/get_time')).json.result).toBe(bench.clock.nowMicros() / 1000);
    expect(await rest('public/ticker?instrument_name=NOPE')).toMatchObject({ status: 400, json: { error: { code: 13020 } } });
    expect(await rest('public/subscribe?channels=[]')).toMatchObject({ status: 400, json: { error: { code: 10030 } } });
    const post = await bench.post('/deribit/api/v2', { jsonrpc: '2.0', id: 'a', method: 'public/get_time' });
    expect(JSON.parse(post.body)).toMatchObject({ id: 'a', result: bench.clock.nowMicros() / 1000 });
    expect((await bench.get('/deribit/api/v2/nothing')).status).toBe(404);
  });
});

describe('limits and life', () => {
  it('takes 32 connections of an address', async () => {
    for (let i = 1; i < 32; i++) await bench.connect(WS);
    await expect(bench.connect(WS)).rejects.toThrow('429');
  });

  it('ends the session when the credits are gone, and gives new ones with time', async () => {
    for (let id = 1; id <= 10; id++) expect((await call('public/subscribe', { channels: [] }, id)).error).toBeUndefined();
    expect((await call('public/subscribe', { channels: [] }, 11)).error?.code).toBe(10028);
    await client.end();
    client = await bench.connect(WS);
    bench.run(300);
    expect((await call('public/subscribe', { channels: [] }, 12)).error).toBeUndefined();
  });

  it('asks a silent client for a test and kills it without an answer', async () => {
    await call('public/set_heartbeat', { interval: 10 });
    bench.run(10_000);
    await client.frame(/test_request/);
    expect((await call('public/test', {}, 2)).result).toBeDefined();
    bench.run(10_000);
    await client.barrier();
    expect(client.closed).toBeNull();
    bench.run(30_000);
    expect((await client.end()).code).toBe(1006);
  });

  it('cuts who says nothing for ten minutes', async () => {
    bench.simulator.setRate(0);
    for (let i = 0; i < 6; i++) bench.run(99_000);
    await client.barrier();
    expect(client.closed).toBeNull();
    for (let i = 0; i < 7; i++) bench.run(99_000);
    expect((await client.end()).code).toBe(1006);
  });
});

describe('channels', () => {
  it('drops bad channels from the acknowledgement without a word', async () => {
    const good = [
      'trades.BTC-PERPETUAL.100ms',
      'trades.option.BTC.agg2',
      'platform_state',
      'instrument.state.any.any',
      'chart.trades.ETH-PERPETUAL.1D',
    ];
    const bad = ['trades.BTC-PERPETUAL.50ms', 'trades.NOPE.100ms', 'nonsense', 'chart.trades.BTC-PERPETUAL.7', 'book.BTC-PERPETUAL.none.3.100ms', ''];
    expect((await subscribe(...good, ...bad)).result).toEqual(good);
  });

  it('batches trades by 100 ms, contiguous, only of what was subscribed', async () => {
    const [option] = (bench.simulator.state() as { markets: { deribit: { instruments: { symbol: string }[] } } }).markets.deribit.instruments
      .map((row) => row.symbol)
      .filter((name) => name.endsWith('-C'));
    await subscribe('trades.BTC-PERPETUAL.100ms', `ticker.${option}.100ms`);
    bench.run(1_000);
    await client.frame(/ticker/);
    await client.barrier();
    const batches = notices('trades.BTC-PERPETUAL.100ms').map(({ data }) => data as Trade[]);
    expect(batches.length).toBeGreaterThan(5);
    expect(batches.length).toBeLessThan(12);
    expect(batches.some((batch) => batch.length > 1)).toBe(true);
    const seqs = batches.flat().map((trade) => trade.trade_seq);
    expect(seqs).toEqual(seqs.map((_seq, i) => (seqs[0] ?? 0) + i));
    expect(new Set(batches.flat().map((trade) => trade.instrument_name))).toEqual(new Set(['BTC-PERPETUAL']));
    expect(client.texts.filter((text) => text.includes('subscription')).every((text) => /"channel":"(trades.BTC-PERP|ticker\.)/.test(text))).toBe(
      true,
    );
  });

  it('writes integers beyond 2^53 and now and then a price with an exponent', async () => {
    bench.simulator.setRate(20_000);
    await subscribe('trades.BTC-PERPETUAL.100ms', 'trades.ETH-PERPETUAL.100ms');
    bench.run(1_000);
    await client.barrier();
    const text = client.texts.join('\n');
    const big = /"starbase_match_id":(\d+),/.exec(text)?.[1] ?? '0';
    expect(BigInt(big) > 2n ** 53n).toBe(true);
    expect(/"starbase_timestamp":(\d{19})/.test(text)).toBe(true);
    expect(/"price":\d\.\d+e\d/.test(text)).toBe(true);
  });

  it('opens .raw with credentials', async () => {
    expect((await call('public/auth', { grant_type: 'client_credentials', client_id: 'sim', client_secret: 'sim-secret' }, 2)).result).toMatchObject({
      token_type: 'bearer',
    });
    expect((await subscribe('trades.BTC-PERPETUAL.raw')).result).toEqual(['trades.BTC-PERPETUAL.raw']);
    bench.run(300);
    await client.barrier();
    expect(notices('trades.BTC-PERPETUAL.raw').length).toBeGreaterThan(5);
  });

  it('prints a combo trade on the combo and on each leg', async () => {
    const { instruments } = (bench.simulator.state() as { markets: { deribit: { instruments: { symbol: string }[] } } }).markets.deribit;
    const combo = instruments.map((row) => row.symbol).find((name) => name.includes('-FS-')) ?? '';
    await subscribe(`trades.${combo}.100ms`, 'trades.BTC-PERPETUAL.100ms');
    bench.simulator.setRate(3_000);
    bench.run(3_000);
    await client.barrier();
    const [printed] = notices(`trades.${combo}.100ms`).flatMap(({ data }) => data as Trade[]);
    const leg = printed?.legs?.find((row) => row.instrument_name === 'BTC-PERPETUAL');
    expect(leg?.combo_id).toBe(combo);
    const onLeg = notices('trades.BTC-PERPETUAL.100ms')
      .flatMap(({ data }) => data as Trade[])
      .find((row) => row.trade_id === leg?.trade_id);
    expect(onLeg).toEqual(leg);
    const seqs = notices('trades.BTC-PERPETUAL.100ms')
      .flatMap(({ data }) => data as Trade[])
      .map((row) => row.trade_seq);
    expect(seqs).toEqual(seqs.map((_seq, i) => (seqs[0] ?? 0) + i));
  });

  it('chains a book: a snapshot, then changes that make the next snapshot', async () => {
    type Row = [string, number, number];
    interface BookData {
      type: string;
      change_id: number;
      prev_change_id?: number;
      bids: Row[];
      asks: Row[];
    }
    await subscribe('book.BTC-PERPETUAL.100ms');
    bench.run(2_000);
    await client.barrier();
    const messages = notices('book.BTC-PERPETUAL.100ms').map(({ data }) => data as BookData);
    expect(messages[0]?.type).toBe('snapshot');
    expect(messages.length).toBeGreaterThan(5);
    const levels = new Map<string, number>();
    messages.forEach((message, i) => {
      if (i > 0) expect(message.prev_change_id).toBe(messages[i - 1]?.change_id);
      for (const side of ['bids', 'asks'] as const) {
        for (const [action, price, amount] of message[side]) {
          const key = `${side} ${price}`;
          expect(action).toBe(amount === 0 ? 'delete' : levels.has(key) ? 'change' : 'new');
          if (amount === 0) levels.delete(key);
          else levels.set(key, amount);
        }
      }
    });
    const late = await bench.connect(WS);
    late.send(rpc(1, 'public/subscribe', { channels: ['book.BTC-PERPETUAL.100ms'] }));
    const snapshot = (JSON.parse(await late.frame(/snapshot/)) as { params: { data: BookData } }).params.data;
    expect(snapshot.change_id).toBe(messages.at(-1)?.change_id);
    const rows = (['bids', 'asks'] as const).flatMap((side) => snapshot[side].map(([, price, amount]) => [`${side} ${price}`, amount]));
    expect(Object.fromEntries(rows as [string, number][])).toEqual(Object.fromEntries(levels));
  });

  it('tells of maintenance when told to', async () => {
    await subscribe('platform_state');
    expect(bench.simulator.announce({ market_id: 'deribit', channel: 'platform_state', data: { price_index: 'btc_usd', locked: true } })).toBe(1);
    expect(JSON.parse(await client.frame(/platform_state","data/))).toMatchObject({ params: { data: { price_index: 'btc_usd', locked: true } } });
    expect((await call('public/status', {}, 5)).result).toEqual({ locked: 'partial', locked_indices: ['btc_usd'] });
  });

  it('stops after unsubscribing, with nothing lost before', async () => {
    await subscribe('trades.BTC-PERPETUAL.100ms');
    bench.run(250);
    expect((await call('public/unsubscribe', { channels: ['trades.BTC-PERPETUAL.100ms', 'never.was'] }, 7)).result).toEqual([
      'trades.BTC-PERPETUAL.100ms',
    ]);
    const before = notices('trades.BTC-PERPETUAL.100ms').flatMap(({ data }) => data as Trade[]).length;
    bench.run(300);
    await client.barrier();
    expect(notices('trades.BTC-PERPETUAL.100ms').flatMap(({ data }) => data as Trade[]).length).toBe(before);
    const told = [...bench.simulator.ledger.entries()].filter((e) => e.k === 'trade' && e['symbol'] === 'BTC-PERPETUAL' && e.sent === true);
    expect(told.length).toBe(before);
  });
});

describe('listings, funding and deliveries', () => {
  const of = async (path: string): Promise<unknown> => (await rest(path)).json.result;
  const names = async (): Promise<string[]> =>
    ((await of('public/get_instruments?currency=any')) as { instrument_name: string }[]).map(({ instrument_name: name }) => name);

  it('tells the expiries by kind, by currency or for one of them', async () => {
    const all = (await of('public/get_expirations?currency=any&kind=any')) as Record<string, string[]>;
    expect(Object.keys(all)).toEqual(['future', 'option']);
    expect(all['future']?.at(-1)).toBe('PERPETUAL');
    const listed = await names();
    for (const date of all['option'] ?? []) expect(listed.some((name) => name.includes(`-${date}-`))).toBe(true);
    expect(await of('public/get_expirations?currency=BTC&kind=option')).toEqual({ btc: { option: all['option'] } });
    expect(await of('public/get_expirations?currency=USDC&kind=future')).toEqual({ usdc: { future: ['PERPETUAL'] } });
    expect(await of('public/get_expirations?currency=any&kind=future&currency_pair=eth_usdc')).toEqual({ future: ['PERPETUAL'] });
    expect(Object.keys((await of('public/get_expirations?currency=grouped&kind=any')) as object).sort()).toEqual(['btc', 'eth', 'usdc']);
  });

  it('tells combos with their legs', async () => {
    const ids = (await of('public/get_combo_ids?currency=BTC')) as string[];
    const combos = (await of('public/get_combos?currency=BTC')) as { id: string; state: string; legs: { instrument_name: string; amount: number }[] }[];
    expect(combos.map(({ id }) => id)).toEqual(ids);
    expect(ids.length).toBeGreaterThan(1);
    const listed = await names();
    for (const { legs, state } of combos) {
      expect([state, legs.map(({ amount }) => amount)]).toEqual(['active', [1, -1]]);
      for (const leg of legs) expect(listed).toContain(leg.instrument_name);
    }
    expect(await of(`public/get_combo_details?combo_id=${ids[0]}`)).toEqual(combos[0]);
    expect(await of('public/get_combo_ids?currency=BTC&state=inactive')).toEqual([]);
    expect(await of('public/get_combos?currency=ETH')).toEqual([]);
  });

  it('tells delivery prices by the day, newest first, page by page', async () => {
    interface Page {
      data: { date: string; delivery_price: number }[];
      records_total: number;
    }
    const page = (await of('public/get_delivery_prices?index_name=btc_usd&count=3')) as Page;
    const next = (await of('public/get_delivery_prices?index_name=btc_usd&offset=2&count=2')) as Page;
    expect(next.data[0]).toEqual(page.data[2]);
    const days = page.data.map(({ date }) => Date.parse(date) / 86_400_000);
    expect(days).toEqual([0, 1, 2].map((n) => (days[0] ?? 0) - n));
    expect(bench.clock.nowMicros() / 1000 - (Date.parse(page.data[0]?.date ?? '') + 8 * 3_600_000)).toBeLessThan(86_400_000);
    expect(page.records_total).toBeGreaterThan(1000);
    expect(((await of(`public/get_delivery_prices?index_name=btc_usd&offset=${page.records_total - 1}`)) as Page).data).toHaveLength(1);
  });

  it('charts the funding that the ticker tells', async () => {
    const ticker = (await of('public/ticker?instrument_name=BTC-PERPETUAL')) as { current_funding: number; funding_8h: number };
    for (const [length, points] of [['8h', 96], ['24h', 96], ['1m', 720]] as const) {
      const chart = (await of(`public/get_funding_chart_data?instrument_name=BTC-PERPETUAL&length=${length}`)) as
        { current_interest: number; interest_8h: number; data: { timestamp: number; interest_8h: number }[] };
      expect(Math.abs(chart.data.length - points)).toBeLessThanOrEqual(1);
      expect(chart.interest_8h).toBeCloseTo(ticker.funding_8h, 7);
      expect(chart.current_interest).toBe(ticker.current_funding);
      const last = chart.data.at(-1);
      const end = last?.timestamp ?? 0;
      const value = await of(`public/get_funding_rate_value?instrument_name=BTC-PERPETUAL&start_timestamp=${end - 28_800_000}&end_timestamp=${end}`);
      expect(value).toBeCloseTo(last?.interest_8h ?? 1, 11);
    }
  });

  it('holds 744 hours of funding in one answer, the newest', async () => {
    const now = bench.clock.nowMicros() / 1000;
    const rows = (await of(`public/get_funding_rate_history?instrument_name=BTC-PERPETUAL&start_timestamp=0&end_timestamp=${now}`)) as { timestamp: number }[];
    expect(rows).toHaveLength(744);
    expect(rows.at(-1)?.timestamp).toBe(Math.floor(now / 3_600_000) * 3_600_000);
    expect(await of(`public/get_funding_rate_history?instrument_name=BTC-PERPETUAL&start_timestamp=${now + 1}&end_timestamp=${now + 9e7}`)).toEqual([]);
  });

  it.each([
    ['get_expirations?kind=any', 'currency'], ['get_expirations?currency=DOGE&kind=any', 'currency'], ['get_expirations?currency=BTC&kind=spot', 'kind'],
    ['get_combo_ids?currency=BTC&state=asleep', 'state'], ['get_delivery_prices?index_name=doge_usd', 'index_name'],
    ['get_delivery_prices?index_name=btc_usd&count=1001', 'count'], ['get_delivery_prices?index_name=btc_usd&offset=-1', 'offset'],
    ['get_funding_rate_value?instrument_name=BTC-PERPETUAL&start_timestamp=1', 'end_timestamp'],
    ['get_funding_rate_history?instrument_name=BTC_USDC&start_timestamp=1&end_timestamp=2', 'instrument_name'],
    ['get_funding_chart_data?instrument_name=BTC-PERPETUAL&length=9h', 'length'],
  ])('refuses %s by naming %s', async (path, param) => {
    expect(await rest(`public/${path}`)).toMatchObject({ status: 400, json: { error: { code: -32602, data: { param } } } });
  });

  it('has no details of what is no combo', async () => {
    expect(await rest('public/get_combo_details?combo_id=BTC-PERPETUAL')).toMatchObject({ status: 400, json: { error: { code: 13020 } } });
  });
});

describe('history', () => {
  it('repairs a gap by sequence numbers with the objects of the channel', async () => {
    await subscribe('trades.BTC-PERPETUAL.100ms');
    bench.run(1_000);
    await client.barrier();
    const live = notices('trades.BTC-PERPETUAL.100ms').flatMap(({ data }) => data as Trade[]);
    const [from, to] = [live[3]?.trade_seq ?? 0, live[12]?.trade_seq ?? 0];
    const page = await call(
      'public/get_last_trades_by_instrument',
      { instrument_name: 'BTC-PERPETUAL', start_seq: from, end_seq: to, count: 1000, sorting: 'asc' },
      2,
    );
    expect(page.result).toEqual({ trades: live.slice(3, 13), has_more: false });
    const part = await call(
      'public/get_last_trades_by_instrument',
      { instrument_name: 'BTC-PERPETUAL', start_seq: from, end_seq: to, count: 4, sorting: 'desc' },
      3,
    );
    expect(part.result).toEqual({ trades: live.slice(9, 13).reverse(), has_more: true });
    const none = await call('public/get_last_trades_by_instrument', { instrument_name: 'BTC-PERPETUAL', start_seq: to + 10_000 }, 4);
    expect(none.result).toEqual({ trades: [], has_more: false });
  });

  it('has ten trades by default, and parallel chart arrays', async () => {
    expect(
      ((await call('public/get_last_trades_by_instrument', { instrument_name: 'BTC-PERPETUAL' })).result as { trades: unknown[] }).trades,
    ).toHaveLength(10);
    const now = bench.clock.nowMicros() / 1000;
    const chart = (
      await call(
        'public/get_tradingview_chart_data',
        { instrument_name: 'BTC-PERPETUAL', resolution: '1', start_timestamp: now - 600_000, end_timestamp: now },
        2,
      )
    ).result as Record<string, unknown[]>;
    expect(chart['status']).toBe('ok');
    expect(new Set(['ticks', 'open', 'high', 'low', 'close', 'volume', 'cost'].map((key) => chart[key]?.length))).toEqual(new Set([10]));
    const empty = await call(
      'public/get_tradingview_chart_data',
      { instrument_name: 'BTC-PERPETUAL', resolution: '1', start_timestamp: now + 600_000, end_timestamp: now + 700_000 },
      3,
    );
    expect((empty.result as { status: string }).status).toBe('no_data');
  });

  it('lists instruments by family and kind', async () => {
    const names = async (params: object, id: number): Promise<string[]> =>
      ((await call('public/get_instruments', params, id)).result as { instrument_name: string }[]).map((row) => row.instrument_name);
    expect(await names({ currency: 'USDC', kind: 'future' }, 1)).toEqual(['BTC_USDC-PERPETUAL', 'ETH_USDC-PERPETUAL', 'SOL_USDC-PERPETUAL']);
    expect(await names({ currency: 'any', kind: 'spot' }, 2)).toEqual(['BTC_USDC', 'ETH_USDC', 'ETH_BTC']);
    expect(await names({ currency: 'BTC', expired: true }, 3)).toEqual([]);
    expect((await names({ currency: 'any' }, 4)).length).toBeGreaterThan(30);
  });
});
