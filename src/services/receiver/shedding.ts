// What the receiver does without while Redis is nearly full (core/memory_ladder.ts): first tickers in the stream, then the sockets of
// symbols without priority. What was withheld is missing then, and told when it comes back: trades by their numbers, candles by time.
import type { Redis } from 'ioredis';
import { MemoryWatch } from '../../bus/memory.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { memoryAtLeast } from '../../core/memory_ladder.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FeedStatusReporter } from './status.ts';
import { parseMember } from './subscriptions.ts';

export interface SheddingOptions {
  redis: Redis;
  /** Symbols that stay. */
  priority: readonly string[];
  clock: Pick<Clock, 'nowMicros'>;
  status: Pick<FeedStatusReporter, 'unnumberedGap'>;
  log: Pick<Logger, 'debug'>;
  /** What may be subscribed has changed: read the wanted set again. */
  onChange: () => Promise<void>;
}

/** Why a gap is there, and why a subscription went. */
export const WITHHELD = 'withheld while redis was nearly full';

export class Shedding {
  readonly #o: SheddingOptions;
  readonly #watch: MemoryWatch;
  readonly #priority: ReadonlySet<string>;
  /** channel:symbol → since when, µs. */
  readonly #withheld = new Map<string, number>();
  #symbols = false;

  constructor(options: SheddingOptions) {
    this.#o = options;
    this.#watch = new MemoryWatch(options.redis);
    this.#priority = new Set(options.priority);
  }

  /** Tickers stay out of the stream; their hashes, which do not grow, go on. */
  get tickers(): boolean {
    return memoryAtLeast(this.#watch.level, 'shed_tickers');
  }

  /** How many wanted members are not subscribed because of it. */
  get count(): number {
    return this.#withheld.size;
  }

  withholds(member: string): boolean {
    return this.#withheld.has(member);
  }

  /** Those of the wanted members that may be subscribed now. */
  admit(members: ReadonlySet<string>): Set<string> {
    for (const member of this.#withheld.keys()) if (!members.has(member)) this.#withheld.delete(member);
    const admitted = new Set<string>();
    for (const member of members) {
      const subscription = parseMember(member);
      if (!this.#symbols || subscription === null || this.#priority.has(subscription.symbol)) {
        this.#back(member);
        admitted.add(member);
      } else if (!this.#withheld.has(member)) this.#withheld.set(member, this.#o.clock.nowMicros());
    }
    return admitted;
  }

  /** Reads the level anew, and has the subscriptions follow. Never rejects; call it about each second. */
  async look(): Promise<void> {
    const symbols = memoryAtLeast(await this.#watch.look(), 'shed_symbols');
    if (symbols === this.#symbols) return;
    this.#symbols = symbols;
    // Whatever goes wrong here, the wanted set is read again within seconds.
    await this.#o.onChange().catch((error: unknown) => this.#o.log.debug({ err: toError(error) }, 'wanted set not re-read'));
  }

  /** Trades tell by their numbers what is missing; candles have none. */
  #back(member: string): void {
    const since = this.#withheld.get(member);
    if (since === undefined) return;
    this.#withheld.delete(member);
    const { channel, symbol } = parseMember(member)!;
    if (channel === 'ohlc') this.#o.status.unnumberedGap(symbol, since, `candles ${WITHHELD}`);
  }
}
