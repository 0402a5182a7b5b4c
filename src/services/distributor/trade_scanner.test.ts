// The two shortcuts against the reference path: what they accept the reference accepts, with equal bytes and values.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TradeTable } from '../../store/trade_table.ts';
import { canonicalTicker } from './canonical.ts';
import { decodeByReference } from './decode.ts';
import { TradeScanner } from './trade_scanner.ts';

const NOW = 1_795_000_000_000_000;
const decimal = fc.stringMatching(/^-?(0|[1-9]\d{0,12})(\.\d{1,9})?$/);
const amount = fc.stringMatching(/^(0|[1-9]\d{0,12})(\.\d{1,9})?$/);
const micros = fc.integer({ min: 1_230_768_000_000_000, max: 4_102_444_800_000_000 });
const word = (max: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[!#-[\\]-~]{1,${max}}$`));
const base = {
  market_id: fc.stringMatching(/^[a-z][a-z0-9_]{1,31}$/),
  symbol: word(96),
  exchange_ts: micros,
  received_ts: micros,
};
const seq = fc.oneof(fc.nat(), fc.integer({ min: Number.MAX_SAFE_INTEGER - 100, max: Number.MAX_SAFE_INTEGER }));

const trade = fc
  .record(
    {
      v: fc.constant(1),
      type: fc.constant('trade'),
      ...base,
      trade_id: word(64),
      seq: fc.option(seq),
      seq_last: fc.nat(2_000_000),
      price: decimal,
      amount,
      side: fc.constantFrom('buy', 'sell'),
      mark_price: decimal,
      index_price: decimal,
      iv: decimal,
      liquidation: fc.constantFrom('maker', 'taker', 'both'),
      block_trade_id: word(64),
      combo_id: word(96),
    },
    {
      requiredKeys: [
        'v',
        'type',
        'market_id',
        'symbol',
        'exchange_ts',
        'received_ts',
        'trade_id',
        'seq',
        'price',
        'amount',
        'side',
      ],
    },
  )
  .map(({ seq_last: length, ...rest }) => {
    if (length === undefined) return rest;
    const {
      price,
      amount: quantity,
      side,
      mark_price,
      index_price,
      iv,
      liquidation,
      block_trade_id,
      combo_id,
      ...head
    } = rest;
    return JSON.parse(
      JSON.stringify({
        ...head,
        seq_last: (rest.seq ?? 0) + length,
        price,
        amount: quantity,
        side,
        mark_price,
        index_price,
        iv,
        liquidation,
        block_trade_id,
        combo_id,
      }),
    ) as Record<string, unknown>;
  });

/** Small damage: a character put in, left out or exchanged. */
const damage = fc.tuple(
  fc.nat(),
  fc.constantFrom('', '0', '-', '.', '"', '\\', ' ', ',', 'e', '}', '\0', 'é', '1'),
  fc.nat(1),
);
const damaged = (text: string, [at, put, cut]: [number, string, number]): string => {
  const place = at % (text.length + 1);
  return text.slice(0, place) + put + text.slice(place + cut);
};

interface Scanned {
  row: string;
  key: string;
  columns: number[];
}

function scan(text: string): Scanned | null {
  const table = new TradeTable();
  const scanner = new TradeScanner();
  // Something before and after: a payload lies in the middle of a slab.
  const source = Buffer.from(`{"v":1,${text}}0"\r\n`);
  const start = 7;
  const end = start + Buffer.byteLength(text);
  if (!scanner.scan(source, start, end, table)) {
    expect(table.writer.at).toBe(table.offset[0]);
    return null;
  }
  table.commit(0, scanner.seq, scanner.last, scanner.exchangeTs);
  return {
    row: rowOf(table),
    key: source.toString('utf8', scanner.keyStart, scanner.keyEnd),
    columns: columnsOf(table),
  };
}

function reference(text: string): Scanned | null {
  const decoded = decodeByReference(text);
  if (!decoded.ok || decoded.message.type !== 'trade') return null;
  const { message } = decoded;
  const table = TradeTable.of([{ instrumentId: 0, message }]);
  return { row: rowOf(table), key: `${message.market_id}","symbol":"${message.symbol}`, columns: columnsOf(table) };
}

const rowOf = (table: TradeTable): string => table.writer.buffer.toString('hex', table.offset[0], table.offset[1]);
const columnsOf = (table: TradeTable): number[] => [table.seq[0]!, table.last[0]!, table.ts[0]!];

describe('the scanner of trades', () => {
  it('takes every trade as our receiver spells it, byte for byte as the reference path', () => {
    let accepted = 0;
    fc.assert(
      fc.property(trade, (message) => {
        const text = JSON.stringify(message);
        const scanned = scan(text);
        if (scanned === null) return; // the reference path reads it: a seq of 2^53 - 1, for one
        accepted++;
        expect(scanned).toEqual(reference(text));
      }),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(400);
  });

  it('never takes a damaged one that the reference path refuses or reads otherwise', () => {
    let taken = 0;
    fc.assert(
      fc.property(trade, fc.array(damage, { minLength: 1, maxLength: 2 }), (message, blows) => {
        const text = blows.reduce(damaged, JSON.stringify(message));
        const scanned = scan(text);
        if (scanned === null) return;
        taken++;
        expect(scanned).toEqual(reference(text));
      }),
      { numRuns: 5000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  const valid = {
    v: 1,
    type: 'trade',
    market_id: 'm1',
    symbol: 'S',
    exchange_ts: NOW,
    received_ts: NOW,
    trade_id: 't',
    seq: 5,
    price: '1',
    amount: '2',
    side: 'buy',
  };
  it.each<[string, object]>([
    ['leading zeros', { ...valid, price: '01' }],
    ['a bare point', { ...valid, price: '1.' }],
    ['31 digits', { ...valid, amount: '9'.repeat(31) }],
    ['31 decimals', { ...valid, price: `0.${'1'.repeat(31)}` }],
    ['a negative amount', { ...valid, amount: '-1' }],
    ['an exponent', { ...valid, price: '1e5' }],
    ['a seq beyond 2^53', { ...valid, seq: 9_007_199_254_740_992 }],
    ['a negative seq', { ...valid, seq: -1 }],
    ['milliseconds', { ...valid, exchange_ts: NOW / 1000 }],
    ['nanoseconds', { ...valid, exchange_ts: NOW * 1000 }],
    ['another side', { ...valid, side: 'both' }],
    ['a symbol of 97', { ...valid, symbol: 'x'.repeat(97) }],
    ['an id of 65', { ...valid, trade_id: 'x'.repeat(65) }],
    ['an unknown key', { ...valid, extra: 1 }],
    ['no side', { ...valid, side: undefined }],
    ['a market of one letter', { ...valid, market_id: 'm' }],
    ['version 2', { ...valid, v: 2 }],
    ['a run backwards', { ...valid, seq: 5, seq_last: 4 }],
  ])('leaves %s to the reference path, which refuses it', (_name, message) => {
    const text = JSON.stringify(message);
    expect([scan(text), reference(text)]).toEqual([null, null]);
  });
});

describe('the short way for tickers', () => {
  const nullable = <T>(inner: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(inner, { freq: 4 });
  const core = {
    v: fc.constant(1),
    type: fc.constant('ticker'),
    ...base,
    best_bid_price: nullable(decimal),
    best_bid_amount: nullable(amount),
    best_ask_price: nullable(decimal),
    best_ask_amount: nullable(amount),
    last_price: nullable(decimal),
    mark_price: nullable(decimal),
    index_price: nullable(decimal),
    open_interest: nullable(decimal),
    funding_rate: nullable(decimal),
    volume_24h: nullable(decimal),
  };
  const options = [
    'underlying_price',
    'bid_iv',
    'ask_iv',
    'mark_iv',
    'delta',
    'gamma',
    'vega',
    'theta',
    'rho',
  ] as const;
  const ticker = fc.record(
    { ...core, ...Object.fromEntries(options.map((key) => [key, nullable(decimal)])) },
    { requiredKeys: Object.keys(core) as (keyof typeof core)[] },
  );

  it('says what the reference path says', () => {
    fc.assert(
      fc.property(ticker, (message) => {
        const text = JSON.stringify(message);
        expect({ ok: true, message: canonicalTicker(text) }).toEqual(decodeByReference(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('leaves what is damaged to it', () => {
    fc.assert(
      fc.property(ticker, damage, (message, blow) => {
        const text = damaged(JSON.stringify(message), blow);
        const short = canonicalTicker(text);
        if (short !== null) expect({ ok: true, message: short }).toEqual(decodeByReference(text));
      }),
      { numRuns: 3000 },
    );
  });
});
