// The wanted subscriptions and what has become of each. Knows the wire channels of every one, turns their outcomes into
// subscription.* events, and tells the shards what to carry.
import type { Channel, Resolution, SystemEvent } from '../../contracts/index.ts';
import { channelValues } from '../../contracts/index.ts';
import type { FeedProtocol, Subscription } from '../../exchanges/exchange.ts';
import type { WireOutcome } from './connection.ts';

export type SubscriptionState = 'pending' | 'active' | 'refused';

export interface SubscriptionsOptions {
  feed: FeedProtocol;
  resolutions: readonly Resolution[];
  /** The wanted channels have changed. */
  retarget: (wires: ReadonlySet<string>) => void;
  event: (
    type: SystemEvent['type'],
    severity: SystemEvent['severity'],
    symbol: string,
    data: Record<string, unknown>,
  ) => void;
  onActive: (subscription: Subscription) => void;
  onGone: (subscription: Subscription) => void;
  /** Why a member is not subscribed any more although it is wanted; null: it is not wanted. */
  whyGone?: (member: string) => string | null;
}

interface Entry extends Subscription {
  readonly wires: readonly string[];
  readonly on: Set<string>;
  state: SubscriptionState;
  /** Commands that wait for the outcome. */
  requests: string[];
  /** Why it is refused. */
  refusal: string;
}

export class Subscriptions {
  readonly #o: SubscriptionsOptions;
  readonly #entries = new Map<string, Entry>();
  /** Removed, but the exchange has not confirmed it yet. */
  readonly #leaving = new Map<string, Entry>();
  readonly #byWire = new Map<string, Set<Entry>>();
  readonly #reported = new Set<string>();

  constructor(options: SubscriptionsOptions) {
    this.#o = options;
  }

  counts(): Record<SubscriptionState, number> {
    const counts = { pending: 0, active: 0, refused: 0 };
    for (const { state } of this.#entries.values()) counts[state]++;
    return counts;
  }

  /** Symbols of which something is wanted. */
  get symbols(): Set<string> {
    return new Set([...this.#entries.values()].map((entry) => entry.symbol));
  }

  isActive(channel: Channel, symbol: string): boolean {
    return this.#entries.get(`${channel}:${symbol}`)?.state === 'active';
  }

  wiresOf(channel: Channel, symbol: string): readonly string[] {
    return this.#entries.get(`${channel}:${symbol}`)?.wires ?? [];
  }

  /** Members that are wanted but not subscribed to yet: those worth checking against the venue's list. */
  newcomers(members: Iterable<string>): Subscription[] {
    return [...members].filter((member) => !this.#entries.has(member)).flatMap((member) => parseMember(member) ?? []);
  }

  /**
   * The wanted members from now on. `unlisted`: symbols that the venue does not list; they are refused unless already
   * on.
   */
  apply(members: ReadonlySet<string>, unlisted: ReadonlySet<string> = new Set()): void {
    let changed = false;
    for (const [member, entry] of this.#entries) {
      if (members.has(member)) continue;
      changed = true;
      this.#entries.delete(member);
      this.#leave(member, entry);
    }
    for (const member of this.#reported) if (!members.has(member)) this.#reported.delete(member);
    for (const member of members) {
      if (!this.#entries.has(member)) changed = this.#enter(member, unlisted) || changed;
    }
    if (changed) this.#o.retarget(new Set([...this.#entries.values()].flatMap((entry) => entry.wires)));
  }

  /** A command (with an id or none) waits for the outcome of a member; told at once when it is known already. */
  await(member: string, requestId: string | undefined): void {
    const entry = this.#entries.get(member);
    if (entry === undefined) return;
    const ids = requestId === undefined ? [] : [requestId];
    if (entry.state === 'active') this.#tell('subscription.accepted', 'info', entry, {}, ids);
    else if (entry.state === 'refused') this.#tell('subscription.rejected', 'warning', entry, { reason: entry.refusal, retried: true }, ids);
    else entry.requests.push(...ids);
  }

  /** Whether something is, or shall be, subscribed for a member. */
  has(member: string): boolean {
    return this.#entries.has(member);
  }

  /** A command waits for the removal of a member, which is about to be applied. */
  awaitRemoval(member: string, requestId: string): void {
    this.#entries.get(member)?.requests.push(requestId);
  }

  /** What became of a wire channel on one of the connections. */
  onWire(wire: string, outcome: WireOutcome, detail: string): void {
    for (const entry of [...(this.#byWire.get(wire) ?? [])]) {
      if (outcome === 'on') this.#wireOn(entry, wire);
      else if (outcome === 'refused') this.#wireRefused(entry, wire, detail);
      else this.#wireOff(entry, wire);
    }
  }

  /** The venue says that it does not know the symbol at all. */
  refuse(channel: Channel, symbol: string, reason: string): void {
    const entry = this.#entries.get(`${channel}:${symbol}`);
    if (entry !== undefined) this.#refused(entry, reason);
  }

  /** A connection is gone: nobody will confirm what it was asked to leave. */
  interrupted(): void {
    for (const [member, entry] of this.#leaving) this.#gone(member, entry);
  }

  #enter(member: string, unlisted: ReadonlySet<string>): boolean {
    const subscription = parseMember(member);
    if (subscription === null) {
      this.#reportOnce(member, 'subscription.invalid', '', `not a channel:symbol member: ${member.slice(0, 120)}`);
      return false;
    }
    if (unlisted.has(subscription.symbol)) {
      this.#reportOnce(
        member,
        'subscription.rejected',
        subscription.symbol,
        'the venue does not list this symbol',
        subscription.channel,
      );
      return false;
    }
    const wires = this.#o.feed.wireChannels(subscription, this.#o.resolutions);
    if (wires.length === 0) {
      this.#reportOnce(
        member,
        'subscription.rejected',
        subscription.symbol,
        'the venue has no such channel',
        subscription.channel,
      );
      return false;
    }
    this.#reported.delete(member);
    const entry: Entry = { ...subscription, wires, on: new Set(), state: 'pending', requests: [], refusal: '' };
    const leaving = this.#leaving.get(member);
    if (leaving !== undefined) this.#forget(member, leaving);
    this.#entries.set(member, entry);
    for (const wire of wires) this.#byWire.set(wire, new Set([...(this.#byWire.get(wire) ?? []), entry]));
    // Wanted again before the exchange let it go.
    for (const wire of leaving?.on ?? []) this.#wireOn(entry, wire);
    return true;
  }

  #leave(member: string, entry: Entry): void {
    if (entry.on.size === 0) this.#gone(member, entry);
    else this.#leaving.set(member, entry);
  }

  #forget(member: string, entry: Entry): void {
    this.#leaving.delete(member);
    for (const wire of entry.wires) {
      const users = this.#byWire.get(wire);
      users?.delete(entry);
      if (users?.size === 0) this.#byWire.delete(wire);
    }
  }

  #gone(member: string, entry: Entry): void {
    this.#forget(member, entry);
    this.#o.onGone(entry);
    const reason = this.#o.whyGone?.(member) ?? null;
    this.#tell('subscription.removed', 'info', entry, reason === null ? {} : { reason, retried: true }, entry.requests);
  }

  #wireOn(entry: Entry, wire: string): void {
    entry.on.add(wire);
    if (entry.state === 'active' || entry.on.size < entry.wires.length) return;
    entry.state = 'active';
    this.#o.onActive(entry);
    this.#tell('subscription.accepted', 'info', entry, {}, entry.requests.splice(0));
  }

  #wireRefused(entry: Entry, wire: string, detail: string): void {
    entry.on.delete(wire);
    this.#refused(entry, `${wire}: ${detail}`);
  }

  #refused(entry: Entry, reason: string): void {
    if (entry.state === 'refused') return;
    entry.state = 'refused';
    entry.refusal = reason;
    this.#tell('subscription.rejected', 'warning', entry, { reason, retried: true }, entry.requests.splice(0));
  }

  #wireOff(entry: Entry, wire: string): void {
    entry.on.delete(wire);
    const member = `${entry.channel}:${entry.symbol}`;
    if (this.#leaving.get(member) === entry && entry.on.size === 0) this.#gone(member, entry);
  }

  #reportOnce(member: string, type: SystemEvent['type'], symbol: string, reason: string, channel?: Channel): void {
    if (this.#reported.has(member)) return;
    this.#reported.add(member);
    this.#o.event(type, 'warning', symbol, { reason, ...(channel === undefined ? {} : { channel }) });
  }

  #tell(
    type: SystemEvent['type'],
    severity: SystemEvent['severity'],
    entry: Entry,
    data: Record<string, unknown>,
    requests: readonly string[],
  ): void {
    const ids = requests.length === 0 ? [null] : requests;
    for (const id of ids) {
      this.#o.event(type, severity, entry.symbol, {
        channel: entry.channel,
        ...data,
        ...(id === null ? {} : { request_id: id }),
      });
    }
  }
}

/** `channel:symbol`; null when it is none. */
export function parseMember(member: string): Subscription | null {
  const at = member.indexOf(':');
  const channel = channelValues.find((name) => name === member.slice(0, at));
  const symbol = member.slice(at + 1);
  return channel === undefined || symbol === '' ? null : { channel, symbol };
}
