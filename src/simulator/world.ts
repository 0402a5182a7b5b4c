// What every part of the simulator shares: one clock (that can be skewed), one ledger, one outbox, one list of faults.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Connection, Outbox } from './connection.ts';
import type { Faults } from './faults.ts';
import type { Ledger } from './ledger.ts';
import type { Market } from './market.ts';

/** Figures of the venues that tests make smaller. */
export interface Timing {
  /** Push interval of the spot venue's klines, ms. */
  klineMs: number;
  /** Age at which the candle venue cuts a session, ms. */
  sessionMs: number;
  /** Server ping interval, ms (spot; USD-M nine times that). */
  pingMs: number;
  pongMs: number;
  /** JSON-RPC sessions without traffic are cut after this, ms. */
  idleMs: number;
  /** Seconds of `set_heartbeat` are this many ms. */
  heartbeatSecondMs: number;
}

export const REAL_TIMING: Timing = {
  klineMs: 2_000, sessionMs: 24 * 3_600_000, pingMs: 20_000, pongMs: 60_000, idleMs: 600_000, heartbeatSecondMs: 1_000,
};

export interface World {
  readonly seed: number;
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  readonly faults: Faults;
  readonly timing: Timing;
  readonly random: () => number;
  /** Rate limits are enforced. */
  readonly limits: boolean;
  /** Exchange time in µs, skew included. */
  nowUs(): number;
  nowMs(): number;
}

export interface HttpExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Path below the venue's base, with a leading slash. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly ip: string;
}

/** One venue below its base path. */
export interface Venue {
  readonly marketId: string;
  readonly markets: ReadonlyMap<string, Market>;
  readonly connections: ReadonlySet<Connection>;
  /** A refusal of a WebSocket handshake as an HTTP answer, or null to accept it. */
  refuse(path: string, ip: string): { status: number; body: string } | null;
  accept(connection: Connection, path: string, query: URLSearchParams): void;
  http(exchange: HttpExchange): void;
  /** Trades `from`..`to` of the market were made: ledger and frames. */
  publish(market: Market, from: number, to: number): void;
  /** Every tick, after the trades. */
  tick(nowMs: number): void;
  /** One recorded frame, to whoever subscribed its stream. */
  replay(stream: string, data: string): void;
  /** Somebody hears this recorded stream. */
  hears(stream: string): boolean;
  /** Forgets the subscriptions of a connection that is gone (or as good as gone). */
  drop(connection: Connection): void;
  /** Says something the generator never says by itself (maintenance, shutdown). */
  announce(message: Readonly<Record<string, unknown>>): number;
  /** Does something to the account from outside its API. Throws an Error that says what is wrong. */
  operate?(message: Readonly<Record<string, unknown>>): unknown;
  state(): Record<string, unknown>;
}
