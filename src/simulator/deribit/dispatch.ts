// From a request to its method, public or private, and back; over WebSocket and HTTP.
import { answer, restFault } from '../http.ts';
import type { HttpExchange, World } from '../world.ts';
import { Credits } from './credits.ts';
import { faultError, httpRequest } from './http.ts';
import { methodTable, type Call, type Method } from './methods.ts';
import type { Desk, Reply } from './private/desk.ts';
import { unauthorized, type Grant, type HttpCredentials } from './private/tokens.ts';
import { errorText, Params, resultText, RpcError, statusOf } from './rpc.ts';
import type { Session } from './session.ts';
import type { DeribitVenue } from './venue.ts';

/** What a session (or an HTTP request) brings. */
export interface Incoming {
  /** null over HTTP. */
  readonly session: Session | null;
  readonly ip: string;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly credentials?: HttpCredentials;
}

/** Told even while the platform is closed. */
const ALWAYS = new Set(['public/status', 'public/test', 'public/get_time', 'public/hello']);

export class Dispatcher {
  readonly world: World;
  readonly #desk: Desk;
  readonly #marketId: string;
  readonly #credits: Credits;
  readonly #methods: Map<string, Method>;

  constructor(venue: DeribitVenue) {
    this.world = venue.world;
    this.#marketId = venue.marketId;
    this.#desk = venue.desk;
    this.#credits = new Credits(venue.world);
    this.#methods = methodTable(venue);
  }

  /** Runs one request; `reply` gets the JSON text of its result, an error, or null when there is no answer. */
  request(incoming: Incoming, reply: Reply): void {
    try {
      this.#request(incoming, reply);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      reply(error);
    }
  }

  http(exchange: HttpExchange): void {
    const { world } = this;
    const usIn = world.nowUs();
    const times = (): { usIn: number; usOut: number } => ({ usIn, usOut: world.nowUs() + 40 });
    const faultBody = (status: number): { body: string } => ({ body: errorText(null, faultError(status), times()) });
    if (restFault(world, this.#marketId, exchange, faultBody)) return;
    const request = httpRequest(exchange);
    if (request === null) {
      answer(exchange.response, 404, 'Not Found', {}, 'text/plain');
      return;
    }
    const id = request instanceof RpcError ? null : request.id;
    const reply: Reply = (outcome) => {
      // A lost answer: the connection ends without one.
      if (outcome === null) exchange.request.socket.destroy();
      else if (outcome instanceof RpcError) answer(exchange.response, statusOf(outcome.code), errorText(id, outcome, times()));
      else answer(exchange.response, 200, resultText(id, outcome, times()));
    };
    if (request instanceof RpcError) reply(request);
    else this.request({ session: null, ip: exchange.ip, method: request.method, params: request.params, credentials: credentialsOf(exchange) }, reply);
  }

  #request(incoming: Incoming, reply: Reply): void {
    const { session, ip, params } = incoming;
    const nowMs = this.world.nowMs();
    if (!ALWAYS.has(incoming.method) && this.world.faults.find('maintenance', this.#marketId) !== null) throw new RpcError(11051, 'system_maintenance');
    const grant = this.#grantOf(incoming, nowMs);
    const method = this.#methods.get(incoming.method);
    if (method === undefined) {
      if (!incoming.method.startsWith('private/')) throw new RpcError(-32601, 'Method not found');
      if (grant === null) throw unauthorized();
      this.#desk.submit({ nowMs, conn: session?.connection.id ?? null, grant, method: incoming.method, params }, reply);
      return;
    }
    if (!this.#credits.spend(ip, method.pool ?? 'default')) throw new RpcError(10028, 'too_many_requests');
    if (method.socket === true && session === null) throw new RpcError(10030, 'must_be_websocket_request');
    if (method.private === true && grant === null) throw unauthorized();
    const call: Call = { session, ip, method: incoming.method, params, grant };
    reply(method.run(new Params(params), call));
  }

  /** Who asks: by the token of the request, of its header, or of the session. */
  #grantOf({ session, params, credentials }: Incoming, nowMs: number): Grant | null {
    const { tokens } = this.#desk;
    const conn = session?.connection.id ?? null;
    const given = params['access_token'];
    if (typeof given === 'string') return tokens.find(nowMs, given, conn);
    if (session !== null) return session.token === null ? null : tokens.find(nowMs, session.token, conn);
    return credentials === undefined || credentials.header === null ? null : tokens.ofHeader(nowMs, credentials);
  }
}

function credentialsOf({ request, path, body }: HttpExchange): HttpCredentials {
  const url = request.url ?? '';
  return { header: request.headers.authorization ?? null, verb: request.method ?? 'GET', uri: url.slice(Math.max(0, url.indexOf(path))), body };
}
