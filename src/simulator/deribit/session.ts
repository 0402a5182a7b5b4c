// One WebSocket session of the simulated Deribit: requests, heartbeats, the idle cut.
import type { Connection } from '../connection.ts';
import type { World } from '../world.ts';
import { errorText, parseRequest, resultText, RpcError } from './rpc.ts';
import type { Call } from './methods.ts';

export interface SessionHost {
  readonly world: World;
  /** Runs one method; returns the JSON text of its result. Throws RpcError. `null`: no answer at all. */
  call(call: Call): string | null;
}

export class Session {
  readonly connection: Connection;
  readonly channels = new Set<string>();
  authenticated = false;
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
    try {
      const result = this.#host.call({ session: this, ip: this.connection.ip, method: request.method, params: request.params });
      if (result !== null) this.connection.send(resultText(request.id, result, { usIn, usOut: world.nowUs() + 40 }));
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.connection.send(errorText(request.id, error, { usIn, usOut: world.nowUs() + 40 }));
      // "The session is terminated" once the credits are gone.
      if (error.code === 10028) this.connection.close(1008, 'too_many_requests');
    }
  }
}
