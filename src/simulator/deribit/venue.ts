// The simulated Deribit: sessions, channels, credits, and what happens each tick. Methods are in methods.ts.
import { ControlError } from '../actions.ts';
import { Book } from '../book.ts';
import type { Connection } from '../connection.ts';
import { Mischief, tradeLine, withheld } from '../emission.ts';
import { Market } from '../market.ts';
import type { Spec } from '../spec.ts';
import type { HttpExchange, Venue, World } from '../world.ts';
import { Channel, parseChannel } from './channels.ts';
import { Dispatcher, type Incoming } from './dispatch.ts';
import { bookSnapshot, pushChannel } from './push.ts';
import { namesOf, notification, tradeId, tradeObject, type MarketNames } from './frames.ts';
import { hearersOf, replayFrame } from './replay.ts';
import { invalidParam, RpcError, type Params } from './rpc.ts';
import { Session, type SessionHost } from './session.ts';
import { printLegs } from './combos.ts';
import { BookMarkets, printsOf } from './private/book_markets.ts';
import { Desk, type Reply } from './private/desk.ts';
import type { Grant } from './private/tokens.ts';
import { accountState, operate } from './private/operator.ts';
import { tellChange } from './private/users.ts';
import { DEPOSITS } from './private/virtual.ts';

const MAX_CONNECTIONS = 32;
const MAX_CHANNELS = 500;

export interface Listed {
  readonly market: Market;
  readonly names: MarketNames;
}

export class DeribitVenue implements Venue, SessionHost {
  readonly marketId = 'deribit';
  readonly world: World;
  readonly markets = new Map<string, Market>();
  readonly names = new Map<Market, MarketNames>();
  readonly connections = new Set<Connection>();
  readonly sessions = new Map<Connection, Session>();
  readonly channels = new Map<string, Channel>();
  readonly books = new Map<Market, Book>();
  locked: 'true' | 'partial' | 'false' = 'false';
  lockedIndices: string[] = [];
  /** Channels of trades that hear a market, wide ones included. */
  readonly #hearers = new Map<Market, Channel[]>();
  readonly #mischief: Mischief;
  readonly desk: Desk;
  readonly #dispatch: Dispatcher;

  constructor(world: World, specs: readonly Spec[], keep: number) {
    this.world = world;
    this.#mischief = new Mischief(world);
    for (const spec of specs) this.addMarket(spec, keep);
    this.desk = new Desk({
      ...world, startMs: world.nowMs(), deposits: DEPOSITS, note: (entry) => world.ledger.note(entry),
      markets: new BookMarkets({
        markets: this.markets, names: this.names, funding: true, book: (market) => this.book(market),
        published: (market, seq) => this.publish(market, seq, seq),
      }),
      locked: ({ priceIndex }) => this.locked === 'true' || this.lockedIndices.includes(priceIndex),
      tell: (change) => tellChange(this.channels.values(), change, this.desk.engine),
    });
    this.#dispatch = new Dispatcher(this);
  }

  addMarket(spec: Spec, keep: number): Market {
    const liquidations = spec.kind === 'perpetual' || spec.kind === 'future';
    const market = new Market(spec, { seed: this.world.seed, keep, startMs: this.world.nowMs(), liquidations });
    this.names.set(market, namesOf(market, this.markets.size));
    this.markets.set(spec.symbol, market);
    return market;
  }

  refuse(path: string, ip: string): { status: number; body: string } | null {
    if (path !== '/ws/api/v2') return { status: 404, body: 'Not Found' };
    const mine = [...this.connections].filter((connection) => connection.ip === ip).length;
    return this.world.limits && mine >= MAX_CONNECTIONS ? { status: 429, body: 'Too Many Requests' } : null;
  }

  accept(connection: Connection): void {
    const session = new Session(this, connection);
    this.connections.add(connection);
    this.sessions.set(connection, session);
    connection.socket.on('close', () => {
      this.drop(connection);
      this.connections.delete(connection);
    });
  }

  drop(connection: Connection): void {
    const session = this.sessions.get(connection);
    for (const name of session?.channels ?? []) if (session !== undefined) this.#leave(session, name);
    this.sessions.delete(connection);
    if (session === undefined) return;
    if (session.loggedOut) this.desk.cod.forget(connection.id);
    // A half-open connection is noticed only when its heartbeats have failed.
    else if (connection.open) this.desk.cod.fireLater(connection.id, this.world.nowMs() + session.noticedMs);
    else this.desk.disconnected(connection.id, this.world.nowMs());
  }

  http(exchange: HttpExchange): void {
    this.#dispatch.http(exchange);
  }

  request(incoming: Incoming, reply: Reply): void {
    this.#dispatch.request(incoming, reply);
  }

  /** What public/subscribe answers: the channels that are subscribed now, of those asked for. */
  subscribe(session: Session, names: readonly string[], grant: Grant | null, isPrivate: boolean): string | null {
    if (names.length > MAX_CHANNELS) throw invalidParam('channels', `more than ${MAX_CHANNELS} channels`);
    const { faults } = this.world;
    const parsed = names.map((name) => ({ name, at: parseChannel(name, (instrument) => this.markets.has(instrument)) }));
    if (parsed.some(({ at }) => at?.raw === true) && grant === null) {
      throw new RpcError(13778, 'raw_subscriptions_not_available_for_unauthorized');
    }
    const fault = (kind: 'ack_never' | 'reject_subscription', name: string, symbol: string | null | undefined): boolean =>
      faults.strike(kind, this.marketId, symbol ?? undefined, name) !== null;
    if (parsed.some(({ name, at }) => fault('ack_never', name, at?.instrument))) return null;
    const accepted: string[] = [];
    for (const { name, at } of parsed) {
      if (at === null || fault('reject_subscription', name, at.instrument)) continue;
      if (at.type === 'user' && !(isPrivate && grant?.rights[at.detail === 'portfolio' ? 'account' : 'trade'] !== 'none')) continue;
      accepted.push(name);
      if (session.channels.has(name)) continue;
      session.channels.add(name);
      this.world.ledger.note({ k: 'sub', market_id: this.marketId, conn: session.connection.id, channel: name });
      const channel = this.channels.get(name) ?? this.#open(name, new Channel(name, at, this.markets.get(at.instrument ?? '') ?? null));
      channel.readers.add(session.connection);
      // The snapshot belongs behind the acknowledgement.
      if (at.type === 'book') setImmediate(() => this.#snapshot(channel, session.connection));
    }
    return JSON.stringify(accepted);
  }

  unsubscribe(session: Session, names: readonly string[]): string[] {
    return names.filter((name) => {
      if (!session.channels.delete(name)) return false;
      this.world.ledger.note({ k: 'unsub', market_id: this.marketId, conn: session.connection.id, channel: name });
      this.#leave(session, name);
      return true;
    });
  }

  publish(market: Market, from: number, to: number): void {
    const names = this.#namesOf(market);
    const { history: h, spec } = market;
    const hearers = this.#hearers.get(market) ?? [];
    const faulty = this.world.faults.any;
    for (let seq = from; seq <= to; seq++) {
      if (spec.legs !== undefined) printLegs(this, market, seq);
      const why = faulty && hearers.length > 0 ? withheld(this.world, market) : null;
      const sent = hearers.length > 0 && why === null;
      const id = tradeId(names, seq);
      const price = market.priceText(h.price(seq));
      this.world.ledger.append(tradeLine(market, id, seq, seq, price, market.amountText(h.lots(seq)), h.isSell(seq), h.ts(seq), sent, why));
      if (!sent) continue;
      const add = (text: string): void => {
        for (const channel of hearers) channel.add(text);
      };
      if (!faulty) {
        add(tradeObject(market, names, seq));
        continue;
      }
      this.#mischief.deliver(market, {
        tradeId: id,
        send: () => add(tradeObject(market, names, seq)),
        twin: () => {
          const other = h.price(seq) + spec.tick * 3;
          add(tradeObject(market, names, seq, other));
          return market.priceText(other);
        },
        readers: () => new Set(hearers.flatMap((channel) => [...channel.readers])),
      });
    }
    const nowMs = this.world.nowMs();
    this.desk.happened(printsOf(market, from, to, nowMs, this.desk.engine), nowMs);
  }

  tick(nowMs: number): void {
    const mono = this.world.clock.monotonicMs();
    for (const session of this.sessions.values()) session.tick(mono);
    this.#mischief.settle();
    this.desk.advance(nowMs);
    for (const channel of this.channels.values()) pushChannel(this, channel, nowMs, mono);
  }

  replay(stream: string, data: string): void {
    replayFrame(this, stream, data);
  }

  hears(stream: string): boolean {
    return hearersOf(this, stream).length > 0;
  }

  /** `{channel, data}` to the channel's readers; platform_state also changes what public/status says. */
  announce(message: Readonly<Record<string, unknown>>): number {
    const name = textOf(message['channel'], 'platform_state');
    const data = (message['data'] ?? {}) as Record<string, unknown>;
    if (name === 'platform_state' && typeof data['locked'] === 'boolean') {
      const index = textOf(data['price_index'], '');
      this.lockedIndices = this.lockedIndices.filter((other) => other !== index);
      if (data['locked']) this.lockedIndices.push(index);
      this.locked = this.lockedIndices.length === 0 ? 'false' : 'partial';
    } else if (name === 'platform_state' && typeof data['maintenance'] === 'boolean') this.locked = data['maintenance'] ? 'true' : 'false';
    const channel = this.channels.get(name);
    channel?.sendAny(JSON.stringify(data));
    return channel?.readers.size ?? 0;
  }

  operate(message: Readonly<Record<string, unknown>>): unknown {
    try {
      return operate(this.desk, message, this.world.nowMs());
    } catch (error) {
      throw error instanceof RpcError ? new ControlError(`${error.message}${error.data === undefined ? '' : ` ${JSON.stringify(error.data)}`}`) : error;
    }
  }

  state(): Record<string, unknown> {
    return {
      locked: this.lockedNow,
      account: accountState(this.desk),
      connections: [...this.sessions.values()].map((s) => ({ conn: s.connection.id, authenticated: s.token !== null, channels: [...s.channels] })),
    };
  }

  /** What public/status says. */
  get lockedNow(): 'true' | 'partial' | 'false' {
    return this.world.faults.find('locked', this.marketId) === null ? this.locked : 'true';
  }

  /** The market that `instrument_name` names. */
  market(params: Params): Listed {
    const symbol = params.text('instrument_name');
    const market = this.markets.get(symbol);
    if (market === undefined) throw new RpcError(13020, 'not_found', { reason: 'instrument not found', param: 'instrument_name' });
    return { market, names: this.#namesOf(market) };
  }

  /** Markets of a settlement currency (spot pairs: either side) and kind; `any` and null match all. */
  select(currency: string, kind: string | null): Listed[] {
    const fits = ({ spec }: Market): boolean => {
      const wireKind = String(spec.wire['kind']);
      const kindFits = kind === null || kind === 'any' || kind === wireKind || (kind === 'combo' && wireKind.endsWith('_combo'));
      const family = spec.settle === null ? [spec.base, spec.quote] : [spec.settle];
      return kindFits && (currency === 'any' || family.includes(currency.toUpperCase()));
    };
    return [...this.markets.values()].filter(fits).map((market) => ({ market, names: this.#namesOf(market) }));
  }

  book(market: Market): Book {
    const book = this.books.get(market) ?? new Book(market);
    this.books.set(market, book);
    return book;
  }

  #namesOf(market: Market): MarketNames {
    return this.names.get(market) ?? namesOf(market, 0);
  }

  #open(name: string, channel: Channel): Channel {
    this.channels.set(name, channel);
    for (const market of this.#marketsOf(channel)) {
      market.watchers++;
      if (channel.parsed.type === 'trades') this.#hearers.set(market, [...(this.#hearers.get(market) ?? []), channel]);
    }
    return channel;
  }

  #leave(session: Session, name: string): void {
    const channel = this.channels.get(name);
    if (channel === undefined) return;
    // What was made while this reader was subscribed is still its own.
    channel.flush();
    channel.readers.delete(session.connection);
    if (channel.readers.size > 0) return;
    this.channels.delete(name);
    for (const market of this.#marketsOf(channel)) {
      market.watchers--;
      this.#hearers.set(
        market,
        (this.#hearers.get(market) ?? []).filter((other) => other !== channel),
      );
    }
  }

  #marketsOf(channel: Channel): Market[] {
    if (channel.market !== null) return [channel.market];
    return channel.parsed.type === 'trades' ? this.select(channel.parsed.currency, channel.parsed.kind).map(({ market }) => market) : [];
  }

  #snapshot(channel: Channel, reader: Connection): void {
    reader.send(notification(channel.name, bookSnapshot(this, channel)));
  }
}

const textOf = (value: unknown, absent: string): string => (typeof value === 'string' ? value : absent);
