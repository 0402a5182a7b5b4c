// What an order finds on the other side of the market.
import type { Contract } from './contract.ts';
import { abs, min, type Dec } from './money.ts';
import type { Order, Side } from './orders.ts';
import type { Position } from './position.ts';
import type { Level, MarketSource } from './source.ts';

const DAY = 86_400_000;
/** Settlement, expiry and the end of good-til-day orders. */
const DAY_END = 8 * 3_600_000;

/** The next 08:00 UTC after `nowMs`. */
export const dayEnd = (nowMs: number): number => Math.floor((nowMs - DAY_END) / DAY) * DAY + DAY + DAY_END;

/** Would the order trade with somebody at `price`? */
export const crosses = ({ side, price }: Order, other: Dec): boolean => price !== null && (side === 'buy' ? price >= other : price <= other);

/** How much of a position an order on `side` can reduce. */
export const reducible = ({ amount }: Position, side: Side): Dec => (amount !== 0n && amount < 0n === (side === 'buy') ? abs(amount) : 0n);

export class Liquidity {
  readonly #markets: MarketSource;
  /** What was taken from each side since its levels last changed. */
  readonly #taken = new Map<string, { version: number; buy: Dec; sell: Dec }>();

  constructor(markets: MarketSource) {
    this.#markets = markets;
  }

  /** Levels that a taker on `side` finds up to `limit` (null: all), at most `amount` of them together. */
  upTo({ symbol }: Contract, side: Side, limit: Dec | null, amount: Dec): Level[] {
    const { bids, asks, version } = this.#markets.depth(symbol);
    const taken = this.#taken.get(symbol);
    let gone = taken?.version === version ? taken[side] : 0n;
    let left = amount;
    const found: Level[] = [];
    for (const level of side === 'buy' ? asks : bids) {
      if (left === 0n || (limit !== null && (side === 'buy' ? level.price > limit : level.price < limit))) break;
      const there = level.amount - min(level.amount, gone);
      gone -= level.amount - there;
      if (there === 0n) continue;
      const size = min(there, left);
      found.push({ price: level.price, amount: size });
      left -= size;
    }
    return found;
  }

  /** Notes that a taker on `side` took `amount` from the best levels. */
  take({ symbol }: Contract, side: Side, amount: Dec): void {
    const { version } = this.#markets.depth(symbol);
    const taken = this.#taken.get(symbol);
    const now = taken?.version === version ? taken : { version, buy: 0n, sell: 0n };
    now[side] += amount;
    this.#taken.set(symbol, now);
  }
}
