// A life of the executor whose exchange takes orders and answers no question any more.
import { expect, it } from 'vitest';
import type { Signal } from '../../contracts/index.ts';
import { VenueError, type TradingVenue } from '../../exchanges/trading.ts';
import { MemoryTradingStore } from '../../scripts/chaos/memory_store.ts';
import { riskFile } from '../../scripts/local/risk_file.ts';
import type { InstrumentTerms } from './ports.ts';
import { parseRiskLimits } from './risk/limits.ts';
import { Trader } from './trader.ts';

const AT = 1_796_000_000_000_000;
const limits = parseRiskLimits(riskFile({ strategies: ['one'], limits: { 'BTC-PERPETUAL': [100, 100, 100] } }), 'risk.yml');
const terms: InstrumentTerms = {
  marketId: 'deribit', symbol: 'BTC-PERPETUAL', kind: 'perpetual', reciprocal: true, settle: 'BTC', quote: 'USD', tickSize: '0.5', tickSteps: [],
  minAmount: '10', amountStep: '10', expiryTs: null, status: 'open',
};

it('adds no risk once its books could not be compared for a while, and does again once they were', async () => {
  let [nowMs, answers, sent] = [0, true, 0];
  const end = new AbortController();
  const asked = (): Promise<never[]> => (answers ? Promise.resolve([]) : Promise.reject(new VenueError('not as documented', 'malformed', false)));
  const venue = {
    fills: asked, openOrders: asked, positions: asked,
    submit: () => {
      sent++;
      return Promise.resolve({ kind: 'refused', code: '10009', reason: 'no' });
    },
    events: (signal: AbortSignal) => (async function* silent() {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    })(),
  } as unknown as TradingVenue;
  const store = new MemoryTradingStore();
  const clock = { nowMicros: () => AT + nowMs * 1_000, monotonicMs: () => nowMs };
  // Time passes in steps of the test alone: what waits is woken by them.
  let waiting: { atMs: number; wake: () => void }[] = [];
  const pass = async (ms: number): Promise<void> => {
    for (const until = nowMs + ms; nowMs < until;) {
      nowMs += 1_000;
      const due = waiting.filter(({ atMs }) => atMs <= nowMs);
      waiting = waiting.filter(({ atMs }) => atMs > nowMs);
      for (const { wake } of due) wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  let n = 0;
  const trader = new Trader({
    store, venue, clock, limits, terms: { of: () => terms }, log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    account: 'acc', marketId: 'deribit', epoch: await store.nextEpoch(), tell: () => undefined, askAudit: () => Promise.resolve(),
    pause: (ms) => new Promise((wake) => waiting.push({ atMs: nowMs + ms, wake: () => wake() })), mintLabel: (strategy) => `paper-${strategy}-${++n}`,
    barred: () => null, reduceOnlyBecause: () => null, signalKey: null, sendWithinMs: 1_000, refused: () => undefined, onRunaway: () => undefined,
    onLock: () => undefined, signal: end.signal,
    view: (book) => Promise.resolve({
      reduceOnlyBecause: null, clockOffsetMs: 0, terms, termsOf: () => terms, positions: book.positions(), working: book.working(), now: clock.nowMicros(),
      reference: () => ({ mark: '90000', last: '90000', index: '90000', ageMs: 0, fresh: true }),
      account: () => ({ equity: '1', available: '1', mark: '1', ageMs: 0 }),
    }),
  });
  const order = (): Promise<unknown> => {
    const signal: Signal = {
      v: 1, signal_id: `s-${++n}`, strategy: 'one', created_ts: clock.nowMicros(), valid_for_ms: 1_000, market_id: 'deribit', symbol: terms.symbol, side: 'buy',
      amount: '10', order_type: 'market',
    };
    return trader.signal(signal);
  };
  void trader.run();
  await pass(2_000);
  expect(await order()).toMatchObject({ kind: 'placed' });
  answers = false;
  await pass(120_000);
  expect(await order()).toMatchObject({ kind: 'placed' });
  await pass(60_000);
  const detail = expect.stringMatching(/^orders could not be compared with the exchange's for 1\d\d s$/) as string;
  expect(await order()).toMatchObject({ refused: { code: 'STATE', detail } });
  answers = true;
  await pass(31_000);
  expect(await order()).toMatchObject({ kind: 'placed' });
  expect(sent).toBe(3);
  end.abort();
});
