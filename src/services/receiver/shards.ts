// The wanted wire channels of a market spread over connections: by endpoint, and by how many one connection may carry.
// A channel stays where it was put, so that a new one disturbs nobody.
import type { FeedProtocol } from '../../exchanges/exchange.ts';
import type { ConnectBudget } from './connect_budget.ts';
import { Shard, type ShardHooks, type ShardOptions } from './shard.ts';

export interface ShardSetOptions
  extends Omit<ShardHooks, 'mayConnect' | 'onFlowing' | 'onUp' | 'onDown'>, Pick<ShardOptions, 'clock' | 'random'> {
  baseUrl: string;
  feed: FeedProtocol;
  budget: ConnectBudget;
  /** The first data of the market comes, or the last of what was missing: all connections bring data or are up. */
  onFlowing: (cause: string) => void;
  /** All connections are up. Called again after a planned change of one, with its cause. */
  onAllUp: (cause: string) => void;
  /** One of them went down. */
  onSomeDown: (reason: string) => void;
}

export class ShardSet {
  readonly #o: ShardSetOptions;
  readonly #shards = new Map<string, Shard[]>();
  readonly #placed = new Map<string, Shard>();
  readonly #closing = new Set<Promise<void>>();
  #numbers = 0;
  #closed = false;

  constructor(options: ShardSetOptions) {
    this.#o = options;
  }

  /** Whether there are connections and all of them are up. */
  allUp(): boolean {
    const shards = this.#all();
    return shards.length > 0 && shards.every((shard) => shard.up);
  }

  get count(): number {
    return this.#all().length;
  }

  /** What shall be subscribed from now on. */
  retarget(wires: ReadonlySet<string>): void {
    if (this.#closed) return;
    const changed = new Set<Shard>();
    for (const [wire, shard] of this.#placed) {
      if (wires.has(wire)) continue;
      this.#placed.delete(wire);
      shard.wires.delete(wire);
      changed.add(shard);
      // Nobody will confirm it then.
      if (!shard.up || shard.wires.size === 0) this.#o.onWire(wire, 'off', '');
    }
    const fresh = new Map<string, string[]>();
    for (const wire of wires) {
      if (this.#placed.has(wire)) continue;
      const url = this.#o.feed.url(this.#o.baseUrl, wire);
      const shard = this.#roomAt(url);
      if (shard === undefined) fresh.set(url, [...(fresh.get(url) ?? []), wire]);
      else changed.add(this.#place(wire, shard));
    }
    for (const [url, list] of fresh) this.#open(url, list);
    const wereUp = this.allUp();
    for (const shard of changed) {
      if (shard.wires.size === 0) this.#retire(shard);
      else shard.retarget();
    }
    // The one that was down is no longer wanted.
    if (!wereUp && this.allUp()) this.#o.onAllUp('fewer connections');
  }

  /** The connection that carries a channel. */
  shardOf(wire: string): Shard | undefined {
    return this.#placed.get(wire);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#all().map((shard) => shard.close()), ...this.#closing]);
  }

  #all(): Shard[] {
    return [...this.#shards.values()].flat();
  }

  #roomAt(url: string): Shard | undefined {
    return this.#shards.get(url)?.find((shard) => shard.wires.size < this.#o.feed.limits.maxWirePerSession);
  }

  #place(wire: string, shard: Shard): Shard {
    shard.wires.add(wire);
    this.#placed.set(wire, shard);
    return shard;
  }

  #open(url: string, wires: readonly string[]): void {
    const { maxWirePerSession } = this.#o.feed.limits;
    for (let from = 0; from < wires.length; from += maxWirePerSession) {
      const own = wires.slice(from, from + maxWirePerSession);
      const shard = new Shard({ ...this.#hooks(), name: `${++this.#numbers}`, url }, own);
      this.#shards.set(url, [...(this.#shards.get(url) ?? []), shard]);
      for (const wire of own) this.#placed.set(wire, shard);
    }
  }

  #hooks(): Omit<ShardOptions, 'name' | 'url'> {
    const { budget, onFlowing, onAllUp, onSomeDown } = this.#o;
    return {
      ...this.#o,
      mayConnect: (signal) => budget.take(signal),
      onFlowing: (shard, cause) => {
        const others = this.#all().filter((other) => other !== shard);
        if (others.every((other) => other.flows) || !others.some((other) => other.flows)) onFlowing(cause);
      },
      onUp: (_shard, cause) => {
        if (this.allUp()) onAllUp(cause);
      },
      onDown: (shard, reason) =>
        onSomeDown(this.count > 1 ? `connection ${shard.name} of ${this.count}: ${reason}` : reason),
    };
  }

  #retire(shard: Shard): void {
    for (const [url, shards] of this.#shards)
      this.#shards.set(
        url,
        shards.filter((other) => other !== shard),
      );
    const closing = shard.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
