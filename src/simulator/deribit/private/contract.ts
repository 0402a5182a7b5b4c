// What the matching and the books know of an instrument, and which amounts and prices it takes.
import type { Kind, Spec } from '../../spec.ts';
import { RpcError } from '../rpc.ts';
import { div, mul, ONE, readDec, scaled, type Dec } from './money.ts';

/** Option fees are at most this share of the price. */
const CAP = ONE / 8n;

export interface Contract {
  readonly symbol: string;
  readonly kind: Kind;
  /** The venue's word: future, option, spot, future_combo, option_combo. */
  readonly wireKind: string;
  readonly base: string;
  readonly quote: string;
  /** Margin, fees and P&L are in this; of spot pairs, the quote. */
  readonly currency: string;
  /** Settles in the base coin. */
  readonly inverse: boolean;
  /** P&L by reciprocal prices: inverse perpetuals and futures. */
  readonly reciprocal: boolean;
  readonly tick: Dec;
  /** Coarser ticks above a price. */
  readonly steps: readonly { above: Dec; tick: Dec }[];
  /** Least amount, and what amounts are multiples of. */
  readonly lot: Dec;
  readonly contractSize: Dec;
  readonly maker: Dec;
  readonly taker: Dec;
  /** Milliseconds since the epoch; null: never. */
  readonly expiry: number | null;
  readonly strike: Dec;
  readonly optionType: 'call' | 'put';
  readonly priceIndex: string;
}

/** The contract of a generated instrument. */
export function contractOf(spec: Spec): Contract {
  const { wire } = spec;
  const number = (key: string): Dec => (typeof wire[key] === 'number' ? (readDec(String(wire[key])) ?? 0n) : 0n);
  const inverse = spec.settle !== null && spec.settle === spec.base;
  const future = spec.kind === 'perpetual' || spec.kind === 'future';
  const steps = Array.isArray(wire['tick_size_steps']) ? (wire['tick_size_steps'] as { above_price: number; tick_size: number }[]) : [];
  return {
    symbol: spec.symbol, kind: spec.kind, wireKind: String(wire['kind']), base: spec.base, quote: spec.quote, currency: spec.settle ?? spec.quote,
    inverse, reciprocal: inverse && future, tick: scaled(spec.tick, spec.priceDecimals),
    steps: steps.map((step) => ({ above: readDec(String(step.above_price)) ?? 0n, tick: readDec(String(step.tick_size)) ?? ONE })),
    lot: scaled(spec.lot, spec.amountDecimals), contractSize: number('contract_size'), maker: number('maker_commission'),
    taker: number('taker_commission'), expiry: spec.expiry ?? null, strike: readDec(String(spec.strike ?? 0)) ?? 0n,
    optionType: spec.optionType ?? 'call', priceIndex: typeof wire['price_index'] === 'string' ? wire['price_index'] : '',
  };
}

/** What `amount` is worth at `price`, in the settlement currency: coin of reciprocal contracts, else amount × price. */
export const worth = (contract: Contract, amount: Dec, price: Dec): Dec => (contract.reciprocal ? div(amount, price) : mul(amount, price));

export const tickAt = ({ tick, steps }: Contract, price: Dec): Dec => steps.reduce((found, step) => (price > step.above ? step.tick : found), tick);

/** Contracts of an amount: options and spot count amounts. */
export const contractsOf = ({ kind, lot }: Contract, amount: Dec): Dec => (kind === 'option' || kind === 'spot' ? amount : div(amount, lot));

/** The amount of an order from `amount` or `contracts`, which must agree when both are given. Throws RpcError. */
export function amountOf(contract: Contract, amount: Dec | null, contracts: Dec | null): Dec {
  if (contracts !== null && contract.kind !== 'option' && contracts % ONE !== 0n) throw new RpcError(10027, 'non_integer_contract_amount');
  const counted = contracts === null ? null : contract.kind === 'option' || contract.kind === 'spot' ? contracts : mul(contracts, contract.lot);
  if (amount !== null && counted !== null && amount !== counted) throw new RpcError(11029, 'invalid_arguments', { reason: 'amount and contracts differ' });
  const value = amount ?? counted;
  if (value === null) throw new RpcError(-32602, 'Invalid params', { reason: 'value required', param: 'amount' });
  if (value < contract.lot) throw new RpcError(10002, 'qty_too_low');
  if (value % contract.lot !== 0n) throw new RpcError(10021, 'invalid_amount');
  return value;
}

/** Checks a limit price: present, above zero, on tick. Throws RpcError. */
export function checkPrice(contract: Contract, price: Dec | null): Dec {
  if (price === null || price <= 0n) throw new RpcError(10023, 'invalid_price');
  if (price % tickAt(contract, price) !== 0n) throw new RpcError(10043, 'price_wrong_tick');
  return price;
}

/** Deribit's fee schedule before 2026-08: of the value; options of the underlying, at most 12.5 % of the price. Exact, not yet booked. */
export function feeOf(contract: Contract, amount: Dec, price: Dec, index: Dec, liquidity: 'M' | 'T'): Dec {
  const rate = liquidity === 'M' ? contract.maker : contract.taker;
  if (contract.kind !== 'option') return mul(worth(contract, amount, price), rate);
  const perContract = contract.inverse ? rate : mul(rate, index);
  const cap = mul(price, CAP);
  return mul(amount, perContract < cap ? perContract : cap);
}
