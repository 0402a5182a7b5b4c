// Wanted patterns of one market: what they match of the exchange's list is wanted, as long as they match it. So new listings are
// subscribed by themselves, and expired ones leave.
import type { Redis } from 'ioredis';
import { listedSymbols, matchedMembers, replaceMatched, syncPatterns } from '../../bus/patterns.ts';
import { channelValues, type Channel, type Resolution } from '../../contracts/index.ts';
import { kindOf, matching, patternError } from '../../core/patterns.ts';
import type { FeedProtocol } from '../../exchanges/exchange.ts';
import type { FeedStatusReporter } from './status.ts';

export interface PatternsOptions {
  redis: Redis;
  marketId: string;
  /** `channel:pattern` members that the configuration asks for. */
  config: readonly string[];
  feed: Pick<FeedProtocol, 'limits' | 'wireChannels'>;
  resolutions: readonly Resolution[];
  status: Pick<FeedStatusReporter, 'event'>;
}

interface Pattern {
  readonly member: string;
  readonly channel: Channel;
  readonly pattern: string;
}

/** What a pattern has come to. */
interface Matches {
  matched: number;
  /** Matches that the exchange's limits have no room for. */
  leftOut: number;
}

export class Patterns {
  readonly #o: PatternsOptions;
  /** What was told of each pattern last. */
  readonly #told = new Map<string, string>();
  #matches = new Map<string, Matches>();
  #matching: ReadonlySet<string> = new Set();
  #idle = false;

  constructor(options: PatternsOptions) {
    this.#o = options;
  }

  /** Whether a pattern matches a member now. */
  has(member: string): boolean {
    return this.#matching.has(member);
  }

  /** What a `channel:pattern` member has come to. */
  of(member: string): Matches {
    return this.#matches.get(member) ?? { matched: 0, leftOut: 0 };
  }

  /** The wanted set with the patterns applied to it. While the exchange's list is not known everything stays as it is. */
  async apply(wanted: string[]): Promise<string[]> {
    const { redis, marketId, config } = this.#o;
    const members = (await syncPatterns(redis, marketId, config)).sort();
    if (members.length === 0 && this.#idle) return wanted;
    const patterns = members.flatMap((member) => this.#parse(member));
    const lists = new Map<string | null, string[]>();
    for (const kind of new Set(patterns.map(({ pattern }) => kindOf(pattern)))) {
      const listed = await listedSymbols(redis, marketId, kind);
      if (listed === null) return wanted;
      lists.set(kind, listed.sort());
    }
    const ours = new Set(await matchedMembers(redis, marketId));
    const admitted = this.#admit(patterns, lists, wanted.filter((member) => !ours.has(member)));
    const result = await replaceMatched(redis, marketId, [...admitted]);
    this.#matching = admitted;
    this.#idle = members.length === 0;
    for (const pattern of patterns) this.#tell(pattern);
    for (const member of this.#told.keys()) if (!members.includes(member)) this.#told.delete(member);
    return result;
  }

  /** What is wanted by name comes first; matches fill what the exchange's limits leave, in the order of their names. */
  #admit(patterns: readonly Pattern[], lists: ReadonlyMap<string | null, string[]>, named: readonly string[]): Set<string> {
    const { maxWirePerSession, maxSessions } = this.#o.feed.limits;
    let room = maxWirePerSession * maxSessions;
    for (const member of named) room -= this.#wires(member);
    const byName = new Set(named);
    const admitted = new Set<string>();
    this.#matches = new Map();
    for (const { member, channel, pattern } of patterns) {
      const kind = kindOf(pattern);
      const listed = lists.get(kind) ?? [];
      const found: Matches = { matched: 0, leftOut: 0 };
      for (const symbol of kind === null ? matching(pattern, listed) : listed) {
        const match = `${channel}:${symbol}`;
        found.matched++;
        if (admitted.has(match)) continue;
        const needed = byName.has(match) ? 0 : this.#wires(match);
        if (needed > room) found.leftOut++;
        else {
          room -= needed;
          admitted.add(match);
        }
      }
      this.#matches.set(member, found);
    }
    return admitted;
  }

  #wires(member: string): number {
    const at = member.indexOf(':');
    const channel = channelValues.find((name) => name === member.slice(0, at));
    return channel === undefined ? 0 : this.#o.feed.wireChannels({ channel, symbol: member.slice(at + 1) }, this.#o.resolutions).length;
  }

  /** Written by hand into the set it may be anything. */
  #parse(member: string): Pattern[] {
    const at = member.indexOf(':');
    const channel = channelValues.find((name) => name === member.slice(0, at));
    const pattern = member.slice(at + 1);
    const error = channel === undefined || pattern === '' ? `not a channel:pattern member: ${member.slice(0, 120)}` : patternError(pattern);
    if (channel !== undefined && error === null) return [{ member, channel, pattern }];
    if (this.#told.get(member) !== error) this.#o.status.event('subscription.invalid', 'warning', null, { error });
    this.#told.set(member, error ?? '');
    return [];
  }

  /** Once for each turn: nothing yet, something, more than there is room for. */
  #tell({ member, channel, pattern }: Pattern): void {
    const { matched, leftOut } = this.of(member);
    const turn = leftOut > 0 ? 'full' : matched > 0 ? 'some' : 'none';
    if (this.#told.get(member) === turn) return;
    this.#told.set(member, turn);
    const { maxWirePerSession: each, maxSessions: most } = this.#o.feed.limits;
    const note = { none: 'matches nothing yet', some: undefined, full: `the exchange takes ${each} channels on each of ${most} connections` }[turn];
    const more = { ...(leftOut === 0 ? {} : { left_out: leftOut }), ...(note === undefined ? {} : { note }) };
    this.#o.status.event('subscription.pattern', turn === 'some' ? 'info' : 'warning', pattern, { channel, matched, ...more });
  }
}
