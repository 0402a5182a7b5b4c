// What the receiver knows of each symbol: its trade counter and the rhythm of its channels.
import type { Channel } from '../../contracts/index.ts';
import { SymbolSequence } from '../../core/sequence.ts';
import { Pulse } from '../../core/staleness.ts';

export class SymbolFeed {
  readonly symbol: string;
  readonly sequence: SymbolSequence;
  /** Channels that are watched for silence. */
  readonly pulses: Record<Channel, Pulse | null> = { trade: null, ticker: null, ohlc: null };
  readonly stale = new Set<Channel>();
  /** The first position of this process's own making; null before it. */
  firstSeq: number | null = null;

  constructor(symbol: string, position: number | null) {
    this.symbol = symbol;
    this.sequence = new SymbolSequence(position, 'the receiver was not running');
  }
}

/** The symbols of one market; seeded with what was published before, so that a restart finds its gap. */
export class SymbolFeeds {
  readonly #feeds = new Map<string, SymbolFeed>();
  readonly #positions: ReadonlyMap<string, number>;

  constructor(positions: ReadonlyMap<string, number>) {
    this.#positions = positions;
  }

  of(symbol: string): SymbolFeed {
    let feed = this.#feeds.get(symbol);
    if (feed === undefined) {
      feed = new SymbolFeed(symbol, this.#positions.get(symbol) ?? null);
      this.#feeds.set(symbol, feed);
    }
    return feed;
  }

  /** Begins or goes on watching a channel for silence, from now. */
  watch(symbol: string, channel: Channel, nowMs: number): void {
    const { pulses } = this.of(symbol);
    if (pulses[channel] === null) pulses[channel] = new Pulse(nowMs);
    else pulses[channel].restart(nowMs);
  }

  /** `reason`: of the gap, should trades be missing when the symbol comes back. */
  unwatch(symbol: string, channel: Channel, reason: string): void {
    const feed = this.of(symbol);
    feed.pulses[channel] = null;
    feed.stale.delete(channel);
    if (channel === 'trade') feed.sequence.paused(reason);
  }

  /** The feed was interrupted as a whole: gaps from here are because of that, and silence counts anew. */
  interrupted(reason: string): void {
    for (const feed of this.#feeds.values()) feed.sequence.paused(reason);
  }

  /** The feed is back: the silence meanwhile says nothing. */
  restartPulses(nowMs: number): void {
    for (const feed of this.#feeds.values()) for (const pulse of Object.values(feed.pulses)) pulse?.restart(nowMs);
  }

  [Symbol.iterator](): Iterator<SymbolFeed> {
    return this.#feeds.values();
  }
}
