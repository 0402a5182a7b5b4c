// The private side in virtual time: seeded markets, an engine and a desk on them, without sockets, timers or files. Equal seeds and
// equal calls give equal states; minutes take milliseconds.
//
//   const world = new VirtualWorld({ seed: 7, startMs, symbols: ['BTC-PERPETUAL'] });
//   world.engine.execute(world.nowMs, { do: 'place', … });          // straight to the engine, or as a client would:
//   const conn = world.connect();
//   world.request(conn, 'private/buy', { … }, (outcome) => …);      // through the faults in force; never called: still on its way
//   world.faults.add({ kind: 'response_lost', channel: 'private/buy', count: 1 });
//   for (const change of world.pass(250)) …                         // 250 ms later: what others traded, and what is told of our orders
//   world.ledger                                                    // the truth: requests, results, orders and fills
import type { Clock } from '../../../core/clock.ts';
import { Faults } from '../../faults.ts';
import type { LedgerEntry } from '../../ledger.ts';
import { Market } from '../../market.ts';
import { hashText, Prng } from '../../prng.ts';
import { deribitSpecs } from '../catalogue.ts';
import { namesOf } from '../frames.ts';
import { Params } from '../rpc.ts';
import { BookMarkets, printsOf } from './book_markets.ts';
import type { Change } from './commands.ts';
import { Desk, type Reply } from './desk.ts';
import type { MatchingEngine } from './matching.ts';
import { dec, type Dec } from './money.ts';
import { unauthorized } from './tokens.ts';

export interface VirtualOptions {
  readonly seed: number;
  readonly startMs: number;
  /** Markets that exist; all of the catalogue when absent. */
  readonly symbols?: readonly string[];
  /** Public trades per second and market; 20 when absent. */
  readonly rate?: number;
  readonly deposits?: Readonly<Record<string, Dec>>;
  /** Rate limits are enforced; false when absent. */
  readonly limits?: boolean;
  readonly settlementMs?: number;
  /** Perpetuals pay and get funding; false when absent. */
  readonly funding?: boolean;
}

/** What an account begins with. */
export const DEPOSITS: Readonly<Record<string, Dec>> = {
  BTC: dec('10'), ETH: dec('200'), USDC: dec('1000000'), SOL: dec('0'), XRP: dec('0'),
};

export class VirtualWorld {
  readonly markets = new Map<string, Market>();
  readonly source: BookMarkets;
  readonly desk: Desk;
  readonly faults: Faults;
  /** The truth, oldest first. */
  readonly ledger: LedgerEntry[] = [];
  /** Exchange time, milliseconds since the epoch. */
  nowMs: number;
  readonly #rate: number;
  readonly #tokens = new Map<number, string>();
  #told: Change[] = [];
  #connections = 0;

  constructor(options: VirtualOptions) {
    this.nowMs = options.startMs;
    this.#rate = options.rate ?? 20;
    for (const spec of deribitSpecs(options.startMs)) {
      if (options.symbols !== undefined && !options.symbols.includes(spec.symbol)) continue;
      const market = new Market(spec, { seed: options.seed, keep: 1_000, startMs: options.startMs, liquidations: false });
      market.generate(1, (options.startMs - 1_000) * 1000, options.startMs * 1000);
      this.markets.set(spec.symbol, market);
    }
    const names = new Map([...this.markets.values()].map((market, i) => [market, namesOf(market, i)]));
    this.source = new BookMarkets({ markets: this.markets, names, funding: options.funding ?? false });
    const dice = new Prng(hashText(`${options.seed} faults`));
    this.faults = new Faults(() => dice.float(), () => this.nowMs);
    const clock: Clock = { nowMicros: () => this.nowMs * 1000, monotonicMs: () => this.nowMs };
    this.desk = new Desk({
      deposits: DEPOSITS, limits: false, ...options, markets: this.source, faults: this.faults, clock, note: (entry) => void this.ledger.push(entry),
      tell: (change) => void this.#told.push(change),
    });
  }

  get engine(): MatchingEngine {
    return this.desk.engine;
  }

  /** A new connection that is logged in as `sim`; its number. */
  connect(): number {
    const conn = ++this.#connections;
    this.login(conn);
    return conn;
  }

  /** Logs a connection in (again). */
  login(conn: number): void {
    const credentials = new Params({ grant_type: 'client_credentials', client_id: 'sim', client_secret: 'sim-secret' });
    this.#tokens.set(conn, this.desk.tokens.auth(this.nowMs, credentials, conn).accessToken);
  }

  /** The connection is lost: its tokens die, and its orders when cancel on disconnect is on. */
  disconnect(conn: number): void {
    this.#tokens.delete(conn);
    this.desk.disconnected(conn, this.nowMs);
  }

  /** One private request; `reply` gets the result's JSON text, an RpcError, or null when request or answer is lost. */
  request(conn: number, method: string, params: Readonly<Record<string, unknown>>, reply: Reply): void {
    const grant = this.desk.tokens.find(this.nowMs, this.#tokens.get(conn) ?? '', conn);
    if (grant === null) reply(unauthorized());
    else this.desk.submit({ nowMs: this.nowMs, conn, grant, method, params }, reply);
  }

  /** Moves time on by `ms`: others trade, resting orders fill, what was late comes, the day may end. Returns what is told since the last call. */
  pass(ms: number): Change[] {
    const from = this.nowMs;
    this.nowMs += ms;
    for (const market of this.markets.values()) {
      market.due += (this.#rate * ms) / 1000;
      const first = market.history.last + 1;
      if (market.due >= 1) market.due -= market.generate(Math.floor(market.due), from * 1000, this.nowMs * 1000);
      this.desk.happened(printsOf(market, first, market.history.last, this.nowMs, this.engine), this.nowMs);
    }
    this.desk.advance(this.nowMs);
    const told = this.#told;
    this.#told = [];
    return told;
  }
}
