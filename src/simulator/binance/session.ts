// One WebSocket session of a Binance venue: control requests, their limits, pings. Answers are flat `{code,msg,id}`.
import type { Connection } from '../connection.ts';
import type { World } from '../world.ts';
import { dialect } from './streams.ts';

export type Category = 'single' | 'legacy' | 'public' | 'market' | 'private';

export interface SessionLimits {
  /** Inbound messages (pings and pongs included) per second; more and the session is cut. */
  inboundPerSecond: number;
  maxStreams: number;
}

export interface SessionHost {
  readonly world: World;
  readonly limits: SessionLimits;
  subscribe(session: Session, name: string): void;
  unsubscribe(session: Session, name: string): void;
  /** The session's dialect changed: its streams must regroup it. */
  regroup(session: Session): void;
}

const METHODS = ['SUBSCRIBE', 'UNSUBSCRIBE', 'LIST_SUBSCRIPTIONS', 'SET_PROPERTY', 'GET_PROPERTY'];

export class Session {
  readonly connection: Connection;
  readonly category: Category;
  readonly micro: boolean;
  readonly openedMs: number;
  readonly streams = new Set<string>();
  combined: boolean;
  readonly #host: SessionHost;
  readonly #inbound: number[] = [];
  #pingedMs: number;
  #pongDueMs = Infinity;
  #pingPayload = '';

  constructor(host: SessionHost, connection: Connection, options: { category: Category; combined: boolean; micro: boolean }) {
    this.#host = host;
    this.connection = connection;
    this.category = options.category;
    this.combined = options.combined;
    this.micro = options.micro;
    this.openedMs = host.world.clock.monotonicMs();
    this.#pingedMs = this.openedMs;
    connection.socket.on('message', (data: Buffer) => {
      if (this.#counted()) this.#request(data.toString('utf8'));
    });
    connection.socket.on('ping', (data: Buffer) => {
      if (this.#counted() && !connection.frozen) connection.socket.pong(data);
    });
    connection.socket.on('pong', (data: Buffer) => {
      // An unsolicited pong does not keep a session alive.
      if (this.#counted() && data.toString() === this.#pingPayload) this.#pongDueMs = Infinity;
    });
  }

  get group(): number {
    return dialect(this.combined, this.micro);
  }

  /** Pings, and cuts who does not answer. */
  tick(nowMs: number, pingMs: number, pongMs: number): void {
    if (nowMs >= this.#pongDueMs) {
      this.connection.terminate();
      return;
    }
    if (nowMs - this.#pingedMs < pingMs) return;
    this.#pingedMs = nowMs;
    this.#pingPayload = String(this.#host.world.nowMs());
    if (this.#pongDueMs === Infinity) this.#pongDueMs = nowMs + pongMs;
    if (this.connection.open && !this.connection.frozen) this.connection.socket.ping(this.#pingPayload);
  }

  /** False when this message was one too many in a second: the session ends. */
  #counted(): boolean {
    if (this.connection.frozen) return false;
    const { world, limits } = this.#host;
    const now = world.clock.monotonicMs();
    this.#inbound.push(now);
    while ((this.#inbound[0] ?? now) <= now - 1000) this.#inbound.shift();
    if (!world.limits || this.#inbound.length <= limits.inboundPerSecond) return true;
    world.ledger.note({ k: 'kill', market_id: this.connection.marketId, conn: this.connection.id, reason: 'too many requests' });
    this.connection.socket.close(1008, 'Too many requests');
    return false;
  }

  #request(text: string): void {
    let request: unknown;
    try {
      request = JSON.parse(text);
    } catch {
      this.#error(3, 'Invalid JSON: expected value at line 1 column 1', undefined);
      return;
    }
    const { method, params, id } = (typeof request === 'object' && request !== null ? request : {}) as Record<string, unknown>;
    const goodId = id === null || (typeof id === 'number' && Number.isInteger(id)) || (typeof id === 'string' && /^[0-9A-Za-z]{1,36}$/.test(id));
    if (id !== undefined && !goodId) {
      this.#error(2, 'Invalid request: request ID must be an unsigned integer, a string of up to 36 alphanumerics or null', undefined);
    } else if (typeof method !== 'string' || !METHODS.includes(method)) {
      const allowed = METHODS.map((m) => `\`${m}\``).join(', ');
      this.#error(2, `Invalid request: unknown variant \`${String(method)}\`, expected one of ${allowed}`, id);
    } else if (method === 'SUBSCRIBE' || method === 'UNSUBSCRIBE') {
      this.#change(method === 'SUBSCRIBE', params, id);
    } else if (method === 'LIST_SUBSCRIPTIONS') {
      this.#result([...this.streams], id);
    } else {
      this.#property(method === 'SET_PROPERTY', params, id);
    }
  }

  #change(subscribe: boolean, params: unknown, id: unknown): void {
    if (!Array.isArray(params) || params.some((name) => typeof name !== 'string')) {
      this.#error(2, 'Invalid request: streams must be an array', id);
      return;
    }
    const { world, limits } = this.#host;
    const { marketId } = this.connection;
    const names = params as string[];
    if (subscribe && world.limits && new Set([...this.streams, ...names]).size > limits.maxStreams) {
      this.#error(2, `Invalid request: more than ${limits.maxStreams} streams`, id);
      return;
    }
    if (subscribe && names.some((name) => world.faults.strike('ack_never', marketId, symbolOf(name), name) !== null)) return;
    for (const name of names) {
      if (!subscribe) this.#host.unsubscribe(this, name);
      else if (world.faults.strike('reject_subscription', marketId, symbolOf(name), name) !== null) {
        this.#error(2, `Invalid request: invalid stream ${name}`, id);
        return;
      } else this.#host.subscribe(this, name);
    }
    this.#result(null, id);
  }

  #property(set: boolean, params: unknown, id: unknown): void {
    const [name, value] = Array.isArray(params) ? (params as unknown[]) : [];
    if (name !== 'combined') this.#error(0, 'Unknown property', id);
    else if (!set) this.#result(this.combined, id);
    else if (typeof value !== 'boolean') this.#error(1, 'Invalid value type: expected Boolean', id);
    else {
      this.combined = value;
      this.#host.regroup(this);
      this.#result(null, id);
    }
  }

  #result(result: unknown, id: unknown): void {
    this.connection.send(JSON.stringify({ result, id: id ?? null }));
  }

  #error(code: number, msg: string, id: unknown): void {
    this.connection.send(JSON.stringify(id === undefined ? { code, msg } : { code, msg, id }));
  }
}

const symbolOf = (stream: string): string => (stream.split('@')[0] ?? '').toUpperCase();
