// STRATEGIES_FILE's errors, and how views become signals.
import { describe, expect, it } from 'vitest';
import { parseSignal, type Signal } from '../../../contracts/index.ts';
import { Exact } from '../../../core/trading/exact.ts';
import type { OrderRecord } from '../../../core/trading/records.ts';
import { AccountBook } from '../account_book.ts';
import type { InstrumentTerms } from '../ports.ts';
import { parseStrategies } from './parse_strategies.ts';
import { StrategyRunner, heldIn, startStrategies, type StrategyPorts } from './runner.ts';
import { FLAT, instrumentOf, type CandleView, type MarketView } from './strategy.ts';

const terms: InstrumentTerms = {
  marketId: 'deribit', symbol: 'BTC-PERPETUAL', kind: 'perpetual', reciprocal: true, settle: 'BTC', quote: 'USD', tickSize: '0.5', tickSteps: [],
  minAmount: '10', amountStep: '10', expiryTs: null, status: 'open',
};
const parse = (yaml: string) => parseStrategies(yaml, 'strategies.yml', ['deribit', 'binance_spot']);
const one = (more: string, params = '{ fast: 1, slow: 2, amount: 100 }'): string =>
  `strategies: [{ strategy: sma-cross, market: deribit, symbol: BTC-PERPETUAL, params: ${params}${more} }]`;
const BASE = 1_796_000_040_000_000;
const candle = (n: number, close: number): CandleView => ({
  kind: 'candle', ts: BASE + (n + 1) * 60_000_000, openTs: BASE + n * 60_000_000, open: close, high: close, low: close, close, volume: 1,
});

describe('STRATEGIES_FILE', () => {
  it('is read with defaults', () => {
    const [entry] = parse(one(''));
    expect(entry).toMatchObject({ name: 'sma-cross', marketId: 'deribit', symbol: 'BTC-PERPETUAL', resolution: '1m', validForMs: 10_000 });
    expect(entry!.params).toEqual({ fast: 1, slow: 2, amount: '100', band_bps: 0, max_slippage_bps: 20, direction: 'both' });
  });

  it.each([
    ['strategies: [', /^STRATEGIES_FILE strategies\.yml: ./],
    ['strategies: []', /strategies\.yml: strategies: /],
    [one(', color: red'), /strategies\.0: .*color/],
    ['strategies: [{ strategy: smacross, market: deribit, symbol: X }]',
      /strategies\.0\.strategy: "smacross" is not one of sma-cross, .*did you mean sma-cross\?/],
    [one('').replace('deribit', 'kraken'), /strategies\.0\.market: "kraken" is not one of deribit, binance_spot/],
    [one('', '{ fast: 20, slow: 10, amount: 1 }'), /strategies\.0\.params\.fast: not below slow, got 20/],
    [one('', '{ amount: -1 }'), /strategies\.0\.params\.amount: not a positive decimal without exponent, got -1/],
    [one('', '{ amount: 1, fats: 3 }'), /strategies\.0\.params\..*"fats"/],
    [one(', name: SMA'), /strategies\.0\.name: not a name .*, got "SMA"/],
    [one(', resolution: 7m'), /strategies\.0\.resolution: /],
    [`${one('').slice(0, -1)}, { strategy: quote-maker, market: deribit, symbol: BTC-PERPETUAL, params: { amount: 1, max_position: 1 } }]`,
      /strategies\.1\.symbol: "BTC-PERPETUAL" belongs to sma-cross already/],
    [`${one('').slice(0, -1)}, { strategy: sma-cross, market: deribit, symbol: ETH-PERPETUAL, params: { amount: 1 } }]`,
      /strategies\.1\.name: "sma-cross" is there twice/],
  ])('%s is refused with file, key and value', (yaml, message) => {
    expect(() => parse(yaml)).toThrow(message);
    expect(() => parse(yaml)).not.toThrow(/\n/);
  });
});

describe('a runner', () => {
  const runner = (more = ''): StrategyRunner => new StrategyRunner(parse(one(more))[0]!, instrumentOf(terms));

  it('makes contract signals whose ids a restart repeats', () => {
    const [first, second] = [runner(), runner()];
    const feed = (one: StrategyRunner): readonly Signal[] => [1000, 1010, 990].flatMap((close, n) => one.step(candle(n, close), FLAT));
    const signals = feed(first);
    expect(signals.map(({ signal_id: id, side }) => [id, side])).toEqual([
      ['sma-cross:BTC-PERPETUAL:1796000160000000:0', 'buy'], ['sma-cross:BTC-PERPETUAL:1796000220000000:0', 'sell'],
    ]);
    expect(signals.every((signal) => parseSignal(signal).ok)).toBe(true);
    expect(signals[0]).toMatchObject({ created_ts: 1_796_000_160_000_000, valid_for_ms: 10_000 });
    expect(feed(second)).toEqual(signals);
  });

  it('keeps ids of long symbols within the contract', () => {
    const entry = { ...parse(one(', name: a-name-of-twenty-abc'))[0]!, symbol: 'X'.repeat(96) };
    const long = new StrategyRunner(entry, instrumentOf(terms));
    const signals = [1000, 1010].flatMap((close, n) => long.step(candle(n, close), FLAT));
    expect(signals).toHaveLength(1);
    expect(parseSignal(signals[0]).ok).toBe(true);
  });

  it('does not count a view twice', () => {
    const once = runner();
    once.warm([candle(0, 1000)]);
    expect(once.step(candle(1, 1010), FLAT)).toHaveLength(1);
    expect(once.step(candle(1, 1010), FLAT)).toEqual([]);
    expect(once.step(candle(0, 1), FLAT)).toEqual([]);
  });
});

const order = (of: Partial<OrderRecord>): OrderRecord => ({
  label: 'a', signalId: 's', account: 'x', strategy: 'sma-cross', marketId: 'deribit', symbol: 'BTC-PERPETUAL', side: 'buy', amount: '100',
  orderType: 'limit', price: '1', timeInForce: null, postOnly: false, reduceOnly: false, validUntil: 0, createdTs: 0, orderId: '1', origin: 'own',
  state: 'OPEN', version: 2, cancelState: null, exchangeOrderId: null, filledAmount: '0', averagePrice: null, code: null, reason: null, lookups: 0,
  epoch: 1, sentTs: null, updatedTs: 0, ...of,
});

describe('what a strategy holds', () => {
  it('is the account\'s position and its own orders', () => {
    const book = new AccountBook();
    book.position({
      account: 'x', marketId: 'deribit', symbol: 'BTC-PERPETUAL', amount: '-50', cost: '1', averagePrice: '1', realised: '0', fees: '0', funding: '0',
      settle: 'BTC', updatedTs: 0, version: 1,
    });
    book.order(order({ label: 'a', filledAmount: '30', state: 'PARTIALLY_FILLED' }));
    book.order(order({ label: 'b', side: 'sell', state: 'UNKNOWN', amount: '10', cancelState: 'REQUESTED' }));
    book.order(order({ label: 'c', strategy: 'other' }));
    book.order(order({ label: 'd', origin: 'external' }));
    const held = heldIn(book, 'sma-cross', 'BTC-PERPETUAL');
    expect(held).toMatchObject({ exposure: '10', orders: [{ label: 'a', open: '70', cancelling: false }, { label: 'b', open: '10', cancelling: true }] });
    expect(held.amount.eq(new Exact(-50))).toBe(true);
  });
});

describe('startStrategies', () => {
  it('warms up, runs to the end of its views, and goes on beside one that fails', async () => {
    const stop = new AbortController();
    const sent: Signal[] = [];
    const failures: unknown[] = [];
    const entries = parse(`strategies:
      - { strategy: sma-cross, market: deribit, symbol: BTC-PERPETUAL, params: { fast: 1, slow: 2, amount: 100 } }
      - { strategy: sma-cross, name: lost, market: deribit, symbol: NONE, params: { fast: 1, slow: 2, amount: 100 } }`);
    const refusing = Object.assign(new Error('Connection terminated'), { code: 'ECONNRESET' });
    const ports: StrategyPorts = {
      entries,
      trader: { book: new AccountBook(), signal: (signal) => {
        sent.push(signal);
        return sent.length === 1 ? Promise.reject(refusing) : Promise.resolve({ kind: 'placed', label: 'x' });
      } },
      terms: { of: (symbol) => (symbol === 'NONE' ? null : terms) },
      past: (_entry, candles) => Promise.resolve(Array.from({ length: candles }, (_candle, n) => candle(n, 1000))),
      views: async function* (): AsyncGenerator<MarketView> {
        for (const n of [2, 3]) yield candle(n, 1010 + n);
      },
      log: { info: () => undefined, warn: () => undefined, error: (fields: unknown) => failures.push(fields) } as never,
      signal: stop.signal,
    };
    await startStrategies(ports);
    // The first one was not taken: the next view asks again, under its own id.
    expect(sent.map(({ signal_id: id }) => id)).toEqual(['sma-cross:BTC-PERPETUAL:1796000220000000:0', 'sma-cross:BTC-PERPETUAL:1796000280000000:0']);
    expect(failures).toMatchObject([{ strategy: 'lost', err: { message: 'deribit NONE: no such instrument' } }]);
  });
});
