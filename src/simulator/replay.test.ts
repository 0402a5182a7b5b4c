// Recordings: their frames, at their pace, to those who subscribed them; their trades in the ledger.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { objectsOf } from './deribit/text.ts';
import { readRecordings } from './recording.ts';
import { answerTo, rpc, startBench, type Bench } from './test_client.ts';

const RECORDED = join(import.meta.dirname, '../../../shared/fixtures/recordings');
const folder = mkdtempSync(join(tmpdir(), 'replay-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
let bench: Bench | null = null;
afterEach(async () => {
  await bench?.close();
  bench = null;
});

const T = 1_618_677_447;
const AGG = {
  e: 'aggTrade',
  E: 1618677448100,
  a: 900,
  s: 'XYZUSDT',
  p: '12.30000000',
  q: '5.00000000',
  f: 40,
  l: 42,
  T: 1618677448084,
  m: true,
  M: true,
};
const TRADE =
  '{"trade_seq":7,"trade_id":"99","timestamp":1618677447200,"price":8.5e-2,"direction":"buy","amount":0.3,' +
  '"instrument_name":"BTC-24SEP21-40000-P","starbase_match_id":213378943477100544}';
const QUOTE = '{"u":1,"s":"XYZUSDT","b":"12.29000000","B":"1.00000000","a":"12.30000000","A":"2.00000000"}';
const notice = (kind: string, data: string): string =>
  `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"${kind}.BTC-24SEP21-40000-P.raw","data":${data}}}`;
const lines: Record<string, object[]> = {
  spot: [
    { t: T, kind: 'connect', url: 'wss://stream.binance.com:9443/stream?streams=xyzusdt@aggTrade/xyzusdt@bookTicker' },
    { t: T + 0.1, kind: 'recv', data: JSON.stringify({ stream: 'xyzusdt@aggTrade', data: AGG }) },
    { t: T + 0.2, kind: 'recv', data: `{"stream":"xyzusdt@bookTicker","data":${QUOTE}}` },
    { t: T + 2, kind: 'recv', data: JSON.stringify({ stream: 'xyzusdt@aggTrade', data: { ...AGG, a: 901, f: 43, l: 43, q: '0.50000000' } }) },
  ],
  options: [
    {
      t: T,
      kind: 'http',
      url: 'https://www.deribit.com/api/v2/public/get_instruments?currency=BTC',
      data: JSON.stringify({
        result: [
          {
            tick_size: 0.0005,
            strike: 40000,
            settlement_period: 'month',
            quote_currency: 'USD',
            option_type: 'put',
            min_trade_amount: 0.1,
            kind: 'option',
            is_active: true,
            instrument_name: 'BTC-24SEP21-40000-P',
            expiration_timestamp: 1632470400000,
            contract_size: 1,
            base_currency: 'BTC',
          },
        ],
      }),
    },
    { t: T, kind: 'connect', url: 'wss://www.deribit.com/ws/api/v2' },
    { t: T + 0.1, kind: 'recv', data: notice('ticker', '{"last_price":8.55e-2,"instrument_name":"BTC-24SEP21-40000-P"}') },
    {
      t: T + 0.2,
      kind: 'recv',
      data: notice('trades', `[${TRADE}]`),
    },
  ],
};
for (const [name, entries] of Object.entries(lines))
  writeFileSync(join(folder, `${name}.jsonl`), entries.map((entry) => JSON.stringify(entry)).join('\n'));

describe('a recording', () => {
  it('starts when it is heard, and plays at its own pace times the speed', async () => {
    bench = await startBench({ replayDir: folder, speed: 2 });
    bench.run(3_000);
    const client = await bench.connect('/binance_spot/stream?streams=xyzusdt@aggTrade');
    // Half a second of grace, then the first frame.
    bench.run(480);
    await client.barrier();
    expect(client.frames).toEqual([]);
    bench.run(100);
    expect(JSON.parse(await client.frame(/aggTrade/))).toEqual({ stream: 'xyzusdt@aggTrade', data: AGG });
    bench.run(850);
    await client.barrier();
    expect(client.frames).toHaveLength(1);
    bench.run(150);
    await client.until((c) => c.frames.length === 2);
    expect(client.texts.some((text) => text.includes('bookTicker'))).toBe(false);
  });

  it('gives raw trades to subscribers of raw trades, and the ledger has what they got', async () => {
    bench = await startBench({ replayDir: folder });
    const client = await bench.connect('/binance_spot/ws/xyzusdt@trade');
    bench.run(3_000);
    await client.until((c) => c.frames.length === 4);
    const got = client.texts.map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(got.map((trade) => [trade['t'], trade['p'], trade['T'], trade['m']])).toEqual(
      [40, 41, 42, 43].map((id) => [id, '12.30000000', 1618677448084, true]),
    );
    expect(got.slice(0, 3).reduce((sum, trade) => sum + Number(trade['q']), 0)).toBeCloseTo(5, 8);
    const told = [...bench.simulator.ledger.entries()].filter((entry) => entry['symbol'] === 'XYZUSDT');
    expect(told.map((entry) => [entry['trade_id'], entry['amount'], entry.sent])).toEqual(got.map((trade) => [String(trade['t']), trade['q'], true]));
    const page = JSON.parse((await bench.get('/binance_spot/api/v3/historicalTrades?symbol=XYZUSDT&fromId=41&limit=2')).body) as { id: number }[];
    expect(page.map((row) => row.id)).toEqual([41, 42]);
  });

  it('lists its instruments and keeps the exact text, under the name that was subscribed', async () => {
    bench = await startBench({ replayDir: folder });
    const client = await bench.connect('/deribit/ws/api/v2');
    const name = 'BTC-24SEP21-40000-P';
    client.send(rpc(1, 'public/subscribe', { channels: [`ticker.${name}.100ms`, `trades.${name}.100ms`] }));
    expect((await answerTo(client, 1)).result).toHaveLength(2);
    bench.run(1_000);
    expect(await client.frame(/"channel":"ticker/)).toContain(`"channel":"ticker.${name}.100ms","data":{"last_price":8.55e-2,`);
    expect(await client.frame(/"channel":"trades/)).toContain('"price":8.5e-2,"direction":"buy","amount":0.3,');
    expect(await client.frame(/"channel":"trades/)).toContain('213378943477100544');
    const [told] = [...bench.simulator.ledger.entries()].filter((entry) => entry['symbol'] === name);
    expect(told).toMatchObject({ trade_id: '99', seq: 7, price: '0.085', amount: '0.3', side: 'buy', ts: 1618677447200000, sent: true });
    client.send(rpc(2, 'public/get_instrument', { instrument_name: name }));
    expect((await answerTo(client, 2)).result).toMatchObject({ expiration_timestamp: 1632470400000 });
  });

  it('is read up to where it was cut, wherever that is', () => {
    const cuts = mkdtempSync(join(folder, 'cut-'));
    const text = lines['spot']?.map((entry) => JSON.stringify(entry)).join('\n') ?? '';
    const whole = lines['spot']?.map((entry) => JSON.stringify(entry).length + 1) ?? [];
    const linesIn = (length: number): number => {
      let end = -1;
      return whole.filter((size) => (end += size) <= length).length;
    };
    for (let length = 0; length <= text.length; length++) {
      writeFileSync(join(cuts, 'cut.jsonl'), text.slice(0, length));
      // The first line is no frame: it tells the address.
      expect([length, readRecordings(cuts)[0]?.frames.length]).toEqual([length, Math.max(0, linesIn(length) - 1)]);
    }
    rmSync(join(cuts, 'cut.jsonl'));
    const packed = zstdCompressSync(`${text}\n`);
    // A power failure leaves zeros where a file had grown and its bytes were not on disk.
    writeFileSync(join(cuts, 'zeros.jsonl.zst'), Buffer.concat([packed, Buffer.alloc(4096)]));
    expect(readRecordings(cuts)[0]?.frames).toHaveLength(whole.length - 1);
  });

  it('refuses what is no line of one, and names it', () => {
    const bad = mkdtempSync(join(folder, 'bad-'));
    writeFileSync(join(bad, 'bad.jsonl'), 'null\n');
    expect(() => readRecordings(bad)).toThrow(`SIM_REPLAY: ${join(bad, 'bad.jsonl')}, line 1, is no object: null`);
  });

  it('refuses a folder that is none', async () => {
    await expect(startBench({ replayDir: '/nowhere' })).rejects.toThrow(/ENOENT/);
  });
});

describe('text', () => {
  it('cuts objects without touching their digits', () => {
    expect(objectsOf('[{"a":1e5,"s":"}\\"{"},{"b":{"c":[{}]}}]')).toEqual(['{"a":1e5,"s":"}\\"{"}', '{"b":{"c":[{}]}}']);
  });
});

describe.skipIf(!existsSync(RECORDED))('the recorded sessions (needs ../shared/fixtures)', () => {
  it('reach a subscriber of everything, frame by frame', async () => {
    bench = await startBench({ replayDir: RECORDED, speed: 50, rate: 0, history: 0 });
    const state = bench.simulator.state() as { replay: { name: string; frames: number }[] };
    expect(state.replay.map(({ frames }) => frames).every((count) => count > 100)).toBe(true);
    const markets = (bench.simulator.state() as { markets: Record<string, { instruments: { symbol: string; last_seq: number }[] }> }).markets;
    const symbols = (markets['binance_usdm']?.instruments ?? [])
      .map((row) => row.symbol.toLowerCase())
      .filter((name) => /^(dent|ksm|xmr|yfi)usdt$/.test(name));
    expect(symbols).toHaveLength(4);
    const client = await bench.connect(`/binance_usdm/market/stream?streams=${symbols.flatMap((s) => [`${s}@aggTrade`, `${s}@kline_1m`]).join('/')}`);
    bench.run(1_500);
    await client.until((c) => c.texts.some((text) => text.includes('@aggTrade')) && c.texts.some((text) => text.includes('@kline_1m')));
    await client.barrier();
    const got = client.texts.filter((text) => text.includes('@aggTrade'));
    const told = [...bench.simulator.ledger.entries()].filter((entry) => entry.k === 'trade');
    expect(got.length).toBe(told.length);
    expect(got.length).toBe(185);
    for (const [i, text] of got.entries()) {
      const { data } = JSON.parse(text) as { data: Record<string, unknown> };
      expect([String(data['a']), data['f'], data['l'], Number(data['p']), Number(data['q'])]).toEqual([
        told[i]?.['trade_id'],
        told[i]?.seq,
        told[i]?.seq_last,
        Number(told[i]?.['price']),
        Number(told[i]?.['amount']),
      ]);
    }
  });
});
