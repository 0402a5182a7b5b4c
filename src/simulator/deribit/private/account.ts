// Balances, positions and the transaction log of the account. Formulas: Deribit's "Inverse perpetual" page and the rows of
// get_account_summary and get_transaction_log. Between settlements fills of futures change the balance by fees alone; an option's
// premium moves at once; at 08:00 UTC the session's profit moves to the balance.
import type { Contract } from './contract.ts';
import { abs, booked, div, max, min, mul, ONE, ratio, type Dec } from './money.ts';
import type { Side } from './orders.ts';
import { accrue, book, flat, sessionUnrealised, type Position } from './position.ts';

export interface LogRow {
  readonly id: number;
  readonly timestampMs: number;
  readonly type: 'trade' | 'deposit' | 'settlement' | 'delivery' | 'correction';
  readonly currency: string;
  readonly contract: Contract | null;
  /** `open buy`, `close sell`, `long`, `short` or `-`. */
  readonly side: string;
  readonly amount: Dec;
  /** Position after the row. */
  readonly position: Dec;
  readonly price: Dec;
  /** null where there is no fee. */
  readonly commission: Dec | null;
  readonly cashflow: Dec;
  readonly change: Dec;
  readonly balance: Dec;
  readonly sessionRealised: Dec;
  readonly sessionUnrealised: Dec;
  /** Funding of the session, in settlements. */
  readonly funding: Dec;
  readonly tradeId: string | null;
  readonly orderId: string | null;
  readonly role: 'maker' | 'taker' | null;
}

/** One execution as the books need it. */
export interface Execution {
  readonly contract: Contract;
  readonly side: Side;
  readonly price: Dec;
  readonly amount: Dec;
  /** Booked; negative is a rebate. */
  readonly fee: Dec;
  readonly liquidity: 'M' | 'T';
  readonly tradeId: string;
  readonly orderId: string;
}

const DELIVERY_FEE = ONE / 4_000n;
const OPTION_DELIVERY_FEE = (ONE * 15n) / 100_000n;

export class Account {
  readonly #balances = new Map<string, Dec>();
  readonly #positions = new Map<string, Position>();
  /** Oldest first. */
  readonly log: LogRow[] = [];

  constructor(deposits: Readonly<Record<string, Dec>>, nowMs: number) {
    for (const [currency, amount] of Object.entries(deposits)) this.deposit(currency, amount, nowMs);
  }

  get currencies(): string[] {
    return [...this.#balances.keys()];
  }

  balance(currency: string): Dec {
    return this.#balances.get(currency) ?? 0n;
  }

  position(contract: Contract): Position {
    return this.#positions.get(contract.symbol) ?? flat(contract);
  }

  /** Positions of this session, those that are closed by now included. */
  positions(currency?: string): Position[] {
    return [...this.#positions.values()].filter(({ contract }) => currency === undefined || contract.currency === currency);
  }

  deposit(currency: string, amount: Dec, nowMs: number): void {
    this.#change(currency, amount);
    this.#row({ timestampMs: nowMs, type: 'deposit', currency, amount, cashflow: amount, change: amount });
  }

  /** Books an execution; returns the P&L of what it closed (null when it closed nothing). A crossing of zero makes two rows. */
  execute(execution: Execution, nowMs: number): Dec | null {
    const { contract, side, price, amount, fee } = execution;
    if (contract.kind === 'spot') return this.#spot(execution, nowMs);
    const { position, closed, opened, profit, sessionProfit } = book(this.position(contract), side === 'buy' ? amount : -amount, price);
    this.#positions.set(contract.symbol, position);
    const premium = (part: Dec): Dec => (contract.kind === 'option' ? booked(mul(side === 'buy' ? -part : part, price)) : 0n);
    const closingFee = opened === 0n ? fee : closed === 0n ? 0n : booked(ratio(fee, closed, amount));
    const common = {
      timestampMs: nowMs, type: 'trade', currency: contract.currency, contract, price, tradeId: execution.tradeId, orderId: execution.orderId,
      role: execution.liquidity === 'M' ? 'maker' : 'taker',
    } as const;
    const closingPremium = opened === 0n ? premium(amount) : premium(closed);
    for (const part of [
      { verb: 'close', size: closed, cash: closingPremium, commission: closingFee, gain: sessionProfit, after: opened === 0n ? position.amount : 0n },
      { verb: 'open', size: opened, cash: premium(amount) - closingPremium, commission: fee - closingFee, gain: 0n, after: position.amount },
    ]) {
      if (part.size === 0n) continue;
      const change = part.cash - part.commission;
      this.#change(contract.currency, change);
      this.#row({
        ...common, side: `${part.verb} ${side}`, amount: part.size, position: part.after, commission: part.commission,
        cashflow: contract.kind === 'option' ? part.cash : part.gain, change, sessionRealised: part.gain,
      });
    }
    return closed === 0n ? null : profit;
  }

  /** Books the interest of a perpetual into its session. */
  accrue(contract: Contract, interest: Dec, index: Dec): void {
    const position = this.#positions.get(contract.symbol);
    if (position !== undefined && position.amount !== 0n) this.#positions.set(contract.symbol, accrue(position, interest, index));
  }

  /** 08:00 UTC: moves the session's P&L of futures to the balance; the next session starts at these marks. */
  settle(nowMs: number, mark: (contract: Contract) => Dec): void {
    for (const position of this.#positions.values()) {
      const { contract, amount } = position;
      if (contract.kind === 'option') {
        if (amount === 0n) this.#positions.delete(contract.symbol);
        continue;
      }
      const price = mark(contract);
      const upl = booked(sessionUnrealised(position, price));
      this.#settleRow(position, 'settlement', price, upl, 0n, nowMs);
      if (amount === 0n) this.#positions.delete(contract.symbol);
      else {
        const sessionCost = contract.reciprocal ? div(amount, price) : mul(amount, price);
        this.#positions.set(contract.symbol, { ...position, sessionCost, sessionRealised: 0n, sessionFunding: 0n, settledAt: price });
      }
    }
  }

  /** Expiry at the delivery price (an index price): futures settle for good, options pay what they are worth. */
  deliver(contract: Contract, index: Dec, nowMs: number): void {
    const position = this.#positions.get(contract.symbol);
    if (position === undefined) return;
    this.#positions.delete(contract.symbol);
    const size = abs(position.amount);
    if (contract.kind === 'option') {
      const intrinsic = max(0n, contract.optionType === 'call' ? index - contract.strike : contract.strike - index);
      const value = contract.inverse ? div(intrinsic, index) : intrinsic;
      const fee = booked(mul(size, min(contract.inverse ? OPTION_DELIVERY_FEE : mul(OPTION_DELIVERY_FEE, index), value / 8n)));
      this.#settleRow({ ...position, sessionRealised: 0n }, 'delivery', index, booked(mul(position.amount, value)), fee, nowMs);
      return;
    }
    const worth = contract.reciprocal ? div(size, index) : mul(size, index);
    this.#settleRow(position, 'delivery', index, booked(sessionUnrealised(position, index)), booked(mul(worth, DELIVERY_FEE)), nowMs);
  }

  /** A change of the position that no order and no trade explains, at `price`, as an operator of the exchange makes it. */
  correct(contract: Contract, signed: Dec, price: Dec, nowMs: number): void {
    const { position, sessionProfit } = book(this.position(contract), signed, price);
    this.#positions.set(contract.symbol, position);
    this.#row({
      timestampMs: nowMs, type: 'correction', currency: contract.currency, contract, amount: abs(signed), price, position: position.amount,
      sessionRealised: sessionProfit,
    });
  }

  #spot({ contract, side, price, amount, fee, ...rest }: Execution, nowMs: number): null {
    const sign = side === 'buy' ? 1n : -1n;
    const moves = [[contract.base, sign * amount, 0n], [contract.quote, -sign * booked(mul(amount, price)), fee]] as const;
    for (const [currency, cash, commission] of moves) {
      this.#change(currency, cash - commission);
      this.#row({
        timestampMs: nowMs, type: 'trade', currency, contract, side, amount, price, commission, cashflow: cash, change: cash - commission,
        tradeId: rest.tradeId, orderId: rest.orderId, role: rest.liquidity === 'M' ? 'maker' : 'taker',
      });
    }
    return null;
  }

  #settleRow(position: Position, type: 'settlement' | 'delivery', price: Dec, upl: Dec, fee: Dec, nowMs: number): void {
    const { contract, amount, sessionRealised } = position;
    const change = upl + sessionRealised - fee;
    this.#change(contract.currency, change);
    this.#row({
      timestampMs: nowMs, type, currency: contract.currency, contract, side: amount === 0n ? '-' : amount > 0n ? 'long' : 'short', amount: abs(amount),
      position: type === 'delivery' ? 0n : amount, price, commission: fee, cashflow: upl + sessionRealised, change, sessionRealised,
      sessionUnrealised: upl, funding: position.sessionFunding,
    });
  }

  #change(currency: string, change: Dec): void {
    this.#balances.set(currency, this.balance(currency) + change);
  }

  #row(row: Partial<LogRow> & Pick<LogRow, 'timestampMs' | 'type' | 'currency'>): void {
    this.log.push({
      contract: null, side: '-', amount: 0n, position: 0n, price: 0n, commission: null, cashflow: 0n, change: 0n, sessionRealised: 0n,
      sessionUnrealised: 0n, funding: 0n, tradeId: null, orderId: null, role: null, ...row, id: this.log.length + 1, balance: this.balance(row.currency),
    });
  }
}
