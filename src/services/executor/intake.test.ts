// Signals from several sides at once: each is judged with what those before it have reserved.
import { describe, expect, it } from 'vitest';
import type { Signal } from '../../contracts/index.ts';
import type { TradingStore } from '../../core/trading/records.ts';
import { riskFile } from '../../scripts/local/risk_file.ts';
import { AccountBook } from './account_book.ts';
import type { OrderDesk } from './desk.ts';
import { SignalIntake } from './intake.ts';
import type { InstrumentTerms } from './ports.ts';
import { parseRiskLimits } from './risk/limits.ts';
import { Throttle } from './risk/throttle.ts';

const NOW = 1_796_000_000_000_000;
const risk = riskFile({ strategies: ['one', 'two'], limits: { 'BTC-PERPETUAL': [100, 100, 100] }, account: { max_open_orders: 9 } });
const limits = parseRiskLimits(risk, 'risk.yml');
const terms: InstrumentTerms = {
  marketId: 'deribit', symbol: 'BTC-PERPETUAL', kind: 'perpetual', reciprocal: true, settle: 'BTC', quote: 'USD', tickSize: '0.5', tickSteps: [],
  minAmount: '10', amountStep: '10', expiryTs: null, status: 'open',
};
const signal = (strategy: string): Signal => ({
  v: 1, signal_id: strategy, strategy, created_ts: NOW, valid_for_ms: 1_000, market_id: 'deribit', symbol: terms.symbol, side: 'buy', amount: '80',
  order_type: 'limit', price: '90000',
});

/** An intake whose orders never come to an end. */
function intakeOf(): { intake: SignalIntake; placed: string[] } {
  const book = new AccountBook();
  const clock = { nowMicros: () => NOW, monotonicMs: () => 0 };
  const placed: string[] = [];
  const desk: Pick<OrderDesk, 'place'> = {
    place(intent) {
      placed.push(intent.strategy);
      return new Promise(() => undefined);
    },
  };
  const store: Pick<TradingStore, 'orderBySignal' | 'insertRefusal'> = { orderBySignal: () => Promise.resolve(null), insertRefusal: () => Promise.resolve() };
  const intake = new SignalIntake({
    store: store as TradingStore, desk: desk as OrderDesk, book, clock, limits, throttle: new Throttle(limits, () => undefined), account: 'acc',
    mintLabel: (strategy) => `paper-${strategy}`, barred: () => null, signalKey: null, sendWithinMs: 1_000, tell: () => undefined, refused: () => undefined,
    view: () => Promise.resolve({
      reduceOnlyBecause: null, clockOffsetMs: 0, terms, termsOf: () => terms, positions: book.positions(), working: book.working(), now: NOW,
      reference: () => ({ mark: '90000', last: '90000', index: '90000', ageMs: 0, fresh: true }),
      account: () => ({ equity: '1', available: '1', mark: '1', ageMs: 0 }),
    }),
  });
  return { intake, placed };
}

describe('two signals at the same moment', () => {
  it('of two strategies are judged one after the other: the second one counts the first', async () => {
    const { intake, placed } = intakeOf();
    void intake.signal(signal('one'));
    expect(await intake.signal(signal('two'))).toMatchObject({ kind: 'refused', refused: { code: 'POSITION', detail: '160 of 100' } });
    expect(placed).toEqual(['one']);
  });
});
