// From a made trade to the truth and to the subscribers: the ledger's line, and what the faults in force do to it.
import type { Connection } from './connection.ts';
import { garbage } from './garbage.ts';
import type { Market } from './market.ts';
import type { World } from './world.ts';

/** One line of the ledger for one trade (or one run, where the venue's stream is aggregated). */
export function tradeLine(
  market: Market, tradeId: string, seq: number, seqLast: number, price: string, amount: string,
  isSell: boolean, tsUs: number, sent: boolean, why: string | null,
): string {
  return (
    `{"k":"trade","market_id":"${market.spec.marketId}","symbol":"${market.spec.symbol}","trade_id":"${tradeId}","seq":${seq}` +
    `,"seq_last":${seqLast},"price":"${price}","amount":"${amount}","side":"${isSell ? 'sell' : 'buy'}","ts":${tsUs}` +
    `,"sent":${sent}${why === null ? '' : `,"why":"${why}"`}}`
  );
}

/** Why a trade that has subscribers is kept from them, or null. A gap fault is used up by it. */
export function withheld(world: World, market: Market): string | null {
  const { marketId, symbol } = market.spec;
  if (world.faults.find('silence', marketId, symbol, 'trade') !== null) return 'silence';
  if (world.faults.strike('gap', marketId, symbol, 'trade') !== null) return 'gap';
  return null;
}

/** What a delivery can be turned into. */
export interface Delivery {
  /** Queues the trade's frame (or its part of a batch). */
  send: () => void;
  /** Queues the same id with another price; returns that price. */
  twin: () => string;
  /** Who would read garbage in this place. */
  readers: () => Iterable<Connection>;
  tradeId: string;
}

/** Delivers trades under the faults in force: twice, late, contradicted, or with garbage between. */
export class Mischief {
  readonly #world: World;
  readonly #held = new Map<Market, (() => void)[]>();

  constructor(world: World) {
    this.#world = world;
  }

  deliver(market: Market, delivery: Delivery): void {
    const { faults, ledger } = this.#world;
    const { marketId, symbol } = market.spec;
    const spoilt = faults.strike('garbage', marketId, symbol);
    if (spoilt !== null) this.#spit(market, delivery, spoilt.mode ?? null);
    const late = faults.strike('reorder', marketId, symbol);
    if (late !== null) this.#hold(market, delivery.send, late.factor ?? 5);
    else delivery.send();
    if (faults.strike('duplicate', marketId, symbol) !== null) delivery.send();
    if (faults.strike('conflict', marketId, symbol) !== null) {
      ledger.note({ k: 'conflict', market_id: marketId, symbol, trade_id: delivery.tradeId, price: delivery.twin() });
    }
  }

  /** Lets go of what a reorder fault holds and no longer may. */
  settle(): void {
    for (const [market, held] of this.#held) {
      if (this.#world.faults.find('reorder', market.spec.marketId, market.spec.symbol) === null) this.#release(market, held);
    }
  }

  #hold(market: Market, send: () => void, window: number): void {
    const held = this.#held.get(market) ?? [];
    held.push(send);
    this.#held.set(market, held);
    if (held.length >= window) this.#release(market, held);
  }

  /** Newest first is as wrong as an order can be. */
  #release(market: Market, held: (() => void)[]): void {
    this.#held.delete(market);
    for (const send of held.reverse()) send();
  }

  #spit(market: Market, delivery: Delivery, flavour: string | null): void {
    for (const reader of delivery.readers()) {
      const { mode, firstByte, payload } = garbage(flavour, this.#world.random);
      reader.pushRaw(firstByte, payload);
      this.#world.ledger.note({ k: 'poison', market_id: market.spec.marketId, conn: reader.id, mode, bytes: payload.length });
    }
  }
}
