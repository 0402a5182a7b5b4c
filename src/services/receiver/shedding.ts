// What the receiver does without while Redis is nearly full (core/memory_ladder.ts): first tickers in the stream, then the sockets of
// symbols without priority. What was withheld is missing then, and told when it comes back: trades by their numbers, candles by time.
import type { Redis } from 'ioredis';
import { MemoryWatch } from '../../bus/memory.ts';
import { listedSymbols } from '../../bus/patterns.ts';
import type { Clock } from '../../core/clock.ts';
import { toError } from '../../core/errors.ts';
import { memoryAtLeast } from '../../core/memory_ladder.ts';
import { isPattern, kindOf, matching } from '../../core/patterns.ts';
import type { Logger } from '../../runtime/log.ts';
import type { FeedStatusReporter } from './status.ts';
import { parseMember } from './subscriptions.ts';

export interface SheddingOptions {
  redis: Redis;
  marketId: string;
  /** Symbols that stay, by name or by pattern. */
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
  readonly #named: ReadonlySet<string>;
  readonly #globs: readonly string[];
  readonly #kinds: readonly string[];
  /** Symbols of those kinds, as the exchange's list was read last. */
  #ofKind: ReadonlySet<string> = new Set();
  /** channel:symbol → since when, µs. */
  readonly #withheld = new Map<string, number>();
  #symbols = false;

  constructor(options: SheddingOptions) {
    this.#o = options;
    this.#watch = new MemoryWatch(options.redis);
    const { priority } = options;
    this.#named = new Set(priority.filter((one) => !isPattern(one)));
    this.#kinds = priority.flatMap((one) => kindOf(one) ?? []);
    this.#globs = priority.filter((one) => isPattern(one) && kindOf(one) === null);
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
      if (!this.#symbols || subscription === null || this.#stays(subscription.symbol)) {
        this.#back(member);
        admitted.add(member);
      } else if (!this.#withheld.has(member)) this.#withheld.set(member, this.#o.clock.nowMicros());
    }
    return admitted;
  }

  /** Reads the level anew, and has the subscriptions follow. Never rejects; call it about each second. */
  async look(): Promise<void> {
    const symbols = memoryAtLeast(await this.#watch.look(), 'shed_symbols');
    if (symbols) await this.#readKinds();
    if (symbols === this.#symbols) return;
    this.#symbols = symbols;
    // Whatever goes wrong here, the wanted set is read again within seconds.
    await this.#o.onChange().catch((error: unknown) => this.#o.log.debug({ err: toError(error) }, 'wanted set not re-read'));
  }

  #stays(symbol: string): boolean {
    return this.#named.has(symbol) || this.#ofKind.has(symbol) || this.#globs.some((glob) => matching(glob, [symbol]).length > 0);
  }

  /** What is known stays known while Redis, or the list, is away. Never rejects. */
  async #readKinds(): Promise<void> {
    const { redis, marketId } = this.#o;
    if (this.#kinds.length === 0 || redis.status !== 'ready') return;
    const lists = await Promise.all(this.#kinds.map((kind) => listedSymbols(redis, marketId, kind))).catch(() => []);
    const listed = lists.flatMap((list) => list ?? []);
    if (listed.length > 0) this.#ofKind = new Set(listed);
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
