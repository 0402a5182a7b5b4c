// One market: its state, its connections, and its way into Redis, wired together. No logic of its own beyond who tells
// whom.
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { EventSink } from '../../bus/events.ts';
import { readFeedSeqs } from '../../bus/feed_seq.ts';
import { Publisher } from '../../bus/publish.ts';
import { TickerHashes } from '../../bus/ticker.ts';
import { feedSeqKey, streamMarketDataKey } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import type { Market } from '../../exchanges/exchange.ts';
import { createHttp } from '../../net/http.ts';
import type { MarketConfig } from '../../runtime/env.ts';
import type { Logger } from '../../runtime/log.ts';
import type { ServiceContext } from '../../runtime/service.ts';
import { ConnectBudget } from './connect_budget.ts';
import { Control } from './control.ts';
import { MarketFigures } from './figures.ts';
import type { ReceiverMetrics } from './metrics.ts';
import { Outbox } from './outbox.ts';
import { Overflow } from './overflow.ts';
import { Pipeline } from './pipeline.ts';
import { Presence } from './presence.ts';
import { StalenessProbe } from './probe.ts';
import { RedisLoss } from './redis_loss.ts';
import { ShardSet, type ShardSetOptions } from './shards.ts';
import { Shedding, WITHHELD } from './shedding.ts';
import { FeedStatusReporter } from './status.ts';
import { Subscriptions } from './subscriptions.ts';
import { SymbolFeeds } from './symbol_feed.ts';

export interface MarketDeps {
  ctx: ServiceContext;
  config: MarketConfig;
  market: Market;
  /** Connection of stream:market_data. */
  stream: Redis;
  /** Connection of everything else. */
  redis: Redis;
  events: EventSink;
  metrics: ReceiverMetrics;
  instanceId: string;
  tap: ShardSetOptions['tap'];
}

const TICK_MS = 50;
/** A market in which nothing at all moves for so long is not ready, whatever its heartbeats say. */
const MAX_SILENCE_S = 60;
const SECOND_MS = 1_000;
const RESYNC_MS = 5_000;
const DRAIN_MS = 4_000;
const HTTP = { timeoutMs: 5_000, maxBytes: 8 * 1024 * 1024 };

export class MarketReceiver {
  readonly marketId: string;
  readonly control: Control;
  readonly #d: MarketDeps;
  readonly #log: Logger;
  readonly #status: FeedStatusReporter;
  readonly #outbox: Outbox;
  readonly #hashes: TickerHashes;
  readonly #publisher: Publisher;
  readonly #figures: MarketFigures;
  readonly #feeds: SymbolFeeds;
  readonly #pipeline: Pipeline;
  readonly #subscriptions: Subscriptions;
  readonly #shedding: Shedding;
  readonly #shards: ShardSet;
  readonly #presence: Presence;
  readonly #probe: StalenessProbe;
  readonly #timers: NodeJS.Timeout[] = [];
  #locked = false;
  #lastFailure: string | null = null;

  /** Reads what was published before, then opens the connections. Rejects when Redis does not answer. */
  static async start(deps: MarketDeps): Promise<MarketReceiver> {
    const positions = await readFeedSeqs(deps.stream, deps.config.marketId);
    const receiver = new MarketReceiver(deps, new SymbolFeeds(positions));
    await receiver.#shedding.look();
    await receiver.control.sync();
    receiver.#startTimers();
    return receiver;
  }

  private constructor(deps: MarketDeps, feeds: SymbolFeeds) {
    const { ctx, market, stream, redis, events, metrics } = deps;
    const { clock, random } = ctx;
    const marketId = (this.marketId = deps.config.marketId);
    this.#d = deps;
    this.#feeds = feeds;
    this.#log = ctx.log.child({ market: marketId });
    this.#figures = new MarketFigures(marketId, metrics);
    const hashes = (this.#hashes = new TickerHashes(redis, marketId));
    const writer = `${marketId}:${deps.instanceId}:${randomBytes(6).toString('hex')}`;
    const overflow = new Overflow(this.#figures);
    const loss = new RedisLoss(stream, marketId, feeds, this.#figures);
    this.#publisher = new Publisher(stream, {
      streamKey: streamMarketDataKey,
      seqKey: feedSeqKey(marketId),
      writer,
      random,
      onFailure: (error) => this.#publishFailed(error),
      onChainLost: (signal) => loss.report(this.#status, this.#log, signal),
    });
    this.#outbox = new Outbox({
      publisher: this.#publisher,
      clock,
      // The figure is one process's; its markets share it evenly, so that none can starve the others.
      limit: Math.ceil(ctx.config.bufferMessages / ctx.config.markets.length),
      onStored: (callMs, oldestMs, lastSeqs) => {
        loss.stored(lastSeqs);
        this.#published(callMs, oldestMs);
      },
      onRoom: () => overflow.report(this.#status),
    });
    this.#status = new FeedStatusReporter(marketId, clock, this.#outbox, events, hashes);
    const status = this.#status;
    this.#presence = new Presence({ redis, marketId, writer, clock, status, symbols: () => this.#subscriptions.symbols });
    const shedding = (this.#shedding = new Shedding({
      redis, marketId, clock, priority: deps.config.priority, status: this.#status, log: this.#log, onChange: () => this.control.sync(),
    }));
    this.#pipeline = new Pipeline({
      market,
      clock,
      feeds,
      outbox: this.#outbox,
      overflow,
      hashes,
      status,
      figures: this.#figures,
      readPublished: () => readFeedSeqs(stream, marketId),
      tickerIntervalMs: ctx.config.tickerIntervalMs,
      shedding,
    });
    this.#shards = this.#makeShards();
    this.#subscriptions = this.#makeSubscriptions();
    this.control = new Control({
      redis,
      marketId,
      subscriptions: this.#subscriptions,
      shedding,
      status: this.#status,
      log: this.#log,
      config: deps.config, settings: ctx.config, feed: market.feed,
    });
    this.#probe = this.#makeProbe();
  }

  /** Whether every connection is up with everything acknowledged, and Redis takes what comes. */
  get health(): { ok: boolean; detail: string } {
    const { pending, active, refused } = this.#subscriptions.counts();
    const ageS = Math.round((this.#d.ctx.clock.monotonicMs() - this.#pipeline.lastDataMs) / 1000);
    const subscriptions = `${active} subscriptions active, ${pending} pending, ${refused} refused, ${this.#shedding.count} withheld`;
    const detail = `${subscriptions}; last data ${ageS} s ago; ${this.#outbox.length} messages buffered`;
    if (this.#lastFailure !== null)
      return { ok: false, detail: `redis refuses messages (${this.#lastFailure}); ${detail}` };
    const flows = ageS <= MAX_SILENCE_S || this.#locked;
    return { ok: this.#presence.up && active > 0 && flows, detail: this.#locked ? `the venue is locked; ${detail}` : detail };
  }

  /** Stops the intake, then gives what is buffered a few seconds to get into Redis. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#probe.close();
    await this.#shards.close();
    await this.#presence.close('the receiver stops');
    const [left] = await Promise.all([this.#outbox.drain(DRAIN_MS), this.#hashes.drain()]);
    if (left > 0) this.#log.error({ messages: left }, 'redis did not take the rest: the next start reports it as gaps');
    this.#publisher.close();
    this.#figures.flush();
  }

  #startTimers(): void {
    this.#timers.push(
      setInterval(() => this.#pipeline.tick(), Math.min(TICK_MS, Math.max(10, this.#d.ctx.config.tickerIntervalMs))),
      setInterval(() => this.#everySecond(), SECOND_MS),
      setInterval(() => {
        // What is asked while Redis is away would pile up in the client.
        if (this.#d.redis.status !== 'ready') return;
        this.control.sync().catch((error: unknown) => this.#log.debug({ err: toError(error) }, 'wanted set not re-read'));
      }, RESYNC_MS),
    );
  }

  #everySecond(): void {
    const { metrics, ctx } = this.#d;
    const market = this.marketId;
    this.#figures.flush();
    this.#probe.tick();
    void this.#shedding.look();
    this.#presence.tick();
    metrics.feedAge.set({ market }, (ctx.clock.monotonicMs() - this.#pipeline.lastDataMs) / 1000);
    metrics.buffered.set({ market }, this.#outbox.length);
    metrics.withheld.set({ market }, this.#shedding.count);
    for (const [state, count] of Object.entries(this.#subscriptions.counts()))
      metrics.subscriptions.set({ market, state }, count);
    const { ok, detail } = this.health;
    ctx.health.set(`feed ${market}`, ok, detail);
  }

  #makeShards(): ShardSet {
    const { ctx, config, market, metrics } = this.#d;
    const { clock, random } = ctx;
    return new ShardSet({
      baseUrl: config.wsUrl,
      feed: market.feed,
      clock,
      random,
      tap: this.#d.tap,
      budget: new ConnectBudget(clock, market.feed.limits.maxConnectsPer5Min),
      onFrames: (...batch) => this.#pipeline.take(...batch),
      onWire: (wire, outcome, detail) => this.#subscriptions.onWire(wire, outcome, detail),
      onPlatform: (locked, detail) => this.#platform(locked, detail),
      onBadFrame: (kind, detail) => {
        metrics.badFrames.inc({ market: this.marketId, kind });
        this.#log.warn({ kind, detail }, 'frame refused');
      },
      onConnecting: (cause) =>
        metrics.connects.inc({ market: this.marketId, cause: /^(start|reconnect)$/.test(cause) ? cause : 'planned' }),
      onTrouble: (shard, reason) =>
        this.#log.warn({ connection: shard.name, reason }, 'cannot get a working connection, trying again'),
      onFlowing: (cause) => this.#presence.flowing(cause),
      onAllUp: (cause) => this.#allUp(cause),
      onSomeDown: (reason) => this.#someDown(reason),
    });
  }

  #makeSubscriptions(): Subscriptions {
    const { ctx, market } = this.#d;
    return new Subscriptions({
      feed: market.feed,
      resolutions: ctx.config.resolutions,
      retarget: (wires) => this.#shards.retarget(wires),
      event: (type, severity, symbol, data) => this.#status.event(type, severity, symbol === '' ? null : symbol, data),
      onActive: ({ channel, symbol }) => this.#feeds.watch(symbol, channel, ctx.clock.monotonicMs()),
      whyGone: (member) => (this.#shedding.withholds(member) ? WITHHELD : null),
      onGone: ({ channel, symbol }) => {
        this.#feeds.unwatch(symbol, channel, this.#shedding.withholds(`${channel}:${symbol}`) ? WITHHELD : 'was unsubscribed');
        if (channel === 'ticker') this.#pipeline.forgetTicker(symbol);
        if (channel === 'ohlc') this.#pipeline.forgetCandles(symbol);
      },
    });
  }

  #makeProbe(): StalenessProbe {
    const { ctx, config, market, metrics } = this.#d;
    const http = createHttp({ ...HTTP, clock: ctx.clock });
    return new StalenessProbe({
      feeds: this.#feeds,
      lastTrade: (symbol) => market.rest(config.restUrl, http).lastTrade(symbol),
      clock: ctx.clock,
      enabled: () => this.#presence.up && !this.#locked,
      isWatched: (channel, symbol) => this.#subscriptions.isActive(channel, symbol),
      onProbe: (outcome) => metrics.probes.inc({ market: this.marketId, outcome }),
      onRefused: ({ symbol }, channel, reason) => this.#subscriptions.refuse(channel, symbol, reason),
      onStale: (feed, channel, reason) => {
        if (!feed.stale.has(channel)) this.#status.stale(feed.symbol, channel, reason);
        feed.stale.add(channel);
        for (const wire of this.#subscriptions.wiresOf(channel, feed.symbol)) {
          this.#shards.shardOf(wire)?.replaceStale(`stale ${channel} of ${feed.symbol}`);
        }
      },
    });
  }

  #allUp(cause: string): void {
    this.#log.info({ cause, ...this.#subscriptions.counts() }, 'feed connected');
    // After a planned change a silence goes on counting.
    if (this.#presence.allUp(cause)) this.#feeds.restartPulses(this.#d.ctx.clock.monotonicMs());
  }

  #someDown(reason: string): void {
    this.#log.warn({ reason }, 'feed disconnected');
    this.#d.metrics.disconnects.inc({ market: this.marketId });
    this.#subscriptions.interrupted();
    this.#feeds.interrupted(`the connection was lost: ${reason}`);
    this.#presence.down(reason);
  }

  #platform(locked: boolean, detail: string): void {
    if (locked === this.#locked) return;
    this.#locked = locked;
    this.#log.warn({ locked, detail }, 'the venue changed its state');
    this.#status.event('feed.platform', locked ? 'warning' : 'info', null, { locked, detail });
    if (!locked) this.#feeds.restartPulses(this.#d.ctx.clock.monotonicMs());
  }

  #published(callMs: number, oldestMs: number | null): void {
    this.#figures.batch(callMs, oldestMs);
    if (this.#lastFailure !== null) this.#log.info({ buffered: this.#outbox.length }, 'redis takes messages again');
    this.#lastFailure = null;
  }

  #publishFailed(error: Error): void {
    this.#d.metrics.publishFailures.inc({ market: this.marketId });
    if (this.#lastFailure === null) this.#log.error({ err: error }, 'redis refuses messages: they wait in memory');
    this.#lastFailure = error.message.slice(0, 200);
  }
}
