// The books of one position. `cost` is what the open amount cost since entry, `sessionCost` the same from the last settlement price
// on: at 08:00 UTC the session's profit moves to the balance and the session starts anew at the settlement price.
import { worth, type Contract } from './contract.ts';
import { abs, booked, div, mul, ratio, type Dec } from './money.ts';

export interface Position {
  readonly contract: Contract;
  /** Signed: long above zero. USD of reciprocal contracts, else base coin. */
  readonly amount: Dec;
  /** Signed worth of the open amount at its entry prices, in the settlement currency. */
  readonly cost: Dec;
  readonly sessionCost: Dec;
  /** Booked P&L of this session, funding counted, fees not. */
  readonly sessionRealised: Dec;
  /** Booked funding of this session; paid is negative. */
  readonly sessionFunding: Dec;
  /** Booked P&L since entry prices, over all sessions. */
  readonly realised: Dec;
  /** Price of the last settlement that saw this position; 0: none. */
  readonly settledAt: Dec;
}

export interface Booked {
  readonly position: Position;
  /** The part of the fill that reduced the position, unsigned. */
  readonly closed: Dec;
  /** The part that opened or added, unsigned. */
  readonly opened: Dec;
  /** P&L of the closed part against entry, booked. */
  readonly profit: Dec;
  /** The same against this session's basis. */
  readonly sessionProfit: Dec;
}

export const flat = (contract: Contract): Position => ({
  contract, amount: 0n, cost: 0n, sessionCost: 0n, sessionRealised: 0n, sessionFunding: 0n, realised: 0n, settledAt: 0n,
});

/** Books a fill of `signed` (bought above zero) at `price`. */
export function book(position: Position, signed: Dec, price: Dec): Booked {
  const { contract, amount } = position;
  const reduces = amount !== 0n && amount < 0n !== signed < 0n;
  const closed = !reduces ? 0n : abs(signed) < abs(amount) ? abs(signed) : abs(amount);
  const opened = abs(signed) - closed;
  let next = position;
  let profit = 0n;
  let sessionProfit = 0n;
  if (closed > 0n) {
    const part = amount < 0n ? -closed : closed;
    const cost = ratio(position.cost, part, amount);
    const sessionCost = ratio(position.sessionCost, part, amount);
    const exit = worth(contract, part, price);
    profit = booked(gain(contract, cost, exit));
    sessionProfit = booked(gain(contract, sessionCost, exit));
    next = {
      ...next, amount: amount - part, cost: position.cost - cost, sessionCost: position.sessionCost - sessionCost,
      sessionRealised: position.sessionRealised + sessionProfit, realised: position.realised + profit,
    };
  }
  if (opened > 0n) {
    const part = signed < 0n ? -opened : opened;
    const value = worth(contract, part, price);
    next = { ...next, amount: next.amount + part, cost: next.cost + value, sessionCost: next.sessionCost + value };
  }
  return { position: next, closed, opened, profit, sessionProfit };
}

/** Books the interest of a perpetual, a fraction of its worth at the index: longs pay it, shorts get it. */
export function accrue(position: Position, interest: Dec, index: Dec): Position {
  const paid = booked(mul(worth(position.contract, position.amount, index), interest));
  return { ...position, sessionRealised: position.sessionRealised - paid, sessionFunding: position.sessionFunding - paid };
}

/** The average entry price, zero when flat: harmonic for reciprocal contracts, so that total P&L is N × (1/average − 1/mark). */
export function averagePrice({ contract, amount, cost }: Position): Dec {
  if (amount === 0n) return 0n;
  return contract.reciprocal ? div(amount, cost) : div(cost, amount);
}

/** P&L of the open amount at `mark` since entry; not booked. */
export const unrealised = ({ contract, amount, cost }: Position, mark: Dec): Dec => gain(contract, cost, worth(contract, amount, mark));

/** P&L of the open amount at `mark` since the last settlement (or entry in this session); not booked. */
export const sessionUnrealised = ({ contract, amount, sessionCost }: Position, mark: Dec): Dec =>
  gain(contract, sessionCost, worth(contract, amount, mark));

/** Both are signed worths of the same amount: a long reciprocal contract gains when it is worth less coin. */
const gain = (contract: Contract, entry: Dec, exit: Dec): Dec => (contract.reciprocal ? entry - exit : exit - entry);
