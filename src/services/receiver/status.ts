// News of the feed itself, told three ways: in-band as feed_status messages in order with the data, as system events,
// and as feed_status of the ticker hashes.
import type { FeedStatus, SystemEvent } from '../../contracts/index.ts';
import type { EventSink } from '../../bus/events.ts';
import type { TickerHashes } from '../../bus/ticker.ts';
import type { Clock } from '../../core/clock.ts';
import type { Gap } from '../../core/sequence.ts';
import type { Outbox } from './outbox.ts';

export type GapCause = 'stream' | 'overflow' | 'redis';

const MAX_REASON = 512;

export class FeedStatusReporter {
  readonly #marketId: string;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  readonly #events: EventSink;
  readonly #hashes: TickerHashes;

  constructor(marketId: string, clock: Clock, outbox: Outbox, events: EventSink, hashes: TickerHashes) {
    this.#marketId = marketId;
    this.#clock = clock;
    this.#outbox = outbox;
    this.#events = events;
    this.#hashes = hashes;
  }

  connected(reason: string): void {
    this.#push('connected', null, reason);
    this.event('feed.connected', 'info', null, { reason });
  }

  /** `symbols`: whose ticker hashes must not look current any more. */
  disconnected(reason: string, symbols: Iterable<string>): void {
    this.#push('disconnected', null, reason);
    this.event('feed.disconnected', 'warning', null, { reason });
    for (const symbol of symbols) this.#hashes.set(symbol, new Map([['feed_status', 'disconnected']]));
  }

  /** Another receiver of the market goes on: no news for those who read the data, only for those who watch the fleet. */
  carriedByOthers(reason: string): void {
    this.event('feed.disconnected', 'info', null, { reason, carried_by_others: true });
  }

  stale(symbol: string, channel: string, reason: string): void {
    this.#push('stale', symbol, `${channel}: ${reason}`);
    this.event('feed.stale', 'warning', symbol, { channel, reason });
    if (channel === 'ticker') this.#hashes.set(symbol, new Map([['feed_status', 'stale']]));
  }

  fresh(symbol: string, channel: string): void {
    this.#push('fresh', symbol, `${channel}: data flows again`);
    this.event('feed.fresh', 'info', symbol, { channel });
    if (channel === 'ticker') this.#hashes.set(symbol, new Map([['feed_status', 'fresh']]));
  }

  /** Trades from..to are missing; `position`: up to where the symbol is complete once this is published. */
  gap(symbol: string, gap: Gap, position: number): void {
    this.#push('gap', symbol, gap.reason, { from_seq: gap.from, to_seq: gap.to }, position);
    this.event('feed.gap', 'warning', symbol, { from_seq: gap.from, to_seq: gap.to, reason: gap.reason });
  }

  /** Like gap(), for one of many at once: in-band alone, as one feed.overflow event stands for all. */
  quietGap(symbol: string, gap: Gap, position: number): void {
    this.#push('gap', symbol, gap.reason, { from_seq: gap.from, to_seq: gap.to }, position);
  }

  /** Messages without a sequence number are missing, from that exchange time (µs) on. */
  unnumberedGap(symbol: string, fromTs: number, reason: string): void {
    this.#push('gap', symbol, reason, {}, 0, fromTs);
  }

  event(
    type: SystemEvent['type'],
    severity: SystemEvent['severity'],
    symbol: string | null,
    data: Record<string, unknown>,
  ): void {
    this.#events.emit({
      type,
      severity,
      market_id: this.#marketId,
      ...(symbol === null ? {} : { symbol: symbol.slice(0, 96) }),
      data,
    });
  }

  #push(
    status: FeedStatus['status'],
    symbol: string | null,
    reason: string,
    seqs: { from_seq?: number; to_seq?: number } = {},
    position = 0,
    exchangeTs: number | null = null,
  ): void {
    const now = this.#clock.nowMicros();
    const message: FeedStatus = {
      v: 1,
      type: 'feed_status',
      market_id: this.#marketId,
      symbol,
      exchange_ts: exchangeTs ?? now,
      received_ts: now,
      status,
      ...seqs,
      reason: reason.slice(0, MAX_REASON),
    };
    this.#outbox.pushStatus(
      JSON.stringify(message),
      status === 'gap' && seqs.to_seq !== undefined ? symbol : null,
      position,
    );
    this.#outbox.kick();
  }
}
