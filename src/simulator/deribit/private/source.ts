// What the private side asks of the markets: books to take from, reference prices, and a tape that prints what was traded.
import type { Contract } from './contract.ts';
import type { Dec } from './money.ts';
import type { Side } from './orders.ts';

export interface Level {
  readonly price: Dec;
  readonly amount: Dec;
}

/** What the tape gave a trade. */
export interface Printed {
  readonly tradeId: string;
  readonly tradeSeq: number;
  readonly tickDirection: number;
}

export interface MarketSource {
  /** null when there is no such instrument. */
  contract(symbol: string): Contract | null;
  contracts(): Iterable<Contract>;
  /** Best prices; cheap. */
  best(symbol: string): { bid: Dec; ask: Dec };
  /** Levels that can be taken from, best first, and a number that grows whenever they change. */
  depth(symbol: string): { bids: readonly Level[]; asks: readonly Level[]; version: number };
  mark(symbol: string): Dec;
  index(symbol: string): Dec;
  /** Orders beyond are refused: buys above max, sells below min. */
  band(symbol: string): { min: Dec; max: Dec };
  /** Interest that a long perpetual pays between two times, as a fraction of its worth; absent: none. */
  interest?(symbol: string, fromMs: number, untilMs: number): Dec;
  /** Prints a trade of ours on the public tape. */
  print(symbol: string, trade: { price: Dec; amount: Dec; takerSide: Side; nowMs: number }): Printed;
}
