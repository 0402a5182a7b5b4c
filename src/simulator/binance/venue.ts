// One Binance venue: who is connected, what they hear, and what happens each tick. REST is in rest.ts.
import { Book } from '../book.ts';
import type { Connection } from '../connection.ts';
import { Mischief, tradeLine, withheld } from '../emission.ts';
import { Market } from '../market.ts';
import type { Spec } from '../spec.ts';
import type { HttpExchange, Venue, World } from '../world.ts';
import { aggTradeText, tradeText } from './frames.ts';
import { pushStream } from './push.ts';
import { BinanceRest } from './rest.ts';
import { replayFrame } from './replay.ts';
import { Session, type Category, type SessionHost, type SessionLimits } from './session.ts';
import { Stream, isPublicKind, parseStream } from './streams.ts';

export interface BinanceFlavour {
  marketId: string;
  futures: boolean;
  limits: SessionLimits;
  /** Connection attempts per five minutes and address. */
  maxAttempts: number;
  /** Request weight per minute and address. */
  weightLimit: number;
}

export const SPOT_FLAVOUR: BinanceFlavour = {
  marketId: 'binance_spot', futures: false, limits: { inboundPerSecond: 5, maxStreams: 1024 }, maxAttempts: 300, weightLimit: 6000,
};
export const USDM_FLAVOUR: BinanceFlavour = {
  marketId: 'binance_usdm', futures: true, limits: { inboundPerSecond: 10, maxStreams: 200 }, maxAttempts: 300, weightLimit: 2400,
};

const FIVE_MINUTES = 300_000;

export class BinanceVenue implements Venue, SessionHost {
  readonly marketId: string;
  readonly flavour: BinanceFlavour;
  readonly limits: SessionLimits;
  readonly world: World;
  readonly markets = new Map<string, Market>();
  readonly connections = new Set<Connection>();
  readonly sessions = new Map<Connection, Session>();
  readonly streams = new Map<string, Stream>();
  readonly books = new Map<Market, Book>();
  readonly #mischief: Mischief;
  readonly #rest: BinanceRest;
  readonly #attempts = new Map<string, number[]>();

  constructor(world: World, flavour: BinanceFlavour, specs: readonly Spec[], keep: number) {
    this.world = world;
    this.flavour = flavour;
    this.marketId = flavour.marketId;
    this.limits = flavour.limits;
    this.#mischief = new Mischief(world);
    for (const spec of specs) this.addMarket(spec, keep);
    this.#rest = new BinanceRest(this);
  }

  addMarket(spec: Spec, keep: number): Market {
    const market = new Market(spec, { seed: this.world.seed, keep, startMs: this.world.nowMs(), liquidations: false });
    this.markets.set(spec.symbol, market);
    return market;
  }

  refuse(path: string, ip: string): { status: number; body: string } | null {
    if (this.#category(path) === null) return { status: 404, body: 'Not Found' };
    const now = this.world.clock.monotonicMs();
    const attempts = (this.#attempts.get(ip) ?? []).filter((at) => at > now - FIVE_MINUTES);
    attempts.push(now);
    this.#attempts.set(ip, attempts);
    const over = this.world.limits && attempts.length > this.flavour.maxAttempts;
    return over ? { status: 429, body: 'Too Many Requests' } : null;
  }

  accept(connection: Connection, path: string, query: URLSearchParams): void {
    const combined = /\/stream$/.test(path);
    const micro = !this.flavour.futures && (query.get('timeUnit') ?? '').toUpperCase() === 'MICROSECOND';
    const session = new Session(this, connection, { category: this.#category(path) ?? 'single', combined, micro });
    this.connections.add(connection);
    this.sessions.set(connection, session);
    connection.socket.on('close', () => {
      this.drop(connection);
      this.connections.delete(connection);
    });
    const named = combined ? query.get('streams') : /\/ws\/(.+)$/.exec(path)?.[1];
    for (const name of (named ?? '').split('/')) {
      // ccxt numbers its sockets: /ws/0. A path without @ or ! is a session name, not a stream.
      if (name.includes('@') || name.startsWith('!')) this.subscribe(session, name);
    }
  }

  drop(connection: Connection): void {
    const session = this.sessions.get(connection);
    for (const name of session?.streams ?? []) if (session !== undefined) this.#leave(session, name);
    this.sessions.delete(connection);
  }

  http(exchange: HttpExchange): void {
    this.#rest.handle(exchange);
  }

  subscribe(session: Session, name: string): void {
    if (session.streams.has(name)) return;
    session.streams.add(name);
    this.#note('sub', session, name);
    const parsed = parseStream(name);
    if (parsed.kind === 'unknown' || !this.#serves(session.category, parsed.kind)) return;
    if (this.flavour.futures && parsed.detail === '1s') return;
    const market = this.markets.get(parsed.symbol) ?? null;
    if (market === null && parsed.kind !== 'all') return;
    let stream = this.streams.get(name);
    if (stream === undefined) {
      stream = new Stream(name, parsed, market);
      this.streams.set(name, stream);
    }
    stream.add(session.connection, session.group);
    if (market !== null) market.watchers++;
  }

  unsubscribe(session: Session, name: string): void {
    if (!session.streams.delete(name)) return;
    this.#note('unsub', session, name);
    this.#leave(session, name);
  }

  regroup(session: Session): void {
    for (const name of session.streams) {
      const stream = this.streams.get(name);
      if (stream === undefined || !stream.readers().includes(session.connection)) continue;
      stream.remove(session.connection);
      stream.add(session.connection, session.group);
    }
  }

  publish(market: Market, from: number, to: number): void {
    const lower = market.spec.symbol.toLowerCase();
    const trades = this.streams.get(`${lower}@trade`) ?? null;
    const runs = this.streams.get(`${lower}@aggTrade`) ?? null;
    const nowUs = this.world.nowUs();
    const { futures } = this.flavour;
    const faulty = this.world.faults.any;
    const { history } = market;
    for (let seq = from; seq <= to; ) {
      const end = history.runEnd(seq, to);
      // The ledger holds what the venue numbers without holes: raw trades on spot, runs on USD-M.
      const primary = futures ? runs : trades;
      const secondary = futures ? trades : runs;
      const step = futures ? end : seq;
      for (let at = seq; at <= end; at = futures ? end + 1 : at + 1) {
        this.#print(market, at, futures ? step : at, primary, nowUs, faulty);
      }
      if (secondary !== null && secondary.size > 0) this.#secondary(market, seq, end, secondary, nowUs);
      seq = end + 1;
    }
    if (faulty) this.#mischief.settle();
  }

  tick(nowMs: number): void {
    const mono = this.world.clock.monotonicMs();
    const { pingMs, pongMs, sessionMs } = this.world.timing;
    const factor = this.flavour.futures ? 9 : 1;
    for (const session of this.sessions.values()) {
      session.tick(mono, pingMs * factor, pongMs * (this.flavour.futures ? 10 : 1));
      if (mono - session.openedMs >= sessionMs) session.connection.close(1001, 'session is 24 hours old');
    }
    const nowUs = this.world.nowUs();
    for (const stream of this.streams.values()) if (stream.size > 0) pushStream(this, stream, nowMs, nowUs);
    this.#mischief.settle();
  }

  replay(stream: string, data: string): void {
    replayFrame(this, stream, data);
  }

  hears(stream: string): boolean {
    return this.live(stream) !== null || (stream.endsWith('@aggTrade') && this.live(stream.replace('@aggTrade', '@trade')) !== null);
  }

  announce(message: Readonly<Record<string, unknown>>): number {
    for (const session of this.sessions.values()) {
      const event = JSON.stringify({ e: message['event'] ?? 'serverShutdown', E: this.world.nowMs(), ...(message['data'] as object | undefined) });
      session.connection.send(session.combined ? `{"stream":"!serverShutdown","data":${event}}` : event);
    }
    return this.sessions.size;
  }

  state(): Record<string, unknown> {
    return {
      connections: [...this.sessions.values()].map((s) => ({ conn: s.connection.id, category: s.category, streams: [...s.streams] })),
      rest: this.#rest.state(),
    };
  }

  /** The book of a market; made when first asked for. */
  book(market: Market): Book {
    let book = this.books.get(market);
    if (book === undefined) {
      book = new Book(market);
      this.books.set(market, book);
    }
    return book;
  }

  /** Live subscribers of a stream, for the replay. */
  live(name: string): Stream | null {
    const stream = this.streams.get(name);
    return stream !== undefined && stream.size > 0 ? stream : null;
  }

  #print(market: Market, from: number, to: number, stream: Stream | null, nowUs: number, faulty: boolean): void {
    const { history: h } = market;
    const price = market.priceText(h.price(from));
    const heard = stream !== null && stream.size > 0;
    const why = faulty && heard ? withheld(this.world, market) : null;
    const { futures } = this.flavour;
    let lots = 0;
    for (let seq = from; seq <= to; seq++) lots += h.lots(seq);
    const id = String(futures ? h.group(from) : from);
    const line = tradeLine(market, id, from, to, price, market.amountText(lots), h.isSell(from), h.ts(from), heard && why === null, why);
    this.world.ledger.append(line);
    if (!heard || why !== null) return;
    const text = (at: string) => (micro: boolean): string =>
      futures ? aggTradeText(market, from, to, at, nowUs, micro, true) : tradeText(market, from, at, nowUs, micro, false);
    if (!faulty) {
      stream.send(text(price));
      return;
    }
    this.#mischief.deliver(market, {
      tradeId: id,
      send: () => stream.send(text(price)),
      twin: () => {
        const other = market.priceText(h.price(from) + market.spec.tick * 3);
        stream.send(text(other));
        return other;
      },
      readers: () => stream.readers(),
    });
  }

  #secondary(market: Market, from: number, to: number, stream: Stream, nowUs: number): void {
    if (this.world.faults.find('silence', this.marketId, market.spec.symbol, 'trade') !== null) return;
    const price = market.priceText(market.history.price(from));
    if (!this.flavour.futures) {
      stream.send((micro) => aggTradeText(market, from, to, price, nowUs, micro, false));
      return;
    }
    for (let seq = from; seq <= to; seq++) stream.send((micro) => tradeText(market, seq, price, nowUs, micro, true));
  }

  #category(path: string): Category | null {
    const match = /^(?:\/(public|market|private))?\/(?:ws(?:\/.*)?|stream)$/.exec(path);
    if (match === null) return null;
    if (!this.flavour.futures) return match[1] === undefined ? 'single' : null;
    return (match[1] as Category | undefined) ?? 'legacy';
  }

  #serves(category: Category, kind: Stream['parsed']['kind']): boolean {
    if (category === 'single') return true;
    // Since the URL split the old root still shakes hands and acknowledges, but klines never come.
    if (category === 'legacy') return kind !== 'kline';
    return category !== 'private' && isPublicKind(kind) === (category === 'public');
  }

  #leave(session: Session, name: string): void {
    const stream = this.streams.get(name);
    if (stream === undefined || !stream.readers().includes(session.connection)) return;
    stream.remove(session.connection);
    if (stream.market !== null) stream.market.watchers--;
    if (stream.size === 0) this.streams.delete(name);
  }

  #note(k: 'sub' | 'unsub', session: Session, channel: string): void {
    this.world.ledger.note({ k, market_id: this.marketId, conn: session.connection.id, channel });
  }
}
