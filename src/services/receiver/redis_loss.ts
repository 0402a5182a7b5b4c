// When Redis comes back without its last writes (emptied, or a crash before its file was flushed), what it had taken
// from us is gone with them. Trades are numbered, so that becomes a reported gap.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { whenReady } from '../../bus/connect.ts';
import { readFeedSeqs } from '../../bus/feed_seq.ts';
import { toError } from '../../core/errors.ts';
import type { Logger } from '../../runtime/log.ts';
import type { MarketFigures } from './figures.ts';
import type { FeedStatusReporter } from './status.ts';
import type { SymbolFeeds } from './symbol_feed.ts';

const RETRY_MS = 200;

export class RedisLoss {
  readonly #redis: Redis;
  readonly #marketId: string;
  readonly #feeds: SymbolFeeds;
  readonly #figures: MarketFigures;
  /** symbol → what we know to be stored. */
  readonly #stored = new Map<string, number>();

  constructor(redis: Redis, marketId: string, feeds: SymbolFeeds, figures: MarketFigures) {
    this.#redis = redis;
    this.#marketId = marketId;
    this.#feeds = feeds;
    this.#figures = figures;
  }

  stored(lastSeqs: ReadonlyMap<string, number>): void {
    for (const [symbol, seq] of lastSeqs) this.#stored.set(symbol, seq);
  }

  /**
   * Compares what Redis has with what it confirmed, and reports the difference. Asks until it gets an answer: only what was read
   * before anything is written again tells what is gone. Never rejects.
   */
  async report(status: FeedStatusReporter, log: Logger, signal: AbortSignal): Promise<void> {
    const before = new Map(this.#stored);
    const kept = await this.#kept(log, signal);
    if (kept === null) return;
    let gaps = 0;
    for (const [symbol, to] of before) {
      const { firstSeq } = this.#feeds.of(symbol);
      const from = kept.has(symbol) ? kept.get(symbol)! + 1 : firstSeq;
      if (from === null || from > to) continue;
      gaps++;
      this.#figures.gap('redis', to - from + 1);
      status.gap(symbol, { from, to, reason: 'redis lost what it had taken' }, to);
    }
    // Without gaps it only forgot the writer's key, as after an hour of silence.
    if (gaps > 0) log.error({ gaps }, 'redis lost what it had taken: it was emptied or came back without its last writes');
  }

  /** null when we are told to stop before there is an answer: the next start finds the gap by feed:seq. */
  async #kept(log: Logger, signal: AbortSignal): Promise<Map<string, number> | null> {
    const ended = (): boolean => signal.aborted;
    for (let failures = 0; !ended(); failures++) {
      try {
        await whenReady(this.#redis, signal);
        return await readFeedSeqs(this.#redis, this.#marketId);
      } catch (error) {
        if (failures === 0 && !ended()) log.warn({ err: toError(error) }, 'what redis still has cannot be read, asking again');
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    return null;
  }
}
