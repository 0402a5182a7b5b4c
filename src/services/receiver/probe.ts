// Tells a quiet instrument from a dead feed: a channel that has been silent for longer than its rhythm allows is
// compared with the newest trade over REST. Heartbeats and answered pings prove nothing about it.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from '../../contracts/index.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { PULSE_LIMITS, type Pulse, type PulseLimits } from '../../core/staleness.ts';
import type { MarketRest } from '../../exchanges/exchange.ts';
import { ExchangeHttpError } from '../../net/http.ts';
import type { SymbolFeed, SymbolFeeds } from './symbol_feed.ts';

export interface ProbeOptions {
  feeds: SymbolFeeds;
  lastTrade: MarketRest['lastTrade'];
  clock: Clock;
  limits?: PulseLimits;
  /** Longer than a trade takes to come over the socket, ms. */
  graceMs?: number;
  /** Whether silence means anything now: connected, and the venue not locked. */
  enabled: () => boolean;
  isWatched: (channel: Channel, symbol: string) => boolean;
  onStale: (feed: SymbolFeed, channel: Channel, reason: string) => void;
  /** The venue does not know the symbol. */
  onRefused: (feed: SymbolFeed, channel: Channel, reason: string) => void;
  onProbe: (outcome: 'quiet' | 'stale' | 'refused' | 'failed') => void;
}

interface Overdue {
  feed: SymbolFeed;
  channel: Channel;
  pulse: Pulse;
}

const GRACE_MS = 2_000;
/** A ticker or candle follows its trade within this; also what the two clocks may differ, ms. */
const FOLLOWS_MS = 5_000;
const PAUSE_MS = 60_000;
const MAX_FAILURES = 3;

export class StalenessProbe {
  readonly #o: Required<ProbeOptions>;
  readonly #stop = new AbortController();
  #busy: Promise<void> | null = null;
  #pausedUntilMs = 0;
  readonly #failures = new Map<Pulse, number>();

  constructor(options: ProbeOptions) {
    this.#o = { limits: PULSE_LIMITS, graceMs: GRACE_MS, ...options };
  }

  /** Called once per second: at most one probe is under way, so the rate is bounded too. */
  tick(): void {
    const nowMs = this.#o.clock.monotonicMs();
    if (this.#busy !== null || nowMs < this.#pausedUntilMs || !this.#o.enabled()) return;
    const overdue = this.#mostOverdue(nowMs);
    if (overdue === null) return;
    this.#busy = this.#examine(overdue).finally(() => {
      this.#busy = null;
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#busy;
  }

  #mostOverdue(nowMs: number): Overdue | null {
    let most: Overdue | null = null;
    for (const feed of this.#o.feeds) {
      for (const [name, pulse] of Object.entries(feed.pulses)) {
        const channel = name as Channel;
        if (pulse === null || !pulse.overdue(nowMs, this.#o.limits)) continue;
        if (!this.#o.isWatched(channel, feed.symbol)) continue;
        if (most === null || pulse.lastMs < most.pulse.lastMs) most = { feed, channel, pulse };
      }
    }
    return most;
  }

  async #examine({ feed, channel, pulse }: Overdue): Promise<void> {
    const { clock, lastTrade, limits, graceMs, onStale, onProbe } = this.#o;
    const heardMs = pulse.lastMs;
    // Deferred first: whatever happens below, the same silence is not asked about at once again.
    pulse.defer(clock.monotonicMs(), limits);
    try {
      const trade = await lastTrade(feed.symbol);
      this.#failures.delete(pulse);
      const reason =
        trade === null ? null : this.#newer(feed, channel, pulse, trade.seq_last ?? trade.seq, trade.exchange_ts);
      // What REST knows may still be on its way over the socket.
      if (reason !== null) await sleep(graceMs, undefined, { signal: this.#stop.signal });
      const isStale = reason !== null && pulse.lastMs === heardMs;
      onProbe(isStale ? 'stale' : 'quiet');
      if (isStale) onStale(feed, channel, reason);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#failed({ feed, channel, pulse }, toError(error));
    }
  }

  /** Why the channel should have told something since it was last heard; null when it need not have. */
  #newer(feed: SymbolFeed, channel: Channel, pulse: Pulse, seq: number | null, exchangeTs: number): string | null {
    const highest = feed.sequence.highest;
    if (channel === 'trade' && seq !== null && highest !== null && feed.firstSeq !== null) {
      return seq > highest ? `the exchange has trade ${seq}, the feed stopped at ${highest}` : null;
    }
    const { clock } = this.#o;
    const silentMs = clock.monotonicMs() - pulse.lastMs;
    const heardTs = clock.nowMicros() - silentMs * 1000;
    const sinceMs = (exchangeTs - heardTs) / 1000;
    return sinceMs > FOLLOWS_MS
      ? `silent for ${Math.round(silentMs / 1000)} s, but the exchange traded ${Math.round(sinceMs / 1000)} s after`
      : null;
  }

  #failed({ feed, channel, pulse }: Overdue, error: Error): void {
    const { clock, onProbe, onRefused, onStale } = this.#o;
    const answer = error instanceof ExchangeHttpError ? error : null;
    if (answer?.kind === 'refused') {
      onProbe('refused');
      onRefused(feed, channel, error.message);
      return;
    }
    onProbe('failed');
    if (answer?.kind === 'rate_limited' || answer?.kind === 'banned') {
      this.#pausedUntilMs = clock.monotonicMs() + Math.max(PAUSE_MS, answer.retryAfterMs ?? 0);
      return;
    }
    // REST tells nothing either; after a few times a new connection is the cheaper way to be sure.
    const failures = (this.#failures.get(pulse) ?? 0) + 1;
    this.#failures.set(pulse, failures);
    if (failures < MAX_FAILURES) return;
    this.#failures.delete(pulse);
    onStale(feed, channel, `silent, and REST does not answer: ${error.message}`);
  }
}
