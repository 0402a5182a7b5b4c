// One WebSocket session of the simulated Deribit: requests, heartbeats, the idle cut.
import type { Connection } from '../connection.ts';
import type { World } from '../world.ts';
import { errorText, parseRequest, resultText, RpcError } from './rpc.ts';
import type { Incoming } from './dispatch.ts';
import type { Reply } from './private/desk.ts';

export interface SessionHost {
  readonly world: World;
  /** Runs one request; `reply` gets the JSON text of its result, an error, or null: no answer at all. */
  request(incoming: Incoming, reply: Reply): void;
}

export class Session {
  readonly connection: Connection;
  readonly channels = new Set<string>();
  /** Its access token, once authenticated. */
  token: string | null = null;
  /** It said goodbye: cancel on disconnect does not fire. */
  loggedOut = false;
  readonly #host: SessionHost;
  #lastInMs: number;
  #heartbeatMs = 0;
  #beatAtMs = Infinity;
  /** A test_request is out; without an answer until then the session is killed. */
  #answerByMs = Infinity;

  constructor(host: SessionHost, connection: Connection) {
    this.#host = host;
    this.connection = connection;
    this.#lastInMs = host.world.clock.monotonicMs();
    connection.socket.on('message', (data: Buffer) => this.#request(data.toString('utf8')));
    connection.socket.on('ping', (data: Buffer) => {
      this.#lastInMs = host.world.clock.monotonicMs();
      if (!connection.frozen) connection.socket.pong(data);
    });
  }

  /** 0 switches heartbeats off. */
  setHeartbeat(seconds: number): void {
    this.#heartbeatMs = seconds * this.#host.world.timing.heartbeatSecondMs;
    this.#answerByMs = Infinity;
    this.#beatAtMs = seconds === 0 ? Infinity : this.#host.world.clock.monotonicMs() + this.#heartbeatMs;
  }

  /** After so long the exchange notices that a connection is dead, ms. */
  get noticedMs(): number {
    return this.#heartbeatMs > 0 ? 2 * this.#heartbeatMs : this.#host.world.timing.idleMs;
  }

  /** The client answered a test_request (any public/test does). */
  answered(): void {
    this.#answerByMs = Infinity;
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#answerByMs) this.#kill('heartbeat not answered');
    else if (nowMs - this.#lastInMs >= this.#host.world.timing.idleMs) this.#kill('idle');
    else if (nowMs >= this.#beatAtMs) this.#beat(nowMs);
  }

  /** A client that was silent for the whole interval must answer; the others get a plain heartbeat. */
  #beat(nowMs: number): void {
    const silent = nowMs - this.#lastInMs >= this.#heartbeatMs;
    this.#beatAtMs = nowMs + this.#heartbeatMs;
    if (silent && this.#answerByMs === Infinity) this.#answerByMs = nowMs + this.#heartbeatMs;
    const type = silent ? 'test_request' : 'heartbeat';
    this.connection.send(`{"params":{"type":"${type}"},"method":"heartbeat","jsonrpc":"2.0"}`);
  }

  #kill(reason: string): void {
    this.#answerByMs = Infinity;
    this.#host.world.ledger.note({ k: 'kill', market_id: this.connection.marketId, conn: this.connection.id, reason });
    this.connection.terminate();
  }

  #request(text: string): void {
    if (this.connection.frozen) return;
    const { world } = this.#host;
    this.#lastInMs = world.clock.monotonicMs();
    const usIn = world.nowUs();
    const request = parseRequest(text);
    if (request instanceof RpcError) {
      this.connection.send(errorText(null, request, { usIn, usOut: world.nowUs() }));
      return;
    }
    if (request.id === null) {
      this.connection.send(errorText(null, new RpcError(-32600, 'Invalid Request', { reason: 'missing id' }), { usIn, usOut: world.nowUs() }));
      return;
    }
    const { id } = request;
    this.#host.request({ session: this, ip: this.connection.ip, method: request.method, params: request.params }, (outcome) => {
      const times = { usIn, usOut: world.nowUs() + 40 };
      if (outcome === null) return;
      this.connection.send(outcome instanceof RpcError ? errorText(id, outcome, times) : resultText(id, outcome, times));
      // "The session is terminated" once the credits are gone, says one passage of the article; another that only the request fails.
      const soft = world.faults.find('soft_limits', this.connection.marketId) !== null;
      if (outcome instanceof RpcError && outcome.code === 10028 && !soft) this.connection.close(1008, 'too_many_requests');
    });
  }
}
