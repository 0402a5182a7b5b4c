// Real instrument lists, and CCXT as the judge of unified symbols. Skips what needs ../shared/fixtures where it is not present.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import ccxt from 'ccxt';
import { describe, expect, it } from 'vitest';
import type { Instrument, SkippedInstrument } from './exchange.ts';
import { MARKETS } from './registry.ts';

const FIXTURES = join(import.meta.dirname, '../../../shared/fixtures');
const present = existsSync(FIXTURES);

interface Body {
  marketId: string;
  text: string;
  from: string;
}

/** Every recorded answer that is an instrument list. */
function bodies(): Body[] {
  const found: Body[] = [];
  const add = (marketId: string, text: string, from: string): void => {
    if (/"filters"|"tick_size"/.test(text) && /"symbols"|"result"/.test(text)) found.push({ marketId, text, from });
  };
  for (const line of readFileSync(join(FIXTURES, 'cases.jsonl'), 'utf8').split('\n').filter(Boolean)) {
    const entry = JSON.parse(line) as { id: string; market: string; class: string; raw?: string; message?: unknown };
    const marketId = entry.market.replace('-', '_');
    if (Object.hasOwn(MARKETS, marketId) && ['W', 'R'].includes(entry.class))
      add(marketId, entry.raw ?? JSON.stringify(entry.message), entry.id);
  }
  for (const file of readdirSync(join(FIXTURES, 'recordings'))) {
    for (const line of readFileSync(join(FIXTURES, 'recordings', file), 'utf8')
      .split('\n')
      .filter((l) => l.includes('"kind":"http"'))) {
      const { url, data } = JSON.parse(line) as { url: string; data: string };
      const marketId = Object.keys(MARKETS).find((id) => url.startsWith(MARKETS[id]!.restUrl));
      if (marketId !== undefined) add(marketId, data, `${file} ${url}`);
    }
  }
  return found.filter(({ text }) => {
    const tree = JSON.parse(text) as { symbols?: unknown; result?: unknown };
    return Array.isArray(tree.symbols) || Array.isArray(tree.result);
  });
}

/** What CCXT makes of the same list: exchange symbol → unified symbol. */
async function byCcxt({ marketId, text }: Body): Promise<Map<string, string>> {
  const tree = JSON.parse(text) as { symbols?: { symbol: string }[]; result?: { instrument_name: string }[] };
  if (tree.symbols !== undefined) {
    const Judge = marketId === 'binance_usdm' ? ccxt.binanceusdm : ccxt.binance;
    // CCXT fills the margin pairs over the network before it parses.
    const options = { crossMarginPairsData: [], isolatedMarginPairsData: [] };
    const judge = new Judge({ options }) as unknown as { parseMarket(raw: unknown): { id: string; symbol: string } };
    return new Map(tree.symbols.map((raw) => [raw.symbol, judge.parseMarket(raw).symbol]));
  }
  const judge = new ccxt.deribit() as unknown as Record<string, unknown> & {
    fetchMarkets(): Promise<{ id: string; symbol: string }[]>;
  };
  judge['publicGetGetCurrencies'] = () => Promise.resolve({ result: [{ currency: 'BTC' }] });
  judge['publicGetGetInstruments'] = () => Promise.resolve({ result: tree.result });
  return new Map((await judge.fetchMarkets()).map((market) => [market.id, market.symbol]));
}

describe.skipIf(!present)('recorded instrument lists', () => {
  const lists = present ? bodies() : [];

  it('are there for every market', () => {
    expect(new Set(lists.map((list) => list.marketId))).toEqual(new Set(Object.keys(MARKETS)));
  });

  it.each(lists.map((list): [string, Body] => [`${list.marketId}: ${list.from}`.slice(0, 120), list]))(
    '%s',
    async (_name, list) => {
      const instruments = await MARKETS[list.marketId]!.rest('https://x.test', () =>
        Promise.resolve(list.text),
      ).instruments();
      expect(instruments.length).toBeGreaterThan(0);
      const judged = await byCcxt(list);
      // Lists of 2021 have no counter_currency, without which CCXT of today cannot name the pair.
      const modern = list.marketId !== 'deribit' || list.text.includes('counter_currency');
      for (const instrument of instruments) {
        check(instrument);
        if (modern && instrument.kind !== 'combo' && judged.has(instrument.symbol)) {
          expect(instrument.unified_symbol, instrument.symbol).toBe(judged.get(instrument.symbol));
        }
      }
    },
  );
});

function check(i: Instrument): void {
  const label = `${i.market_id} ${i.symbol}`;
  for (const decimal of [i.tick_size, i.min_amount, i.amount_step, i.contract_size, i.strike]) {
    if (decimal !== null) expect(decimal, label).toMatch(/^\d+(\.\d+)?$/);
  }
  expect(i.expiry_ts !== null, label).toBe(
    i.kind === 'future' || i.kind === 'option' || (i.kind === 'combo' && i.expiry_ts !== null),
  );
  expect(i.strike !== null && i.option_type !== null, label).toBe(i.kind === 'option');
  expect(i.settle === null, label).toBe(i.kind === 'spot');
  expect(i.unified_symbol === null, label).toBe(i.kind === 'combo');
}

describe('facts', () => {
  const deribit = (more: object) =>
    MARKETS['deribit']!.rest('https://x.test', () =>
      Promise.resolve(
        JSON.stringify({
          jsonrpc: '2.0',
          result: [
            {
              instrument_name: 'BTC-PERPETUAL',
              kind: 'future',
              base_currency: 'BTC',
              quote_currency: 'USD',
              counter_currency: 'USD',
              settlement_currency: 'BTC',
              settlement_period: 'perpetual',
              tick_size: 0.5,
              min_trade_amount: 10,
              contract_size: 10,
              expiration_timestamp: 32503708800000,
              is_active: true,
              state: 'open',
              ...more,
            },
          ],
        }),
      ),
    ).instruments();

  it('tells inverse from linear, and what an amount counts', async () => {
    expect((await deribit({}))[0]).toMatchObject({
      kind: 'perpetual',
      unified_symbol: 'BTC/USD:BTC',
      inverse: true,
      amount_unit: 'USD',
      contract_size: '10',
      amount_step: '10',
      tick_size: '0.5',
      expiry_ts: null,
    });
    const linear = {
      instrument_name: 'BTC_USDC-PERPETUAL',
      quote_currency: 'USDC',
      counter_currency: 'USDC',
      settlement_currency: 'USDC',
      contract_size: 1e-4,
      min_trade_amount: 1e-4,
    };
    expect((await deribit(linear))[0]).toMatchObject({
      unified_symbol: 'BTC/USDC:USDC',
      inverse: false,
      amount_unit: 'BTC',
      amount_step: '0.0001',
    });
    const option = {
      instrument_name: 'BTC-25DEC26-100000-C',
      kind: 'option',
      quote_currency: 'BTC',
      settlement_period: 'month',
      contract_size: 1,
      min_trade_amount: 0.1,
      tick_size: 1e-4,
      strike: 1e5,
      option_type: 'call',
      expiration_timestamp: 1_798_185_600_000,
      creation_timestamp: 1_790_000_000_123,
    };
    expect((await deribit({ ...option, creation_timestamp: 'once' }))[0]).toMatchObject({ listed_ts: null });
    expect((await deribit(option))[0]).toMatchObject({
      listed_ts: 1_790_000_000_123_000,
      kind: 'option',
      unified_symbol: 'BTC/USD:BTC-261225-100000-C',
      inverse: true,
      amount_unit: 'BTC',
      amount_step: '0.1',
      strike: '100000',
      expiry_ts: 1_798_185_600_000_000,
    });
    const small = {
      ...option,
      instrument_name: 'XRP_USDC-30JUN23-0d625-C',
      base_currency: 'XRP',
      counter_currency: 'USDC',
      settlement_currency: 'USDC',
      strike: 0.625,
    };
    expect((await deribit(small))[0]).toMatchObject({ unified_symbol: 'XRP/USDC:USDC-261225-0.625-C', inverse: false });
  });

  it.each([
    [{ state: 'open' }, 'open'],
    [{ state: 'started' }, 'open'],
    [{ state: undefined }, 'open'],
    [{ state: 'settlement' }, 'settlement'],
    [{ state: 'locked' }, 'locked'],
    [{ state: 'open', is_active: false }, 'inactive'],
    [{ state: 'Invented' }, 'invented'],
  ])('%j is %s', async (more, status) => expect((await deribit(more))[0]?.status).toBe(status));

  it("keeps the exchange's own object, digits and all", async () => {
    const [instrument] = await deribit({ tick_size_steps: [], instrument_id: 124972 });
    expect(JSON.parse(JSON.stringify(instrument!.raw))).toMatchObject({
      instrument_name: 'BTC-PERPETUAL',
      instrument_id: 124972,
      tick_size: 0.5,
    });
  });
});

describe('an odd entry', () => {
  const future = {
    instrument_name: 'A-PERPETUAL', kind: 'future', base_currency: 'A', quote_currency: 'USD', settlement_period: 'perpetual',
    tick_size: 0.5, min_trade_amount: 10, contract_size: 10, expiration_timestamp: 32503708800000,
  };
  const coin = { symbol: 'AUSDT', status: 'TRADING', baseAsset: 'A', quoteAsset: 'USDT', filters: [] };
  const list = (marketId: string, entries: unknown[]) => {
    const body = marketId === 'deribit' ? { jsonrpc: '2.0', result: entries } : { symbols: entries };
    return MARKETS[marketId]!.rest('https://x.test', () => Promise.resolve(JSON.stringify(body)));
  };
  async function read(marketId: string, entries: unknown[]) {
    const skipped: SkippedInstrument[] = [];
    const instruments = await list(marketId, entries).instruments((entry) => skipped.push(entry));
    return { symbols: instruments.map((instrument) => instrument.symbol), skipped };
  }

  it.each([
    ['deribit', future, 'instrument_name', { kind: 'index_future' }, /^kind: .*, got "index_future"$/],
    ['deribit', future, 'instrument_name', { tick_size: null }, /^tick_size: .*, got null$/],
    ['deribit', future, 'instrument_name', { min_trade_amount: undefined }, /^min_trade_amount: .*, got nothing$/],
    ['deribit', future, 'instrument_name', { expiration_timestamp: 9e15 }, /^expiration_timestamp: not a time in ms, got 9000000000000000$/],
    ['binance_spot', coin, 'symbol', { filters: null }, /^filters: .*, got null$/],
    ['binance_usdm', coin, 'symbol', { baseAsset: undefined }, /^baseAsset: .*, got nothing$/],
  ])('of %s is left out and named, the rest is taken: %#', async (marketId, good, name, odd, reason) => {
    const { symbols, skipped } = await read(marketId, [{ ...good, [name]: 'ODD', ...odd }, good, null, { ...good, [name]: 'B C' }, good]);
    expect(symbols).toEqual([good[name as keyof typeof good]]);
    expect(skipped).toEqual([
      { symbol: 'ODD', reason: expect.stringMatching(reason) as string },
      { symbol: null, reason: expect.stringMatching(/^entry 2: \(root\): /) as string },
      { symbol: 'B C', reason: `${name}: no symbol that the contracts allow, got "B C"` },
      { symbol: symbols[0], reason: `${name}: listed twice, got "${symbols[0]}"` },
    ]);
  });

  it.each([['deribit', future], ['binance_spot', coin]])('of %s, and no other, is an error that names it', async (marketId, good) => {
    const bare = Object.fromEntries(Object.keys(good).slice(0, 1).map((key) => [key, 'ODD']));
    await expect(list(marketId, [bare, bare]).instruments()).rejects.toThrow(/none of 2 instruments is as documented; the first one: \w+: /);
    expect(await list(marketId, []).instruments()).toEqual([]);
  });
});
