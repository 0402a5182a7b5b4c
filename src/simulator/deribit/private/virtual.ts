// The private side in virtual time: seeded markets and an engine on them, without sockets, timers or files. Equal seeds and equal
// calls give equal states; a run of minutes takes milliseconds.
//
//   const world = new VirtualWorld({ seed: 7, startMs, symbols: ['BTC-PERPETUAL'] });
//   world.engine.execute(world.nowMs, { do: 'place', … });
//   for (const change of world.pass(250)) …        // 250 ms later: what others traded, and what that did to our orders
import { Market } from '../../market.ts';
import { deribitSpecs } from '../catalogue.ts';
import { namesOf } from '../frames.ts';
import { BookMarkets, printsOf } from './book_markets.ts';
import type { Change } from './commands.ts';
import { MatchingEngine, type EngineOptions } from './matching.ts';
import { dec, type Dec } from './money.ts';

export interface VirtualOptions extends Partial<Omit<EngineOptions, 'startMs'>> {
  readonly seed: number;
  readonly startMs: number;
  /** Markets that exist; all of the catalogue when absent. */
  readonly symbols?: readonly string[];
  /** Public trades per second and market; 20 when absent. */
  readonly rate?: number;
}

/** What an account begins with. */
export const DEPOSITS: Readonly<Record<string, Dec>> = {
  BTC: dec('10'), ETH: dec('200'), USDC: dec('1000000'), SOL: dec('0'), XRP: dec('0'),
};

export class VirtualWorld {
  readonly markets = new Map<string, Market>();
  readonly source: BookMarkets;
  readonly engine: MatchingEngine;
  nowMs: number;
  readonly #rate: number;

  constructor(options: VirtualOptions) {
    this.nowMs = options.startMs;
    this.#rate = options.rate ?? 20;
    for (const spec of deribitSpecs(options.startMs)) {
      if (options.symbols !== undefined && !options.symbols.includes(spec.symbol)) continue;
      const market = new Market(spec, { seed: options.seed, keep: 1_000, startMs: options.startMs, liquidations: false });
      market.generate(1, (options.startMs - 1_000) * 1000, options.startMs * 1000);
      this.markets.set(spec.symbol, market);
    }
    const names = new Map([...this.markets.values()].map((market, i) => [market, namesOf(market, i)]));
    this.source = new BookMarkets({ markets: this.markets, names });
    this.engine = new MatchingEngine(this.source, { deposits: DEPOSITS, ...options });
  }

  /** Moves time on by `ms`: others trade, resting orders fill, the day may end. */
  pass(ms: number): Change[] {
    const from = this.nowMs;
    this.nowMs += ms;
    const changes: Change[] = [];
    for (const market of this.markets.values()) {
      market.due += (this.#rate * ms) / 1000;
      const first = market.history.last + 1;
      if (market.due >= 1) market.due -= market.generate(Math.floor(market.due), from * 1000, this.nowMs * 1000);
      changes.push(...printsOf(market, first, market.history.last, this.nowMs, this.engine));
    }
    changes.push(...this.engine.advance(this.nowMs));
    return changes;
  }
}
