// The instrument of a backtest: as the executor knows it, and as the simulator's matching does.
import { UsageError } from '../../core/errors.ts';
import type { InstrumentTerms } from '../../services/executor/ports.ts';
import type { RiskLimits } from '../../services/executor/risk/limits.ts';
import type { Contract } from '../../simulator/deribit/private/contract.ts';
import { dec } from '../../simulator/deribit/private/money.ts';
import type { ReplayInstrument } from '../../store/replay.ts';
import type { BacktestOptions } from './options.ts';

export interface Setup {
  terms: InstrumentTerms;
  contract: Contract;
  limits: RiskLimits;
  /** In the settlement currency. */
  deposit: string;
}

/** What an account in a currency that is not a coin begins with; one coin else. */
const MONEY = /^(USD|EUR)/;
const PLENTY = '1000000000000';

/** Throws UsageError for an instrument that cannot be traded here, or that is not known well enough. */
export function setupOf(row: ReplayInstrument, options: BacktestOptions): Setup {
  const name = `${row.marketId} ${row.symbol}`;
  const { kind, base, quote, settle, tickSize, minAmount, amountStep } = row;
  if (kind !== 'perpetual' && kind !== 'future') {
    throw new UsageError(`--symbol: ${name} is a ${kind ?? 'stub'}: only perpetuals and futures can be backtested`);
  }
  if (base === null || quote === null || settle === null || tickSize === null || minAmount === null || amountStep === null) {
    throw new UsageError(`--symbol: ${name} has no tick, amount step or currencies yet: the janitor has not read the exchange's list`);
  }
  const reciprocal = row.inverse === true;
  const fee = (which: 'maker' | 'taker', given: string | null, told: string | null): bigint => {
    const rate = given ?? told;
    if (rate === null) throw new UsageError(`--${which}-fee is missing: the instrument list of ${row.marketId} does not tell it`);
    return dec(rate);
  };
  const contract: Contract = {
    symbol: row.symbol, kind, wireKind: 'future', base, quote, currency: settle, inverse: settle === base, reciprocal, tick: dec(tickSize), steps: [],
    lot: dec(amountStep), contractSize: dec(row.contractSize ?? amountStep), maker: fee('maker', options.makerFee, row.makerFee),
    taker: fee('taker', options.takerFee, row.takerFee), expiry: row.expiryTs === null ? null : Math.floor(row.expiryTs / 1000), strike: 0n,
    optionType: 'call', priceIndex: '',
  };
  // Expired or not today: at the time that is replayed it could be traded.
  const terms: InstrumentTerms = {
    marketId: row.marketId, symbol: row.symbol, kind, reciprocal, settle, quote, tickSize, tickSteps: [], minAmount, amountStep, expiryTs: row.expiryTs,
    status: 'open',
  };
  const limits = options.limits ?? openLimits(options.entry.name, row.symbol, settle);
  return { terms, contract, limits, deposit: options.deposit ?? (MONEY.test(settle) ? '100000' : '1') };
}

/** Without --risk only the exchange limits: every check of the gate runs, with room for everything. */
function openLimits(strategy: string, symbol: string, currency: string): RiskLimits {
  return {
    strategies: [strategy], instruments: [{ symbol, max_order_amount: PLENTY, max_order_notional: PLENTY, max_position: PLENTY }],
    account: {
      max_open_orders: 1_000, max_orders_per_second: 1_000, max_orders_per_minute: 10_000, max_gross_notional: PLENTY,
      max_daily_loss: { [currency]: PLENTY }, min_available_percent: '0.000001',
    },
    price_collar_percent: '50', reference_max_age_ms: 1_000_000, duplicate_window_ms: 0,
    repeated_executions: { count: 1_000_000, window_ms: 1 }, runaway: { refused: 1_000_000, window_ms: 1 },
    max_clock_offset_ms: 1_000,
  };
}
