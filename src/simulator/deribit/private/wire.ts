// What the private side says, as JSON text: exact decimals become numbers as Deribit writes them, everything is ASCII.
import type { LogRow } from './account.ts';
import type { Fill } from './commands.ts';
import { contractsOf, worth } from './contract.ts';
import { floatText } from '../numbers.ts';
import { abs, booked, decText, div, mul, type Dec } from './money.ts';
import { orderAverage, type Order } from './orders.ts';
import { averagePrice, sessionUnrealised, unrealised, type Position } from './position.ts';
import type { MarketSource } from './source.ts';
import type { Summary } from './summary.ts';

/** The account's number. */
export const USER_ID = 1001;

export type Wire = string | number | boolean | bigint | null | readonly Wire[] | { readonly [key: string]: Wire | undefined };

const NOT_ASCII = /[^\x00-\x7f]/g;

/** JSON text; a bigint is an exact decimal, a number an integer. Members that are undefined are left out. */
export function wire(value: Wire): string {
  if (typeof value === 'bigint') return floatText(decText(value));
  if (typeof value === 'string') return JSON.stringify(value).replace(NOT_ASCII, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${(value as readonly Wire[]).map(wire).join(',')}]`;
  const members = Object.entries(value).flatMap(([key, member]) => (member === undefined ? [] : [`${JSON.stringify(key)}:${wire(member)}`]));
  return `{${members.join(',')}}`;
}

export function orderWire(order: Order): Wire {
  const { contract } = order;
  return {
    order_id: order.id, order_state: order.status, order_type: order.type, time_in_force: order.timeInForce, instrument_name: contract.symbol,
    direction: order.side, price: order.price ?? 'market_price', amount: order.amount, filled_amount: order.filled, average_price: booked(orderAverage(order)),
    contracts: contractsOf(contract, order.amount), label: order.label, post_only: order.postOnly,
    reject_post_only: order.postOnly ? order.rejectPostOnly : undefined, reduce_only: order.reduceOnly, api: order.api, web: !order.api, mobile: false,
    is_liquidation: false, is_rebalance: contract.kind === 'spot' ? false : undefined, mmp: false, risk_reducing: order.reduceOnly, replaced: order.replaced,
    creation_timestamp: order.createdMs, last_update_timestamp: order.updatedMs, cancel_reason: order.cancelReason ?? undefined, user_id: USER_ID,
  };
}

export function fillWire(fill: Fill): Wire {
  const { contract, order } = fill;
  return {
    trade_id: fill.tradeId, trade_seq: fill.tradeSeq, instrument_name: contract.symbol, timestamp: fill.timestampMs, direction: fill.side,
    tick_direction: fill.tickDirection, price: fill.price, amount: fill.amount, contracts: contractsOf(contract, fill.amount), mark_price: fill.mark,
    index_price: fill.index, underlying_price: contract.kind === 'option' ? fill.index : undefined, order_id: order.id, order_type: order.type,
    state: order.status, liquidity: fill.liquidity, fee: fill.fee, fee_currency: contract.currency, label: order.label === '' ? undefined : order.label,
    profit_loss: fill.profit, matching_id: null, api: order.api, mmp: false, risk_reducing: order.reduceOnly, reduce_only: order.reduceOnly,
    post_only: order.postOnly, self_trade: false, user_id: USER_ID,
  };
}

export function positionWire(position: Position, markets: MarketSource): Wire {
  const { contract, amount } = position;
  const mark = markets.mark(contract.symbol);
  const option = contract.kind === 'option';
  const floating = booked(option ? unrealised(position, mark) : sessionUnrealised(position, mark));
  const margin = option ? 0n : booked(worth(contract, abs(amount), mark));
  return {
    instrument_name: contract.symbol, kind: contract.wireKind, direction: amount === 0n ? 'zero' : amount > 0n ? 'buy' : 'sell', size: amount,
    size_currency: option ? undefined : contract.reciprocal ? booked(div(amount, mark)) : amount, average_price: booked(averagePrice(position)),
    average_price_usd: option && contract.inverse ? booked(mul(averagePrice(position), markets.index(contract.symbol))) : undefined,
    mark_price: mark, index_price: markets.index(contract.symbol), settlement_price: position.settledAt, floating_profit_loss: floating,
    realized_profit_loss: option ? position.realised : position.sessionRealised, total_profit_loss: booked(unrealised(position, mark)),
    realized_funding: option ? undefined : position.sessionFunding, interest_value: option ? undefined : 0n,
    delta: contract.reciprocal ? booked(div(amount, mark)) : amount, initial_margin: booked(margin / 50n), maintenance_margin: booked(margin / 100n),
    open_orders_margin: 0n, leverage: option ? undefined : 50, estimated_liquidation_price: option ? undefined : null,
  };
}

const LIMITS: Wire = {
  non_matching_engine: { burst: 100, rate: 20 }, limits_per_currency: false,
  matching_engine: { trading: { total: { burst: 20, rate: 5 } }, spot: { burst: 20, rate: 5 }, cancel_all: { burst: 20, rate: 5 } },
};

/** Members of get_account_summary; `extended` adds ids, limits and the like. */
export function summaryWire(currency: string, s: Summary, extended: boolean): Wire {
  const free = s.balance - s.initialMargin - s.spotReserve;
  return {
    currency, balance: s.balance, equity: s.equity, margin_balance: s.marginBalance, available_funds: s.availableFunds,
    available_withdrawal_funds: free > 0n ? free : 0n, initial_margin: s.initialMargin, maintenance_margin: s.maintenanceMargin,
    projected_initial_margin: s.initialMargin, projected_maintenance_margin: s.maintenanceMargin, session_upl: s.futuresSessionUpl,
    session_rpl: s.futuresSessionRpl, futures_session_upl: s.futuresSessionUpl, futures_session_rpl: s.futuresSessionRpl, options_session_upl: 0n,
    options_session_rpl: 0n, futures_pl: s.futuresPl, options_pl: s.optionsPl, total_pl: s.futuresPl + s.optionsPl, options_value: s.optionsValue,
    options_delta: 0n, options_gamma: 0n, options_theta: 0n, options_vega: 0n, delta_total: s.deltaTotal, projected_delta_total: s.deltaTotal,
    spot_reserve: s.spotReserve, additional_reserve: 0n, fee_balance: 0n, margin_model: 'segregated_sm', cross_collateral_enabled: false,
    portfolio_margining_enabled: false, limits: LIMITS,
    ...(extended ? { id: USER_ID, username: 'sim', email: 'sim@example.com', type: 'main', system_name: 'sim', fees: [], mmp_enabled: false } : {}),
  };
}

export function logWire(row: LogRow, equity: Dec): Wire {
  const { contract } = row;
  return {
    id: row.id, user_seq: row.id, user_id: USER_ID, username: 'sim', currency: row.currency, timestamp: row.timestampMs, type: row.type,
    instrument_name: contract?.symbol, side: row.side, amount: row.amount, contracts: contract === null ? undefined : contractsOf(contract, row.amount),
    position: contract === null ? undefined : row.position, price: contract === null ? undefined : row.price,
    price_currency: contract === null ? undefined : contract.reciprocal ? 'USD' : contract.quote, trade_id: row.tradeId ?? undefined,
    order_id: row.orderId ?? undefined, user_role: row.role ?? undefined, fee_role: row.role ?? undefined, commission: row.commission,
    cashflow: row.cashflow, change: row.change, balance: row.balance, equity, profit_as_cashflow: false, interest_pl: row.funding,
    total_interest_pl: row.funding, session_rpl: row.sessionRealised, session_upl: row.sessionUnrealised, info: {},
  };
}
