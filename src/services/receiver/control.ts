// Subscription commands: control:<market_id>:subscriptions is the hint, the durable wanted set is what counts. Every
// command gets its answer as subscription.* events, per symbol and channel.
import type { Redis } from 'ioredis';
import { addPatterns, markMatched, removePatterns } from '../../bus/patterns.ts';
import { addWanted, removeWanted, syncWanted, unlistedSymbols } from '../../bus/wanted.ts';
import { parseSubscriptionCommand, show, type SubscriptionCommand } from '../../contracts/index.ts';
import { toError } from '../../core/errors.ts';
import { isPattern, patternError } from '../../core/patterns.ts';
import type { FeedProtocol } from '../../exchanges/exchange.ts';
import type { Config, MarketConfig } from '../../runtime/env.ts';
import type { Logger } from '../../runtime/log.ts';
import { Patterns } from './patterns.ts';
import { WITHHELD, type Shedding } from './shedding.ts';
import type { FeedStatusReporter } from './status.ts';
import type { Subscriptions } from './subscriptions.ts';

/** As docs/system_contracts.yml has it for a command. */
const MAX_REQUEST_ID = 128;

export interface ControlOptions {
  redis: Redis;
  marketId: string;
  /** Symbols and patterns that the configuration asks for, … */
  config: Pick<MarketConfig, 'symbols' | 'patterns'>;
  /** … on these channels. */
  settings: Pick<Config, 'channels' | 'resolutions'>;
  feed: FeedProtocol;
  subscriptions: Subscriptions;
  shedding: Pick<Shedding, 'admit' | 'withholds'>;
  status: FeedStatusReporter;
  log: Logger;
}

export class Control {
  readonly #o: ControlOptions;
  readonly #config: readonly string[];
  readonly #patterns: Patterns;
  /** Commands and re-reads one after the other: a re-read must not undo half a command. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: ControlOptions) {
    this.#o = options;
    const { config, settings: { channels, resolutions } } = options;
    const onAll = (names: readonly string[]): string[] => names.flatMap((name) => channels.map((channel) => `${channel}:${name}`));
    this.#config = onAll(config.symbols);
    this.#patterns = new Patterns({ ...options, config: onAll(config.patterns), resolutions });
  }

  /** Re-reads the wanted set, with what changed in the configuration applied. Rejects when Redis does not answer. */
  sync(): Promise<void> {
    return this.#enqueue(() => this.#sync());
  }

  /** Takes one message of the control channel. Never throws. */
  receive(text: string): void {
    const command = this.#parse(text);
    if (command === null) return;
    this.#enqueue(() => this.#execute(command)).catch((error: unknown) => {
      const reason = `not carried out: ${toError(error).message}`;
      for (const symbol of command.symbols) this.#answer('subscription.rejected', symbol, command, { reason });
    });
  }

  #enqueue(job: () => Promise<void>): Promise<void> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #sync(): Promise<void> {
    const { redis, marketId, subscriptions, shedding } = this.#o;
    const wanted = await this.#patterns.apply(await syncWanted(redis, marketId, this.#config));
    const members = shedding.admit(new Set(wanted));
    const symbols = [...new Set(subscriptions.newcomers(members).map(({ symbol }) => symbol))];
    const unlisted = symbols.length === 0 ? new Set<string>() : await unlistedSymbols(redis, marketId, symbols);
    subscriptions.apply(members, unlisted);
  }

  #parse(text: string): SubscriptionCommand | null {
    let value: unknown;
    const invalid = (error: string): null => {
      this.#o.status.event('subscription.invalid', 'warning', null, { error, received: show(text), ...requestOf(value) });
      return null;
    };
    try {
      value = JSON.parse(text);
    } catch (error) {
      return invalid(`not JSON: ${toError(error).message.slice(0, 100)}`);
    }
    const parsed = parseSubscriptionCommand(value);
    return parsed.ok ? parsed.value : invalid(parsed.error);
  }

  async #execute(command: SubscriptionCommand): Promise<void> {
    const { redis, marketId, subscriptions, shedding } = this.#o;
    const symbols = [...new Set(command.symbols)].filter((symbol) => !isPattern(symbol));
    await this.#takePatterns(command);
    if (symbols.length === 0) return;
    if (command.action === 'unsubscribe') return this.#unsubscribe(command, symbols);
    const unlisted = await unlistedSymbols(redis, marketId, symbols);
    for (const symbol of unlisted)
      this.#answer('subscription.rejected', symbol, command, { reason: 'the venue does not list this symbol' });
    const members = symbols
      .filter((symbol) => !unlisted.has(symbol))
      .flatMap((symbol) => [...new Set(command.channels)].map((channel) => `${channel}:${symbol}`));
    if (members.length === 0) return;
    const known = new Set(members.filter((member) => subscriptions.has(member)));
    await addWanted(redis, marketId, members);
    await markMatched(redis, marketId, 'named', members);
    await this.#sync();
    const later = new Set(members.filter((member) => shedding.withholds(member)).map((member) => member.slice(member.indexOf(':') + 1)));
    for (const symbol of later) this.#answer('subscription.rejected', symbol, command, { reason: WITHHELD, retried: true });
    for (const member of members) if (known.has(member) || command.request_id !== undefined) subscriptions.await(member, command.request_id);
  }

  async #takePatterns(command: SubscriptionCommand): Promise<void> {
    const { redis, marketId, status } = this.#o;
    const patterns = [...new Set(command.symbols)].filter(isPattern).filter((pattern) => {
      const error = patternError(pattern);
      if (error !== null) this.#answer('subscription.rejected', pattern, command, { reason: `pattern: ${error}` });
      return error === null;
    });
    const members = patterns.flatMap((pattern) => [...new Set(command.channels)].map((channel) => ({ pattern, channel, member: `${channel}:${pattern}` })));
    if (members.length === 0) return;
    const names = members.map(({ member }) => member);
    const request = command.request_id === undefined ? {} : { request_id: command.request_id };
    if (command.action === 'unsubscribe') {
      const removed = await removePatterns(redis, marketId, names);
      await this.#sync();
      members.forEach(({ pattern, channel }, n) => {
        this.#answer('subscription.removed', pattern, command, { channel, ...(removed[n] === true ? {} : { note: 'was not subscribed' }) });
      });
      return;
    }
    await addPatterns(redis, marketId, names);
    await this.#sync();
    for (const { pattern, channel, member } of members) {
      const { matched, leftOut } = this.#patterns.of(member);
      status.event('subscription.pattern', 'info', pattern, { channel, matched, left_out: leftOut, ...request });
    }
  }

  async #unsubscribe(command: SubscriptionCommand, symbols: readonly string[]): Promise<void> {
    const { redis, marketId, subscriptions } = this.#o;
    const members = symbols.flatMap((symbol) =>
      [...new Set(command.channels)].map((channel) => ({ symbol, channel, member: `${channel}:${symbol}` })),
    );
    // Else the pattern that matches would want it again.
    const held = members.map(({ member }) => member).filter((member) => this.#patterns.has(member));
    await markMatched(redis, marketId, 'held', held);
    const removed = await removeWanted(
      redis,
      marketId,
      members.map(({ member }) => member),
    );
    members.forEach(({ symbol, channel, member }, i) => {
      if (removed[i] !== true)
        this.#answer('subscription.removed', symbol, command, { channel, note: 'was not subscribed' });
      // Wanted, but never to be had: nobody will confirm that it is gone.
      else if (!subscriptions.has(member)) this.#answer('subscription.removed', symbol, command, { channel });
      else if (command.request_id !== undefined) subscriptions.awaitRemoval(member, command.request_id);
    });
    await this.#sync();
  }

  #answer(
    type: 'subscription.rejected' | 'subscription.removed',
    symbol: string,
    command: SubscriptionCommand,
    data: Record<string, unknown>,
  ): void {
    const request = command.request_id === undefined ? {} : { request_id: command.request_id };
    this.#o.status.event(type, type === 'subscription.rejected' ? 'warning' : 'info', symbol, {
      channels: command.channels,
      ...data,
      ...request,
    });
  }
}

/** Who asks for nonsense waits for an answer, too. */
function requestOf(value: unknown): { request_id?: string } {
  const id = (value as { request_id?: unknown } | null | undefined)?.request_id;
  return typeof id === 'string' && id.length <= MAX_REQUEST_ID ? { request_id: id } : {};
}
