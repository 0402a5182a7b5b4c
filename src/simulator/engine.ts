// The heartbeat of the generated markets: shares the rate among them and makes their trades, tick by tick.
import type { Market } from './market.ts';
import type { Player } from './player.ts';
import type { Venue, World } from './world.ts';

/** Markets that nobody watches trade at this share of their weight: they must exist, not cost. */
const UNWATCHED = 0.05;
/** A tick that comes later than this makes up for no more. */
const LATEST_MS = 1_000;
const TICK_MS = 10;
/** Lines that no frame waits for (unwatched trades) are on disk within this. */
const COMMIT_MS = 1_000;

export class Engine {
  /** Trades per second over all markets. */
  rate: number;
  readonly #world: World;
  readonly #venues: readonly Venue[];
  readonly #player: Player;
  readonly #trades: (symbol: string) => boolean;
  #lastMs: number;
  #timer: NodeJS.Timeout | null = null;
  #commitMs = 0;
  #fail: (error: unknown) => void = () => undefined;

  constructor(world: World, venues: readonly Venue[], player: Player, rate: number, symbols: readonly string[] | null) {
    this.#world = world;
    this.#venues = venues;
    this.#player = player;
    this.rate = rate;
    const chosen = symbols === null ? null : new Set(symbols);
    this.#trades = (symbol) => chosen === null || chosen.has(symbol);
    this.#lastMs = world.clock.monotonicMs();
  }

  /** Past trades of every market, spread over the last ten minutes: a venue is never new. */
  prefill(count: number): void {
    const now = this.#world.nowUs();
    for (const venue of this.#venues) {
      for (const market of venue.markets.values()) {
        if (market.spec.replayed === true || count === 0) continue;
        const from = market.history.last + 1;
        market.generate(count, now - 600_000_000, now - 1_000);
        venue.publish(market, from, market.history.last);
      }
    }
  }

  start(fail: (error: unknown) => void): void {
    this.#fail = fail;
    this.#timer = setInterval(() => {
      try {
        this.tick();
      } catch (error) {
        fail(error);
      }
    }, TICK_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** One tick of as long as has passed since the last. */
  tick(): void {
    const now = this.#world.clock.monotonicMs();
    const passed = Math.min(now - this.#lastMs, LATEST_MS);
    this.#lastMs = now;
    this.step(passed);
  }

  /** One tick of `ms`: the same sequence of steps makes the same trades. */
  step(ms: number): void {
    const shares: { venue: Venue; market: Market; share: number }[] = [];
    let total = 0;
    for (const venue of this.#venues) {
      for (const market of venue.markets.values()) {
        if (market.spec.weight === 0 || !this.#trades(market.spec.symbol)) continue;
        const share = market.spec.weight * (market.watchers > 0 ? 1 : UNWATCHED);
        total += share;
        shares.push({ venue, market, share });
      }
    }
    const nowUs = this.#world.nowUs();
    for (const { venue, market, share } of shares) {
      market.due += ((this.rate * ms) / 1000) * (share / total) * this.#burst(market);
      if (market.due < 1) continue;
      const from = market.history.last + 1;
      market.due -= market.generate(Math.floor(market.due), nowUs - ms * 1000, nowUs);
      venue.publish(market, from, market.history.last);
    }
    this.#player.tick();
    const nowMs = this.#world.nowMs();
    for (const venue of this.#venues) venue.tick(nowMs);
    this.#commitMs += ms;
    if (this.#commitMs < COMMIT_MS) return;
    this.#commitMs = 0;
    this.#world.ledger.commit()?.catch(this.#fail);
  }

  #burst(market: Market): number {
    if (!this.#world.faults.any) return 1;
    const fault = this.#world.faults.find('burst', market.spec.marketId, market.spec.symbol, 'trade');
    return fault === null ? 1 : (fault.factor ?? 10);
  }
}
