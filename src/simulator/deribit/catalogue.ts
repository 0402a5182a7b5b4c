// The instruments of the simulated Deribit: perpetuals, dated futures, options of two expiries, linear contracts, spot pairs
// and combos; dates are taken from the clock, so that nothing has expired.
import { quarterEnd } from '../dates.ts';
import type { Spec } from '../spec.ts';
import { optionFigures } from './options.ts';

/** Index prices that everything hangs on. */
export const INDEX: Readonly<Record<string, number>> = { BTC: 86_402.5, ETH: 2_731.4, SOL: 131.42, XRP: 2.0628 };
export const IMPLIED_VOLATILITY: Readonly<Record<string, number>> = { BTC: 0.42, ETH: 0.61, XRP: 0.8 };
const DAY = 86_400_000;
const FOREVER = 32_503_708_800_000;
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];

/** `25DEC26`: the day without a leading zero. */
export function dateName(ms: number): string {
  const at = new Date(ms);
  return `${at.getUTCDate()}${MONTHS[at.getUTCMonth()] ?? ''}${String(at.getUTCFullYear() % 100).padStart(2, '0')}`;
}

/** 08:00 UTC of the first Friday that is at least two days away. */
function nextWeekly(ms: number): number {
  const day = Math.floor((ms + 2 * DAY) / DAY) * DAY;
  const ahead = (5 - new Date(day).getUTCDay() + 7) % 7;
  return day + ahead * DAY + 8 * 3_600_000;
}

interface Draft extends Omit<Spec, 'marketId' | 'pricePad' | 'amountPad' | 'milliseconds' | 'runs' | 'countRuns' | 'wire' | 'lot'> {
  lot?: number;
  wireKind: string;
  contractSize: number;
  expiryMs: number;
  period: string;
  extra?: Record<string, unknown>;
}

/** All instruments as of `nowMs`. */
export function deribitSpecs(nowMs: number): Spec[] {
  const quarter = quarterEnd(nowMs + 14 * DAY);
  const week = nextWeekly(nowMs);
  const near = quarter === week ? week + 7 * DAY : week;
  const drafts = [...futures(quarter), ...options(near, nowMs), ...options(quarter, nowMs), ...linearOptions(quarter, nowMs), ...spots()];
  const specs = drafts.map((draft, i) => finish(draft, i));
  return [...specs, ...combos(specs, near, quarter).map((draft, i) => finish(draft, specs.length + i))];
}

function futures(quarter: number): Draft[] {
  const name = dateName(quarter);
  const inverse = (base: string, symbol: string, expiryMs: number, basis: number, weight: number): Draft => {
    const eth = base === 'ETH';
    const [decimals, tick] = eth ? [2, 5] : [1, 5];
    return {
      symbol, kind: expiryMs === FOREVER ? 'perpetual' : 'future', base, quote: 'USD', settle: base, priceDecimals: decimals, tick,
      startPrice: onTick((INDEX[base] ?? 1) * (1 + basis), decimals, tick), amountDecimals: 0, lot: eth ? 1 : 10, typicalLots: eth ? 900 : 400, weight,
      wireKind: 'future', contractSize: eth ? 1 : 10, expiryMs, period: expiryMs === FOREVER ? 'perpetual' : 'month',
      ...(expiryMs === FOREVER ? {} : { expiry: expiryMs }), extra: { max_leverage: 50, max_liquidation_commission: 0.0075 },
    };
  };
  const linear = (base: string, decimals: number, tick: number, amountDecimals: number, typicalLots: number): Draft => ({
    symbol: `${base}_USDC-PERPETUAL`, kind: 'perpetual', base, quote: 'USDC', settle: 'USDC', priceDecimals: decimals, tick,
    startPrice: onTick((INDEX[base] ?? 1) * 0.9998, decimals, tick), amountDecimals, typicalLots, weight: 8,
    wireKind: 'future', contractSize: 10 ** -amountDecimals, expiryMs: FOREVER, period: 'perpetual', extra: { max_leverage: 50 },
  });
  return [
    inverse('BTC', 'BTC-PERPETUAL', FOREVER, 0.0002, 40), inverse('ETH', 'ETH-PERPETUAL', FOREVER, 0.0001, 28),
    inverse('BTC', `BTC-${name}`, quarter, 0.011, 5), inverse('ETH', `ETH-${name}`, quarter, 0.012, 3),
    linear('BTC', 1, 1, 4, 300), linear('ETH', 2, 1, 3, 900), linear('SOL', 2, 1, 1, 120),
  ];
}

function options(expiryMs: number, nowMs: number): Draft[] {
  const drafts: Draft[] = [];
  for (const [base, strikes] of [['BTC', [76_000, 84_000, 88_000, 100_000]], ['ETH', [2_500, 3_000]]] as const) {
    for (const strike of strikes) {
      for (const optionType of ['call', 'put'] as const) {
        const figures = optionFigures(optionType, INDEX[base] ?? 1, strike, IMPLIED_VOLATILITY[base] ?? 0.5, expiryMs - nowMs);
        const tick = figures.price >= 0.02 ? 5 : 1;
        drafts.push({
          symbol: `${base}-${dateName(expiryMs)}-${strike}-${optionType === 'call' ? 'C' : 'P'}`, kind: 'option', base, quote: base, settle: base,
          priceDecimals: 4, tick, startPrice: Math.max(tick * 4, onTick(figures.price, 4, tick)), amountDecimals: base === 'BTC' ? 1 : 0,
          typicalLots: 8, weight: 0.6, wireKind: 'option', contractSize: 1, expiryMs, expiry: expiryMs, period: 'month', strike, optionType,
          extra: { strike, option_type: optionType, tick_size_steps: [{ above_price: 0.005, tick_size: 0.0005 }] },
        });
      }
    }
  }
  return drafts;
}

/** Strikes below one unit are written with a lower-case d for the point. */
function linearOptions(expiryMs: number, nowMs: number): Draft[] {
  return (['call', 'put'] as const).map((optionType) => {
    const strike = 2.1;
    const forward = INDEX['XRP'] ?? 1;
    const figures = optionFigures(optionType, forward, strike, IMPLIED_VOLATILITY['XRP'] ?? 0.8, expiryMs - nowMs);
    return {
      symbol: `XRP_USDC-${dateName(expiryMs)}-2d1-${optionType === 'call' ? 'C' : 'P'}`, kind: 'option', base: 'XRP', quote: 'USDC', settle: 'USDC',
      priceDecimals: 4, tick: 2, startPrice: onTick(figures.price * forward, 4, 2), amountDecimals: 0, lot: 1000, typicalLots: 6, weight: 0.4,
      wireKind: 'option', contractSize: 1000, expiryMs, expiry: expiryMs, period: 'month', strike, optionType,
      extra: { strike, option_type: optionType },
    };
  });
}

function spots(): Draft[] {
  const spot = (base: string, quote: string, price: number, decimals: number, tick: number, amountDecimals: number): Draft => ({
    symbol: `${base}_${quote}`, kind: 'spot', base, quote, settle: null, priceDecimals: decimals, tick, startPrice: onTick(price, decimals, tick),
    amountDecimals, typicalLots: 250, weight: 2, wireKind: 'spot', contractSize: 10 ** -amountDecimals, expiryMs: FOREVER, period: '',
  });
  const btc = INDEX['BTC'] ?? 1;
  const eth = INDEX['ETH'] ?? 1;
  return [spot('BTC', 'USDC', btc, 1, 5, 4), spot('ETH', 'USDC', eth, 2, 5, 4), spot('ETH', 'BTC', eth / btc, 6, 5, 4)];
}

function combos(specs: readonly Spec[], near: number, quarter: number): Draft[] {
  const price = (symbol: string): number => specs.find((spec) => spec.symbol === symbol)?.startPrice ?? 0;
  const future = `BTC-${dateName(quarter)}`;
  const call = (strike: number): string => `BTC-${dateName(near)}-${strike}-C`;
  return [
    {
      symbol: `BTC-FS-${dateName(quarter)}_PERP`, kind: 'combo', base: 'BTC', quote: 'USD', settle: 'BTC', priceDecimals: 1, tick: 5,
      startPrice: price(future) - price('BTC-PERPETUAL'), amountDecimals: 0, lot: 10, typicalLots: 300, weight: 0.3, wireKind: 'future_combo',
      contractSize: 10, expiryMs: quarter, period: 'month', legs: [{ symbol: future, ratio: 1 }, { symbol: 'BTC-PERPETUAL', ratio: -1 }],
    },
    {
      symbol: `BTC-CS-${dateName(near)}-84000_88000`, kind: 'combo', base: 'BTC', quote: 'BTC', settle: 'BTC', priceDecimals: 4, tick: 1,
      startPrice: Math.max(4, price(call(84_000)) - price(call(88_000))), amountDecimals: 1, typicalLots: 6, weight: 0.3, wireKind: 'option_combo',
      contractSize: 1, expiryMs: near, period: 'week', legs: [{ symbol: call(84_000), ratio: 1 }, { symbol: call(88_000), ratio: -1 }],
    },
  ];
}

const onTick = (price: number, decimals: number, tick: number): number => Math.max(tick, Math.round((price * 10 ** decimals) / tick) * tick);

/** The schedule before 2026-08: options by the underlying, the rest by value. */
function commissions(kind: Spec['kind'], inverse: boolean): { maker_commission: number; taker_commission: number } {
  if (kind === 'spot') return { maker_commission: 0, taker_commission: 0 };
  if (kind === 'option') return inverse ? { maker_commission: 0.0003, taker_commission: 0.0003 } : { maker_commission: 0.0001, taker_commission: 0.0005 };
  return { maker_commission: 0, taker_commission: 0.0005 };
}

function finish(draft: Draft, index: number): Spec {
  const { wireKind, contractSize, expiryMs, period, extra, lot = 1, ...spec } = draft;
  const inverse = spec.settle !== null && spec.settle === spec.base;
  const wire: Record<string, unknown> = {
    kind: wireKind, instrument_name: spec.symbol, instrument_id: 210_838 + index * 17, base_currency: spec.base, quote_currency: spec.quote,
    counter_currency: inverse ? 'USD' : spec.quote, ...(spec.settle === null ? {} : { settlement_currency: spec.settle }),
    ...(period === '' ? {} : { settlement_period: period }), instrument_type: inverse ? 'reversed' : 'linear',
    tick_size: spec.tick / 10 ** spec.priceDecimals, tick_size_steps: [], min_trade_amount: lot / 10 ** spec.amountDecimals, contract_size: contractSize,
    expiration_timestamp: expiryMs, creation_timestamp: 1_534_242_287_000, ...commissions(spec.kind, inverse),
    block_trade_commission: 0.00025, block_trade_min_trade_amount: (lot * 1000) / 10 ** spec.amountDecimals,
    block_trade_tick_size: spec.tick / 10 ** spec.priceDecimals, price_index: `${spec.base}_${inverse ? 'usd' : spec.quote}`.toLowerCase(),
    is_active: true, state: 'open', ...extra,
  };
  return { ...spec, marketId: 'deribit', pricePad: '', amountPad: '', lot, milliseconds: true, runs: 0, countRuns: false, wire };
}
