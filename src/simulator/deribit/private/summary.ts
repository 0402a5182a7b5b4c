// Margin and equity of one currency (model segregated_sm). Deribit: equity = balance + session P&L of futures + options' value;
// margin_balance = equity - options' value; available_funds = margin_balance - initial_margin.
import type { Account } from './account.ts';
import { worth, type Contract } from './contract.ts';
import { abs, booked, max, mul, ONE, type Dec } from './money.ts';
import type { Order, OrderBook } from './orders.ts';
import { sessionUnrealised, unrealised } from './position.ts';
import type { MarketSource } from './source.ts';

/** Fifty times leverage; the increase with size is left out. */
const FUTURES_INITIAL = ONE / 50n;
const FUTURES_MAINTENANCE = ONE / 100n;
/** Short options, of one unit of the underlying. */
const OPTION_INITIAL = (ONE * 15n) / 100n;
const OPTION_MAINTENANCE = (ONE * 75n) / 1000n;

export interface Summary {
  readonly balance: Dec;
  readonly equity: Dec;
  readonly marginBalance: Dec;
  readonly availableFunds: Dec;
  readonly initialMargin: Dec;
  readonly maintenanceMargin: Dec;
  readonly spotReserve: Dec;
  readonly futuresSessionUpl: Dec;
  readonly futuresSessionRpl: Dec;
  readonly futuresPl: Dec;
  readonly optionsPl: Dec;
  readonly optionsValue: Dec;
  readonly deltaTotal: Dec;
}

export interface Books {
  readonly account: Account;
  readonly orders: OrderBook;
  readonly markets: MarketSource;
}

/** The account's figures in `currency` at the present marks; `extra` is an order that is not placed yet, or not edited. */
export function summaryOf({ account, orders, markets }: Books, currency: string, extra: Order | null = null): Summary {
  let [upl, rpl, futuresPl, optionsPl, optionsValue, initial, maintenance, delta] = [0n, 0n, 0n, 0n, 0n, 0n, 0n, 0n];
  const open = [...orders.open().filter((order) => order.id !== extra?.id), ...(extra === null ? [] : [extra])];
  for (const position of account.positions(currency)) {
    const mark = markets.mark(position.contract.symbol);
    if (position.contract.kind === 'option') {
      optionsValue += booked(mul(position.amount, mark));
      optionsPl += booked(unrealised(position, mark)) + position.realised;
      maintenance += shortMargin(position.contract, max(0n, -position.amount), mark, markets, OPTION_MAINTENANCE);
      continue;
    }
    upl += booked(sessionUnrealised(position, mark));
    rpl += position.sessionRealised;
    futuresPl += booked(unrealised(position, mark)) + position.realised;
    maintenance += mul(worth(position.contract, abs(position.amount), mark), FUTURES_MAINTENANCE);
    delta += position.contract.reciprocal ? worth(position.contract, position.amount, mark) : position.amount;
  }
  const touched = new Map<string, Contract>();
  for (const { contract } of [...account.positions(currency), ...open]) if (contract.currency === currency) touched.set(contract.symbol, contract);
  for (const contract of touched.values()) {
    if (contract.kind === 'spot') continue;
    const mine = open.filter((order) => order.contract.symbol === contract.symbol);
    initial += initialOf(contract, account.position(contract).amount, mine, markets);
  }
  const spotReserve = open.reduce((sum, order) => sum + reserveOf(order, currency, markets), 0n);
  const balance = account.balance(currency);
  const marginBalance = balance + upl + rpl;
  const initialMargin = booked(initial);
  return {
    balance, equity: marginBalance + optionsValue, marginBalance, availableFunds: marginBalance - initialMargin - spotReserve, initialMargin,
    maintenanceMargin: booked(maintenance), spotReserve, futuresSessionUpl: upl, futuresSessionRpl: rpl, futuresPl, optionsPl, optionsValue,
    deltaTotal: booked(delta),
  };
}

/** Margin of the worse of both sides' open orders being filled. Reduce-only orders add nothing. */
function initialOf(contract: Contract, amount: Dec, open: readonly Order[], markets: MarketSource): Dec {
  const rest = (side: 'buy' | 'sell'): Dec =>
    open.reduce((sum, order) => (order.side === side && !order.reduceOnly ? sum + order.amount - order.filled : sum), 0n);
  const mark = markets.mark(contract.symbol);
  if (contract.kind !== 'option') return mul(worth(contract, max(abs(amount + rest('buy')), abs(amount - rest('sell'))), mark), FUTURES_INITIAL);
  // Premiums of buys that open are set aside; what only buys back a short is not held against the account.
  const buys = amount < 0n ? [] : open.filter((order) => order.side === 'buy');
  const premium = buys.reduce((sum, order) => sum + mul(order.amount - order.filled, order.price ?? mark), 0n);
  return premium + shortMargin(contract, max(0n, rest('sell') - amount), mark, markets, OPTION_INITIAL);
}

function shortMargin(contract: Contract, short: Dec, mark: Dec, markets: MarketSource, share: Dec): Dec {
  return mul(short, mark + (contract.inverse ? share : mul(share, markets.index(contract.symbol))));
}

/** Spot orders set aside what they would pay. */
function reserveOf({ contract, side, amount, filled, price }: Order, currency: string, markets: MarketSource): Dec {
  if (contract.kind !== 'spot' || currency !== (side === 'buy' ? contract.quote : contract.base)) return 0n;
  return side === 'sell' ? amount - filled : booked(mul(amount - filled, price ?? markets.best(contract.symbol).ask));
}
