// The exchange of one run: the simulator's private side on generated markets, in virtual time, behind a network that loses, delays
// and refuses by the seed. What it really did is in `ledger`; what the executor was told went through the faults.
import { createHash } from 'node:crypto';
import { RpcError as WireError } from '../../simulator/deribit/rpc.ts';
import { Params } from '../../simulator/deribit/rpc.ts';
import { BookMarkets, printsOf } from '../../simulator/deribit/private/book_markets.ts';
import type { Change } from '../../simulator/deribit/private/commands.ts';
import { Desk } from '../../simulator/deribit/private/desk.ts';
import { operate } from '../../simulator/deribit/private/operator.ts';
import { grantWire } from '../../simulator/deribit/private/tokens.ts';
import { DEPOSITS } from '../../simulator/deribit/private/virtual.ts';
import { fillWire, orderWire, wire } from '../../simulator/deribit/private/wire.ts';
import { deribitSpecs } from '../../simulator/deribit/catalogue.ts';
import { namesOf } from '../../simulator/deribit/frames.ts';
import { Faults, type FaultKind } from '../../simulator/faults.ts';
import type { LedgerEntry } from '../../simulator/ledger.ts';
import { Market } from '../../simulator/market.ts';
import { parseExact } from '../../core/json.ts';
import { RpcError, RpcTransportError, type RpcCall } from '../../net/json_rpc.ts';
import type { VirtualTime } from './time.ts';

export interface ExchangeOptions {
  time: VirtualTime;
  seed: number;
  random: () => number;
  symbols: readonly string[];
  /** Public trades per second and market. */
  rate: number;
}

const TICK_MS = 250;
/** A client gives up after so long; the answer may come later, to nobody. */
const TIMEOUT_MS = 5_000;

/** Tells how often each kind of fault has struck: one that never does proves nothing. */
class CountedFaults extends Faults {
  readonly struck: Partial<Record<FaultKind, number>> = {};

  override strike(...[kind, ...where]: Parameters<Faults['strike']>): ReturnType<Faults['strike']> {
    const fault = super.strike(kind, ...where);
    if (fault !== null) this.struck[kind] = (this.struck[kind] ?? 0) + 1;
    return fault;
  }
}

export class VirtualExchange {
  readonly desk: Desk;
  readonly faults: CountedFaults;
  readonly ledger: LedgerEntry[] = [];
  readonly markets = new Map<string, Market>();
  /** Listeners of the private stream; a dead process's is removed. */
  listener: ((text: { kind: 'order' | 'fill'; data: unknown }) => void) | null = null;
  /** The market stands still: nothing trades any more. */
  still = false;
  /** Set by the living process: told when its private stream breaks and when it is back. */
  interrupted: ((lost: boolean) => void) | null = null;
  /** What the executor's machine cannot reach, by the seed's schedule. */
  network: { refused: boolean; latencyMs: () => number } = { refused: false, latencyMs: () => 2 };
  readonly #options: ExchangeOptions;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const { time, seed, symbols } = options;
    for (const spec of deribitSpecs(time.nowMs)) {
      if (!symbols.includes(spec.symbol)) continue;
      const market = new Market(spec, { seed, keep: 1_000, startMs: time.nowMs, liquidations: false });
      market.generate(1, (time.nowMs - 1_000) * 1000, time.nowMs * 1000);
      this.markets.set(spec.symbol, market);
    }
    this.faults = new CountedFaults(options.random, () => time.nowMs);
    const names = new Map([...this.markets.values()].map((market, i) => [market, namesOf(market, i)]));
    this.desk = new Desk({
      markets: new BookMarkets({ markets: this.markets, names }), seed, startMs: time.nowMs, deposits: DEPOSITS, faults: this.faults, clock: time.clock,
      limits: true, note: (entry) => this.ledger.push(entry), tell: (change) => this.#tell(change),
    });
    const tick = (): void => {
      this.#pass();
      time.after(TICK_MS, tick);
    };
    time.after(TICK_MS, tick);
  }

  /** The executor's way to it. `alive` false: the process that asked is dead, nothing reaches it. */
  rpc(alive: () => boolean): RpcCall {
    return (method, params, { token } = {}) => new Promise((resolve, reject) => {
      const { time } = this.#options;
      if (this.network.refused) {
        time.after(0, () => reject(new RpcTransportError(method, 'connect ECONNREFUSED', { sent: false, status: 0 })));
        return;
      }
      const answer = (deliver: () => void): void => time.after(this.network.latencyMs(), () => {
        if (alive()) deliver();
      });
      time.after(TIMEOUT_MS, () => reject(new RpcTransportError(method, `no complete answer within ${TIMEOUT_MS} ms`, { sent: true, status: 0 })));
      time.after(this.network.latencyMs(), () => this.#serve(method, JSON.parse(JSON.stringify(params)) as Record<string, unknown>, token, (outcome) => {
        // Lost: nobody answers, and the client's deadline says so.
        if (outcome === null) return;
        answer(() => {
          if (typeof outcome === 'string') resolve(parseExact(outcome));
          else reject(new RpcError(method, outcome.code, outcome.message, ''));
        });
      }));
    });
  }

  #serve(method: string, params: Record<string, unknown>, token: string | undefined, reply: (outcome: string | WireError | null) => void): void {
    const nowMs = Math.floor(this.#options.time.nowMs);
    try {
      if (method === 'public/get_time') {
        reply(String(nowMs));
        return;
      }
      if (method === 'public/auth') {
        reply(JSON.stringify(grantWire(this.desk.tokens.auth(nowMs, new Params(params), null))));
        return;
      }
      const grant = token === undefined ? null : this.desk.tokens.find(nowMs, token, null);
      if (grant === null) throw new WireError(13009, 'unauthorized');
      this.desk.submit({ nowMs, conn: null, grant, method, params }, reply);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      reply(error);
    }
  }

  /** Somebody acts on the account by hand; a refusal is nothing. */
  byHand(message: Record<string, unknown>): boolean {
    try {
      operate(this.desk, message, Math.floor(this.#options.time.nowMs));
      return true;
    } catch (error) {
      if (error instanceof WireError) return false;
      throw error;
    }
  }

  #pass(): void {
    const nowMs = Math.floor(this.#options.time.nowMs);
    const changes: Change[] = [];
    for (const market of this.still ? [] : this.markets.values()) {
      market.due += (this.#options.rate * TICK_MS) / 1000;
      const first = market.history.last + 1;
      if (market.due >= 1) market.due -= market.generate(Math.floor(market.due), (nowMs - TICK_MS) * 1000, nowMs * 1000);
      changes.push(...printsOf(market, first, market.history.last, nowMs, this.desk.engine));
    }
    this.desk.happened(changes, nowMs);
    this.desk.advance(nowMs);
  }

  #tell(change: Change): void {
    const listener = this.listener;
    if (listener === null) return;
    const deliver = (kind: 'order' | 'fill', text: string): void =>
      this.#options.time.after(this.network.latencyMs(), () => {
        if (this.listener === listener) listener({ kind, data: parseExact(text) });
      });
    for (const fill of change.fills) deliver('fill', wire(fillWire(fill)));
    for (const order of change.orders) deliver('order', wire(orderWire(order)));
  }

  /** A digest of what the exchange did: equal for equal seeds. */
  digest(): string {
    return createHash('sha256').update(JSON.stringify(this.ledger)).digest('hex').slice(0, 16);
  }
}
