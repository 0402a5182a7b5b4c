// The generated markets as the private side sees them. Works on the venue's live markets and, without any socket, on markets that a
// test moves in virtual time.
import { Book } from '../../book.ts';
import type { Market } from '../../market.ts';
import { bandOf, bidless, indexText, markText, namesOf, tradeId, type MarketNames } from '../frames.ts';
import { interestBetween } from '../funding.ts';
import { contractOf, type Contract } from './contract.ts';
import { dec, scaled, unscaled, type Dec } from './money.ts';
import type { Change } from './commands.ts';
import type { MatchingEngine } from './matching.ts';
import type { Side } from './orders.ts';
import type { Level, MarketSource, Printed } from './source.ts';

/** A fraction of an interest that is a sum of floats: its noise is below. */
const INTEREST_DECIMALS = 15;

interface Depth {
  bids: readonly Level[];
  asks: readonly Level[];
  version: number;
}

export interface BookMarketsOptions {
  readonly markets: ReadonlyMap<string, Market>;
  /** As the venue numbers them: trade ids come from it. */
  readonly names?: ReadonlyMap<Market, MarketNames>;
  /** The venue's own book, so that its channels show what can be taken; a book of its own when absent. */
  readonly book?: (market: Market) => Book;
  /** Perpetuals pay and get the interest that the venue's funding history tells. */
  readonly funding?: boolean;
  /** The market's trade `seq` is ours and was just made: into the ledger and out to the subscribers. */
  readonly published?: (market: Market, seq: number) => void;
}

export class BookMarkets implements MarketSource {
  readonly #options: BookMarketsOptions;
  readonly #contracts = new Map<string, Contract>();
  readonly #books = new Map<string, Book>();
  readonly #depths = new Map<string, Depth>();
  /** How many versions of a market are our own prints: they leave the levels as they are. */
  readonly #own = new Map<string, number>();

  constructor(options: BookMarketsOptions) {
    this.#options = options;
  }

  contract(symbol: string): Contract | null {
    const known = this.#contracts.get(symbol);
    if (known !== undefined) return known;
    const market = this.#options.markets.get(symbol);
    if (market === undefined) return null;
    const contract = contractOf(market.spec);
    this.#contracts.set(symbol, contract);
    return contract;
  }

  *contracts(): Iterable<Contract> {
    for (const symbol of this.#options.markets.keys()) {
      const contract = this.contract(symbol);
      if (contract !== null) yield contract;
    }
  }

  best(symbol: string): { bid: Dec; ask: Dec } {
    const market = this.#market(symbol);
    const { priceDecimals } = market.spec;
    return { bid: bidless(market) ? 0n : scaled(market.bid, priceDecimals), ask: scaled(market.ask, priceDecimals) };
  }

  depth(symbol: string): Depth {
    const market = this.#market(symbol);
    const version = market.version - (this.#own.get(symbol) ?? 0);
    const known = this.#depths.get(symbol);
    if (known?.version === version) return known;
    const book = this.#options.book?.(market) ?? this.#books.get(symbol) ?? new Book(market);
    this.#books.set(symbol, book);
    book.refresh();
    const { priceDecimals, amountDecimals, lot } = market.spec;
    const levels = (side: ReadonlyMap<number, number>): Level[] =>
      [...side].map(([price, lots]) => ({ price: scaled(price, priceDecimals), amount: scaled(lots * lot, amountDecimals) }));
    const depth = { bids: bidless(market) ? [] : levels(book.bids), asks: levels(book.asks), version };
    this.#depths.set(symbol, depth);
    return depth;
  }

  mark(symbol: string): Dec {
    const market = this.#market(symbol);
    const text = markText(market, market.history.last, market.lastPrice);
    return dec(text);
  }

  index(symbol: string): Dec {
    const market = this.#market(symbol);
    return dec(indexText(market, market.history.last));
  }

  band(symbol: string): { min: Dec; max: Dec } {
    const market = this.#market(symbol);
    const { min, max } = bandOf(market);
    return { min: scaled(min, market.spec.priceDecimals), max: scaled(max, market.spec.priceDecimals) };
  }

  interest(symbol: string, fromMs: number, untilMs: number): Dec {
    return this.#options.funding === true ? dec(interestBetween(this.#market(symbol), fromMs, untilMs).toFixed(INTEREST_DECIMALS)) : 0n;
  }

  print(symbol: string, { price, amount, takerSide, nowMs }: { price: Dec; amount: Dec; takerSide: Side; nowMs: number }): Printed {
    const market = this.#market(symbol);
    const { history, spec } = market;
    const tsUs = Math.max(nowMs * 1000, history.size > 0 ? history.ts(history.last) : 0);
    const before = market.version;
    const seq = market.record(tsUs, unscaled(price, spec.priceDecimals), unscaled(amount, spec.amountDecimals) / spec.lot, takerSide === 'sell', 0);
    this.#own.set(symbol, (this.#own.get(symbol) ?? 0) + market.version - before);
    this.#options.published?.(market, seq);
    const names = this.#options.names?.get(market) ?? namesOf(market, 0);
    return { tradeId: tradeId(names, seq), tradeSeq: seq, tickDirection: (history.flags(seq) >> 1) & 3 };
  }

  #market(symbol: string): Market {
    const market = this.#options.markets.get(symbol);
    if (market === undefined) throw new RangeError(`${symbol}: no such market`);
    return market;
  }
}

/** Tells the engine of the market's trades `from`..`to`, which others made. */
export function printsOf(market: Market, from: number, to: number, nowMs: number, engine: MatchingEngine): Change[] {
  if (!engine.orders.anyOpen) return [];
  const { history: h, spec } = market;
  const changes: Change[] = [];
  for (let seq = from; seq <= to; seq++) {
    const price = scaled(h.price(seq), spec.priceDecimals);
    const amount = scaled(h.lots(seq) * spec.lot, spec.amountDecimals);
    changes.push(...engine.onPrint(nowMs, spec.symbol, price, amount, h.isSell(seq) ? 'sell' : 'buy'));
  }
  return changes;
}
