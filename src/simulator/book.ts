// A small synthetic order book around a market's quote, kept as a map of levels so that deltas and snapshots agree.
import { hashPair } from './prng.ts';
import type { Market } from './market.ts';

export type Levels = ReadonlyMap<number, number>;

const DEPTH = 25;

export interface BookDelta {
  /** Price and new lots (0: gone, and what it was before: 0 = new), best first. */
  bids: { price: number; lots: number; before: number }[];
  asks: { price: number; lots: number; before: number }[];
}

export class Book {
  readonly #market: Market;
  bids: Map<number, number> = new Map();
  asks: Map<number, number> = new Map();
  /** Number of the last update; each changed level counts one. */
  updateId: number;
  #epoch = 0;
  #version = -1;

  constructor(market: Market) {
    this.#market = market;
    this.updateId = market.history.first * 10;
    this.refresh();
  }

  /** Moves the book to the current quote; false when nothing changed. */
  refresh(): boolean {
    const market = this.#market;
    if (market.version === this.#version) return false;
    this.#version = market.version;
    this.#epoch++;
    const bids = this.#side(market.bid, -market.spec.tick, market.bidLots);
    const asks = this.#side(market.ask, market.spec.tick, market.askLots);
    const changes = diff(this.bids, bids).length + diff(this.asks, asks).length;
    this.bids = bids;
    this.asks = asks;
    this.updateId += changes;
    return changes > 0;
  }

  /** What turned the older levels into the present ones. */
  since(bids: Levels, asks: Levels): BookDelta {
    return {
      bids: diff(bids, this.bids).sort((a, b) => b.price - a.price),
      asks: diff(asks, this.asks).sort((a, b) => a.price - b.price),
    };
  }

  #side(best: number, step: number, bestLots: number): Map<number, number> {
    const levels = new Map([[best, bestLots]]);
    const { seed, spec } = this.#market;
    for (let i = 1; levels.size < DEPTH && i < 200; i++) {
      const price = best + step * i;
      if (price <= 0 && spec.kind !== 'combo') break;
      const h = hashPair(seed, price);
      if (i > 2 && (h & 3) === 0) continue;
      // An order rests at a price for a while: its size changes only now and then.
      const lots = spec.typicalLots * (1 + (hashPair(h, (this.#epoch + (h & 15)) >> 4) & 127));
      levels.set(price, lots);
    }
    return levels;
  }
}

function diff(before: Levels, after: Levels): { price: number; lots: number; before: number }[] {
  const changes: { price: number; lots: number; before: number }[] = [];
  for (const [price, lots] of after) {
    const old = before.get(price) ?? 0;
    if (old !== lots) changes.push({ price, lots, before: old });
  }
  for (const [price, lots] of before) if (!after.has(price)) changes.push({ price, lots: 0, before: lots });
  return changes;
}
